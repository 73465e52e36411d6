"""Runs the soak in a separate process, because it forks, and a process with threads should not fork."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from soak.report import Report, read_report


class SoakRun(NamedTuple):
    """The process and the exit code of a soak, everything that it printed, and the report that it saved."""

    pid: int
    code: int
    output: str
    report: Report


def soak(folder: Path, *arguments: object) -> SoakRun:
    """Run `python -m soak` to its end."""
    tally = folder / "tally.json"
    command = [sys.executable, "-m", "soak", *map(str, arguments), "--tally", str(tally)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate()
    assert tally.exists(), output[-3_000:]
    return SoakRun(process.pid, process.returncode, output, read_report(tally))
