"""Flows as rows of the flows page, in parts with cursors."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from liushui.instant import load_zone, to_local, to_us, us_to_iso
from liushui.ledger.read.cursors import flow_key, sign_cursor
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import FlowsPage, LedgerFlow, Position, flows_page
from liushui.ledger.read.model import ReadModel
from liushui.server.web.i18n import Language, usual_decimals
from liushui.server.web.labels import Labels

ROWS_MAX: Final = 300
SECONDS_END: Final = len("2024-01-31 09:30:00")


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row as the texts of its cells. Amounts are exact; `decimals` is how many the currency usually has."""

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
    decimals: int


class WideRow(Row, frozen=True, array_like=True):
    """A row with the cells of columns that are not shown unless a reader chooses them."""

    direction: str
    category: str
    reference: str
    order_reference: str


WIDE_COLUMNS: Final = frozenset(WideRow.__struct_fields__) - frozenset(Row.__struct_fields__)
"""Columns that only a WideRow has."""


class Rows(msgspec.Struct, frozen=True):
    """Rows in the order of the list. `older` is the cursor of the rows below, and `newer` of the rows above, in a list
    that begins with the newest row. In a list that begins with the oldest row, they are swapped. None: there are no
    rows on that side.

    `searched`: the time up to which a selective filter was searched, if it did not reach the end.
    """

    rows: Sequence[Row]
    older: str | None
    newer: str | None
    searched: str | None

    @classmethod
    def none(cls) -> "Rows":
        """No rows, and none to come."""
        return cls([], None, None, None)


class RowWriter:
    """Reads the flows of a filter and formats them in a reader's language, all times in one zone."""

    def __init__(
        self, model: ReadModel, wanted: FlowFilter, query: str, language: Language, zone: str, *, is_wide: bool = False
    ) -> None:
        """Cursors that are given out are valid only for `query`. `is_wide`: whether rows have all columns."""
        self._model, self._wanted, self._query, self._is_wide = model, wanted, query, is_wide
        self._labels = Labels(language)
        self._amount, self._kind, self._zone = language.amount, self._labels.kind, load_zone(zone)
        self._kinds: dict[str, str] = {}

    def older(self, limit: int, than: Position | None) -> Rows:
        """The rows below a position. Without a position, the first rows."""
        page = self._page(limit, than, newest_first=self._wanted.newest_first)
        rows = [self._row(one) for one in page.flows]
        return Rows(rows, self._cursor(page.next), self._cursor(than), _searched(page, limit))

    def newer(self, limit: int, than: Position) -> Rows:
        """The rows above a position, in the order of the list."""
        page = self._page(limit, than, newest_first=not self._wanted.newest_first)
        rows = [self._row(one) for one in reversed(page.flows)]
        return Rows(rows, self._cursor(than), self._cursor(page.next), _searched(page, limit))

    def _page(self, limit: int, than: Position | None, *, newest_first: bool) -> FlowsPage:
        wanted = self._wanted._replace(newest_first=newest_first)
        return flows_page(self._model.ledger, wanted, limit=limit, after=than, rules=self._model.rules)

    def _cursor(self, position: Position | None) -> str | None:
        return None if position is None else sign_cursor(self._model.ledger, self._query, position)

    def _row(self, found: LedgerFlow) -> Row:
        flow = found.flow
        kind = self._kinds.get(flow.kind)
        if kind is None:
            kind = self._kinds[flow.kind] = self._kind(flow.kind)
        row = Row(
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
            decimals=usual_decimals(flow.currency),
        )
        if not self._is_wide:
            return row
        return WideRow(
            **msgspec.structs.asdict(row),
            direction=self._labels.direction(flow.direction),
            category=self._labels.category(flow.category),
            reference=flow.ref or "",
            order_reference=flow.order_ref or "",
        )


def _searched(page: FlowsPage, limit: int) -> str | None:
    return us_to_iso(page.next.at_us) if page.next is not None and len(page.flows) < limit else None


def local_text(at: datetime, zone: ZoneInfo) -> str:
    """A local time to the second, with all digits so that they align: `2024-01-31 09:30:00`."""
    return to_local(at, zone).isoformat(" ", "seconds")[:SECONDS_END]


def side_of_amount(amount: Decimal) -> str:
    """The CSS class of an amount: in, out or nil."""
    return "in" if amount > 0 else "out" if amount < 0 else "nil"
