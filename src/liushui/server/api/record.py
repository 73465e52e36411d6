"""Accounts and flows of a program's own: one or many, as JSON or line by line, all or each for itself."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from litestar.response import Stream

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import AccountNotFound, ConfigError, short_repr
from liushui.instant import load_zone
from liushui.ledger.access.tokens import Scope
from liushui.ledger.write import record as recording
from liushui.ledger.write.record import Conflict, IdempotencyKey, KeyReused
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import ApiOperation, endpoint
from liushui.server.api.errors import Refusal, conflict, malformed, missing, unacceptable, unacceptable_body
from liushui.server.api.flows import accounts_said
from liushui.server.api.params import check_media_type
from liushui.server.api.record_body import (
    JSON,
    LINES,
    ROWS_MAX,
    RecordQuery,
    Row,
    differs,
    read_all,
    read_row,
    said_of,
    texts_of,
    whole_body,
)


@endpoint("POST", "/accounts", scope=Scope.MANAGE)
def make_account(context: Context, data: JSONBody[models.MakeAccount]) -> Response[models.Account]:
    """Make an account of one's own. One that is there, in the same zone, is answered as it is."""
    if not context.principal.sees(data.account):
        raise Refusal(HTTPStatus.FORBIDDEN, "this needs a token for all accounts, or for one of that name")
    try:
        load_zone(data.zone)
    except ConfigError as error:
        raise unacceptable_body("/zone", "an IANA time zone such as Asia/Hong_Kong", data.zone) from error
    try:
        recording.make_own_account(context.ledger, data.account, data.zone)
    except ConfigError as error:
        raise conflict([Fault(pointer="/account", expected="a new name", got=short_repr(data.account))]) from error
    (made,) = accounts_said(context, (data.account,))
    return context.answer(made)


class RecordOperation(ApiOperation):
    """The operation that records flows: it reads its body by itself, so that Litestar knows nothing of the body."""

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
                "description": "Under one key a write is done once, however often it is sent. Not with mode=each.",
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
    operation=RecordOperation,
    dependencies={"described_body": Provide(_describe_body, sync_to_thread=False)},
    request_max_body_size=None,  # a body of any length is read in parts; whole_body has a limit of its own
)
async def record(context: Context, params: NamedDependency[RecordQuery]) -> Response[models.Recorded]:
    """Record flows of accounts of one's own: one, an array, or a row a line.

    A reference that is known, with the same content, changes nothing; with other content it is a conflict, unless the
    write restates. With an Idempotency-Key the same write is done once, however often it is sent. With mode=each every
    row is answered by a line of its own, and a stream of any length takes little memory.
    """
    media_type = check_media_type(context.request, [JSON, LINES])
    if params.mode == "each":
        return await record_each(context, params, media_type)
    body = await whole_body(context.request)
    return await asyncio.to_thread(record_all, context, params, media_type, body)


KEY_MAX: Final = 200
T = TypeVar("T")


def record_all(context: RequestContext, asked: RecordQuery, media_type: str, body: bytes) -> Response[Any]:
    """Keep every row of a body in one transaction, and answer with what became of each. Raises a Refusal."""
    rows = read_all(media_type, body)
    keyed = _keyed(context, asked, body)
    by_account: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_account[row.account].append(row)
    for account in sorted(by_account):
        if not context.principal.sees(account):
            raise missing("account", account)
        _check_once(by_account[account])
    try:
        return _kept(context, rows, by_account, asked, keyed)
    except KeyReused as error:
        fault = Fault(
            parameter="Idempotency-Key",
            expected="a key of its own for each write",
            got="one under which something else was written",
        )
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency-Key: it was used before", [fault]) from error


def _kept(
    context: RequestContext,
    rows: list[Row],
    by_account: dict[str, list[Row]],
    asked: RecordQuery,
    keyed: IdempotencyKey | None,
) -> Response[Any]:
    """Keep the rows, and say what became of each."""
    _check_first(context, by_account, asked, keyed)
    flows = {account: [row.flow for row in of_it] for account, of_it in sorted(by_account.items())}
    try:
        done = _of_own(lambda: recording.record_all(context.ledger, flows, restate=asked.restate, key=keyed))
    except Conflict as error:
        raise conflict([differs(by_account[error.account], one) for one in error.differences]) from error
    again = all(one.repeated for one in done.values())
    outcomes = {
        row.place: outcome.value
        for account, of_it in by_account.items()
        for row, outcome in zip(of_it, done[account].outcomes, strict=True)
    }
    said = [said_of(row, outcomes[row.place]) for row in rows]
    count = list(outcomes.values()).count
    return context.answer(
        models.Recorded(
            added=count("added"),
            known=count("known"),
            restated=count("restated"),
            again=again and bool(rows),
            rows=said,
        )
    )


def _check_first(
    context: RequestContext, by_account: dict[str, list[Row]], asked: RecordQuery, keyed: IdempotencyKey | None
) -> None:
    """Where several accounts are written to, see first whether all of it can be, and say of each what cannot."""
    if len(by_account) < 2 or asked.restate:
        return
    faults = []
    for account, rows in sorted(by_account.items()):
        found = _of_own(
            partial(recording.find_differences, context.ledger, account, [row.flow for row in rows], key=keyed)
        )
        faults += [differs(rows, one) for one in found]
    if faults:
        raise conflict(faults)


def _of_own(do: Callable[[], T]) -> T:
    """Do something with an account. One that is not there, or is none of one's own, is said."""
    try:
        return do()
    except ConfigError as error:
        status = HTTPStatus.NOT_FOUND if isinstance(error, AccountNotFound) else HTTPStatus.CONFLICT
        raise Refusal(status, str(error)) from error


def _check_once(rows: Sequence[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.flow.identity in seen:
            raise unacceptable_body(f"{row.pointer}/reference", "each reference once in a write", row.flow.identity)
        seen.add(row.flow.identity)


def _keyed(context: RequestContext, asked: RecordQuery, body: bytes) -> IdempotencyKey | None:
    key = context.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        expected = f"1 to {KEY_MAX} printable characters"
        raise malformed([Fault(parameter="Idempotency-Key", expected=expected, got=short_repr(key))])
    return IdempotencyKey(context.principal.name, key, recording.request_digest(msgspec.json.encode(asked), body))


CHUNK: Final = 500
"""Rows that are kept at a time."""
IN_MEMORY: Final = 1024 * 1024
"""Bytes of answers that are held there."""
REFUSED: Final = "refused"


async def record_each(context: RequestContext, asked: RecordQuery, media_type: str) -> Response[Any]:
    """Keep rows as they come. The answers lie in a file meanwhile: who sends may read only when all is sent."""
    if context.request.headers.get("idempotency-key") is not None:
        raise unacceptable("Idempotency-Key", "none with mode=each: the references of the rows do it", "one")
    answers = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the answer is sent
    try:
        chunk: list[Row | Fault] = []
        place = 0
        async for text in texts_of(context.request, media_type):
            chunk.append(read_row(place, f"/{place}", text))
            place += 1
            if len(chunk) == CHUNK:
                answers.write(await asyncio.to_thread(_keep, context, asked, chunk, place))
                chunk = []
        answers.write(await asyncio.to_thread(_keep, context, asked, chunk, place))
        answers.seek(0)
    except BaseException:
        answers.close()
        raise
    return Stream(_sent(answers), media_type=LINES, status_code=HTTPStatus.OK, headers={"Cache-Control": "no-store"})


async def _sent(answers: "SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    with answers:
        while part := await asyncio.to_thread(answers.read, IN_MEMORY):
            yield part


def _keep(context: RequestContext, asked: RecordQuery, chunk: Sequence[Row | Fault], end: int) -> bytes:
    """Keep what can be of some rows, and say what became of each, a line a row."""
    said: dict[int, models.RecordedRow] = {}
    by_account: dict[str, list[Row]] = defaultdict(list)
    begin = end - len(chunk)
    for place, row in enumerate(chunk, begin):
        if isinstance(row, Fault):
            said[place] = models.RecordedRow(row=place, outcome=REFUSED, errors=[row])
        elif not context.principal.sees(row.account):
            said[place] = _refused(
                row,
                Fault(
                    pointer=f"{row.pointer}/account", expected="an account that is there", got=short_repr(row.account)
                ),
            )
        else:
            by_account[row.account].append(row)
    for account, rows in sorted(by_account.items()):
        for some in _distinct(rows):
            _keep_some(context, account, some, asked, said)
    return b"".join(msgspec.json.encode(said[place]) + b"\n" for place in range(begin, end))


def _keep_some(
    context: RequestContext, account: str, rows: list[Row], asked: RecordQuery, said: dict[int, models.RecordedRow]
) -> None:
    """Keep rows whose references differ; those that contradict what is kept stay out."""
    while rows:
        try:
            done = recording.record(context.ledger, account, [row.flow for row in rows], restate=asked.restate)
        except Conflict as error:
            out = {one.position: differs(rows, one) for one in error.differences}
            said |= {rows[place].place: _refused(rows[place], fault) for place, fault in out.items()}
            rows = [row for place, row in enumerate(rows) if place not in out]
        except ConfigError as error:
            for row in rows:
                fault = Fault(pointer=f"{row.pointer}/account", expected="an account of one's own", got=str(error))
                said[row.place] = _refused(row, fault)
            return
        else:
            for row, outcome in zip(rows, done.outcomes, strict=True):
                said[row.place] = said_of(row, outcome.value)
            return


def _refused(row: Row, fault: Fault) -> models.RecordedRow:
    return models.RecordedRow(
        row=row.place, outcome=REFUSED, account=row.account, reference=row.flow.identity, errors=[fault]
    )


def _distinct(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in as few lots as have no reference twice, each in order."""
    lots: list[dict[str, Row]] = [{}]
    for row in rows:
        if row.flow.identity in lots[-1]:
            lots.append({})
        lots[-1][row.flow.identity] = row
    return [list(lot.values()) for lot in lots]
