"""A program that commits many slices, for tests with several processes.

`python -m tests.ledger.writer_process LEDGER NUMBER WRITERS COMMITS [ACCOUNT]` is writer NUMBER of WRITERS. Each of
them commits slices in hours of its own.
"""

import sys
import time
from typing import Final

from liushui.ledger.engine import open_ledger
from tests.ledger.ledgers import commit_read, hours, make_row

PAUSE_S: Final = 0.005
"""Between two commits, as if waiting for a network: meanwhile another writer gets the lock."""


def main(url: str, number: int, writers: int, commits: int, account: str = "a") -> None:
    """Wait for a line of input, then commit slices of one row, and print a line for each."""
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
