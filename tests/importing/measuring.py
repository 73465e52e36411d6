"""A program that imports one file and prints the cost: rows, the largest total memory, and its own largest memory.

`python -m tests.importing.measuring LEDGER FILE`. Memory is in bytes. Mapped files count in the total, and not in its
own memory. Its own memory is known only on Linux; elsewhere it is 0.
"""

import re
import resource
import sys
from pathlib import Path

from sqlalchemy import event

from liushui.importing.run import import_files
from liushui.providers.longbridge import PROVIDER
from tests.importing.inputs import new_ledger

STATUS = Path("/proc/self/status")


def own_memory() -> int:
    """The memory that is this process's own, now."""
    found = re.search(r"RssAnon:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) * 1_024 if found else 0


def main(ledger_path: Path, file: Path) -> None:
    """Import the file into a new ledger."""
    ledger = new_ledger(ledger_path)
    most = calls = 0

    def look(_about: object) -> None:
        nonlocal most
        most = max(most, own_memory())

    def advance(read: int) -> None:
        nonlocal calls
        calls += 1
        if calls % 2_000 == 0:
            look(read)

    event.listen(ledger.engine, "commit", look)
    imported = import_files(ledger, "a", PROVIDER, [file], advance)
    ledger.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1_024)
    sys.stdout.write(f"{imported.added} {peak} {most}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
