"""export: peak memory and speed of `liushui flows --format jsonl` and `csv`, and of `liushui db copy`, at two sizes."""

from collections.abc import Mapping
from typing import Final

from bench.context import BenchContext
from bench.process import LIUSHUI, BenchError, Took, run
from bench.results import Measurement, Ratio, Series

FORMATS: Final = {"jsonl": 0, "csv": 1}
"""The streamed formats, and the number of lines of each that are not flows."""
BAR: Final = 1.2
CHUNK: Final = 1 << 20


def measure(context: BenchContext) -> Measurement:
    """Each is measured once, because a peak hardly varies."""
    measurement = Measurement("export")
    sizes = context.options.memory_flows
    for name, heading in FORMATS.items():
        took = {}
        for flows in sizes:
            context.log(f"export as {name}, {flows:,} flows")
            took[flows] = _export(context, name, flows, flows + heading)
        _compare(measurement, f"memory, export as {name}", f"liushui flows, {name}", took)
    took = {}
    for flows in sizes:
        context.log(f"db copy, {flows:,} flows")
        target = context.folder / f"copied-{flows}.db"
        took[flows] = run([*LIUSHUI, "db", "copy", str(context.ledger(flows)), str(target)])
        target.unlink()
    _compare(measurement, "memory, db copy", "liushui db copy", took)
    measurement.notes.append("export: the speed of a copy includes recomputing and comparing every chain")
    return measurement


def _compare(measurement: Measurement, ratio: str, who: str, took: Mapping[int, Took]) -> None:
    small, large = (
        Series(f"peak memory at {flows:,} flows", who, "MiB", [one.rss_bytes / 2**20]) for flows, one in took.items()
    )
    measurement.ratios.append(Ratio(ratio, large, small, BAR, "at most"))
    if all(one.private_bytes for one in took.values()):
        small, large = (
            Series(f"peak memory at {flows:,} flows, mapped files left out", who, "MiB", [one.private_bytes / 2**20])
            for flows, one in took.items()
        )
        measurement.ratios.append(Ratio(f"{ratio}, private", large, small))
    for flows, one in took.items():
        measurement.figures.append(Series(f"its speed at {flows:,} flows", who, "rows/s", [flows / one.wall_s]))


def _export(context: BenchContext, name: str, flows: int, lines: int) -> Took:
    out = context.folder / f"export-{flows}.{name}"
    command = [*LIUSHUI, "--ledger", str(context.ledger(flows)), "--format", name, "flows", "--limit", "0"]
    took = run(command, out=out)
    with out.open("rb") as written:
        found = sum(chunk.count(b"\n") for chunk in iter(lambda: written.read(CHUNK), b""))
    out.unlink()
    if found != lines:
        raise BenchError(f"export as {name}: expected {lines:,} lines, got {found:,}")
    return took
