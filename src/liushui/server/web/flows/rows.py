"""A page of flows for the window that shows them: each row as the texts that stand in it, and places to go on from."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from liushui.instant import load_zone, to_us, us_to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.read.balances import FlowFilter, LedgerFlow
from liushui.ledger.read.pages import FlowsPage, Place, flows_page
from liushui.money import to_plain_string
from liushui.server.web.i18n import Language
from liushui.server.web.labels import Words

ROWS_MAX: Final = 300
CURSOR_MAX: Final = 2_000
SECONDS_END: Final = len("2024-01-31 09:30:00")


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One row of the window."""

    key: str
    time: str
    account: str
    kind: str
    what: str
    symbol: str
    amount: str
    side: str
    currency: str
    balance: str


class Lines(msgspec.Struct, frozen=True):
    """Rows, the newest first. `older` and `newer` are places to go on from; None: there is nothing on that side.

    `searched`: how far a filter that few rows pass was searched for, where that was not to the end.
    """

    rows: Sequence[Line]
    older: str | None
    newer: str | None
    searched: str | None


_encode = msgspec.json.Encoder().encode
_place = msgspec.json.Decoder(tuple[int, str, str]).decode


def cursor_of(place: Place) -> str:
    """A place, as it stands in an address."""
    return base64.urlsafe_b64encode(_encode(tuple(place))).decode().rstrip("=")


def place_of(cursor: str) -> Place | None:
    """The place that `cursor_of` wrote. None: it is none."""
    if len(cursor) > CURSOR_MAX:
        return None
    try:
        found = _place(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None
    return Place(*found) if -(2**62) <= found[0] < 2**62 else None


class Writer:
    """Writes rows in a reader's language, their times in one zone, so that they stand in order."""

    def __init__(self, language: Language, zone: str) -> None:
        self._amount, self._kind, self._zone = language.amount, Words(language).kind, load_zone(zone)
        self._kinds: dict[str, str] = {}

    def line(self, found: LedgerFlow) -> Line:
        """One row."""
        flow = found.flow
        kind = self._kinds.get(flow.kind)
        if kind is None:
            kind = self._kinds[flow.kind] = self._kind(flow.kind)
        place = f"{found.account} · {flow.subaccount}" if flow.subaccount else found.account
        return Line(
            key=cursor_of(Place(to_us(flow.at), found.account, found.id)),
            time=local_text(flow.at, self._zone),
            account=place,
            kind=kind,
            what=" · ".join(filter(None, (flow.label, flow.name, flow.note))),
            symbol=flow.symbol or "",
            amount=self._amount(flow.amount, signed=True),
            side=side_of_amount(flow.amount),
            currency=flow.currency,
            balance="" if flow.balance_after is None else self._amount(flow.balance_after),
        )


def local_text(at: datetime, zone: ZoneInfo) -> str:
    """A local time as digits that stand below each other, to the second: `2024-01-31 09:30:00`."""
    return at.astimezone(zone).isoformat(" ", "seconds")[:SECONDS_END]


def side_of_amount(amount: Decimal) -> str:
    """in, out, or nil, by the sign."""
    return "in" if amount > 0 else "out" if amount < 0 else "nil"


def lines(ledger: Ledger, wanted: FlowFilter, writer: Writer, *, limit: int, older_than: Place | None) -> Lines:
    """The rows that follow a place towards the past; from the newest on without one."""
    found = flows_page(ledger, wanted._replace(newest_first=True), limit=limit, after=older_than)
    rows = [writer.line(one) for one in found.flows]
    older = None if found.next is None else cursor_of(found.next)
    newer = None if older_than is None else cursor_of(older_than)
    return Lines(rows, older, newer, _searched(found, limit))


def lines_newer(ledger: Ledger, wanted: FlowFilter, writer: Writer, *, limit: int, newer_than: Place) -> Lines:
    """The rows that follow a place towards the present, the newest first all the same."""
    found = flows_page(ledger, wanted._replace(newest_first=False), limit=limit, after=newer_than)
    rows = [writer.line(one) for one in reversed(found.flows)]
    newer = None if found.next is None else cursor_of(found.next)
    return Lines(rows, cursor_of(newer_than), newer, _searched(found, limit))


def _searched(found: FlowsPage, limit: int) -> str | None:
    return us_to_iso(found.next.at_us) if found.next is not None and len(found.flows) < limit else None


class Exported(msgspec.Struct, frozen=True, omit_defaults=False):
    """A flow as a download has it: amounts as text, exact; times as ISO 8601 in UTC."""

    account: str
    id: str
    at: str
    amount: str
    currency: str
    direction: str
    kind: str
    category: str
    label: str
    subaccount: str
    balance_after: str | None
    settled_at: str | None
    ref: str | None
    order_ref: str | None
    symbol: str | None
    name: str | None
    price: str | None
    quantity: str | None
    note: str | None
    fx_currency: str | None
    fx_amount: str | None
    fx_rate: str | None
    detail: str | None
    batch: int


def exported(found: LedgerFlow) -> Exported:
    """A flow, as a download has it."""
    flow = found.flow
    return Exported(
        found.account,
        found.id,
        us_to_iso(to_us(flow.at)),
        to_plain_string(flow.amount),
        flow.currency,
        flow.direction,
        flow.kind,
        flow.category,
        flow.label,
        flow.subaccount,
        balance_after=_text(flow.balance_after),
        settled_at=None if flow.settled_at is None else us_to_iso(to_us(flow.settled_at)),
        ref=flow.ref,
        order_ref=flow.order_ref,
        symbol=flow.symbol,
        name=flow.name,
        price=_text(flow.price),
        quantity=_text(flow.quantity),
        note=flow.note,
        fx_currency=flow.fx.currency if flow.fx else None,
        fx_amount=to_plain_string(flow.fx.amount) if flow.fx else None,
        fx_rate=to_plain_string(flow.fx.rate) if flow.fx else None,
        detail=_encode(flow.detail).decode() if flow.detail else None,
        batch=found.batch,
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else to_plain_string(amount)
