"""The rows that a certificate certifies: the flows of a period after one batch, in a form that never changes.

A row is an object of texts. Its bytes are those of RFC 8785: sorted names and no optional white space.
"""

import csv
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from hashlib import sha256
from itertools import chain, islice
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.month_calendar import month_of, read_month
from liushui.ledger.schema import flows, history

CertifiedRow = dict[str, str]
"""A row by column, the columns sorted. A field without a value is the empty text."""

CHUNK_ROWS: Final = 500
_TIMES: Final = ("at_us", "settled_at_us")
_WIRE: Final = "wire_sha256"
_LEFT_OUT: Final = ("account", "served", "batch")

_NAMES: Final = [str(column.name) for column in flows.columns if column.name not in _LEFT_OUT]
_COLUMN_OF: Final = {name: name.removesuffix("_us") if name in _TIMES else name for name in _NAMES} | {"wire": _WIRE}

COLUMNS: Final = tuple(sorted(_COLUMN_OF.values()))
"""The columns of a row. `at` and `settled_at` have microseconds, in UTC; `detail` is JSON; `wire_sha256` is the digest
of the provider's row."""

AT: Final = "at"
ID: Final = "id"


def certified_rows(
    connection: Connection, account: str, since_us: int, until_us: int, batch: int
) -> Iterator[CertifiedRow]:
    """Stream the rows of [since, until) as of a batch, by time and id."""
    columns = [name for _, name in _ORDER]
    result = connection.execute(_select(account, since_us, until_us, batch, columns), execution_options={**STREAMED})
    for row in result:
        yield {name: to_text(value) for (name, _), to_text, value in zip(_ORDER, _TO_TEXT, row, strict=True)}


def certified_csv(ledger: Ledger, account: AccountName, period: str, batch: int) -> Generator[bytes]:
    """The rows of a month `2026-10` as of a batch, as CSV in pieces. Texts are not changed, because a certificate has
    their digest."""
    month = month_of(read_month(period), account)
    with ledger.reading() as connection:
        rows = certified_rows(connection, account.account, *month.range_us, batch)
        lines = chain([list(COLUMNS)], (list(row.values()) for row in rows))
        while part := list(islice(lines, CHUNK_ROWS)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(part)
            yield text.getvalue().encode()


def _select(
    account: str, since_us: int, until_us: int, batch: int, columns: Sequence[str]
) -> sa.CompoundSelect[tuple[object, ...]]:
    parts = []
    for table, later in ((flows, sa.true()), (history, history.c.ended_batch > batch)):
        t = table.c
        query = sa.select(*(t[name] for name in columns)).where(t.account == account, t.batch <= batch, later)
        parts.append(query.where(t.at_us >= since_us, t.at_us < until_us))
    return sa.union_all(*parts).order_by("at_us", "id")


def _instant_text(at_us: object) -> str:
    """Always with microseconds, so that texts sort as times do."""
    return "" if at_us is None else from_us(int(str(at_us))).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _plain_text(value: object) -> str:
    return "" if value is None else str(value)


def _digest_text(wire: object) -> str:
    return "" if wire is None else sha256(str(wire).encode()).hexdigest()


_ORDER: Final = sorted((column, name) for name, column in _COLUMN_OF.items())
_TO_TEXT: Final[list[Callable[[object], str]]] = [
    _instant_text if name in _TIMES else _digest_text if name == "wire" else _plain_text for _, name in _ORDER
]

canonical_row: Final[Callable[[CertifiedRow], bytes]] = msgspec.json.Encoder().encode
"""The bytes of a row. msgspec writes texts as RFC 8785 does, and keeps the order of the columns, which are sorted."""
