"""A worker process that makes calls within a rate, and prints when each call arrived.

`python -m tests.ratelimit.calling FILE CALLS` prints one time in microseconds per line.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from liushui.instant import system_clock
from liushui.ratelimit import OutgoingLimits, Permit
from liushui.rules import Rate

RATE: Final = Rate(calls=10, per=timedelta(milliseconds=250), spacing=timedelta(milliseconds=2))
CALL_MAX: Final = timedelta(seconds=5)


def main(path: Path, calls: int) -> None:
    """Make so many calls, each when it may be made."""
    limits, random = OutgoingLimits(path, system_clock), Random()
    while calls:
        begun = limits.begin("key", RATE, call_max=CALL_MAX)
        if not isinstance(begun, Permit):
            time.sleep(begun.duration.total_seconds())
            continue
        time.sleep(random.randrange(4) / 1000)  # on its way there
        arrived_us = time.time_ns() // 1000
        time.sleep(random.randrange(4) / 1000)  # and back
        limits.end("key", begun)
        sys.stdout.write(f"{arrived_us}\n")
        calls -= 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
