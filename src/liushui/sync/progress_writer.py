"""Keeps how far syncs are in the ledger, so that every process can show it. A thread of its own writes it."""

import threading
from datetime import datetime, timedelta
from typing import Final

from liushui.errors import LiushuiError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import new_holder
from liushui.ledger.jobs.progress import RUNNING, Progress, write_progress
from liushui.sync.events import (
    CallDelayed,
    CallRetried,
    Event,
    SliceCommitted,
    SliceFailed,
    SyncAdvanced,
    SyncEnded,
    SyncStarted,
)

EVERY_S: Final = 0.5
"""How often it is written, while something happens."""
ALIVE: Final = timedelta(seconds=15)
"""How often it is written while nothing does."""
SAID_MIN: Final = timedelta(seconds=1)
"""Shorter waits are the pace of a sync, and not worth a word."""


class ProgressWriter:
    """Is told what syncs do, and keeps it. Use it as a context: at its end all of it is written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holder = new_holder()
        self._lock = threading.Lock()
        self._known: dict[str, Progress] = {}
        self._unwritten: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> "ProgressWriter":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self._write()

    def __call__(self, event: Event) -> None:
        """Take in what happened. It waits for nothing."""
        now = self._ledger.clock()
        with self._lock:
            after = self._after(self._known.get(event.account), event, now)
            if after is not None:
                self._known[event.account] = after._replace(updated_at=now)
                self._unwritten.add(event.account)

    def _after(self, known: Progress | None, event: Event, now: datetime) -> Progress | None:
        """How far it is after an event. None: that says nothing of it."""
        begun = Progress(event.account, self._holder, now, now, None, RUNNING)
        known = known or begun
        match event:
            case SyncStarted():
                return begun
            case SyncAdvanced():
                return known._replace(slices_left=event.slices_left, said="")
            case SliceCommitted():
                done = event.committed
                return known._replace(
                    slices=known.slices + 1,
                    rows_in=known.rows_in + event.rows,
                    added=known.added + done.added,
                    restated=known.restated + done.restated,
                    withdrawn=known.withdrawn + done.withdrawn,
                    quarantined=known.quarantined + done.quarantined,
                )
            case SliceFailed():
                return known._replace(gaps=known.gaps + 1, said=event.reason)
            case CallRetried():
                return known._replace(said=event.reason)
            case CallDelayed(_, wait, reason) if wait >= SAID_MIN:
                return known._replace(said=f"waits {wait // timedelta(seconds=1)} s: {reason}")
            case SyncEnded():
                result = event.result
                return known._replace(
                    ended_at=now,
                    status=result.status.value,
                    slices_left=0,
                    gaps=len(result.gaps),
                    said=result.error or result.note or "; ".join(result.gaps[:1]),
                )
        return None

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            self._write()

    def _write(self) -> None:
        """Write what changed, and what goes on without a word. What cannot be written now is with the next."""
        now = self._ledger.clock()
        with self._lock:
            for account, known in self._known.items():
                if known.ended_at is None and now >= known.updated_at + ALIVE:
                    self._known[account] = known._replace(updated_at=now)
                    self._unwritten.add(account)
            due = [self._known[account] for account in self._unwritten]
            self._unwritten.clear()
        if not due:
            return
        try:
            write_progress(self._ledger, due)
        except LiushuiError:
            with self._lock:
                self._unwritten.update(one.account for one in due)
