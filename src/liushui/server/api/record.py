"""Records flows in accounts of your own: one flow or many, as JSON or JSON lines, all together or each on its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from litestar.response import Stream

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import AlreadyExists, ConfigError, NotFound, short_repr
from liushui.ledger.access.tokens import Scope
from liushui.ledger.write.record import Conflict, Difference, IdempotencyKey, KeyReused, Outcome, request_digest
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import ApiOperation, endpoint
from liushui.server.api.errors import bad_request, conflict, invalid_body, invalid_parameter
from liushui.server.api.flows import account_models
from liushui.server.api.params import check_media_type
from liushui.server.api.record_body import (
    JSON,
    LINES,
    ROWS_MAX,
    RecordParams,
    Row,
    conflict_fault,
    iter_rows,
    parse_row,
    parse_rows,
    read_whole,
    recorded_row,
)
from liushui.services import recording
from liushui.services.recording import DuplicateReference


@endpoint("POST", "/accounts", scope=Scope.MANAGE, operation_id="make_account")
def create_account(context: Context, data: JSONBody[models.MakeAccount]) -> Response[models.Account]:
    """Create an account of your own. One that exists, in the same time zone, is answered as it is."""
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
    """Never called: Litestar describes the body that any dependency of a route takes, used by the handler or not."""


@endpoint(
    "POST",
    "/flows",
    scope=Scope.RECORD,
    operation_id="record",
    operation=RecordOperation,
    dependencies={"described_body": Provide(_describe_body, sync_to_thread=False)},
    request_max_body_size=None,  # read_whole has a limit of its own, and with mode=each there is none
)
async def record_flows(context: Context, params: NamedDependency[RecordParams]) -> Response[models.Recorded]:
    """Record flows of your own accounts: one, an array, or JSON lines.

    A known reference with the same content changes nothing. With other content it is a conflict, unless restate is
    true. A request with an Idempotency-Key is done once, however often it is sent. With mode=each every row is recorded
    independently and answered with a line of its own, and a body of any length takes little memory.
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
    """Record rows as they arrive. The answers wait until the end: many clients read none before they have sent all."""
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
    """Record some rows, the last of which has the number `end` - 1: what became of each, a line a row."""
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
