"""The one invariant: a ledger has exactly what its provider had when it was read, says what it lacks, and adds up.

told = Told(account, codec, lives=[Life(row, at_us, from_us, until_us), ...])
assert not broken(ledger, told)  # holds after every sync, whole or killed
assert not unlike(ledger, told)  # holds when all was read since the last row came, changed or went
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
from liushui.ledger.read.balances import ranges_of
from liushui.ledger.schema import batches, day_totals, quarantine
from liushui.ledger.write.quarantine import Interval, Span, from_columns, intersect, subtract
from liushui.money import EXACT, ZERO
from liushui.provider import Codec

SHOWN: Final = 5
"""Rows of each kind that a breach shows."""

_ROWS_HELD: Final = 50_000
"""Rows whose facts are remembered: the same are looked at after each sync."""

_NEVER: Final = 1 << 62
_FOREVER_US: Final = to_us(MAX_INSTANT)


class Life(NamedTuple):
    """A row as its provider has it for some time: it happened at `at_us`, and is there in [from_us, until_us)."""

    row: bytes
    at_us: int
    from_us: int = -_NEVER
    until_us: int = _FOREVER_US


def everything(_now_us: int) -> int:
    """What a provider keeps that forgets nothing."""
    return -_NEVER


@dataclass(frozen=True)
class Told:
    """An account, and what its provider tells of it."""

    account: str
    codec: Codec
    lives: Sequence[Life]
    kept_from_us: Callable[[int], int] = everything
    """From which instant on it has all its rows, at an instant."""
    after: int = 0
    """Proofs up to this batch were looked at before."""
    within: Sequence[tuple[int, int]] = ((-_NEVER, _NEVER),)
    """The ranges [since_us, until_us) that `unlike` looks at."""


@dataclass(frozen=True)
class Breach:
    """Something about an account that should not be so. `lacks` and `has`: rows, SHOWN of each at most."""

    account: str
    what: str
    lacks: tuple[bytes, ...] = ()
    has: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.account}: {self.what}"]
        lines += [f"  lacks {row!r}" for row in self.lacks]
        lines += [f"  has   {row!r}" for row in self.has]
        return "\n".join(lines)


def broken(ledger: Ledger, *every: Told) -> list[Breach]:
    """What is wrong with accounts at any time, in the middle of a sync too.

    The ledger adds up, and each proof tells the truth: a row that was there during the whole of the read that proved
    its range is here, and whatever is here was there at some time of it.
    """
    return [*_damaged(ledger), *(breach for told in every for breach in _broken(ledger, told))]


def unlike(ledger: Ledger, *every: Told) -> list[Breach]:
    """What is wrong with accounts whose provider has had exactly these rows since it was read: the multisets of flows,
    and of rows that cannot be read, are the same; and the ledger adds up."""
    return [*_damaged(ledger), *(breach for told in every for breach in _unlike(ledger, told))]


def different(ledger: Ledger, *every: Told) -> list[Breach]:
    """What `unlike` sees and `broken` does not: for whoever has asked that one of the same ledger just now."""
    return [breach for told in every for breach in _different(_Book(ledger, told.account), told)]


def _damaged(ledger: Ledger) -> Iterator[Breach]:
    """The chains, the facts, the coverage, the totals and the findings, computed again."""
    for corruption in verify(ledger):
        if isinstance(corruption, Damage):
            yield Breach(corruption.account, f"corrupted: {corruption.what} (batch {corruption.batch})")


def _broken(ledger: Ledger, told: Told) -> Iterator[Breach]:
    book, known = _Book(ledger, told.account), _Known(told)
    yield from _unsound(book, told.codec)
    yield from _misread(book)
    for proof in book.proofs:
        if proof.seq > told.after:
            yield from _untrue(book, proof, known)


def _unlike(ledger: Ledger, told: Told) -> Iterator[Breach]:
    book = _Book(ledger, told.account)
    yield from _different(book, told)
    yield from _unsound(book, told.codec)
    yield from _misread(book)


def _different(book: "_Book", told: Told) -> Iterator[Breach]:
    known = _Known(told)
    parts = [Interval(since_us, until_us) for since_us, until_us in told.within]
    flows = Counter(version.row for part in parts for version in book.within(*part))
    readable = Counter(life.row for life in known.readable)
    yield from _difference(told.account, "its flows are not the provider's", readable, readable, flows)
    entries = [entry for entry in book.entries if entry.is_open]
    most = Counter(entry.row for entry in entries if any(_touches(entry.span, part) for part in parts))
    least = Counter(entry.row for entry in entries if any(_lies_in(entry.span, part) for part in parts))
    unreadable = Counter(life.row for life in known.unreadable)
    what = "its quarantine is not what cannot be read"
    yield from _misplaced(told.account, what, unreadable, unreadable, least, most)


# ---------------------------------------------------------------- what a ledger has


class _Version(NamedTuple):
    """A version of a flow: here from one batch on, until another."""

    at_us: int
    row: bytes
    columns: Row
    batch: int
    ended: int

    @property
    def is_open(self) -> bool:
        return self.ended == _NEVER

    def stands(self, seq: int) -> bool:
        """Whether it is there after that batch."""
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
    def piece(self) -> Interval:
        return Interval(self.since_us, self.until_us)

    def __str__(self) -> str:
        read = f"read at {us_to_iso(self.read_at_us)}, kept at {us_to_iso(self.recorded_at_us)}"
        return f"batch {self.seq}, {us_to_iso(self.since_us)} to {us_to_iso(self.until_us)}, {read}"


class _Book:
    """All that a ledger has of an account, every version of it."""

    def __init__(self, ledger: Ledger, account: str) -> None:
        self.account = account
        with ledger.reading() as connection:
            names = ", ".join(COLUMNS)
            found = connection.exec_driver_sql(f"SELECT {names}, NULL FROM flows WHERE account = ?", (account,)).all()
            ended = f"SELECT {names}, ended_batch FROM history WHERE account = ?"
            found = [*found, *connection.exec_driver_sql(ended, (account,))]
            self.flows = sorted(
                _Version(row[AT_US], str(row[WIRE]).encode(), tuple(row[:-1]), row[BATCH], row[-1] or _NEVER)
                for row in found
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
        """The flows of [since, until) after a batch."""
        first, after = bisect_left(self._times, since_us), bisect_left(self._times, until_us)
        return [version for version in self.flows[first:after] if version.stands(seq)]


class _Known:
    """What a provider has, in the order of time."""

    def __init__(self, told: Told) -> None:
        self.kept_from_us = told.kept_from_us
        self.readable: list[Life] = []
        self.unreadable: list[Life] = []
        for life in sorted(told.lives, key=lambda life: life.at_us):
            (self.unreadable if _read(told.codec, life.row) is None else self.readable).append(life)  # type: ignore[arg-type] # see _read


@lru_cache(_ROWS_HELD)
def _read(codec: Codec, row: bytes) -> Row | None:
    """The facts in a row, of no account, with its identity as its id. None: it cannot be read.

    A codec is a module, or an object that is known by itself: it can be remembered by.
    """
    received, _ = read_rows(codec, [row])
    return to_row("", received[0].flow.identity, received[0], 0)[:FACTS_END] if received else None


# ---------------------------------------------------------------- what has to be so


def _unsound(book: _Book, codec: Codec) -> Iterator[Breach]:
    """Each flow is what its row says, and the totals are their sums."""
    sums: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for version in book.flows:
        if version.is_open:
            currency, amount = str(version.columns[CURRENCY]), Decimal(str(version.columns[AMOUNT]))
            sums[currency] = EXACT.add(sums[currency], amount)
            if not _says(codec, version):
                yield Breach(book.account, "a flow is not what its row says", has=(version.row,))
    for currency, money in book.totals:
        sums[currency] = EXACT.subtract(sums[currency], money)
    for currency, left in sums.items():
        if left:
            yield Breach(book.account, f"its flows and its totals differ by {left} {currency}")


def _says(codec: Codec, version: _Version) -> bool:
    """Whether the columns of a flow are what reading its row again gives."""
    own = ("", version.at_us, identity_of(str(version.columns[ID])), *version.columns[ID + 1 : FACTS_END])
    return _read(codec, version.row) == own  # type: ignore[arg-type] # see _read


def _misread(book: _Book) -> Iterator[Breach]:
    """Rows in are flows and quarantine; what is proven is as its proof left it; nothing is here that is not proven."""
    for proof in book.proofs:
        refused = proof.rows_in - len(book.within(proof.since_us, proof.until_us, proof.seq))
        after = [entry for entry in book.entries if entry.batch <= proof.seq < entry.ended]
        inside = sum(_lies_in(entry.span, proof.piece) for entry in after)
        touching = sum(_touches(entry.span, proof.piece) for entry in after)
        if not inside <= refused <= touching:
            what = f"{refused} of its rows are no flows, and {inside} to {touching} are in quarantine"
            yield Breach(book.account, f"{proof}: {what}")
    proven = [known for known in book.coverage if known.state is State.PROVEN]
    outside = Counter(version.row for version in book.flows if version.is_open)
    for known in proven:
        now = Counter(version.row for version in book.within(known.since_us, known.until_us))
        then = Counter(version.row for version in book.within(known.since_us, known.until_us, known.batch))
        yield from _difference(
            book.account, f"{_range(known)} is not as batch {known.batch} proved it", then, then, now
        )
        outside -= now
    if outside:
        yield Breach(book.account, "flows are here of a time that is not proven", has=_some(outside))


def _untrue(book: _Book, proof: _Proof, known: _Known) -> Iterator[Breach]:
    """What a proof says that the provider did not."""
    found = Counter(version.row for version in book.within(proof.since_us, proof.until_us, proof.seq))
    kept_from_us = known.kept_from_us(proof.recorded_at_us)
    must, may = _there(known.readable, proof, kept_from_us)
    yield from _difference(book.account, f"{proof}: its flows are not what was there", must, may, found)
    if not known.unreadable and not book.entries:
        return
    must, may = _there(known.unreadable, proof, kept_from_us)
    after = [entry for entry in book.entries if entry.batch <= proof.seq < entry.ended]
    most = Counter(entry.row for entry in after if _touches(entry.span, proof.piece))
    least = Counter(entry.row for entry in after if _lies_in(entry.span, proof.piece))
    what = f"{proof}: its quarantine is not what could not be read"
    yield from _misplaced(book.account, what, must, may, least, most)


def _there(lives: Sequence[Life], proof: _Proof, kept_from_us: int) -> tuple[Counter[bytes], Counter[bytes]]:
    """The rows of a proof's range that were there during the whole of its read, and those that were at any time."""
    first = bisect_left(lives, proof.since_us, key=lambda life: life.at_us)
    after = bisect_left(lives, proof.until_us, key=lambda life: life.at_us)
    must, may = Counter[bytes](), Counter[bytes]()
    for life in lives[first:after]:
        if life.from_us <= proof.recorded_at_us and life.until_us > proof.read_at_us:
            may[life.row] += 1
            whole = life.from_us <= proof.read_at_us and life.until_us > proof.recorded_at_us
            must[life.row] += whole and life.at_us >= kept_from_us
    return +must, may


def _difference(
    account: str, what: str, must: Mapping[bytes, int], may: Mapping[bytes, int], found: Mapping[bytes, int]
) -> Iterator[Breach]:
    """Whether what was found is at least the one and at most the other."""
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
    """The same of rows in quarantine: those that are known to be in a range, and those that may be."""
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
