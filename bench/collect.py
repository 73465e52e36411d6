"""collect: `liushui sync` against dlt, the library that loads any REST API into any database, from the same stub."""

import time
from typing import Final

import msgspec

from bench.context import BEGIN, BenchContext, check_rows, credentials, sync_command
from bench.process import Took, run
from bench.programs import peer_environment, version_of
from bench.results import Measurement, Ratio, Series
from liushui.instant import to_us

TARGETS: Final = {"duckdb": "dlt into DuckDB (parquet)", "sqlite": "dlt into SQLite"}
BARS: Final = {TARGETS["duckdb"]: 2.0}
"""Only the faster of dlt's two targets has a bar."""
WHAT: Final = "HTTP to a database, from the stub"


class _Loaded(msgspec.Struct):
    rows: int


def measure(context: BenchContext) -> Measurement:
    """Rows a second of each contestant, in turn. Each run is a separate process and fills a new database."""
    measurement = Measurement("collect")
    python = peer_environment("dlt", install=context.options.install, log=context.log)
    if python is None:
        measurement.notes.append("collect: dlt is not here and could not be installed: that peer was skipped")
        return measurement
    flows, rounds = context.options.flows, context.options.peer_rounds
    took: dict[str, list[Took]] = {"liushui sync": [], **{name: [] for name in TARGETS.values()}}
    with context.stub(context.data(flows)) as stub:
        for number in range(rounds):
            context.log(f"collect, round {number + 1}")
            ledger = context.new_ledger(f"collect-{number}", stub.url, credentials())
            took["liushui sync"].append(run(sync_command(ledger)))
            for target, name in TARGETS.items():
                folder = context.folder / f"collect-{target}-{number}"
                folder.mkdir()
                command = [python, "-m", "bench.peers.pipeline", stub.url, target, str(folder)]
                done = run([*command, str(to_us(BEGIN) // 1_000_000), str(int(time.time()))])
                loaded = msgspec.json.decode(done.output.splitlines()[-1], type=_Loaded)
                check_rows(name, loaded.rows, flows)
                took[name].append(done)
    series = {name: Series(WHAT, name, "rows/s", [flows / one.wall_s for one in of]) for name, of in took.items()}
    ours, *peers = series.values()
    for peer in peers:
        bar = BARS.get(peer.who)
        measurement.ratios.append(Ratio(f"collect ÷ {peer.who}", ours, peer, bar, "at least" if bar else "reported"))
    for name, of in took.items():
        measurement.figures.append(
            Series("peak memory, collecting", name, "MiB", [one.rss_bytes / 2**20 for one in of])
        )
    measurement.notes.append(
        f"collect: dlt {version_of(python, 'dlt')} infers a schema and stores its state. It does not check "
        "whether rows are missing, and a second run into the same table would append every row again"
    )
    return measurement
