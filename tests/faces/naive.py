"""The figures that the faces should show, computed only from the events of a test and the providers' rules.

It shares no code with the read model: it decides ranges instant by instant, and adds up sums row by row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.rules import Paging, Rules

ORIGIN: Final = datetime(2022, 9, 1, tzinfo=UTC)
CELL: Final = timedelta(days=12, hours=7)
"""Reads are of whole cells of this length, counted from ORIGIN, so that each has one state."""

DAYS_LOOKED_AT: Final = 10
"""Days with flows at either end of a history in which a stated balance is looked for."""


class Row(NamedTuple):
    """A flow."""

    identity: str
    at: datetime
    amount: Decimal
    currency: str
    kind: str
    balance: Decimal | None = None
    """What the provider states that the account holds after it."""


class Statement(NamedTuple):
    """What a person states that the account holds before the flows of a moment."""

    id: str
    at: datetime
    amount: Decimal
    currency: str


@dataclass
class Cell:
    """What the last read of a cell came to."""

    is_read: bool = False
    has_failed: bool = False
    rows: list[Row] = field(default_factory=list)
    rejected: int = 0


@dataclass
class NaiveAccount:
    """An account, as the events of a test have made it."""

    name: str
    rules: Rules[Paging]
    zone: ZoneInfo
    since: datetime | None = None
    cells: dict[int, Cell] = field(default_factory=dict)
    imported: list[Row] = field(default_factory=list)
    imported_rejects: int = 0
    statements: list[Statement] = field(default_factory=list)
    had: set[str] = field(default_factory=set)
    """The currencies of every flow that it ever had."""

    def may_have(self, currency: str) -> bool:
        """Whether a person can state a balance in a currency."""
        known = self.had | {one.currency for one in self.statements} | (self.rules.currencies or set())
        is_any = self.rules.currencies is None and not self.rows
        return is_any or currency in known

    def cell(self, number: int) -> Cell:
        """The cell of that number."""
        return self.cells.setdefault(number, Cell())

    @property
    def rows(self) -> list[Row]:
        """Every flow."""
        return [*self.imported, *(row for cell in self.cells.values() for row in cell.rows)]

    def day(self, day: date) -> datetime:
        """The instant at which a day of the account begins."""
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)

    # ------------------------------------------------------------ completeness

    def begin(self) -> datetime:
        """Where the source begins to be responsible."""
        assert self.since is not None
        return max(self.since, self.rules.floor) if self.rules.floor else self.since

    def reaches_back(self) -> bool:
        """Whether nothing can be older than the source's beginning."""
        if self.rules.floor is not None and self.rules.floor >= self.rules.history_start:
            return False  # what was before the floor nobody can read
        return self.begin() <= self.rules.history_start and all(row.at >= self.begin() for row in self.rows)

    def read_cells(self) -> list[int]:
        """The numbers of the cells that were read completely."""
        return [number for number, cell in self.cells.items() if cell.is_read]

    def is_complete_at(self, at: datetime) -> bool:
        """Whether every flow of an instant is known."""
        number = (at - ORIGIN) // CELL
        cell = self.cells.get(number, Cell())
        if self.imported_rejects or cell.rejected:
            return False
        if cell.is_read:
            return True
        return at < self.begin() and self.reaches_back()

    def is_complete(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether every flow of a range is known. None: from the account's beginning; up to what is known of."""
        if self.since is None:
            return False
        is_open = since is None
        if since is None:
            since = min([self.begin(), *(row.at for row in self.rows)])
        if until is None:
            touched = [number for number, cell in self.cells.items() if cell.is_read or cell.has_failed]
            ends = [ORIGIN + (number + 1) * CELL for number in touched]
            ends += [row.at + timedelta(microseconds=1) for row in self.rows]
            if all(ORIGIN + (number + 1) * CELL <= self.begin() for number in touched):
                return False  # nothing of what the source is responsible for was read
            until = max(ends)
        if since >= until:
            return not is_open or self.reaches_back()
        edges = {ORIGIN + number * CELL for number in range((since - ORIGIN) // CELL, (until - ORIGIN) // CELL + 2)}
        points = [since, *(edge for edge in edges if since < edge < until)]
        if since < self.begin() < until:
            points.append(self.begin())
        return all(self.is_complete_at(point) for point in points)

    def is_balance(self) -> bool:
        """Whether the sum of all flows is a balance: nothing can be missing before the first complete cell."""
        if self.since is None or not self.reaches_back():
            return False
        return self.cells.get((self.begin() - ORIGIN) // CELL, Cell()).is_read

    # ------------------------------------------------------------ balances

    def currencies(self) -> set[str]:
        """Every currency of a flow or of a statement."""
        return {row.currency for row in self.rows} | {one.currency for one in self.statements}

    def sum_before(self, currency: str, at: datetime | None) -> Decimal:
        """What the flows before a moment come to."""
        amounts = (row.amount for row in self.rows if row.currency == currency and (at is None or row.at < at))
        return sum(amounts, Decimal(0))

    def stated_row(self, currency: str, until: datetime | None, *, newest: bool) -> Row | None:
        """The first or newest row that states a balance, of the first or newest days that have flows."""
        rows = [row for row in self.rows if row.currency == currency and (until is None or row.at < until)]
        rows.sort(key=lambda row: row.at, reverse=newest)
        days = list(dict.fromkeys(row.at.astimezone(self.zone).date() for row in rows))[:DAYS_LOOKED_AT]
        near = (row for row in rows if row.at.astimezone(self.zone).date() in days)
        return next((row for row in near if row.balance is not None), None)

    def anchor(self, currency: str) -> Row | Statement | None:
        """What the opening balance is computed from."""
        first = self.stated_row(currency, None, newest=False)
        stated = sorted((one for one in self.statements if one.currency == currency), key=lambda one: one.at)
        inside = [one for one in stated if self.since is None or one.at >= self.begin()]
        return first or next(iter(inside or stated[-1:]), None)

    def is_balance_complete(self, currency: str, until: datetime | None) -> bool:
        """Whether every flow that a balance depends on is known."""
        anchor = self.anchor(currency)
        is_complete = self.is_complete(None, until)
        if self.since is None or self.is_balance() or not isinstance(anchor, Statement):
            return is_complete
        low = anchor.at if until is None else min(anchor.at, until)
        high = self.begin() if until is None else min(self.begin(), max(anchor.at, until))
        return is_complete and (low >= high or self.is_complete(low, high))

    def opening(self, currency: str) -> Decimal | None:
        """The balance before the first flow. None: not known."""
        anchor = self.anchor(currency)
        if self.is_balance():
            return Decimal(0)
        if anchor is None:
            return None
        if isinstance(anchor, Statement):
            return anchor.amount - self.sum_before(currency, anchor.at)
        assert anchor.balance is not None
        return anchor.balance - anchor.amount - self.sum_before(currency, anchor.at)

    def is_unread_after(self, one: Statement) -> bool:
        """Whether flows may be missing between a statement and the beginning of the source."""
        return self.since is not None and one.at < self.begin() and not self.is_complete(one.at, self.begin())

    def check(self, currency: str, until: datetime | None) -> str:
        """The verdict on the balance before a moment: each statement counts, and of the rows the newest."""
        opening, anchor = self.opening(currency), self.anchor(currency)
        if opening is None:
            return "could_not_check"
        verdicts = []
        if self.stated_row(currency, None, newest=False) is not None:
            row = self.stated_row(currency, until, newest=True)
            if row is not None:
                expected = opening + self.sum_before(currency, row.at) + row.amount
                verdicts.append((row.balance == expected, row == anchor))
        stated = [one for one in self.statements if one.currency == currency and (until is None or one.at <= until)]
        for one in stated:
            agrees = one.amount == opening + self.sum_before(currency, one.at)
            if agrees or not self.is_unread_after(one):
                verdicts.append((agrees, one == anchor))
        if not all(agrees for agrees, _ in verdicts):
            return "fail"
        proving = [agrees for agrees, is_anchor in verdicts if self.is_balance() or not is_anchor]
        return "pass" if proving else "could_not_check"


# ---------------------------------------------------------------- sums


def sums(rows: Iterable[Row]) -> dict[str, tuple[int, Decimal, Decimal]]:
    """How many flows, what came in and what went out, by currency."""
    found: dict[str, tuple[int, Decimal, Decimal]] = {}
    for row in rows:
        count, money_in, money_out = found.get(row.currency, (0, Decimal(0), Decimal(0)))
        if row.amount < 0:
            money_out += row.amount
        else:
            money_in += row.amount
        found[row.currency] = count + 1, money_in, money_out
    return found


def between(account: NaiveAccount, since: date | None, until: date | None) -> list[Row]:
    """The rows of days of an account's own zone, the last one excluded."""
    return [
        row
        for row in account.rows
        if (since is None or row.at >= account.day(since)) and (until is None or row.at < account.day(until))
    ]
