"""The balance chains of an account: their opening and closing balances, and where they break.

Rows are checked in segments of about a day, and what was found of each is stored. A commit makes the segments that it
touches out of date: they are checked again when a caller reads the chain, and stored at the end of a sync or an import.
So an answer depends on the rows alone, and costs time only for those that changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial, reduce
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.flow_row import Row
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.schema import batches, chain_heads, chain_segments
from liushui.money import EXACT, ZERO, to_plain_string
from liushui.reconcile.chain import Break, BreakCause, ChainChecker, ChainRow, RowKey, explain
from liushui.rules import BalanceRules

ROWS_MAX: Final = 20
"""Rows that a stored break names."""
BREAKS_MAX: Final = 1_000
"""Breaks of one segment that are stored. A chain with more does not hold at all."""

Key = tuple[str, str]
"""A subaccount and a currency: each pair has a chain of its own."""


class Segment(NamedTuple):
    """What was found of the rows [since, until) of one chain.

    `known` is the balance before them as it was known when they were checked, `opening` the one that they state.
    Without a row that states a balance, `opening` and `closing` are None and `unstated` is the sum of all rows.
    """

    subaccount: str
    currency: str
    since_us: int
    until_us: int
    known: Decimal | None
    opening: Decimal | None
    closing: Decimal | None
    unstated: Decimal
    stated: int
    reordered: int
    first: RowKey | None
    last: RowKey | None
    breaks: tuple[Break, ...]

    @property
    def key(self) -> Key:
        """Its chain."""
        return self.subaccount, self.currency


@dataclass
class ChainState:
    """What is known of a whole chain. `opening` is the balance before its first row, `closing` the one after its last.
    Both are None where no row states a balance."""

    opening: Decimal | None = None
    closing: Decimal | None = None
    stated: int = 0
    """Rows that state a balance."""
    reordered: int = 0
    """Rows whose balances follow each other in another order than their times."""
    breaks: list[Break] = field(default_factory=list)


@dataclass
class ChainCache:
    """Chains by account and newest batch: read again only when the account has had a batch since."""

    chains: dict[str, tuple[int, dict[Key, ChainState]]] = field(default_factory=dict)

    def load(
        self, connection: Connection, account: AccountName, head: int, rules: BalanceRules
    ) -> dict[Key, ChainState]:
        """The chains of an account whose newest batch is `head`."""
        cached = self.chains.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        chains = read_chains(connection, account, rules)
        self.chains[account.account] = head, chains
        return chains


class Checked(NamedTuple):
    """The segments of an account as of a batch, and those that were not stored yet. `outdated`: ranges whose stored
    segments these replace."""

    batch: int
    segments: list[Segment]
    fresh: list[Segment]
    outdated: list[tuple[int, int]]


def read_chains(connection: Connection, account: AccountName, rules: BalanceRules) -> dict[Key, ChainState]:
    """The chains of an account, by subaccount and currency."""
    return join_segments(check_segments(connection, account, rules).segments)


def join_segments(segments: Sequence[Segment]) -> dict[Key, ChainState]:
    """The whole chains of segments, which come by time."""
    states: dict[Key, ChainState] = {}
    before_first: dict[Key, Decimal] = {}
    lasts: dict[Key, RowKey | None] = {}
    for segment in segments:
        key = segment.key
        state = states.setdefault(key, ChainState())
        state.stated += segment.stated
        state.reordered += segment.reordered
        if segment.opening is None:
            if state.closing is None:
                before_first[key] = EXACT.add(before_first.get(key, ZERO), segment.unstated)
            else:
                state.closing = EXACT.add(state.closing, segment.unstated)
        else:
            if state.closing is None:
                state.opening = EXACT.subtract(segment.opening, before_first.get(key, ZERO))
            elif state.closing != segment.opening and segment.first is not None:
                rows = (segment.first,)
                state.breaks.append(
                    Break(lasts[key], segment.first, state.closing, segment.opening, BreakCause.MISSING, rows)
                )
            state.breaks += segment.breaks
            state.closing = segment.closing
        lasts[key] = segment.last
    for state in states.values():
        state.breaks = explain(state.breaks)
    return states


# ---------------------------------------------------------------- what is stored


def check_segments(
    connection: Connection, account: AccountName, rules: BalanceRules, *, again: bool = False
) -> Checked:
    """The segments of an account as it is now: the stored ones, and those that have to be checked.

    `again`: check all rows, whatever is stored.
    """
    name = account.account
    head = connection.scalar(sa.select(sa.func.max(batches.c.seq)).where(batches.c.account == name)) or 0
    batch = connection.scalar(sa.select(chain_heads.c.batch).where(chain_heads.c.account == name))
    if batch is None or again or batch > head:
        fresh = _check(connection, account, rules, BEFORE_ALL_US, AFTER_ALL_US, {})
        return Checked(head, fresh, fresh, [(BEFORE_ALL_US, AFTER_ALL_US)])
    stored = _load(connection, name)
    changed = changed_ranges(connection, name, batch)
    if not changed:
        return Checked(head, stored, [], [])
    checked = Checked(head, *_recheck(connection, account, rules, stored, changed))
    # A segment whose beginning was not certain was read with the balance before it, which may be another one now.
    uncertain = _uncertain(checked.segments)
    changed += [(segment.since_us, segment.until_us) for segment in uncertain]
    return checked if not uncertain else Checked(head, *_recheck(connection, account, rules, stored, changed))


def _recheck(
    connection: Connection,
    account: AccountName,
    rules: BalanceRules,
    stored: Sequence[Segment],
    changed: Sequence[tuple[int, int]],
) -> tuple[list[Segment], list[Segment], list[tuple[int, int]]]:
    """All segments, those of them that were checked now, and the ranges of these."""
    outdated = _merged([_widen(stored, *range_, _window_us(rules)) for range_ in changed])
    kept: list[Segment] = []
    fresh: list[Segment] = []
    left = list(reversed(stored))
    for since_us, until_us in outdated:
        while left and left[-1].since_us < since_us:
            kept.append(left.pop())
        while left and left[-1].since_us < until_us:
            left.pop()
        checked = _check(connection, account, rules, since_us, until_us, _balances_after(kept))
        fresh += checked
        kept += checked
    return [*kept, *reversed(left)], fresh, outdated


def _uncertain(segments: Sequence[Segment]) -> list[Segment]:
    """Segments that do not begin with the balance before them, and were not checked with it."""
    balances: dict[Key, Decimal] = {}
    found = []
    for segment in segments:
        balance = balances.get(segment.key)
        if segment.opening is not None and balance not in (None, segment.opening, segment.known):
            found.append(segment)
        balances.update(_balances_after([segment]) if segment.closing is not None else {})
        if segment.closing is None and balance is not None:
            balances[segment.key] = EXACT.add(balance, segment.unstated)
    return found


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that overlap or touch as one, oldest first."""
    merged: list[tuple[int, int]] = []
    for since_us, until_us in sorted(ranges):
        if merged and since_us <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], until_us)
        else:
            merged.append((since_us, until_us))
    return merged


def _window_us(rules: BalanceRules) -> int:
    return int(rules.window.total_seconds()) * 1_000_000 + 1


def changed_ranges(connection: Connection, account: str, batch: int) -> list[tuple[int, int]]:
    """The ranges of the flows that batches after one have changed, merged, oldest first."""
    b = batches.c
    query = sa.select(b.since_us, b.until_us).where(b.account == account, b.seq > batch)
    query = query.where(sa.or_(b.added > 0, b.restated > 0, b.withdrawn > 0), b.since_us.is_not(None))
    return _merged([(since_us, until_us) for since_us, until_us in connection.execute(query)])


def _widen(segments: Sequence[Segment], since_us: int, until_us: int, margin_us: int) -> tuple[int, int]:
    """A range with all segments that it touches, within a window."""
    touched = [
        segment
        for segment in segments
        if segment.until_us > since_us - margin_us and segment.since_us < until_us + margin_us
    ]
    begins = [segment.since_us for segment in touched]
    ends = [segment.until_us for segment in touched]
    return min([since_us, *begins]), max([until_us, *ends])


def _balances_after(segments: Sequence[Segment]) -> dict[Key, Decimal]:
    """The balance of each chain after segments, where it is known."""
    balances: dict[Key, Decimal] = {}
    for segment in segments:
        if segment.closing is not None:
            balances[segment.key] = segment.closing
        elif segment.key in balances:
            balances[segment.key] = EXACT.add(balances[segment.key], segment.unstated)
    return balances


# ---------------------------------------------------------------- checking


class _Chain:
    """One chain of a range that is being checked."""

    def __init__(self, rules: BalanceRules, known: Decimal | None) -> None:
        self.known = known
        self.checker = ChainChecker(rules, known)
        self.first: ChainRow | None = None
        self.last: ChainRow | None = None
        self.unstated = ZERO

    def add(self, rows: list[ChainRow]) -> None:
        if self.first is None:
            self.first = rows[0]
        self.last = rows[-1]
        self.unstated = reduce(EXACT.add, map(_amount, rows), self.unstated)
        self.checker.add_all(rows)

    def segment(self, key: Key, since_us: int, until_us: int) -> Segment:
        """What was found of its rows."""
        checker = self.checker
        has_stated = checker.stated > 0
        opening, first, breaks = checker.opening, _key_of(self.first), checker.breaks
        if breaks and breaks[0].before is None and self.known is not None:
            # It does not begin with the balance that was known: that is a break between two segments.
            opening, first, breaks = breaks[0].stated, breaks[0].after, breaks[1:]
        return Segment(
            *key,
            since_us,
            until_us,
            self.known,
            opening if has_stated else None,
            checker.balance if has_stated else None,
            self.unstated,
            checker.stated,
            checker.reordered,
            first,
            _key_of(self.last if checker.last is None else checker.last),
            tuple(one._replace(rows=one.rows[:ROWS_MAX]) for one in breaks[:BREAKS_MAX]),
        )


def _key_of(row: ChainRow | None) -> RowKey | None:
    return None if row is None else row.key


def _check(
    connection: Connection,
    account: AccountName,
    rules: BalanceRules,
    since_us: int,
    until_us: int,
    balances: Mapping[Key, Decimal],
) -> list[Segment]:
    """Check the rows [since, until) of an account. `balances` are those before, where they are known.

    A segment ends with a day, or later where rows of its last window are not in order yet.
    """
    segments: list[Segment] = []
    known = dict(balances)
    chains: dict[Key, _Chain] = {}
    begin_us = since_us
    for day_us, rows_of in _days(connection, account, since_us, until_us):
        if chains and not any(chain.checker.is_pending for chain in chains.values()):
            segments += _end(chains, begin_us, day_us, known)
            chains, begin_us = {}, day_us
        for key, rows in rows_of.items():
            chain = chains.get(key)
            if chain is None:
                chain = chains[key] = _Chain(rules, known.get(key))
            chain.add(rows)
    for chain in chains.values():
        chain.checker.finish()
    segments += _end(chains, begin_us, until_us, known)
    return segments


def _end(chains: Mapping[Key, _Chain], since_us: int, until_us: int, known: dict[Key, Decimal]) -> list[Segment]:
    segments = []
    for key, chain in sorted(chains.items()):
        segment = chain.segment(key, since_us, until_us)
        segments.append(segment)
        if segment.closing is not None:
            known[key] = segment.closing
        elif key in known:
            known[key] = EXACT.add(known[key], segment.unstated)
    return segments


def _days(
    connection: Connection, account: AccountName, since_us: int, until_us: int
) -> Iterator[tuple[int, dict[Key, list[ChainRow]]]]:
    """The rows of each day that has some, by their chains, and the time of its first row."""
    days = BusinessDays(account.tz)
    rows_of: dict[Key, list[ChainRow]] = {}
    first_us = day_end_us = since_us
    found = connection.exec_driver_sql(_ROWS, (account.account, since_us, until_us), execution_options=STREAMED)
    for at_us, id_, subaccount, currency, amount, balance in found:
        if at_us >= day_end_us:
            if rows_of:
                yield first_us, rows_of
            rows_of, first_us, day_end_us = {}, at_us, days.span_of(at_us)[2] or AFTER_ALL_US
        row = _to_row((at_us, id_, Decimal(amount), None if balance is None else Decimal(balance)))
        try:
            rows_of[subaccount, currency].append(row)
        except KeyError:
            rows_of[subaccount, currency] = [row]
    if rows_of:
        yield first_us, rows_of


_to_row: Callable[[tuple[int, str, Decimal, Decimal | None]], ChainRow] = partial(tuple.__new__, ChainRow)
_amount: Callable[[ChainRow], Decimal] = attrgetter("amount")
_ROWS: Final = """
SELECT at_us, id, subaccount, currency, amount, balance_after FROM flows
WHERE account = ? AND at_us >= ? AND at_us < ? ORDER BY at_us, id
"""


# ---------------------------------------------------------------- the table


_StoredBreak = tuple[RowKey | None, RowKey, str, str, str, tuple[RowKey, ...]]
_encode = msgspec.json.Encoder().encode
_decode_breaks = msgspec.json.Decoder(list[_StoredBreak]).decode
_decode_key = msgspec.json.Decoder(RowKey).decode


def segment_row(account: str, segment: Segment) -> Row:
    """The row of schema.chain_segments."""
    breaks = [
        (one.before, one.after, to_plain_string(one.expected), to_plain_string(one.stated), one.cause.value, one.rows)
        for one in segment.breaks
    ]
    return (
        account,
        segment.subaccount,
        segment.currency,
        segment.since_us,
        segment.until_us,
        *(None if amount is None else to_plain_string(amount) for amount in segment[4:7]),
        to_plain_string(segment.unstated),
        segment.stated,
        segment.reordered,
        *(None if key is None else _encode(key).decode() for key in (segment.first, segment.last)),
        _encode(breaks).decode() if breaks else None,
    )


def _load(connection: Connection, account: str) -> list[Segment]:
    """The stored segments of an account, by time."""
    s = chain_segments.c
    query = sa.select(*chain_segments.columns).where(s.account == account)
    rows = connection.execute(query.order_by(s.since_us, s.subaccount, s.currency))
    return [_segment(row) for row in rows]


def _segment(row: Sequence[Any]) -> Segment:
    # By position, because there is one for each day of each chain, and names take four times as long.
    _, subaccount, currency, since_us, until_us, *amounts, unstated, stated, reordered, first, last, breaks = row
    known, opening, closing = [None if amount is None else Decimal(amount) for amount in amounts]
    return Segment(
        subaccount,
        currency,
        since_us,
        until_us,
        known,
        opening,
        closing,
        Decimal(unstated),
        stated,
        reordered,
        None if first is None else _decode_key(first),
        None if last is None else _decode_key(last),
        () if breaks is None else tuple(map(_break, _decode_breaks(breaks))),
    )


def _break(stored: _StoredBreak) -> Break:
    before, after, expected, stated, cause, rows = stored
    return Break(before, after, Decimal(expected), Decimal(stated), BreakCause(cause), rows)
