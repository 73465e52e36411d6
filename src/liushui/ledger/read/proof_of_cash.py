"""The proof of cash of a month: an account's flows compared with stated balances, with a verdict.

Each line is about one subaccount and currency. It has four figures: opening, receipts, payments and closing, once from
the flows and once from stated balances. A line passes only if both ends are stated, or known for certain, and no flow
can be missing in between. Sums come from day totals, and balance chains are not checked again, so a month takes little
time even if it has many flows.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.errors import InvalidField, short_repr
from liushui.instant import BusinessDays, to_us
from liushui.ledger.day_totals import Total, parse_sum
from liushui.ledger.engines.base import Queries
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.balances import (
    CheckStatus,
    is_unread_after,
    opening_anchor,
    opening_balance,
    unread_since_anchor,
)
from liushui.ledger.read.completeness import UNKNOWABLE, Verdict
from liushui.ledger.read.filters import begin_us, end_us
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.month_calendar import (
    Days,
    Month,
    days_of,
    month_at,
    month_of,
    next_month,
    previous_month,
    read_days,
    read_month,
)
from liushui.ledger.read.proof_lines import (
    AccountMonth,
    Figures,
    LineCause,
    ProofLine,
    difference_of,
    hidden_movements,
)
from liushui.ledger.read.stated_balances import Key, Origin, StatedPoints
from liushui.money import EXACT, ZERO, exact_sum
from liushui.reconcile.chain import Break

MONTHS_MAX: Final = 1_200
"""The most months of one query: a hundred years."""
NEAR_US: Final = 31 * 86_400_000_000
"""A balance that a person stated also counts for a moment at most this far away, if no money moved in between."""


# ---------------------------------------------------------------- questions


def reconcile(model: ReadModel, names: Sequence[str] = (), period: str | None = None) -> list[AccountMonth]:
    """Return the proof of cash of one month of these accounts, or of the days that `period` names: see
    `months.read_days`.

    All accounts if no name is given. `period` None: the last month that has ended in each account's zone. Raises
    AccountNotFound, InvalidField.
    """
    days = None if period is None else read_days(period)
    with model.reading(names) as reading:
        return [reconcile_days(reading, account, days) for account in reading.accounts.values()]


def reconcile_days(reading: Reading, account: Account, days: Days | None) -> AccountMonth:
    """Return the proof of cash for some days of an account. None: for the last month that has ended."""
    if days is None:
        return reconcile_month(reading, account)
    return _Proof(reading, account, days.first).of(days_of(days, account.name))


def reconcile_month(reading: Reading, account: Account, first: date | None = None) -> AccountMonth:
    """Return the proof of cash of an account's month. `first`: its first day; None: the last month that has ended."""
    if first is None:
        first = previous_month(month_at(to_us(reading.now), account.name))
    (month,) = list_months(reading, account, [first])
    return month


def reconcile_months(
    model: ReadModel, names: Sequence[str] = (), first: str | None = None, last: str | None = None
) -> dict[str, list[AccountMonth]]:
    """Return the proof of cash of every month from `first` to `last`, both included, by account and time.

    `first` None: the month in which an account's history begins. `last` None: the last month that has ended. Raises
    AccountNotFound, and InvalidField for texts that are not months, a reversed range, or more than MONTHS_MAX months.
    """
    begin = None if first is None else read_month(first, "first")
    end = None if last is None else read_month(last, "last")
    if begin is not None and end is not None and end < begin:
        raise InvalidField("last", f"a month that is not before {first}", short_repr(last))
    with model.reading(names) as reading:
        result = {}
        for name, account in reading.accounts.items():
            over = previous_month(month_at(to_us(reading.now), account.name))
            result[name] = list_months(reading, account, _months(begin or _first_month(account, over), end or over))
        return result


def _months(first: date, last: date) -> list[date]:
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    if count > MONTHS_MAX:
        raise InvalidField("first", f"at most {MONTHS_MAX} months", f"{count} months")
    months: list[date] = []
    while first <= last and len(months) < count:
        months.append(first)
        first = next_month(first)
    return months


def _first_month(account: Account, default: date) -> date:
    """Return the month in which an account's history begins, with its source or an older flow."""
    begins = [account.completeness.begin_us] if account.completeness.has_source else []
    if account.snapshot.first_flow_us is not None:
        begins.append(account.snapshot.first_flow_us)
    return month_at(min(begins), account.name) if begins else default


def list_months(reading: Reading, account: Account, firsts: Sequence[date]) -> list[AccountMonth]:
    """Return the proof of cash of some of an account's months, given by their first days, oldest first."""
    if not firsts:
        return []
    proof = _Proof(reading, account, firsts[0])
    return [proof.of(month_of(first, account.name)) for first in firsts]


# ---------------------------------------------------------------- one account


class _Proof:
    """The data from which the months of one account are proven, in one state of the ledger."""

    def __init__(self, reading: Reading, account: Account, first: date) -> None:
        """`first`: the first day of the earliest requested month."""
        self._account, self._now_us = account, to_us(reading.now)
        self._points = reading.stated_points(account)
        rules = account.balance_rules
        self._is_advisory = rules is not None and rules.advisory
        self._chains = {
            key: _Trail(chain.opening, chain.closing, chain.stated, tuple(chain.breaks))
            for key, chain in reading.chains(account).items()
        }
        self._rows = _Rows(reading.queries, account.name)
        self._totals = self._rows.totals(first)
        """By month and key, from the first month to the end of the history."""

    def of(self, month: Month) -> AccountMonth:
        """Return the proof of cash of a month."""
        verdict = self._account.completeness.of(*month.range_us)
        keys = sorted({*self._account.snapshot.sums, *self._points})
        lines = (self._line(month, key, verdict) for key in keys)
        is_over = self._now_us >= month.until_us
        name = self._account.snapshot.account
        return AccountMonth(name, month, tuple(line for line in lines if line is not None), verdict, is_over)

    def _line(self, month: Month, key: Key, verdict: Verdict) -> ProofLine | None:
        """Return the line of a subaccount and currency. None: it begins after the month."""
        line = _Line(month, key, verdict, *self._sums(month, key), self._points.get(key, StatedPoints()))
        is_stated = any(point.at_us <= month.until_us for point in line.points.by_people)
        if not line.before.flows and not line.within.flows and not is_stated:
            return None
        start = opening_balance(self._account, line.points)
        if unread_since_anchor(self._account, line.points):
            start = None  # flows are missing between a person's statement and the first flow that was read
        trail = self._chains.get(key)
        if trail is not None and not trail.adds_up(self._account.snapshot.sums.get(key, Total()).net):
            # the chain has more breaks than are stored, so only the stored ones can be listed
            trail = trail._replace(opening=None)
        opening = self._opening(line, trail, start)
        closing = self._closing(line, trail, start)
        return self._judged(line, start, trail, opening, closing)

    def _sums(self, month: Month, key: Key) -> tuple[Total, Total, Total]:
        """Return the sums of the flows before, in and after a month."""
        within, after = Total(), Total()
        if not month.is_month:
            return self._sums_of_days(month, key)
        for name, totals in self._totals.items():
            if name == month.name:
                within = totals.get(key, within)
            elif name > month.name:
                after = after.plus(totals.get(key, Total()))
        every = self._account.snapshot.sums.get(key, Total())
        return every.plus(within.plus(after).negative()), within, after

    def _sums_of_days(self, month: Month, key: Key) -> tuple[Total, Total, Total]:
        """Return `_sums` for days that are not a month."""
        since, every = self._rows.total_since, self._account.snapshot.sums.get(key, Total())
        begun, after = since(month.first).get(key, Total()), since(month.after).get(key, Total())
        return every.plus(begun.negative()), begun.plus(after.negative()), after

    # ------------------------------------------------------------ what is stated

    def _opening(self, line: "_Line", trail: "_Trail | None", start: Decimal | None) -> "list[_Stated]":
        """Return the stated balance before a month."""
        at_us, first_day = line.month.since_us, line.month.first.isoformat()
        stated = self._by_people(line, at_us, line.before)
        if trail is not None and trail.opening is not None:
            # If no rows came before, use the first rows, provided that none can be missing in between.
            has_rows = line.before.flows > 0
            if (has_rows or line.within.flows) and self._is_stated(line.key, trail, first_day, newest=has_rows):
                balance = trail.balance(at_us, line.before.net)
                is_proof = self._is_carried_over(line, trail) if has_rows else line.verdict.is_complete
                stated.append(_Stated(balance, Origin.ROW, is_proof))
            else:
                stated += self._carried_difference(line, trail, start, at_us, line.before)
        if not any(one.is_proof for one in stated) and start is not None:
            # No balance is stated, and the flows are certain.
            completeness = self._account.completeness
            if completeness.basis().is_balance and completeness.of(None, at_us).is_complete:
                stated.insert(0, _Stated(None, None))
        return stated

    def _is_carried_over(self, line: "_Line", trail: "_Trail") -> bool:
        """Whether no row can be missing between the last rows before a month and its beginning."""
        at_us, first_day = line.month.since_us, line.month.first.isoformat()
        follows = line.within.flows or line.after.flows
        if follows and self._is_stated(line.key, trail, first_day, newest=False) and not trail.breaks_across(at_us):
            return True  # the next row confirms it
        last_us = self._rows.last_instant(line.key, first_day)
        return last_us is not None and self._account.completeness.of(last_us, at_us).is_complete

    def _closing(self, line: "_Line", trail: "_Trail | None", start: Decimal | None) -> "list[_Stated]":
        """Return the stated balance after a month."""
        at_us, until = line.month.until_us, line.month.after.isoformat()
        through = line.before.plus(line.within)
        stated = self._by_people(line, at_us, through)
        if trail is None or trail.opening is None or not through.flows:
            return stated
        if self._is_stated(line.key, trail, until, newest=True):
            # Rows may be missing at the end. If the next row follows from the last row, no row is missing.
            is_proof = line.verdict.is_complete or (
                line.after.flows > 0
                and self._is_stated(line.key, trail, until, newest=False)
                and not trail.breaks_across(at_us)
            )
            stated.append(_Stated(trail.balance(at_us, through.net), Origin.ROW, is_proof))
        else:
            stated += self._carried_difference(line, trail, start, at_us, through)
        return stated

    def _carried_difference(
        self, line: "_Line", trail: "_Trail", start: Decimal | None, at_us: int, flows_before: Total
    ) -> "list[_Stated]":
        """Return the value at an instant of an earlier row's balance, if it differs from the flows. An equal value is
        not a proof."""
        first = line.points.first_row
        if start is None or first is None or first.at_us >= at_us:
            return []
        balance = trail.balance(at_us, flows_before.net)
        if balance == EXACT.add(start, flows_before.net):
            return []
        return [_Stated(balance, Origin.ROW, is_proof=False)]

    def _by_people(self, line: "_Line", at_us: int, flows_before: Total) -> "list[_Stated]":
        """Return the balance that a person stated for a moment, or for a nearby one if nothing moved in between."""
        # A statement for a time before the source begins says nothing about later flows.
        points = [point for point in line.points.by_people if not is_unread_after(self._account, point)]
        exact = [point for point in points if point.at_us == at_us]
        if not exact:
            near = sorted(points, key=lambda point: abs(point.at_us - at_us))[:2]
            exact = [
                point
                for point in near
                if abs(point.at_us - at_us) <= NEAR_US
                and point.flows_before == flows_before.net
                and self._nothing_moved(line.key, *sorted((point.at_us, at_us)))
            ]
        return [_Stated(point.amount, Origin.PERSON, id=point.id) for point in exact[:1]]

    def _nothing_moved(self, key: Key, since_us: int, until_us: int) -> bool:
        """Whether [since, until) has no flow, and no flow can be missing there."""
        return self._account.completeness.of(since_us, until_us).is_complete and not self._rows.has_flows(
            key, since_us, until_us
        )

    def _is_stated(self, key: Key, trail: "_Trail", day: str, *, newest: bool) -> bool:
        """Whether the last rows before a day, or the first rows from it on, state their balances."""
        if trail.stated == self._account.snapshot.sums.get(key, Total()).flows:
            return True  # all of these rows state one
        return self._rows.are_stated(key, day, newest=newest)

    # ------------------------------------------------------------ the verdict

    def _judged(
        self,
        line: "_Line",
        start: Decimal | None,
        trail: "_Trail | None",
        opening: "list[_Stated]",
        closing: "list[_Stated]",
    ) -> ProofLine:
        ledger = _ledger_figures(line, start)
        breaks = () if trail is None else trail.within(line.month)
        by_rows = [stated for stated in (*opening, *closing) if stated.origin is Origin.ROW]
        moved: tuple[Decimal | None, Decimal | None] = None, None
        if len(by_rows) == 2 and trail is not None:
            hidden_in, hidden_out = hidden_movements(trail.breaks, line.month)
            moved = EXACT.add(line.within.money_in, hidden_in), EXACT.add(line.within.money_out, hidden_out)
        first, last = _telling(opening, ledger.opening), _telling(closing, ledger.closing)
        stated = Figures(first.amount, *moved, last.amount)
        statements = () if start is None else self._differing(line, start)
        status, cause = self._verdict(line, ledger, stated, breaks, statements)
        if status is None:
            status, cause = self._evidence(line, start, opening, closing)
        return ProofLine(
            self._account.snapshot.account,
            *line.key,
            line.within.flows,
            ledger,
            stated,
            first.origin,
            last.origin,
            status,
            cause,
            breaks,
            statements,
            line.verdict,
        )

    def _verdict(
        self,
        line: "_Line",
        ledger: Figures,
        stated: Figures,
        breaks: Sequence[Break],
        statements: Sequence[str],
    ) -> tuple[CheckStatus | None, LineCause | None]:
        """Return the verdict that a line fails. None: nothing differs."""
        differences = Figures(*map(difference_of, stated, ledger))
        inside = [id_ for id_ in statements if self._is_inside(line, id_)]
        if any(differences) or statements:
            is_carried = differences.opening and differences.opening == differences.closing
            is_quiet = not (differences.money_in or differences.money_out or breaks or inside)
            return CheckStatus.FAIL, LineCause.CARRIED if is_carried and is_quiet else LineCause.DIFFERS
        if breaks:
            return CheckStatus.FAIL, LineCause.BREAK
        return None, None

    def _is_inside(self, line: "_Line", id_: str) -> bool:
        point = next(point for point in line.points.by_people if point.id == id_)
        return line.month.since_us < point.at_us < line.month.until_us

    def _evidence(
        self, line: "_Line", start: Decimal | None, opening: "list[_Stated]", closing: "list[_Stated]"
    ) -> tuple[CheckStatus, LineCause | None]:
        """Return whether a line without differences passes, or could not be checked."""
        unchecked = CheckStatus.UNCHECKED
        if self._now_us < line.month.until_us:
            return unchecked, LineCause.NOT_OVER
        if any(gap.cause not in UNKNOWABLE for gap in line.verdict.gaps):
            return unchecked, LineCause.INCOMPLETE
        if start is None:
            return unchecked, LineCause.ADVISORY if self._is_advisory else LineCause.NO_OPENING_BALANCE
        is_opened, is_closed = (any(one.is_proof for one in stated) for stated in (opening, closing))
        if not is_opened or not is_closed:
            if self._is_advisory:
                return unchecked, LineCause.ADVISORY
            return unchecked, LineCause.CLOSING_NOT_STATED if is_opened else LineCause.OPENING_NOT_STATED
        if self._is_only_one(line, [*opening, *closing]):
            return unchecked, LineCause.ONLY_ONE
        return CheckStatus.PASS, None

    def _is_only_one(self, line: "_Line", ends: "list[_Stated]") -> bool:
        """Whether both ends have the same single stated balance (by a person, or by rows of one instant), and the
        opening balance is computed from it."""
        if self._account.completeness.basis().is_balance:
            return False
        anchor = opening_anchor(self._account, line.points)
        if any(stated.origin is Origin.PERSON for stated in ends):
            return anchor is not None and {stated.id for stated in ends} == {anchor.id}
        first = line.points.first_row
        if first is None or line.before.flows:
            return False
        return self._rows.last_instant(line.key, line.month.after.isoformat()) == first.at_us

    def _differing(self, line: "_Line", start: Decimal) -> tuple[str, ...]:
        """Return the balances that people stated within a month, both ends included, that differ from the flows."""
        since_us, until_us = line.month.range_us
        inside = (
            point
            for point in line.points.by_people
            if since_us <= point.at_us <= until_us and not is_unread_after(self._account, point)
        )
        return tuple(point.id for point in inside if EXACT.add(start, point.flows_before) != point.amount)


class _Line(NamedTuple):
    """A line in progress: the sums of the flows before, in and after the month, and the stated balances."""

    month: Month
    key: Key
    verdict: Verdict
    before: Total
    within: Total
    after: Total
    points: StatedPoints


class _Stated(NamedTuple):
    """A stated balance at an end of a month. `origin` None: no balance is stated, and the flows are certain.

    `is_proof` False: rows may be missing between it and the end of the month.
    """

    amount: Decimal | None
    origin: Origin | None
    is_proof: bool = True
    id: str = ""
    """The id of a person's statement."""


class _Trail(NamedTuple):
    """A balance chain: the balances before its first row and after its last row, and the rows that state a balance."""

    opening: Decimal | None
    closing: Decimal | None
    stated: int
    breaks: tuple[Break, ...]

    def balance(self, at_us: int, flows_before: Decimal) -> Decimal:
        """Return the stated balance at an instant: from the flows, and from the breaks before it."""
        hidden = (one.difference for one in self.breaks if one.after[0] < at_us)
        return exact_sum((self.opening or ZERO, flows_before, *hidden))

    def adds_up(self, net: Decimal) -> bool:
        """Whether the opening balance plus all flows and breaks equals the closing balance."""
        return (
            self.closing is None
            or exact_sum((self.opening or ZERO, net, *(one.difference for one in self.breaks))) == self.closing
        )

    def breaks_across(self, at_us: int) -> bool:
        """Whether the chain breaks between the rows before and after an instant."""
        return any(one.before is not None and one.before[0] < at_us <= one.after[0] for one in self.breaks)

    def within(self, month: Month) -> tuple[Break, ...]:
        """Return the breaks of a month: those whose second row is in it."""
        return tuple(one for one in self.breaks if month.since_us <= one.after[0] < month.until_us)


def _ledger_figures(line: _Line, start: Decimal | None) -> Figures:
    if start is None:
        return Figures(None, line.within.money_in, line.within.money_out, None)
    opening = EXACT.add(start, line.before.net)
    return Figures(opening, line.within.money_in, line.within.money_out, EXACT.add(opening, line.within.net))


def _telling(stated: Sequence[_Stated], computed: Decimal | None) -> _Stated:
    """Choose among several stated balances: one that differs from the flows, or else the one on rows."""
    differing = [one for one in stated if difference_of(one.amount, computed)]
    return (differing or [*stated][-1:] or [_Stated(None, None)])[0]


class _Rows:
    """Reads the rows of an account around the ends of months."""

    def __init__(self, queries: Queries, account: AccountName) -> None:
        self._queries, self._account = queries, account.account
        self._since: dict[date, dict[Key, Total]] = {}
        self._days = BusinessDays(account.tz)

    def totals(self, first: date) -> dict[str, dict[Key, Total]]:
        """Return the sums of each month from a day on, by subaccount and currency."""
        sums = f"sum(flows), {self._queries.sql.exact_sum('money_in')}, {self._queries.sql.exact_sum('money_out')}"
        rows = self._queries.rows(
            f"SELECT substr(day, 1, 7), subaccount, currency, {sums} FROM day_totals WHERE account = ? AND day >= ? "
            "GROUP BY substr(day, 1, 7), subaccount, currency",
            self._account,
            first.isoformat(),
        )
        totals: dict[str, dict[Key, Total]] = {}
        for name, subaccount, currency, flows, money_in, money_out in rows:
            total = Total(int(flows), parse_sum(money_in), parse_sum(money_out))
            totals.setdefault(name, {})[subaccount, currency] = total
        return totals

    def total_since(self, first: date) -> dict[Key, Total]:
        """Return the sum from a day on, by subaccount and currency. It is read once for each day."""
        if first not in self._since:
            found: dict[Key, Total] = {}
            for totals in self.totals(first).values():
                for key, total in totals.items():
                    found[key] = found.get(key, Total()).plus(total)
            self._since[first] = found
        return self._since[first]

    def last_instant(self, key: Key, until: str) -> int | None:
        """Return the time of the last rows before a day."""
        return self._edge(key, until, newest=True)

    def are_stated(self, key: Key, day: str, *, newest: bool) -> bool:
        """Whether all of the last rows before a day, or all of the first rows from it on, state a balance."""
        at_us = self._edge(key, day, newest=newest)
        if at_us is None:
            return False
        where = "account = ? AND at_us = ? AND subaccount = ? AND currency = ?"
        unstated = f"SELECT count(*) FROM flows WHERE {where} AND balance_after IS NULL"
        return int(self._queries.value(unstated, self._account, at_us, *key)) == 0

    def has_flows(self, key: Key, since_us: int, until_us: int) -> bool:
        """Whether [since, until) has a flow."""
        return self._at(key, since_us, until_us, "ASC") is not None

    def _edge(self, key: Key, day: str, *, newest: bool) -> int | None:
        compare, order = ("<", "DESC") if newest else (">=", "ASC")
        found = self._queries.value(
            f"SELECT day FROM day_totals WHERE account = ? AND day {compare} ? AND subaccount = ? AND currency = ? "
            f"ORDER BY day {order} LIMIT 1",
            *(self._account, day, *key),
        )
        if found is None:
            return None
        return self._at(key, begin_us(self._days, found), end_us(self._days, found), order)

    def _at(self, key: Key, since_us: int, until_us: int, order: str) -> int | None:
        at_us = self._queries.value(
            "SELECT at_us FROM flows WHERE account = ? AND at_us >= ? AND at_us < ? AND subaccount = ? "
            f"AND currency = ? ORDER BY at_us {order} LIMIT 1",
            *(self._account, since_us, until_us, *key),
        )
        return None if at_us is None else int(at_us)
