"""ingest: decoded rows to a durable commit. `commit_slice` against a bare INSERT of the same columns.

Both run in turn, slice by slice, in this process, so that other programs disturb both alike. The peer writes prepared
rows to the ledger's table in a separate file, with the ledger's pragmas. It keeps no totals, no coverage and no chain,
and fails on a row that already exists.
"""

import sqlite3
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from bench.context import ACCOUNT, BenchContext, check_rows
from bench.process import BenchError
from bench.results import Measurement, Ratio, Series
from liushui.instant import from_us
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import COLUMNS, RowBatch, read_batch
from liushui.ledger.write.change import by_key
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers.longbridge import PROVIDER
from liushui.sync.slicer import FILL

SLICE_ROWS: Final = int(PROVIDER.rules.paging.size_max * FILL)
"""The rows of a slice that a sync aims at."""
BAR: Final = 0.5
INSERT: Final = f"INSERT INTO flows ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class _Timed(msgspec.Struct):
    """The time of a row."""

    business_time: str


def measure(context: BenchContext) -> Measurement:
    """Rows a second of both, once a round, each round in new databases."""
    ours, bare = [], []
    for number in range(context.options.rounds):
        context.log(f"ingest, round {number + 1}")
        ours_s, bare_s, rows = _round(context, number)
        ours.append(rows / ours_s)
        bare.append(rows / bare_s)
    what = f"rows that were read to durable commit, {SLICE_ROWS:,} a slice"
    pair = Series(what, "liushui", "rows/s", ours), Series(what, "executemany of the same rows", "rows/s", bare)
    return Measurement("ingest", [Ratio("ingest", *pair, BAR, "at least")])


def _round(context: BenchContext, number: int) -> tuple[float, float, int]:
    """Return our seconds, the peer's seconds, and the number of rows."""
    folder = context.folder / f"ingest-{number}"
    folder.mkdir()
    ledger = open_ledger(str(folder / "ledger.db"), create=True)
    make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
    database = new_table(folder / "bare.db")
    ours_s = bare_s = 0.0
    rows = added = 0
    for asked, together in slices_of(context):
        values = sorted(together.to_rows(ACCOUNT, 1), key=by_key)
        begun = time.perf_counter()
        added += commit_slice(ledger, ACCOUNT, asked, read_at=ledger.clock(), received=together).added
        between = time.perf_counter()
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, values)
        database.execute("COMMIT")
        ended = time.perf_counter()
        ours_s, bare_s, rows = ours_s + between - begun, bare_s + ended - between, rows + len(values)
    ledger.close()
    database.close()
    check_rows("ingest", added, context.options.flows)
    return ours_s, bare_s, rows


def new_table(file: Path) -> sqlite3.Connection:
    """The ledger's table of flows alone in a file, with the ledger's pragmas."""
    ledger = open_ledger(str(file.with_suffix(".model")), create=True)
    with ledger.reading() as connection:
        statement = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'flows'").scalar()
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_size", "journal_mode", "synchronous", "wal_autocheckpoint", "cache_size")
        }
    ledger.close()
    database = sqlite3.connect(file, isolation_level=None)
    for name, value in pragmas.items():
        database.execute(f"PRAGMA {name} = {value}")
    database.execute(str(statement))
    return database


def slices_of(context: BenchContext) -> Iterator[tuple[Slice, RowBatch]]:
    """The rows in slices. All rows of a second are in one slice."""
    time_of = msgspec.json.Decoder(_Timed).decode
    waiting: list[bytes] = []
    for _, rows in groupby(context.data(context.options.flows).rows(), key=lambda row: time_of(row).business_time):
        if len(waiting) >= SLICE_ROWS:
            yield _slice(waiting)
            waiting = []
        waiting += rows
    if waiting:
        yield _slice(waiting)


def _slice(rows: list[bytes]) -> tuple[Slice, RowBatch]:
    together = read_batch(PROVIDER.codec, rows)
    if together is None:
        raise BenchError("ingest: a row of the made ones is no ordinary one")
    first, last = from_us(min(together.at_us)), from_us(max(together.at_us))
    return Slice(first, last + PROVIDER.rules.resolution), together
