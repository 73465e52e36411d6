"""Segments of balance chains: the stored result of checking about a day of an account's rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.flow_row import Row
from liushui.ledger.schema import chain_segments
from liushui.money import EXACT, to_plain_string
from liushui.reconcile.chain import Break, BreakCause, RowKey

Key = tuple[str, str]
"""A subaccount and a currency: each pair has a chain of its own."""


class Segment(NamedTuple):
    """The result of checking the rows [since, until) of one chain.

    `known` is the balance before the rows as the check knew it. `opening` is that balance as the rows themselves state
    it. If no row states a balance, `opening` and `closing` are None, and `unstated` is the sum of all rows. Otherwise
    `unstated` is 0. All chains of an account with rows in a range have segments of exactly that range.
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

    @property
    def balance_after(self) -> Decimal | None:
        """The balance of its chain after its rows. None: not known."""
        return balance_after(self.known, self.closing, self.unstated)


def balance_after(known: Decimal | None, closing: Decimal | None, unstated: Decimal) -> Decimal | None:
    """Return the balance after rows: from the balances that they state, or else from the known balance before them and
    their sum."""
    if closing is not None or known is None:
        return closing
    return EXACT.add(known, unstated)


class StoredSegments:
    """The stored segments of an account. It reads only the requested segments, because an account has one for each
    day."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection, self._account = connection, account

    def all(self) -> list[Segment]:
        """Every segment, by time and chain."""
        s = chain_segments.c
        query = sa.select(*chain_segments.columns).where(s.account == self._account)
        rows = self._connection.execute(query.order_by(s.since_us, s.subaccount, s.currency))
        return [_segment(row) for row in rows]

    def begin_before(self, at_us: int) -> int | None:
        """Return the beginning of the last segments that begin before an instant. None: no such segment."""
        ((begin_us,),) = self._rows(_BEGIN_BEFORE, at_us)
        return begin_us  # type: ignore[no-any-return] # the column of schema.chain_segments

    def begin_from(self, at_us: int) -> int | None:
        """Return the beginning of the first segments that begin at an instant or later. None: no such segment."""
        ((begin_us,),) = self._rows(_BEGIN_FROM, at_us)
        return begin_us  # type: ignore[no-any-return]

    def chains_in(self, since_us: int, until_us: int) -> set[Key]:
        """The chains that have a segment which begins in a range."""
        return {(row[0], row[1]) for row in self._rows(_CHAINS_IN, since_us, until_us)}

    def before(self, key: Key, at_us: int) -> tuple[int, Decimal | None] | None:
        """Return the beginning of the last segment of a chain that begins before an instant, and the balance after
        it."""
        for begin_us, known, closing, unstated in self._rows(_LAST_BEFORE, *key, at_us):
            return begin_us, balance_after(_amount(known), _amount(closing), Decimal(unstated))
        return None

    def after(self, key: Key, at_us: int) -> tuple[int, Decimal | None] | None:
        """Find the first segment of a chain that begins at an instant or later.

        Returns its beginning, and the balance before it as the check knew it.
        """
        for begin_us, known in self._rows(_FIRST_FROM, *key, at_us):
            return begin_us, _amount(known)
        return None

    def _rows(self, statement: str, *parameters: object) -> Sequence[Any]:
        return self._connection.exec_driver_sql(statement, (self._account, *parameters)).all()


_BEGIN_BEFORE: Final = "SELECT max(since_us) FROM chain_segments WHERE account = ? AND since_us < ?"
_BEGIN_FROM: Final = "SELECT min(since_us) FROM chain_segments WHERE account = ? AND since_us >= ?"
_CHAINS_IN: Final = """
SELECT DISTINCT subaccount, currency FROM chain_segments WHERE account = ? AND since_us >= ? AND since_us < ?
"""
_LAST_BEFORE: Final = """
SELECT since_us, known, closing, unstated FROM chain_segments
WHERE account = ? AND subaccount = ? AND currency = ? AND since_us < ? ORDER BY since_us DESC LIMIT 1
"""
_FIRST_FROM: Final = """
SELECT since_us, known FROM chain_segments
WHERE account = ? AND subaccount = ? AND currency = ? AND since_us >= ? ORDER BY since_us LIMIT 1
"""


# ---------------------------------------------------------------- rows of the table


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


def _segment(row: Sequence[Any]) -> Segment:
    # Columns by position: there is a row for each day of each chain, and access by name takes four times as long.
    _, subaccount, currency, since_us, until_us, *amounts, unstated, stated, reordered, first, last, breaks = row
    known, opening, closing = map(_amount, amounts)
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


def _amount(stored: Any) -> Decimal | None:  # noqa: ANN401 - text, or on PostgreSQL a Decimal
    return None if stored is None else Decimal(stored)


def _break(stored: _StoredBreak) -> Break:
    before, after, expected, stated, cause, rows = stored
    return Break(before, after, Decimal(expected), Decimal(stated), BreakCause(cause), rows)
