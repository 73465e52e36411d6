"""export: peak memory and speed of `liushui flows --format jsonl` and `csv`, all flows of a ledger, at two sizes."""

from typing import Final

from bench.process import LIUSHUI, BenchError, Took, run
from bench.results import Outcome, Ratio, Series
from bench.setting import Setting

FORMATS: Final = {"jsonl": 0, "csv": 1}
"""The formats that are streamed, and the lines that each has beside the flows."""
BAR: Final = 1.2
CHUNK: Final = 1 << 20


def measure(setting: Setting) -> Outcome:
    """Once each: a peak hardly varies."""
    outcome = Outcome("export")
    sizes = setting.options.memory_flows
    for name, heading in FORMATS.items():
        took = {}
        for flows in sizes:
            setting.say(f"export as {name}, {flows:,} flows")
            took[flows] = _export(setting, name, flows, flows + heading)
        small, large = (
            Series(f"peak memory at {flows:,} flows", f"liushui flows, {name}", "MiB", [one.rss_bytes / 2**20])
            for flows, one in took.items()
        )
        outcome.ratios.append(Ratio(f"memory, export as {name}", large, small, BAR, "at most"))
        for flows, one in took.items():
            rate = [flows / one.wall_s]
            outcome.figures.append(Series(f"its speed at {flows:,} flows", f"liushui flows, {name}", "rows/s", rate))
    return outcome


def _export(setting: Setting, name: str, flows: int, lines: int) -> Took:
    out = setting.folder / f"export-{flows}.{name}"
    command = [*LIUSHUI, "--ledger", str(setting.ledger(flows)), "--format", name, "flows", "--limit", "0"]
    took = run(command, out=out)
    with out.open("rb") as written:
        found = sum(chunk.count(b"\n") for chunk in iter(lambda: written.read(CHUNK), b""))
    out.unlink()
    if found != lines:
        raise BenchError(f"export as {name}: expected {lines:,} lines, got {found:,}")
    return took
