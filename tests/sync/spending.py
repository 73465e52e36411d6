"""A worker in a process of its own that makes calls within a budget, and says when each arrived.

`python -m tests.sync.spending FILE SECONDS` prints a time in microseconds a line.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from liushui.instant import system_clock
from liushui.ratelimit.outgoing import Begun, Budget
from liushui.rules import Rate

RATE: Final = Rate(calls=10, per=timedelta(milliseconds=250), spacing=timedelta(milliseconds=2))
CALL_MAX: Final = timedelta(seconds=5)


def main(path: Path, seconds: int) -> None:
    """Make as many calls as may be made."""
    budget, random = Budget(path, system_clock), Random()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = budget.begin("key", RATE, call_max=CALL_MAX)
        if not isinstance(found, Begun):
            time.sleep(found.time.total_seconds())
            continue
        time.sleep(random.randrange(4) / 1000)
        arrived = time.time_ns() // 1000
        time.sleep(random.randrange(4) / 1000)
        budget.end("key", found)
        sys.stdout.write(f"{arrived}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
