"""The invariant: a ledger has exactly the rows that its provider had when it was read, reports gaps, and adds up.

record = ProviderRecord(account, codec, [RowPresence(row, at_us, from_us, until_us), ...])
assert not invariant_breaches(ledger, record)  # holds after every sync, completed or killed
assert not final_breaches(ledger, record)  # holds after everything was read and nothing has changed since
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.instant import MAX_INSTANT, to_us, us_to_iso
from liushui.ledger.coverage import Range, State
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import (
    AMOUNT,
    AT_US,
    BATCH,
    COLUMNS,
    CURRENCY,
    FACTS_END,
    ID,
    WIRE,
    Row,
    identity_of,
    read_rows,
    to_row,
)
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.schema import batches, day_totals, quarantine
from liushui.ledger.write.quarantine import Interval, Span, from_columns, intersect, subtract
from liushui.money import EXACT, ZERO
from liushui.provider import Codec

SHOWN: Final = 5
"""The most missing rows, and the most surplus rows, that a breach shows."""

_ROWS_CACHED: Final = 50_000
"""Decoded rows that are cached: the same rows are checked after each sync."""

_NEVER: Final = 1 << 62
_FOREVER_US: Final = to_us(MAX_INSTANT)


class RowPresence(NamedTuple):
    """A row that happened at `at_us` and that its provider has in [from_us, until_us)."""

    row: bytes
    at_us: int
    from_us: int = -_NEVER
    until_us: int = _FOREVER_US


def no_retention(_now_us: int) -> int:
    """The `kept_from_us` of a provider that keeps its rows forever."""
    return -_NEVER


@dataclass(frozen=True)
class ProviderRecord:
    """Every row that an account's provider has at some time."""

    account: str
    codec: Codec
    rows_present: Sequence[RowPresence]
    kept_from_us: Callable[[int], int] = no_retention
    """Maps an instant to the time from which the provider has all its rows."""
    after: int = 0
    """Proofs up to this batch are already checked."""
    within: Sequence[tuple[int, int]] = ((-_NEVER, _NEVER),)
    """The ranges [since_us, until_us) that `final_breaches` compares."""


@dataclass(frozen=True)
class Breach:
    """A fault of an account. `lacks` and `has` are its missing and surplus rows, at most SHOWN of each."""

    account: str
    what: str
    lacks: tuple[bytes, ...] = ()
    has: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.account}: {self.what}"]
        lines += [f"  lacks {row!r}" for row in self.lacks]
        lines += [f"  has   {row!r}" for row in self.has]
        return "\n".join(lines)


def invariant_breaches(ledger: Ledger, *records: ProviderRecord) -> list[Breach]:
    """Return the faults of accounts. They can be checked at any time, even in the middle of a sync.

    The ledger must add up, and each proof must be true. A row that the provider had during the whole read must be in
    the ledger. Each row in the ledger must have existed at some time during the read.
    """
    return [*_damaged(ledger), *(breach for record in records for breach in _account_breaches(ledger, record))]


def final_breaches(ledger: Ledger, *records: ProviderRecord) -> list[Breach]:
    """Return the faults of accounts whose rows have not changed since they were read.

    The ledger must add up. Its flows and its rejected rows must be exactly the provider's, as multisets.
    """
    return [*_damaged(ledger), *(breach for record in records for breach in _final_account_breaches(ledger, record))]


def content_differences(ledger: Ledger, *records: ProviderRecord) -> list[Breach]:
    """The breaches that `final_breaches` finds and `invariant_breaches` does not."""
    return [
        breach for record in records for breach in _content_breaches(_LedgerAccount(ledger, record.account), record)
    ]


def _damaged(ledger: Ledger) -> Iterator[Breach]:
    """Return the faults that `liushui verify` finds."""
    for damage in verify(ledger):
        if isinstance(damage, Damage):
            yield Breach(damage.account, f"damaged: {damage.what} (batch {damage.batch})")


def _account_breaches(ledger: Ledger, record: ProviderRecord) -> Iterator[Breach]:
    account, rows = _LedgerAccount(ledger, record.account), _ProviderRows(record)
    yield from _unsound(account, record.codec)
    yield from _inconsistent(account)
    for proof in account.proofs:
        if proof.seq > record.after:
            yield from _untrue(account, proof, rows)


def _final_account_breaches(ledger: Ledger, record: ProviderRecord) -> Iterator[Breach]:
    account = _LedgerAccount(ledger, record.account)
    yield from _content_breaches(account, record)
    yield from _unsound(account, record.codec)
    yield from _inconsistent(account)


def _content_breaches(account: "_LedgerAccount", record: ProviderRecord) -> Iterator[Breach]:
    rows = _ProviderRows(record)
    parts = [Interval(since_us, until_us) for since_us, until_us in record.within]
    flows = Counter(version.row for part in parts for version in account.within(*part))
    readable = Counter(row.row for row in rows.readable)
    yield from _difference(record.account, "its flows are not the provider's", readable, readable, flows)
    entries = [entry for entry in account.entries if entry.is_open]
    most = Counter(entry.row for entry in entries if any(_touches(entry.span, part) for part in parts))
    least = Counter(entry.row for entry in entries if any(_lies_in(entry.span, part) for part in parts))
    unreadable = Counter(row.row for row in rows.unreadable)
    what = "its quarantine is not what cannot be read"
    yield from _misplaced(record.account, what, unreadable, unreadable, least, most)


# ---------------------------------------------------------------- the ledger's side and the provider's


class _Version(NamedTuple):
    """A version of a flow: current from one batch until another."""

    at_us: int
    row: bytes
    columns: Row
    batch: int
    ended: int

    @property
    def is_open(self) -> bool:
        return self.ended == _NEVER

    def is_current(self, seq: int) -> bool:
        """Whether it is current after that batch."""
        return self.batch <= seq < self.ended


class _Entry(NamedTuple):
    """A version of an entry in quarantine."""

    row: bytes
    span: Span | None
    batch: int
    ended: int

    @property
    def is_open(self) -> bool:
        return self.ended == _NEVER


class _Proof(NamedTuple):
    """A batch that proved a range."""

    seq: int
    since_us: int
    until_us: int
    read_at_us: int
    recorded_at_us: int
    rows_in: int

    @property
    def interval(self) -> Interval:
        return Interval(self.since_us, self.until_us)

    def __str__(self) -> str:
        read = f"read at {us_to_iso(self.read_at_us)}, kept at {us_to_iso(self.recorded_at_us)}"
        return f"batch {self.seq}, {us_to_iso(self.since_us)} to {us_to_iso(self.until_us)}, {read}"


class _LedgerAccount:
    """Everything that a ledger has of an account, with all versions."""

    def __init__(self, ledger: Ledger, account: str) -> None:
        self.account = account
        with ledger.reading() as connection:
            names = ", ".join(COLUMNS)
            current = f"SELECT {names}, NULL FROM flows WHERE account = ?"
            ended = f"SELECT {names}, ended_batch FROM history WHERE account = ?"
            versions = [row for sql in (current, ended) for row in connection.exec_driver_sql(sql, (account,))]
            self.flows = sorted(
                _Version(row[AT_US], str(row[WIRE]).encode(), tuple(row[:-1]), row[BATCH], row[-1] or _NEVER)
                for row in versions
            )
            q = quarantine.c
            entries = connection.execute(
                sa.select(q.wire, q.since_us, q.until_us, q.holes, q.batch, q.ended_batch).where(q.account == account)
            )
            self.entries = [
                _Entry(bytes(wire), from_columns(since, until, holes), batch, ended or _NEVER)
                for wire, since, until, holes, batch, ended in entries
            ]
            b = batches.c
            proofs = connection.execute(
                sa.select(b.seq, b.since_us, b.until_us, b.read_at_us, b.recorded_at_us, b.rows_in)
                .where(b.account == account, b.state == State.PROVEN.value)
                .order_by(b.seq)
            )
            self.proofs = [_Proof(*row) for row in proofs]
            t = day_totals.c
            self.totals = [
                (str(currency), Decimal(str(money)))
                for currency, *moved in connection.execute(
                    sa.select(t.currency, t.money_in, t.money_out).where(t.account == account)
                )
                for money in moved
            ]
        self.coverage = ranges_of(ledger, account)
        self._times = [version.at_us for version in self.flows]

    def within(self, since_us: int, until_us: int, seq: int = _NEVER - 1) -> list[_Version]:
        """Return the flows in [since, until) after a batch."""
        first, after = bisect_left(self._times, since_us), bisect_left(self._times, until_us)
        return [version for version in self.flows[first:after] if version.is_current(seq)]


class _ProviderRows:
    """The rows of a provider in the order of their times, by whether they can be decoded."""

    def __init__(self, record: ProviderRecord) -> None:
        self.kept_from_us = record.kept_from_us
        self.readable: list[RowPresence] = []
        self.unreadable: list[RowPresence] = []
        for row in sorted(record.rows_present, key=lambda row: row.at_us):
            can_be_read = _read(record.codec, row.row) is not None  # type: ignore[arg-type] # see _read
            (self.readable if can_be_read else self.unreadable).append(row)


@lru_cache(_ROWS_CACHED)
def _read(codec: Codec, row: bytes) -> Row | None:
    """The columns of a row, without an account and with its identity as its id. Returns None if it cannot be
    decoded."""
    # A codec is a module, or an object that is hashed by identity, so it can be a key of the cache.
    received, _ = read_rows(codec, [row])
    return to_row("", received[0].flow.identity, received[0], 0)[:FACTS_END] if received else None


# ---------------------------------------------------------------- the checks


def _unsound(account: _LedgerAccount, codec: Codec) -> Iterator[Breach]:
    """Each flow must equal its decoded row, and the day totals must be the sums of the flows."""
    sums: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for version in account.flows:
        if version.is_open:
            currency, amount = str(version.columns[CURRENCY]), Decimal(str(version.columns[AMOUNT]))
            sums[currency] = EXACT.add(sums[currency], amount)
            if not _equals_row(codec, version):
                yield Breach(account.account, "a flow is not what its row says", has=(version.row,))
    for currency, money in account.totals:
        sums[currency] = EXACT.subtract(sums[currency], money)
    for currency, left in sums.items():
        if left:
            yield Breach(account.account, f"its flows and its totals differ by {left} {currency}")


def _equals_row(codec: Codec, version: _Version) -> bool:
    """Whether decoding a flow's row again gives its columns."""
    own = ("", version.at_us, identity_of(str(version.columns[ID])), *version.columns[ID + 1 : FACTS_END])
    return _read(codec, version.row) == own  # type: ignore[arg-type] # see _read


def _inconsistent(account: _LedgerAccount) -> Iterator[Breach]:
    """Each received row must be a flow or rejected, a proven range must be as its proof left it, and each flow must lie
    inside one."""
    for proof in account.proofs:
        rejected = proof.rows_in - len(account.within(proof.since_us, proof.until_us, proof.seq))
        after = [entry for entry in account.entries if entry.batch <= proof.seq < entry.ended]
        inside = sum(_lies_in(entry.span, proof.interval) for entry in after)
        touching = sum(_touches(entry.span, proof.interval) for entry in after)
        if not inside <= rejected <= touching:
            what = f"{rejected} of its rows are no flows, and {inside} to {touching} are in quarantine"
            yield Breach(account.account, f"{proof}: {what}")
    proven = [known for known in account.coverage if known.state is State.PROVEN]
    outside = Counter(version.row for version in account.flows if version.is_open)
    for known in proven:
        now = Counter(version.row for version in account.within(known.since_us, known.until_us))
        then = Counter(version.row for version in account.within(known.since_us, known.until_us, known.batch))
        yield from _difference(
            account.account, f"{_range(known)} is not as batch {known.batch} proved it", then, then, now
        )
        outside -= now
    if outside:
        yield Breach(account.account, "flows are here of a time that is not proven", has=_some(outside))


def _untrue(account: _LedgerAccount, proof: _Proof, rows: _ProviderRows) -> Iterator[Breach]:
    """A proof must have recorded the rows that the provider had while it was read."""
    flows = Counter(version.row for version in account.within(proof.since_us, proof.until_us, proof.seq))
    kept_from_us = rows.kept_from_us(proof.recorded_at_us)
    must, may = _required_and_allowed(rows.readable, proof, kept_from_us)
    yield from _difference(account.account, f"{proof}: its flows are not what was there", must, may, flows)
    if not rows.unreadable and not account.entries:
        return
    must, may = _required_and_allowed(rows.unreadable, proof, kept_from_us)
    after = [entry for entry in account.entries if entry.batch <= proof.seq < entry.ended]
    most = Counter(entry.row for entry in after if _touches(entry.span, proof.interval))
    least = Counter(entry.row for entry in after if _lies_in(entry.span, proof.interval))
    what = f"{proof}: its quarantine is not what could not be read"
    yield from _misplaced(account.account, what, must, may, least, most)


def _required_and_allowed(
    rows_present: Sequence[RowPresence], proof: _Proof, kept_from_us: int
) -> tuple[Counter[bytes], Counter[bytes]]:
    """Return the rows in a proof's range that existed during its whole read, and those that existed during a part of
    it."""
    first = bisect_left(rows_present, proof.since_us, key=lambda row: row.at_us)
    after = bisect_left(rows_present, proof.until_us, key=lambda row: row.at_us)
    must, may = Counter[bytes](), Counter[bytes]()
    for row in rows_present[first:after]:
        if row.from_us <= proof.recorded_at_us and row.until_us > proof.read_at_us:
            may[row.row] += 1
            whole_time = row.from_us <= proof.read_at_us and row.until_us > proof.recorded_at_us
            must[row.row] += whole_time and row.at_us >= kept_from_us
    return +must, may


def _difference(
    account: str, what: str, must: Mapping[bytes, int], may: Mapping[bytes, int], found: Mapping[bytes, int]
) -> Iterator[Breach]:
    """The found rows must include all of `must` and nothing outside `may`."""
    lacks, has = Counter(must) - Counter(found), Counter(found) - Counter(may)
    if lacks or has:
        counted = f"{lacks.total()} rows too few, {has.total()} too many"
        yield Breach(account, f"{what}: {counted}", _some(lacks), _some(has))


def _misplaced(
    account: str,
    what: str,
    must: Counter[bytes],
    may: Counter[bytes],
    least: Counter[bytes],
    most: Counter[bytes],
) -> Iterator[Breach]:
    """As _difference, for rejected rows. `least` are known to lie in the range. `most` also includes those that may lie
    in it."""
    yield from _difference(account, what, must, must | most, most)
    yield from _difference(account, what, least & may, may, least)


def _some(rows: Counter[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(rows.elements()))[:SHOWN]


def _range(known: Range) -> str:
    return f"{us_to_iso(known.since_us)} to {us_to_iso(known.until_us)}"


def _touches(span: Span | None, part: Interval) -> bool:
    return span is None or bool(intersect(span, part))


def _lies_in(span: Span | None, part: Interval) -> bool:
    return span is not None and not subtract(span, part)
