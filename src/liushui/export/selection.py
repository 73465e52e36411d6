"""The content of an export: accounts and a range, in one state of the ledger, and their completeness."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from liushui.export.changes import changed_rows
from liushui.instant import to_iso, to_us
from liushui.ledger.day_totals import Total
from liushui.ledger.names import IdentityOf, identities_of
from liushui.ledger.read.account_sums import KindSums, sum_kinds
from liushui.ledger.read.completeness import Completeness, Verdict, combine
from liushui.ledger.read.filters import AccountFilter, Bound, FlowFilter, bound_text, equals_currency
from liushui.ledger.read.flows import account_chunks, account_rows, rows_by_time
from liushui.ledger.read.history import account_rows_as_of, batch_as_of, totals_at
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.month_calendar import read_days

StoredRow = Sequence[Any]
"""A row with the columns of schema.flows."""


class ExportQuery(NamedTuple):
    """The flows of an export and their order: by account and time, or by time alone.

    `as_of`: the flows as the ledger had recorded them at that time; None: the current state. `after`: only the changes
    after a batch of each account (see `changes`); None: all flows.
    """

    filter: FlowFilter
    as_of: Bound | None = None
    by_time: bool = False
    after: Mapping[str, int] | None = None


class AccountPart(NamedTuple):
    """The flows of one account in an export."""

    account: Account
    filter: AccountFilter
    verdict: Verdict


@dataclass(frozen=True)
class Selection:
    """The flows of an export, in one state of the ledger. It can be read while the reading is open."""

    model: ReadModel
    reading: Reading
    query: ExportQuery
    parts: Sequence[AccountPart]

    @cached_property
    def verdict(self) -> Verdict:
        """Whether it has all flows of the range."""
        return combine([part.verdict for part in self.parts])

    @cached_property
    def identity_of(self) -> IdentityOf:
        """Gives the identity of a flow in formats whose readers recognise flows by it."""
        return identities_of(self.reading.queries)

    def rows(self) -> Iterator[StoredRow]:
        """Stream the rows, with the columns of schema.flows. Rows of changes have two more columns."""
        if self.query.by_time and self.query.as_of is None:
            filters = [part.filter for part in self.parts]
            return rows_by_time(self.reading.connection, filters, self.model.rules)
        return chain.from_iterable(map(self.rows_of, self.parts))

    def chunks(self, size: int) -> Iterator[Sequence[StoredRow]]:
        """The rows of `rows`, in chunks of about `size`, none of them empty. This takes half the time of single
        rows."""
        if self.query.after is None and self.query.as_of is None and not self.query.by_time:
            for part in self.parts:
                yield from account_chunks(self.reading.connection, part.filter, self.model.rules, size)
            return
        rows = self.rows()
        while chunk := list(islice(rows, size)):
            yield chunk

    def rows_of(self, part: AccountPart) -> Iterator[StoredRow]:
        """The rows of one account, streamed."""
        connection, as_of = self.reading.connection, self.query.as_of
        if self.query.after is not None:
            return changed_rows(connection, part.filter, self.query.after.get(part.account.name.account, 0))
        if as_of is None:
            return account_rows(connection, part.filter, self.model.rules)
        return account_rows_as_of(connection, part.filter, as_of, self.model.rules)

    def sums(self, part: AccountPart) -> KindSums:
        """Return the sums of one account's flows in the range, by subaccount, currency and kind."""
        return self.sums_within(part, part.filter.since_us, part.filter.until_us)

    def sums_within(self, part: AccountPart, since_us: int, until_us: int) -> KindSums:
        """Return the sums for any range: [since, until) in microseconds since the epoch."""
        connection, name = self.reading.connection, part.account.name
        if self.query.as_of is None:
            return sum_kinds(connection, part.filter._replace(since_us=since_us, until_us=until_us))
        seq = batch_as_of(connection, name, self.query.as_of)
        sums: KindSums = {}
        for edge_us, is_end in ((until_us, True), (since_us, False)):
            for key, total in totals_at(connection, name, seq, edge_us).items():
                change = total if is_end else total.negative()
                sums[key[1:]] = sums.get(key[1:], Total()).plus(change)
        currency = self.query.filter.currency
        return {
            key: total
            for key, total in sums.items()
            if total.flows and (currency is None or equals_currency(key[1], currency))
        }


@contextmanager
def selecting(model: ReadModel, query: ExportQuery) -> Iterator[Selection]:
    """Open the flows of a query in one state of the ledger. Raises AccountNotFound."""
    wanted = query.filter
    with model.reading(wanted.accounts, query.as_of) as reading:
        parts = [
            AccountPart(account, wanted.of(account.name), account.verdict(wanted.since, wanted.until))
            for account in reading.accounts.values()
        ]
        yield Selection(model, reading, query, parts)


def read_period(text: str) -> tuple[date, date]:
    """Return the first day of a month, of a year or of other days, and the first day after them. Raises
    InvalidField."""
    days = read_days(text)
    return days.first, days.after


# ---------------------------------------------------------------- coverage lines

GAPS_MAX: Final = 1_000
"""The most gaps that a file lists. An export of hundreds of accounts may have more; `liushui coverage` shows all of
them."""

_WORDS: Final = {
    Completeness.COMPLETE: "complete",
    Completeness.PARTIAL: "complete up to a moment, not complete after it",
    Completeness.INCOMPLETE: "not complete",
    Completeness.UNKNOWN: "cannot be checked",
}


def coverage_lines(selection: Selection) -> Iterator[str]:
    """Return the coverage of a file, in English, one line for each fact: accounts, range, recording, completeness, each
    gap."""
    wanted, verdict = selection.query.filter, selection.verdict
    yield f"accounts: {', '.join(part.account.name.account for part in selection.parts) or 'none'}"
    if wanted.currency is not None:
        yield f"currency: {wanted.currency}"
    zones = dict.fromkeys(part.account.name.zone for part in selection.parts)
    yield f"period: {period_text(wanted)} (days in {', '.join(zones) or 'UTC'})"
    recorded = selection.query.as_of
    yield f"recorded until: {to_iso(selection.reading.now) if recorded is None else bound_text(recorded)}"
    if selection.query.after is not None:
        yield "content: what changed since the export before, or all of it where there was none"
    yield f"completeness: {_WORDS[verdict.status]}"
    for gap in verdict.gaps[:GAPS_MAX]:
        yield f"gap: {gap.account}: {gap.describe()}"
    if len(verdict.gaps) > GAPS_MAX:
        yield f"gap: and {len(verdict.gaps) - GAPS_MAX} more; `liushui coverage` shows all of them"


def period_text(wanted: FlowFilter) -> str:
    """Return the range of a filter: `2026-10-01 until 2026-11-01`. The end is not included."""
    since, until = bound_text(wanted.since) or "the beginning", bound_text(wanted.until) or "the newest flow"
    return f"{since} until {until}"


def ends_of(selection: Selection) -> tuple[int, int]:
    """Return the earliest and the latest instant that flows of the export may have, in microseconds since the epoch.

    If the range has no such end, the flows determine it. Without flows, it is the moment of the export.
    """
    now_us = to_us(selection.reading.now)
    wanted = selection.query.filter
    firsts = [part.account.snapshot.first_flow_us for part in selection.parts]
    lasts = [part.account.snapshot.last_flow_us for part in selection.parts]
    since = [one.filter.since_us for one in selection.parts] if wanted.since is not None else firsts
    until = [one.filter.until_us for one in selection.parts] if wanted.until is not None else lasts
    more = 0 if wanted.until is not None else 1
    return (
        min((one for one in since if one is not None), default=now_us),
        max((one + more for one in until if one is not None), default=now_us),
    )
