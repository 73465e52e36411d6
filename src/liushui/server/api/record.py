"""Accounts and flows of a program's own: one or many, as JSON or line by line, all or each for itself."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from litestar import Request, Response, post
from litestar.params import RawBody
from litestar.response import Stream
from msgspec import Meta

from liushui.client import words
from liushui.client.words import Fault
from liushui.errors import ConfigError, WireError
from liushui.flow import Flow, Fx
from liushui.instant import to_us, utc, zone_named
from liushui.ledger import recording
from liushui.ledger.recording import Conflict, Differs, Keyed, KeyReused
from liushui.ledger.tokens import Scope
from liushui.money import decimal_text, shown
from liushui.server.access import needs
from liushui.server.api.asking import BODY, IN_LINES, QUERY, body_of, check_media_type, no_query
from liushui.server.api.call import Call, call_of
from liushui.server.api.cursors import key_of
from liushui.server.api.flows import accounts_said
from liushui.server.api.problems import Refusal, conflict, fault_of, malformed, missing, unacceptable, unacceptable_body

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"

BODY_MAX: Final = 64 * 1024 * 1024
"""Bytes of a body that is kept whole or not at all. One whose rows stand for themselves may have any number."""
ROWS_MAX: Final = 20_000
"""Rows of such a body."""
LINE_MAX: Final = 1024 * 1024
CHUNK: Final = 500
"""Rows that are kept at a time where each stands for itself."""
IN_MEMORY: Final = 1024 * 1024
KEY_MAX: Final = 200


T = TypeVar("T")


class RecordQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How flows are recorded."""

    mode: Annotated[
        Literal["all", "each"],
        Meta(description="all: all rows or none, in one transaction. each: every row for itself."),
    ] = "all"
    restate: Annotated[bool, Meta(description="Other content under a known reference replaces it.")] = False


@post(
    "/accounts",
    guards=[needs(Scope.MANAGE)],
    sync_to_thread=True,
    status_code=HTTPStatus.OK,
    opt={BODY: words.MakeAccount},
)
def make_account(request: Request[Any, Any, Any], body: RawBody) -> Response[words.Account]:
    """Make an account of one's own. One that is there, in the same zone, is answered as it is."""
    call = call_of(request)
    no_query(request)
    wanted = body_of(body, request, words.MakeAccount)
    if not call.principal.sees(wanted.account):
        raise Refusal(HTTPStatus.FORBIDDEN, "this needs a token for all accounts, or for one of that name")
    try:
        zone_named(wanted.zone)
    except ConfigError as error:
        raise unacceptable_body("/zone", "an IANA time zone such as Asia/Hong_Kong", wanted.zone) from error
    try:
        recording.make_own_account(call.ledger, wanted.account, wanted.zone)
    except ConfigError as error:
        raise conflict([Fault(pointer="/account", expected="a new name", got=shown(wanted.account))]) from error
    (made,) = accounts_said(call, (wanted.account,))
    return call.answer(made)


@post(
    "/flows",
    guards=[needs(Scope.RECORD)],
    status_code=HTTPStatus.OK,
    opt={QUERY: RecordQuery, BODY: words.RecordFlow, IN_LINES: True},
)
async def record(request: Request[Any, Any, Any]) -> Response[words.Recorded] | Stream:
    """Record flows of accounts of one's own: one, an array, or a row a line.

    A reference that is known, with the same content, changes nothing; with other content it is a conflict, unless the
    write restates. With an Idempotency-Key the same write is done once, however often it is sent. With mode=each every
    row is answered by a line of its own, and a stream of any length takes little memory.
    """
    call = call_of(request)
    asked = call.query(RecordQuery)
    media_type = check_media_type(request, [JSON, LINES])
    if asked.mode == "each":
        return await _each(call, asked, media_type)
    body = await _whole(request)
    return await asyncio.to_thread(_all, call, asked, media_type, body)


# ---------------------------------------------------------------- all or nothing


class _Row(NamedTuple):
    """A row that was read. `pointer` is its place in the body."""

    place: int
    pointer: str
    account: str
    flow: Flow


def _all(call: Call, asked: RecordQuery, media_type: str, body: bytes) -> Response[Any]:
    rows = _read_all(media_type, body)
    keyed = _keyed(call, asked, body)
    by_account: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        by_account[row.account].append(row)
    for account in sorted(by_account):
        if not call.principal.sees(account):
            raise missing("account", account)
        _check_once(by_account[account])
    try:
        return _kept(call, rows, by_account, asked, keyed)
    except KeyReused as error:
        fault = Fault(
            parameter="Idempotency-Key",
            expected="a key of its own for each write",
            got="one under which something else was written",
        )
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency-Key: it was used before", [fault]) from error


def _kept(
    call: Call, rows: list[_Row], by_account: dict[str, list[_Row]], asked: RecordQuery, keyed: Keyed | None
) -> Response[Any]:
    """Keep the rows, and say what became of each."""
    _check_first(call, by_account, asked, keyed)
    flows = {account: [row.flow for row in of_it] for account, of_it in sorted(by_account.items())}
    try:
        done = _of_own(lambda: recording.record_all(call.ledger, flows, restate=asked.restate, keyed=keyed))
    except Conflict as error:
        raise conflict([_differs(by_account[error.account], one) for one in error.differences]) from error
    again = all(one.again for one in done.values())
    outcomes = {
        row.place: outcome.value
        for account, of_it in by_account.items()
        for row, outcome in zip(of_it, done[account].outcomes, strict=True)
    }
    said = [_said(row, outcomes[row.place]) for row in rows]
    count = list(outcomes.values()).count
    return call.answer(
        words.Recorded(
            added=count("added"),
            known=count("known"),
            restated=count("restated"),
            again=again and bool(rows),
            rows=said,
        )
    )


def _check_first(call: Call, by_account: dict[str, list[_Row]], asked: RecordQuery, keyed: Keyed | None) -> None:
    """Where several accounts are written to, see first whether all of it can be, and say of each what cannot."""
    if len(by_account) < 2 or asked.restate:
        return
    faults = []
    for account, rows in sorted(by_account.items()):
        found = _of_own(partial(recording.conflicts, call.ledger, account, [row.flow for row in rows], keyed=keyed))
        faults += [_differs(rows, one) for one in found]
    if faults:
        raise conflict(faults)


def _of_own(do: Callable[[], T]) -> T:
    """Do something with an account. One that is not there, or is none of one's own, is said."""
    try:
        return do()
    except ConfigError as error:
        status = HTTPStatus.NOT_FOUND if "there is none" in str(error) else HTTPStatus.CONFLICT
        raise Refusal(status, str(error)) from error


def _differs(rows: Sequence[_Row], found: Differs) -> Fault:
    expected = f"{found.field} {shown(found.kept)} as kept under {shown(found.reference)}, or restate=true"
    return Fault(pointer=f"{rows[found.place].pointer}/{found.field}", expected=expected, got=shown(found.given))


def _check_once(rows: Sequence[_Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.flow.identity in seen:
            raise unacceptable_body(f"{row.pointer}/reference", "each reference once in a write", row.flow.identity)
        seen.add(row.flow.identity)


def _keyed(call: Call, asked: RecordQuery, body: bytes) -> Keyed | None:
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        expected = f"1 to {KEY_MAX} printable characters"
        raise malformed([Fault(parameter="Idempotency-Key", expected=expected, got=shown(key))])
    return Keyed(call.principal.name, key, recording.digest_of(msgspec.json.encode(asked), body))


async def _whole(request: Request[Any, Any, Any]) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_MAX:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected at most {BODY_MAX} bytes, or mode=each")
    return bytes(body)


def _read_all(media_type: str, body: bytes) -> list[_Row]:
    """Every row. Raises a Refusal that names what does not fit, of the first rows that do not."""
    if media_type == LINES:
        parts = [(f"/{number}", line) for number, line in enumerate(body.split(b"\n")) if line.strip()]
    elif body.lstrip()[:1] == b"[":
        try:
            parts = [(f"/{n}", bytes(one)) for n, one in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw]))]
        except msgspec.MsgspecError as error:
            raise malformed([fault_of(error, body)]) from error
    else:
        parts = [("", body)]
    if len(parts) > ROWS_MAX:
        said = f"body: expected at most {ROWS_MAX} rows, or mode=each, got {len(parts)}"
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    rows = []
    faults: list[Fault] = []
    for place, (pointer, text) in enumerate(parts):
        found = _read(place, pointer, text)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            rows.append(found)
        if len(faults) == _FAULTS_MAX:
            break
    if faults:
        raise malformed(faults)
    return rows


_FAULTS_MAX: Final = 20
_decode = msgspec.json.Decoder(words.RecordFlow).decode


def _read(place: int, pointer: str, text: bytes) -> _Row | Fault:
    try:
        said = _decode(text)
        return _Row(place, pointer, said.account, _flow(said))
    except msgspec.MsgspecError as error:
        return fault_of(error, text, pointer)
    except UnicodeDecodeError:
        return Fault(pointer=pointer, expected="UTF-8", got=shown(text[:40]))
    except WireError as error:
        expected, _, got = error.reason.removeprefix("expected ").partition(", got ")
        return Fault(pointer=f"{pointer}/{error.field}", expected=expected, got=got or "something else")
    except OverflowError:
        return Fault(pointer=f"{pointer}/at", expected="an instant of the years 1 to 9999", got="another")


def _flow(said: words.RecordFlow) -> Flow:
    """The flow that is recorded. Raises WireError."""
    fx = None
    if said.fx is not None:
        fx = Fx(said.fx.currency, decimal_text("fx/amount", said.fx.amount), decimal_text("fx/rate", said.fx.rate))
    return Flow(
        identity=said.reference,
        at=utc(said.at),
        amount=decimal_text("amount", said.amount),
        currency=said.currency,
        direction=said.direction,
        kind=said.kind,
        category=said.category,
        label=said.label,
        subaccount=said.subaccount,
        balance_after=None if said.balance_after is None else decimal_text("balance_after", said.balance_after),
        settled_at=None if said.settled_at is None else utc(said.settled_at),
        ref=said.ref,
        order_ref=said.order_ref,
        symbol=said.symbol,
        name=said.name,
        price=None if said.price is None else decimal_text("price", said.price),
        quantity=None if said.quantity is None else decimal_text("quantity", said.quantity),
        note=said.note,
        fx=fx,
        detail=said.detail or None,
    )


def _said(row: _Row, outcome: str) -> words.RecordedRow:
    return words.RecordedRow(
        row=row.place,
        outcome=outcome,
        account=row.account,
        reference=row.flow.identity,
        key=key_of(row.account, to_us(row.flow.at), row.flow.identity),
    )


# ---------------------------------------------------------------- each for itself


async def _each(call: Call, asked: RecordQuery, media_type: str) -> Stream:
    """Keep rows as they come. The answers lie in a file meanwhile: who sends may read only when all is sent."""
    if call.request.headers.get("idempotency-key") is not None:
        raise unacceptable("Idempotency-Key", "none with mode=each: the references of the rows do it", "one")
    answers = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the answer is sent
    try:
        chunk: list[_Row | Fault] = []
        place = 0
        async for text in _texts(call.request, media_type):
            chunk.append(_read(place, f"/{place}", text))
            place += 1
            if len(chunk) == CHUNK:
                answers.write(await asyncio.to_thread(_keep, call, asked, chunk, place))
                chunk = []
        answers.write(await asyncio.to_thread(_keep, call, asked, chunk, place))
        answers.seek(0)
    except BaseException:
        answers.close()
        raise
    return Stream(_sent(answers), media_type=LINES, status_code=HTTPStatus.OK, headers={"Cache-Control": "no-store"})


async def _sent(answers: "SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    with answers:
        while part := await asyncio.to_thread(answers.read, IN_MEMORY):
            yield part


async def _texts(request: Request[Any, Any, Any], media_type: str) -> AsyncIterator[bytes]:
    """The rows of a body as they come."""
    if media_type == JSON:
        body = await _whole(request)
        if body.lstrip()[:1] != b"[":
            yield body
            return
        try:
            every = msgspec.json.decode(body, type=list[msgspec.Raw])
        except msgspec.MsgspecError as error:
            raise malformed([fault_of(error, body)]) from error
        for one in every:
            yield bytes(one)
        return
    rest = b""
    async for part in request.stream():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > LINE_MAX:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected lines of at most {LINE_MAX} bytes")
    if rest.strip():
        yield rest


def _keep(call: Call, asked: RecordQuery, chunk: Sequence[_Row | Fault], end: int) -> bytes:
    """Keep what can be of some rows, and say what became of each, a line a row."""
    said: dict[int, words.RecordedRow] = {}
    by_account: dict[str, list[_Row]] = defaultdict(list)
    begin = end - len(chunk)
    for place, row in enumerate(chunk, begin):
        if isinstance(row, Fault):
            said[place] = words.RecordedRow(row=place, outcome=REFUSED, errors=[row])
        elif not call.principal.sees(row.account):
            said[place] = _refused(
                row,
                Fault(pointer=f"{row.pointer}/account", expected="an account that is there", got=shown(row.account)),
            )
        else:
            by_account[row.account].append(row)
    for account, rows in sorted(by_account.items()):
        for some in _distinct(rows):
            _keep_some(call, account, some, asked, said)
    return b"".join(msgspec.json.encode(said[place]) + b"\n" for place in range(begin, end))


REFUSED: Final = "refused"


def _keep_some(
    call: Call, account: str, rows: list[_Row], asked: RecordQuery, said: dict[int, words.RecordedRow]
) -> None:
    """Keep rows whose references differ; those that contradict what is kept stay out."""
    while rows:
        try:
            done = recording.record(call.ledger, account, [row.flow for row in rows], restate=asked.restate)
        except Conflict as error:
            out = {one.place: _differs(rows, one) for one in error.differences}
            said |= {rows[place].place: _refused(rows[place], fault) for place, fault in out.items()}
            rows = [row for place, row in enumerate(rows) if place not in out]
        except ConfigError as error:
            for row in rows:
                fault = Fault(pointer=f"{row.pointer}/account", expected="an account of one's own", got=str(error))
                said[row.place] = _refused(row, fault)
            return
        else:
            for row, outcome in zip(rows, done.outcomes, strict=True):
                said[row.place] = _said(row, outcome.value)
            return


def _refused(row: _Row, fault: Fault) -> words.RecordedRow:
    return words.RecordedRow(
        row=row.place, outcome=REFUSED, account=row.account, reference=row.flow.identity, errors=[fault]
    )


def _distinct(rows: Sequence[_Row]) -> list[list[_Row]]:
    """The rows in as few lots as have no reference twice, each in order."""
    lots: list[dict[str, _Row]] = [{}]
    for row in rows:
        if row.flow.identity in lots[-1]:
            lots.append({})
        lots[-1][row.flow.identity] = row
    return [list(lot.values()) for lot in lots]
