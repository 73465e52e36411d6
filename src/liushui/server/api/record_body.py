"""The bodies of requests that record flows: reads their rows, one by one or all together, and answers each."""

from collections.abc import AsyncIterator
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
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.write.record import Difference, Outcome
from liushui.money import parse_decimal
from liushui.server.api.errors import ProblemError, bad_request, decoding_fault
from liushui.services.recording import Entry

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"

BODY_MAX: Final = 64 * 1024 * 1024
"""Bytes of a body whose rows are recorded in one transaction. With mode=each a body may have any number."""
ROWS_MAX: Final = 20_000
"""Rows of such a body."""
LINE_MAX: Final = 1024 * 1024


class RecordParams(msgspec.Struct, frozen=True, kw_only=True):
    """How flows are recorded."""

    mode: Annotated[
        Literal["all", "each"],
        Meta(description="all: all rows or none, in one transaction. each: every row independently."),
    ] = "all"
    restate: Annotated[bool, Meta(description="Other content under a known reference replaces it.")] = False


class Row(NamedTuple):
    """A row of a body. `pointer`: the JSON pointer to it."""

    number: int
    pointer: str
    entry: Entry


async def read_whole(request: Request[Any, Any, Any]) -> bytes:
    """Read a body of at most BODY_MAX bytes. Raises ProblemError."""
    body = bytearray()
    async for part in request.stream():
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
        try:
            parts = [(f"/{n}", bytes(one)) for n, one in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw]))]
        except msgspec.MsgspecError as error:
            raise bad_request([decoding_fault(error, body)]) from error
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
        try:
            rows = msgspec.json.decode(body, type=list[msgspec.Raw])
        except msgspec.MsgspecError as error:
            raise bad_request([decoding_fault(error, body)]) from error
        for row in rows:
            yield bytes(row)
        return
    rest = b""
    async for part in request.stream():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > LINE_MAX:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected lines of at most {LINE_MAX} bytes")
    if rest.strip():
        yield rest


_FAULTS_MAX: Final = 20
_decode = msgspec.json.Decoder(models.RecordFlow).decode


def parse_row(number: int, pointer: str, text: bytes) -> Row | Fault:
    """Parse a row. Returns the fault of one that is not valid: with mode=each the others are recorded."""
    try:
        body = _decode(text)
        return Row(number, pointer, Entry(body.account, _to_flow(body)))
    except msgspec.MsgspecError as error:
        return decoding_fault(error, text, pointer)
    except UnicodeDecodeError:
        return Fault(pointer=pointer, expected="UTF-8", got=short_repr(text[:40]))
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
