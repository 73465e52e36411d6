"""postgres: decoded rows to a durable commit on PostgreSQL. `commit_slice` against a plain COPY.

The peer copies all columns of the same rows into a table with the same primary key, one commit a slice, with the same
driver. It keeps no totals, no coverage and no chain, and fails on a row that already exists. Both run in turn, slice by
slice, in this process, on a temporary server with default settings (fsync on).
"""

import time
from typing import Final

import psycopg

from bench.context import ACCOUNT, BenchContext, check_rows
from bench.ingest import SLICE_ROWS, slices_of
from bench.results import Measurement, Ratio, Series
from liushui.instant import to_us
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.providers.longbridge import PROVIDER
from tests.postgres import Postgres, find_programs, running

BAR: Final = 0.5
CREATE: Final = "CREATE TABLE copied (LIKE flows INCLUDING DEFAULTS, PRIMARY KEY (account, at_us, id))"
COPY: Final = f"COPY copied ({', '.join(COLUMNS)}) FROM STDIN"
SELECT: Final = f"""
SELECT {", ".join(COLUMNS)} FROM flows WHERE account = %s AND at_us >= %s AND at_us < %s ORDER BY at_us, id
"""


def measure(context: BenchContext) -> Measurement:
    """Rows a second of both, once a round, each round in a new database."""
    measurement = Measurement("postgres")
    if find_programs() is None:
        measurement.notes.append("postgres: this machine has no PostgreSQL: it was skipped")
        return measurement
    ours, copied = [], []
    with running() as server:
        for number in range(context.options.rounds):
            context.log(f"postgres, round {number + 1}")
            ours_s, copy_s, rows = _round(context, server)
            ours.append(rows / ours_s)
            copied.append(rows / copy_s)
    what = f"decoded rows to durable commit on PostgreSQL, {SLICE_ROWS:,} a slice"
    series = Series(what, "liushui", "rows/s", ours), Series(what, "plain COPY", "rows/s", copied)
    measurement.ratios.append(Ratio("ingest into PostgreSQL", *series, BAR, "at least"))
    return measurement


def _round(context: BenchContext, server: Postgres) -> tuple[float, float, int]:
    """Return our seconds, the peer's seconds, and the number of rows."""
    url = server.new_database()
    ledger = open_ledger(url, create=True)
    make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
    ours_s = copy_s = 0.0
    rows = added = 0
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
        connection.commit()
        for asked, received in slices_of(context):
            begun = time.perf_counter()
            added += commit_slice(ledger, ACCOUNT, asked, read_at=ledger.clock(), received=received).added
            ours_s += time.perf_counter() - begun
            found = connection.execute(SELECT, (ACCOUNT, to_us(asked.since), to_us(asked.until))).fetchall()
            connection.commit()
            begun = time.perf_counter()
            with connection.cursor().copy(COPY) as copy:
                for row in found:
                    copy.write_row(row)
            connection.commit()
            copy_s += time.perf_counter() - begun
            rows += len(found)
    ledger.close()
    server.drop_database(url)
    check_rows("commit_slice", added, context.options.flows)
    check_rows("plain COPY", rows, context.options.flows)
    return ours_s, copy_s, rows
