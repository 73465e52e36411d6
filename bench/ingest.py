"""ingest: rows that were read already, to a durable commit. `commit_slice` against one INSERT OR IGNORE table.

Slice by slice in turn, in this process: whatever disturbs the machine disturbs both.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from bench.peers.table import CashFlow, Values, create, insert
from bench.results import Outcome, Ratio, Series
from bench.setting import ACCOUNT, Setting, check_rows
from liushui.ledger.commit import commit_slice, make_account
from liushui.ledger.engine import open_ledger
from liushui.ledger.rows import read_rows
from liushui.provider import Received, Slice
from liushui.providers.longbridge import PROVIDER
from liushui.sync.cut import FILL

SLICE_ROWS: Final = int(PROVIDER.rules.paging.size_max * FILL)
"""What a sync aims at for one slice."""


def measure(setting: Setting) -> Outcome:
    """Rows a second of both, once a round, each round in fresh databases."""
    ours, bare = [], []
    for number in range(setting.options.rounds):
        setting.say(f"ingest, round {number + 1}")
        ours_s, bare_s, rows = _round(setting, number)
        ours.append(rows / ours_s)
        bare.append(rows / bare_s)
    what = f"decoded rows to durable commit, {SLICE_ROWS:,} a slice"
    ratio = Ratio("ingest", Series(what, "liushui", "rows/s", ours), Series(what, "one table", "rows/s", bare))
    return Outcome("ingest", [ratio])


def _round(setting: Setting, number: int) -> tuple[float, float, int]:
    """Seconds of ours, seconds of the peer, rows."""
    folder = setting.folder / f"ingest-{number}"
    folder.mkdir()
    ledger = open_ledger(str(folder / "ledger.db"), create=True)
    make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
    database = create(folder / "bare.db")
    ours_s = bare_s = 0.0
    rows = added = 0
    for asked, received, values in _slices(setting):
        begun = time.perf_counter()
        added += commit_slice(ledger, ACCOUNT, asked, read_at=ledger.clock(), received=received).added
        between = time.perf_counter()
        insert(database, values)
        ended = time.perf_counter()
        ours_s, bare_s, rows = ours_s + between - begun, bare_s + ended - between, rows + len(values)
    ledger.close()
    database.close()
    check_rows("ingest", added, setting.options.flows)
    return ours_s, bare_s, rows


def _slices(setting: Setting) -> Iterator[tuple[Slice, list[Received], list[Values]]]:
    """The rows in slices that end with a second, as each contestant takes them."""
    decode = msgspec.json.Decoder(CashFlow).decode
    rows = setting.data(setting.options.flows).rows()
    left: list[Received] = []
    while True:
        received, rejected = read_rows(PROVIDER.codec, list(islice(rows, SLICE_ROWS)))
        check_rows("rows that cannot be read", len(rejected), 0)
        ended = not received
        received = left + received
        if not received:
            return
        until = received[-1].flow.at + PROVIDER.rules.resolution
        if not ended:  # rows of the last second may go on in the next slice
            until -= PROVIDER.rules.resolution
        left = [row for row in received if row.flow.at >= until]
        received = [row for row in received if row.flow.at < until]
        if received:
            since = received[0].flow.at
            yield Slice(since, until), received, [decode(row.row).values() for row in received]
        if ended:
            return
