"""export: peak memory and speed of `liushui flows --format jsonl` and `csv`, and of `liushui db copy`, at two sizes."""

from collections.abc import Mapping
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
        _compare(outcome, f"memory, export as {name}", f"liushui flows, {name}", took)
    took = {}
    for flows in sizes:
        setting.say(f"db copy, {flows:,} flows")
        target = setting.folder / f"copied-{flows}.db"
        took[flows] = run([*LIUSHUI, "db", "copy", str(setting.ledger(flows)), str(target)])
        target.unlink()
    _compare(outcome, "memory, db copy", "liushui db copy", took)
    outcome.notes.append("export: the speed of a copy includes recomputing and comparing every chain")
    return outcome


def _compare(outcome: Outcome, ratio: str, who: str, took: Mapping[int, Took]) -> None:
    small, large = (
        Series(f"peak memory at {flows:,} flows", who, "MiB", [one.rss_bytes / 2**20]) for flows, one in took.items()
    )
    outcome.ratios.append(Ratio(ratio, large, small, BAR, "at most"))
    if all(one.private_bytes for one in took.values()):
        small, large = (
            Series(f"peak memory at {flows:,} flows, mapped files left out", who, "MiB", [one.private_bytes / 2**20])
            for flows, one in took.items()
        )
        outcome.ratios.append(Ratio(f"{ratio}, private", large, small))
    for flows, one in took.items():
        outcome.figures.append(Series(f"its speed at {flows:,} flows", who, "rows/s", [flows / one.wall_s]))


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
