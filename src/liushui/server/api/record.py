"""Records flows in own accounts: one or many, as JSON or JSON lines, in one transaction or each independently."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec import Meta

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import AlreadyExists, ConfigError, NotFound, WireError, short_repr
from liushui.flow import Flow, Fx
from liushui.instant import to_us, to_utc
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.write.record import Conflict, Difference, IdempotencyKey, KeyReused, Outcome, request_digest
from liushui.money import parse_decimal
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import ApiOperation, check_media_type, endpoint, within_timeout
from liushui.server.api.errors import (
    TOO_DEEP,
    ProblemError,
    bad_request,
    conflict,
    decode_json,
    decoding_fault,
    invalid_body,
    invalid_parameter,
)
from liushui.server.api.flows import account_models
from liushui.server.audit import NOT_AUDITED
from liushui.services import recording
from liushui.services.recording import DuplicateReference, Entry

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"

BODY_MAX: Final = 64 * 1024 * 1024
"""The most bytes of a body whose rows are recorded in one transaction. With mode=each there is no limit."""
RECORD_TIMEOUT_S: Final = 600
"""How long such a body may take to arrive."""
ROWS_MAX: Final = 20_000
"""Rows of such a body."""
LINE_MAX: Final = 1024 * 1024


class RecordParams(msgspec.Struct, frozen=True, kw_only=True):
    """How flows are recorded."""

    mode: Annotated[
        Literal["all", "each"],
        Meta(description="all: all rows or none, in one transaction. each: every row independently."),
    ] = "all"
    restate: Annotated[
        bool, Meta(description="If a known reference has other content, make it the current version.")
    ] = False


class Row(NamedTuple):
    """A row of a body. `pointer`: the JSON pointer to it."""

    number: int
    pointer: str
    entry: Entry


async def read_whole(request: Request[Any, Any, Any]) -> bytes:
    """Read a body of at most BODY_MAX bytes. Raises ProblemError, also if it does not arrive in time."""
    return await within_timeout(_read_whole(request), RECORD_TIMEOUT_S)


async def _read_whole(request: Request[Any, Any, Any]) -> bytes:
    body, parts = bytearray(), request.stream()
    while (part := await within_timeout(anext(parts, None))) is not None:
        body += part
        if len(body) > BODY_MAX:
            detail = f"body: expected at most {BODY_MAX} bytes, or mode=each"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    return bytes(body)


def parse_rows(media_type: str, body: bytes) -> list[Row]:
    """Parse every row of a body. Raises ProblemError with the first faults."""
    if media_type == LINES:
        parts = [(f"/{number}", line) for number, line in enumerate(body.split(b"\n")) if line.strip()]
    elif body.lstrip()[:1] == b"[":
        parts = [(f"/{number}", element) for number, element in enumerate(_split_array(body))]
    else:
        parts = [("", body)]
    if len(parts) > ROWS_MAX:
        detail = f"body: expected at most {ROWS_MAX} rows, or mode=each, got {len(parts)}"
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    rows = []
    faults: list[Fault] = []
    for number, (pointer, text) in enumerate(parts):
        row = parse_row(number, pointer, text)
        if isinstance(row, Fault):
            faults.append(row)
        else:
            rows.append(row)
        if len(faults) == _FAULTS_MAX:
            break
    if faults:
        raise bad_request(faults)
    return rows


async def iter_rows(request: Request[Any, Any, Any], media_type: str) -> AsyncIterator[bytes]:
    """The JSON of each row of a body, lines as they arrive. Raises ProblemError."""
    if media_type == JSON:
        body = await read_whole(request)
        if body.lstrip()[:1] != b"[":
            yield body
            return
        for element in _split_array(body):
            yield element
        return
    rest = b""
    # Lines may arrive for hours, while their program makes them, but the pauses are limited.
    parts = request.stream()
    while (part := await within_timeout(anext(parts, None))) is not None:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > LINE_MAX:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected lines of at most {LINE_MAX} bytes")
    if rest.strip():
        yield rest


def _split_array(body: bytes) -> list[bytes]:
    """The JSON of each element of an array. Raises ProblemError."""
    try:
        return list(map(bytes, msgspec.json.decode(body, type=list[msgspec.Raw])))
    except msgspec.MsgspecError as error:
        raise bad_request([decoding_fault(error, body)]) from error
    except RecursionError as error:
        raise bad_request([TOO_DEEP]) from error


_FAULTS_MAX: Final = 20
_decode = msgspec.json.Decoder(models.RecordFlow).decode


def parse_row(number: int, pointer: str, text: bytes) -> Row | Fault:
    """Parse a row. Returns a Fault for a row that is not valid, because with mode=each the others are recorded."""
    body = decode_json(_decode, text, pointer)
    if isinstance(body, Fault):
        return body
    try:
        return Row(number, pointer, Entry(body.account, _to_flow(body)))
    except WireError as error:
        return Fault(pointer=f"{pointer}/{error.field}", expected="decimal text such as -248.60", got="something else")
    except OverflowError:
        return Fault(pointer=f"{pointer}/at", expected="an instant of the years 1 to 9999", got="another")


def _to_flow(body: models.RecordFlow) -> Flow:
    """Raises WireError for an amount that is not valid."""
    fx = None
    if body.fx is not None:
        fx = Fx(body.fx.currency, parse_decimal("fx/amount", body.fx.amount), parse_decimal("fx/rate", body.fx.rate))
    return Flow(
        identity=body.reference,
        at=to_utc(body.at),
        amount=parse_decimal("amount", body.amount),
        currency=body.currency,
        direction=body.direction,
        kind=body.kind,
        category=body.category,
        label=body.label,
        subaccount=body.subaccount,
        balance_after=None if body.balance_after is None else parse_decimal("balance_after", body.balance_after),
        settled_at=None if body.settled_at is None else to_utc(body.settled_at),
        ref=body.ref,
        order_ref=body.order_ref,
        symbol=body.symbol,
        name=body.name,
        price=None if body.price is None else parse_decimal("price", body.price),
        quantity=None if body.quantity is None else parse_decimal("quantity", body.quantity),
        note=body.note,
        fx=fx,
        detail=body.detail or None,
    )


def recorded_row(row: Row, outcome: Outcome) -> models.RecordedRow:
    """The answer to a row that was recorded."""
    account, flow = row.entry
    return models.RecordedRow(
        row=row.number,
        outcome=outcome.value,
        account=account,
        reference=flow.identity,
        key=flow_key(account, to_us(flow.at), flow.identity),
    )


def conflict_fault(row: Row, difference: Difference) -> Fault:
    """The fault of a row whose content differs from what is recorded under its reference."""
    expected = (
        f"{difference.field} {short_repr(difference.recorded)} as recorded under {short_repr(difference.reference)}, "
        "or restate=true"
    )
    return Fault(pointer=f"{row.pointer}/{difference.field}", expected=expected, got=short_repr(difference.given))


# ---------------------------------------------------------------- routes


@endpoint("POST", "/accounts", scope=Scope.MANAGE, operation_id="make_account")
def create_account(context: Context, data: JSONBody[models.MakeAccount]) -> Response[models.Account]:
    """Create an account of your own. If it exists in the same time zone, the answer is the existing account."""
    try:
        recording.create_account(context.ledger, context.principal, data.account, data.zone)
    except AlreadyExists as error:
        raise conflict([Fault(pointer="/account", expected="a new name", got=short_repr(data.account))]) from error
    (account,) = account_models(context, (data.account,))
    return context.answer(account)


class RecordOperation(ApiOperation):
    """The operation that records flows. The handler reads the body itself: Litestar knows too little to describe it."""

    def to_schema(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        schema = super().to_schema()
        flow = schema["requestBody"]["content"][JSON]["schema"]
        schema["requestBody"]["content"] = {
            JSON: {"schema": {"anyOf": [flow, {"type": "array", "items": flow, "maxItems": ROWS_MAX}]}},
            LINES: {"schema": {"type": "string", "description": "One RecordFlow a line."}},
        }
        answers = schema["responses"]["200"]["content"]
        answers[LINES] = {"schema": {"type": "string", "description": "One RecordedRow a line."}}
        schema["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "A request with a key is done once, however often it is sent. Not with mode=each.",
                "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$"},
            }
        )
        return schema


def _describe_body(data: JSONBody[models.RecordFlow]) -> None:
    """Never called: Litestar describes the body of any dependency of a route, whether or not the handler uses it."""


@endpoint(
    "POST",
    "/flows",
    scope=Scope.RECORD,
    operation_id="record",
    operation=RecordOperation,
    dependencies={"described_body": Provide(_describe_body, sync_to_thread=False)},
    opt={NOT_AUDITED: True},
    request_max_body_size=None,  # read_whole has its own limit, and with mode=each there is none
)
async def record_flows(context: Context, params: NamedDependency[RecordParams]) -> Response[models.Recorded]:
    """Record flows of your own accounts: one, an array, or JSON lines.

    A known reference with the same content changes nothing. With other content it is a conflict, unless `restate` is
    true. A request with an Idempotency-Key takes effect once, however often it is sent. With mode=each, every row is
    recorded independently, and the answer has a line for each row. A body may then have any length.
    """
    media_type = check_media_type(context.request, [JSON, LINES])
    if params.mode == "each":
        return await _record_each(context, params, media_type)
    body = await read_whole(context.request)
    return await asyncio.to_thread(_record_all, context, params, media_type, body)


IDEMPOTENCY_KEY_MAX: Final = 200


def _record_all(context: RequestContext, params: RecordParams, media_type: str, body: bytes) -> Response[Any]:
    """Record every row of a body in one transaction. Raises ProblemError, and the errors of the service."""
    rows = parse_rows(media_type, body)
    key = _idempotency_key(context, params, body)
    try:
        recorded = recording.record_all(
            context.ledger, context.principal, [row.entry for row in rows], restate=params.restate, key=key
        )
    except DuplicateReference as error:
        pointer = f"{rows[error.index].pointer}/reference"
        raise invalid_body(pointer, "each reference once in a request", error.reference) from error
    except Conflict as error:
        raise conflict([conflict_fault(rows[one.position], one) for one in error.differences]) from error
    except KeyReused as error:
        expected = "a key that no other request used"
        raise invalid_parameter("Idempotency-Key", expected, context.request.headers["idempotency-key"]) from error
    count = list(recorded.outcomes).count
    return context.answer(
        models.Recorded(
            added=count(Outcome.ADDED),
            known=count(Outcome.KNOWN),
            restated=count(Outcome.RESTATED),
            again=recorded.again,
            rows=[recorded_row(row, outcome) for row, outcome in zip(rows, recorded.outcomes, strict=True)],
        )
    )


def _idempotency_key(context: RequestContext, params: RecordParams, body: bytes) -> IdempotencyKey | None:
    key = context.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX or not key.isprintable():
        expected = f"1 to {IDEMPOTENCY_KEY_MAX} printable characters"
        raise bad_request([Fault(parameter="Idempotency-Key", expected=expected, got=short_repr(key))])
    return IdempotencyKey(context.principal.name, key, request_digest(msgspec.json.encode(params), body))


# ---------------------------------------------------------------- mode=each

CHUNK_ROWS: Final = 500
"""Rows that are recorded together."""
IN_MEMORY: Final = 1024 * 1024
"""Bytes of answers that are held in memory. More of them go to a temporary file."""


async def _record_each(context: RequestContext, params: RecordParams, media_type: str) -> Response[Any]:
    """Record rows as they arrive. The answers wait until the end, because many clients read nothing before they have
    sent everything."""
    if context.request.headers.get("idempotency-key") is not None:
        raise invalid_parameter("Idempotency-Key", "none with mode=each: there the references make rows unique", "one")
    answers = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the answer is sent
    try:
        chunk: list[Row | Fault] = []
        number = 0
        async for text in iter_rows(context.request, media_type):
            chunk.append(parse_row(number, f"/{number}", text))
            number += 1
            if len(chunk) == CHUNK_ROWS:
                answers.write(await asyncio.to_thread(_record_chunk, context, params, chunk, number))
                chunk = []
        answers.write(await asyncio.to_thread(_record_chunk, context, params, chunk, number))
        answers.seek(0)
    except BaseException:
        answers.close()
        raise
    return Stream(_parts(answers), media_type=LINES, status_code=HTTPStatus.OK, headers={"Cache-Control": "no-store"})


async def _parts(answers: "SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    with answers:
        while part := await asyncio.to_thread(answers.read, IN_MEMORY):
            yield part


def _record_chunk(context: RequestContext, params: RecordParams, chunk: Sequence[Row | Fault], end: int) -> bytes:
    """Record some rows, of which the last has the number `end` - 1. Returns the outcome of each as a line."""
    rows = [row for row in chunk if isinstance(row, Row)]
    entries = [row.entry for row in rows]
    results = recording.record_each(context.ledger, context.principal, entries, restate=params.restate)
    answers = {row.number: _answer(row, result) for row, result in zip(rows, results, strict=True)}
    for number, fault in enumerate(chunk, end - len(chunk)):
        if isinstance(fault, Fault):
            answers[number] = models.RecordedRow(row=number, outcome=REFUSED, errors=[fault])
    return b"".join(msgspec.json.encode(answers[number]) + b"\n" for number in sorted(answers))


REFUSED: Final = "refused"


def _answer(row: Row, result: Outcome | Difference | ConfigError) -> models.RecordedRow:
    if isinstance(result, Outcome):
        return recorded_row(row, result)
    if isinstance(result, Difference):
        fault = conflict_fault(row, result)
    elif isinstance(result, NotFound):
        fault = Fault(
            pointer=f"{row.pointer}/account", expected="an account that exists", got=short_repr(row.entry.account)
        )
    else:
        fault = Fault(pointer=f"{row.pointer}/account", expected="an account of your own", got=str(result))
    return models.RecordedRow(
        row=row.number,
        outcome=REFUSED,
        account=row.entry.account,
        reference=row.entry.flow.identity,
        errors=[fault],
    )
