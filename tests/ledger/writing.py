"""A program that commits many slices, for tests of several processes at once.

`python -m tests.ledger.writing LEDGER NUMBER WRITERS COMMITS [ACCOUNT]` is writer NUMBER of so
many, each with hours of its own.
"""

import sys
import time
from typing import Final

from liushui.ledger.engine import open_ledger
from tests.ledger.books import commit_read, hours, make_row

PAUSE_S: Final = 0.005
"""Between two commits, as one that reads from a network has it: the lock goes to who waits for it."""


def main(url: str, number: int, writers: int, commits: int, account: str = "a") -> None:
    """Commit a slice of one row, so many times, once a line is read. Each is told of."""
    ledger = open_ledger(url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for commit in range(commits):
        at = writers * commit + number
        commit_read(ledger, hours(at, at + 1), make_row(f"{number} {commit}", at), account=account)
        sys.stdout.write(f"{commit}\n")
        sys.stdout.flush()
        time.sleep(PAUSE_S)
    ledger.close()


if __name__ == "__main__":
    url, number, writers, commits, *account = sys.argv[1:]
    main(url, int(number), int(writers), int(commits), *account)
