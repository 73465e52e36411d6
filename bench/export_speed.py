"""export-speed: `liushui export` of each large format against a program that only writes the same columns.

Each run is a process, and its start counts. Rates are of processor time, because other programs on the machine hardly
affect it, and because DuckDB uses all cores where liushui uses one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from bench.context import BenchContext, check_rows
from bench.process import LIUSHUI, PYTHON, BenchError, Took, run
from bench.programs import peer_environment, version_of
from bench.results import Measurement, Ratio, Series

BOOK_ROWS: Final = 200_000
"""The most flows of a workbook. A row takes a hundred times as long as in CSV."""
JOURNALS: Final = ("beancount", "hledger")
INCOMPLETE: Final = 3
"""The exit code of an export whose range lacks flows."""
BARS: Final = {
    "csv ÷ bare loop": 0.8,
    "parquet ÷ DuckDB": 0.2,
    "beancount ÷ csv": 0.5,
    "hledger ÷ csv": 0.5,
    "xlsx ÷ bare xlsxwriter": 0.8,
}
CHUNK: Final = 1 << 20

Contestant = Callable[[], Took]


class _Ledger(NamedTuple):
    path: Path
    flows: int


def measure(context: BenchContext) -> Measurement:
    """All contestants in turn, once a round."""
    measurement = Measurement("export-speed")
    ledger = _Ledger(context.ledger(), context.options.flows)
    contestants: dict[str, Contestant] = {
        "csv": partial(_ours, context, ledger, "csv"),
        "bare loop": partial(_bare, context, ledger, "csv"),
        **{name: partial(_ours, context, ledger, name, _map(context)) for name in JOURNALS},
        **_tables(context, measurement, ledger),
    }
    rates = _rates(context, contestants, ledger)
    small = min(ledger.flows, BOOK_ROWS)
    book = _Ledger(context.ledger(small), small)
    books: dict[str, Contestant] = {
        "xlsx": partial(_ours, context, book, "xlsx"),
        "bare xlsxwriter": partial(_bare, context, book, "xlsx"),
    }
    rates |= _rates(context, books, book)
    for ratio, bar in BARS.items():
        ours, peer = ratio.split(" ÷ ")
        if ours in rates and peer in rates:
            measurement.ratios.append(Ratio(ratio, rates[ours], rates[peer], bar, "at least"))
    if "parquet" in rates:
        measurement.ratios.append(Ratio("parquet ÷ csv", rates["parquet"], rates["csv"]))
    measurement.notes.append("export-speed: rates are rows per second of processor time, with the start of the process")
    return measurement


def _rates(context: BenchContext, contestants: dict[str, Contestant], ledger: _Ledger) -> dict[str, Series]:
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(context.options.rounds):
        for name, contestant in contestants.items():
            context.log(f"export of {ledger.flows:,} flows by {name}, round {number + 1}")
            values[name].append(ledger.flows / contestant().cpu_s)
    what = f"rows a second of processor time, {ledger.flows:,} flows"
    return {name: Series(what, name, "rows/s", found) for name, found in values.items()}


def _ours(context: BenchContext, ledger: _Ledger, form: str, words: Sequence[str] = ()) -> Took:
    out = context.folder / f"ours.{form}"
    command = [*LIUSHUI, "--ledger", str(ledger.path), "export", form, *words, "--output", str(out)]
    took = run(command, codes=(0, INCOMPLETE))
    if form == "csv":
        check_rows("liushui export csv", _lines(out) - 1, ledger.flows)
    out.unlink()
    return took


def _bare(context: BenchContext, ledger: _Ledger, form: str) -> Took:
    out = context.folder / f"bare.{form}"
    took = run([PYTHON, "-m", "bench.peers.written", form, str(ledger.path), str(out)])
    check_rows(f"bare loop, {form}", int(took.output), ledger.flows)
    out.unlink()
    return took


def _map(context: BenchContext) -> list[str]:
    """The options with an account map for every flow."""
    file = context.folder / "map.toml"
    file.write_text(_MAP, encoding="utf-8")
    return ["--map", str(file)]


_MAP: Final = """
opening = "Equity:Opening-Balances"
[[asset]]
target = "Assets:Bench"
[[counter]]
target = "Income:Bench"
"""


def _tables(context: BenchContext, measurement: Measurement, ledger: _Ledger) -> dict[str, Contestant]:
    """Parquet, and DuckDB's copy of its own table with the same columns and types."""
    if find_spec("pyarrow") is None:
        measurement.notes.append("export-speed: pyarrow is not installed: Parquet was skipped")
        return {}
    ours: dict[str, Contestant] = {"parquet": partial(_ours, context, ledger, "parquet")}
    python = peer_environment("duckdb", install=context.options.install, log=context.log)
    if python is None:
        measurement.notes.append("export-speed: DuckDB is not here and could not be installed: that peer was skipped")
        return ours
    exported, database = context.folder / "flows.parquet", context.folder / "flows.duckdb"
    run([*LIUSHUI, "--ledger", str(ledger.path), "export", "parquet", "--output", str(exported)], codes=(0, INCOMPLETE))
    run([python, "-c", _LOAD, str(database), str(exported)])
    measurement.notes.append(f"export-speed: DuckDB {version_of(python, 'duckdb')} copies from its own table, as zstd")
    return {**ours, "DuckDB": partial(_copy, python, database, context.folder / "copied.parquet", ledger.flows)}


def _copy(python: str, database: Path, out: Path, flows: int) -> Took:
    took = run([python, "-c", _COPY, str(database), str(out)])
    check_rows("DuckDB", int(took.output), flows)
    out.unlink()
    return took


_LOAD: Final = """
import sys, duckdb
database, exported = sys.argv[1:]
duckdb.connect(database).execute("CREATE TABLE flows AS SELECT * FROM read_parquet(?)", [exported])
"""
_COPY: Final = """
import sys, duckdb
database, out = sys.argv[1:]
connection = duckdb.connect(database, read_only=True)
print(connection.execute(f"COPY flows TO '{out}' (FORMAT parquet, COMPRESSION zstd)").fetchone()[0])
"""


def _lines(file: Path) -> int:
    with file.open("rb") as written:
        found = sum(chunk.count(b"\n") for chunk in iter(lambda: written.read(CHUNK), b""))
    if not found:
        raise BenchError(f"expected lines in {file.name}, got none")
    return found
