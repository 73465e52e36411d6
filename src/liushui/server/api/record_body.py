"""The rows of a write: read from a body, one by one or all together; and what is said of one."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from litestar import Request
from msgspec import Meta

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import WireError, short_repr
from liushui.flow import Flow, Fx
from liushui.instant import to_us, to_utc
from liushui.ledger.write.record import Difference
from liushui.money import parse_decimal
from liushui.server.api.cursors import key_of
from liushui.server.api.errors import Refusal, fault_of, malformed

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"

BODY_MAX: Final = 64 * 1024 * 1024
"""Bytes of a body that is kept whole or not at all. One whose rows stand for themselves may have any number."""
ROWS_MAX: Final = 20_000
"""Rows of such a body."""
LINE_MAX: Final = 1024 * 1024


class RecordQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How flows are recorded."""

    mode: Annotated[
        Literal["all", "each"],
        Meta(description="all: all rows or none, in one transaction. each: every row for itself."),
    ] = "all"
    restate: Annotated[bool, Meta(description="Other content under a known reference replaces it.")] = False


class Row(NamedTuple):
    """A row that was read. `pointer` is its place in the body."""

    place: int
    pointer: str
    account: str
    flow: Flow


async def whole_body(request: Request[Any, Any, Any]) -> bytes:
    """A body of at most BODY_MAX bytes. Raises a Refusal."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_MAX:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected at most {BODY_MAX} bytes, or mode=each")
    return bytes(body)


def read_all(media_type: str, body: bytes) -> list[Row]:
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
        found = read_row(place, pointer, text)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            rows.append(found)
        if len(faults) == _FAULTS_MAX:
            break
    if faults:
        raise malformed(faults)
    return rows


async def texts_of(request: Request[Any, Any, Any], media_type: str) -> AsyncIterator[bytes]:
    """The rows of a body as they come."""
    if media_type == JSON:
        body = await whole_body(request)
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


_FAULTS_MAX: Final = 20
_decode = msgspec.json.Decoder(models.RecordFlow).decode


def read_row(place: int, pointer: str, text: bytes) -> Row | Fault:
    """A row, or what does not fit in it."""
    try:
        said = _decode(text)
        return Row(place, pointer, said.account, _flow(said))
    except msgspec.MsgspecError as error:
        return fault_of(error, text, pointer)
    except UnicodeDecodeError:
        return Fault(pointer=pointer, expected="UTF-8", got=short_repr(text[:40]))
    except WireError as error:
        expected, _, got = error.reason.removeprefix("expected ").partition(", got ")
        return Fault(pointer=f"{pointer}/{error.field}", expected=expected, got=got or "something else")
    except OverflowError:
        return Fault(pointer=f"{pointer}/at", expected="an instant of the years 1 to 9999", got="another")


def _flow(said: models.RecordFlow) -> Flow:
    """The flow that is recorded. Raises WireError."""
    fx = None
    if said.fx is not None:
        fx = Fx(said.fx.currency, parse_decimal("fx/amount", said.fx.amount), parse_decimal("fx/rate", said.fx.rate))
    return Flow(
        identity=said.reference,
        at=to_utc(said.at),
        amount=parse_decimal("amount", said.amount),
        currency=said.currency,
        direction=said.direction,
        kind=said.kind,
        category=said.category,
        label=said.label,
        subaccount=said.subaccount,
        balance_after=None if said.balance_after is None else parse_decimal("balance_after", said.balance_after),
        settled_at=None if said.settled_at is None else to_utc(said.settled_at),
        ref=said.ref,
        order_ref=said.order_ref,
        symbol=said.symbol,
        name=said.name,
        price=None if said.price is None else parse_decimal("price", said.price),
        quantity=None if said.quantity is None else parse_decimal("quantity", said.quantity),
        note=said.note,
        fx=fx,
        detail=said.detail or None,
    )


def said_of(row: Row, outcome: str) -> models.RecordedRow:
    """What is answered of a row that was kept."""
    return models.RecordedRow(
        row=row.place,
        outcome=outcome,
        account=row.account,
        reference=row.flow.identity,
        key=key_of(row.account, to_us(row.flow.at), row.flow.identity),
    )


def differs(rows: Sequence[Row], found: Difference) -> Fault:
    """A row of other content than what is kept under its reference, as a fault."""
    expected = (
        f"{found.field} {short_repr(found.recorded)} as kept under {short_repr(found.reference)}, or restate=true"
    )
    return Fault(
        pointer=f"{rows[found.position].pointer}/{found.field}", expected=expected, got=short_repr(found.given)
    )
