"""The machine that figures belong to."""

import os
import platform
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import liushui


@dataclass(frozen=True)
class Machine:
    """Where and when a run was made. `load` is the machine's load before it: what else went on."""

    date: str
    cores: int
    processor: str
    memory_gib: float
    system: str
    python: str
    sqlite: str
    liushui: str
    load: float

    def line(self) -> str:
        """All of it in one line."""
        return (
            f"{self.date} · {self.cores} cores ({self.processor}) · {self.memory_gib:.1f} GiB · {self.system} · "
            f"Python {self.python} · SQLite {self.sqlite} · liushui {self.liushui} · load before {self.load:.2f}"
        )


def this_machine() -> Machine:
    """The machine at hand, now."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        processor=_processor(),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        liushui=liushui.__version__,
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
