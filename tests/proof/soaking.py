"""Runs the soak in a process of its own, because it forks, and a process with threads should not."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from soak.report import Report, read_report


class SoakRun(NamedTuple):
    """The exit code of a soak, everything that it printed, and the report that it saved."""

    code: int
    output: str
    report: Report


def soak(folder: Path, *arguments: object) -> SoakRun:
    """Run `python -m soak` to its end."""
    tally = folder / "tally.json"
    command = [sys.executable, "-m", "soak", *map(str, arguments), "--tally", str(tally)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tally.exists(), done.stdout[-3_000:] + done.stderr[-3_000:]
    return SoakRun(done.returncode, done.stdout + done.stderr, read_report(tally))
