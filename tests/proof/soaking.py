"""Runs the soak as its command does, in a process of its own: it forks, and what forks had best have no threads."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from soak.report import Report, read_report


class Soaked(NamedTuple):
    """How a soak ended, all that it said, and what it wrote down."""

    code: int
    said: str
    report: Report


def soak(folder: Path, *arguments: object) -> Soaked:
    """`python -m soak`, to its end."""
    tally = folder / "tally.json"
    command = [sys.executable, "-m", "soak", *map(str, arguments), "--tally", str(tally)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tally.exists(), done.stdout[-3_000:] + done.stderr[-3_000:]
    return Soaked(done.returncode, done.stdout + done.stderr, read_report(tally))
