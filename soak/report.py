"""What a soak came to, as a value that is written down: its tally, its failing seeds, and how each is made again."""

import platform
import sqlite3
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from liushui.errors import short_repr
from liushui.instant import to_iso
from soak.tally import Tally, never_met

COMMAND = "python -m soak"
RUNS = 300
"""From so many runs on, one that never met a fault is no proof."""
PER_MINUTE = 60


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A soak. `seconds`: how long it took. `jobs`: how many processes made its runs. `failed`: seeds."""

    command: str
    ended_at: str
    python: str
    sqlite: str
    jobs: int
    seconds: int
    failed: list[int]
    never_met: list[str]
    counts: dict[str, int]

    @property
    def is_right(self) -> bool:
        """Whether nothing failed, and enough was met."""
        return not self.failed and not self.never_met


def report_of(tally: Tally, failed: list[int], *, command: str, jobs: int, seconds: int, ended_at: datetime) -> Report:
    """What a soak came to, which that command makes again."""
    return Report(
        command=command,
        ended_at=to_iso(ended_at),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        jobs=jobs,
        seconds=seconds,
        failed=sorted(failed),
        never_met=never_met(tally) if tally["runs"] >= RUNS else [],
        counts=dict(sorted(tally.items(), key=lambda item: (":" in item[0], item[0]))),
    )


def again(seed: int, step: str | None) -> str:
    """The command that makes a run once more, without a step of the proof where one was left out."""
    return f"{COMMAND} --seed {seed}{without(step)}"


def without(step: str | None) -> str:
    """The end of a command that leaves out a step of the proof. None: it leaves out none."""
    return f" --without {step}" if step else ""


def progress(done: int, many: int, failed: int, seconds: int) -> str:
    """How far a soak has come, at which rate, and how long it will take at that."""
    rate = done * PER_MINUTE // max(1, seconds)
    left_s = (many - done) * max(1, seconds) // max(1, done)
    return f"{done} of {many} runs, {failed} failed, {seconds} s, {rate} a minute, {_time(left_s)} left"


def lines(report: Report, step: str | None) -> list[str]:
    """A report for people: a line for each name of its tally, those of one kind together; then what is wrong."""
    width = max(map(len, report.counts), default=0)
    counted = [f"{name:<{width}}  {many:>12,}" for name, many in report.counts.items()]
    failed = ", ".join(map(str, report.failed)) or "none"
    return [
        *counted,
        f"{report.counts.get('runs', 0)} runs in {report.seconds} s; failed: {failed}",
        *(f"again: {again(seed, step)}" for seed in report.failed),
        *([f"never met: {', '.join(report.never_met)}"] if report.never_met else []),
    ]


def read_report(path: Path) -> Report:
    """A report that was written down. Ends the program where there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        sys.exit(f"{path}: expected the tally of a soak, got {short_repr(str(error))}")


def write_report(report: Report, path: Path) -> None:
    """Write a report down."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _time(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
