"""A page of flows for the window that shows them: each row as the texts that stand in it, and cursors to go on from."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from liushui.instant import load_zone, to_us, us_to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import flow_key, sign_cursor
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import FlowsPage, LedgerFlow, Position, flows_page
from liushui.server.web.i18n import Language
from liushui.server.web.labels import Words

ROWS_MAX: Final = 300
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
    """Rows, the newest first. `older` and `newer` are cursors to go on from; None: nothing is on that side.

    `searched`: how far a selective filter was searched, where that was not to the end.
    """

    rows: Sequence[Line]
    older: str | None
    newer: str | None
    searched: str | None

    @classmethod
    def none(cls) -> "Lines":
        """No rows, and none to come."""
        return cls([], None, None, None)


class RowWriter:
    """Reads the rows of a filter and writes them in a reader's language, all times in one zone."""

    def __init__(self, ledger: Ledger, wanted: FlowFilter, query: str, language: Language, zone: str) -> None:
        """`query`: what the cursors are bound to."""
        self._ledger, self._wanted, self._query = ledger, wanted, query
        self._amount, self._kind, self._zone = language.amount, Words(language).kind, load_zone(zone)
        self._kinds: dict[str, str] = {}

    def older(self, limit: int, than: Position | None) -> Lines:
        """The rows before a position; the newest without one."""
        page = flows_page(self._ledger, self._wanted._replace(newest_first=True), limit=limit, after=than)
        rows = [self._line(one) for one in page.flows]
        return Lines(rows, self._cursor(page.next), self._cursor(than), _searched(page, limit))

    def newer(self, limit: int, than: Position) -> Lines:
        """The rows after a position, the newest first."""
        page = flows_page(self._ledger, self._wanted._replace(newest_first=False), limit=limit, after=than)
        rows = [self._line(one) for one in reversed(page.flows)]
        return Lines(rows, self._cursor(than), self._cursor(page.next), _searched(page, limit))

    def _cursor(self, position: Position | None) -> str | None:
        return None if position is None else sign_cursor(self._ledger, self._query, tuple(position))

    def _line(self, found: LedgerFlow) -> Line:
        flow = found.flow
        kind = self._kinds.get(flow.kind)
        if kind is None:
            kind = self._kinds[flow.kind] = self._kind(flow.kind)
        return Line(
            key=flow_key(found.account, to_us(flow.at), found.id),
            time=local_text(flow.at, self._zone),
            account=f"{found.account} · {flow.subaccount}" if flow.subaccount else found.account,
            kind=kind,
            what=" · ".join(filter(None, (flow.label, flow.name, flow.note))),
            symbol=flow.symbol or "",
            amount=self._amount(flow.amount, signed=True),
            side=side_of_amount(flow.amount),
            currency=flow.currency,
            balance="" if flow.balance_after is None else self._amount(flow.balance_after),
        )


def _searched(page: FlowsPage, limit: int) -> str | None:
    return us_to_iso(page.next.at_us) if page.next is not None and len(page.flows) < limit else None


def local_text(at: datetime, zone: ZoneInfo) -> str:
    """A local time as digits that align, to the second: `2024-01-31 09:30:00`."""
    return at.astimezone(zone).isoformat(" ", "seconds")[:SECONDS_END]


def side_of_amount(amount: Decimal) -> str:
    """in, out, or nil, by the sign."""
    return "in" if amount > 0 else "out" if amount < 0 else "nil"
