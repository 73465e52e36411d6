"""The scheduler: syncs each source when it is due or a sync is requested, until it is stopped."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liushui.errors import LedgerError, LiushuiError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source, list_sources
from liushui.ledger.jobs.sync_requests import SyncRequest, end_request, requests_to_take, return_request, take_request
from liushui.ledger.jobs.workers import new_holder
from liushui.ledger.read.accounts import ranges_of
from liushui.sync.events import NextSyncDue, Observer, SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.plan import FAILURE_BACKOFF, LastSync, Plan, next_sync_at
from liushui.sync.runner import SyncRunner, urgency

RELOAD_INTERVAL: Final = timedelta(seconds=30)
"""How often the sources are read again, to find new ones, removed ones and new credentials."""
REQUEST_INTERVAL: Final = timedelta(seconds=1)
"""How often requests are read, if they are served."""
BUSY_PAUSE: Final = timedelta(seconds=5)
"""When a request is tried again whose account another process was syncing."""


@dataclass
class _Schedule:
    """When a source is synced next."""

    source: Source
    due_at: datetime
    last: LastSync | None = None
    request: SyncRequest | None = None
    """The request that the next sync serves, if there is one."""
    requests_from: datetime | None = None
    """The earliest time to take the next request. None: any."""


class Scheduler:
    """Syncs the sources of a ledger when they are due, and reports each result to `on_result`.

    With `requests` it also serves requests for a sync; without `scheduled` it serves only requests. A paused source is
    synced only for a request.
    """

    def __init__(
        self,
        ledger: Ledger,
        names: Sequence[str],
        options: Options,
        environment: Environment,
        *,
        every: timedelta,
        notify: Observer,
        on_result: Callable[[SyncResult], None],
        scheduled: bool = True,
        requests: bool = False,
    ) -> None:
        self._ledger, self._names, self._options, self._environment = ledger, names, options, environment
        self._every, self._notify, self._on_result = every, notify, on_result
        self._scheduled, self._requests = scheduled, requests
        self._schedules: dict[str, _Schedule] = {}
        self._running: dict[str, asyncio.Task[SyncResult]] = {}
        self._served: list[tuple[SyncRequest, SyncResult]] = []
        """Requests whose sync has ended, but whose end is not yet recorded in the ledger."""
        self._holder = new_holder()
        self._reloaded_at: datetime | None = None

    async def run(self) -> None:
        """Run until this task is cancelled. Then commits that have begun are finished, and leases are released."""
        with closing(SyncRunner(self._ledger, self._options, self._environment, self._notify)) as runner:
            try:
                while True:
                    # While another process blocks reading the ledger, the old schedules are used.
                    with suppress(LedgerError):
                        await asyncio.to_thread(self._read_ledger)
                    self._start_due(runner)
                    await self._wait()
                    await self._finish_ended()
            finally:
                for task in self._running.values():
                    task.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)
                await asyncio.to_thread(self._give_back_requests)

    # ---------------------------------------------------------------- what is due

    def _read_ledger(self) -> None:
        """Read requests. Also read the sources, if it is time or a request names a new source."""
        now = self._ledger.clock()
        requests = requests_to_take(self._ledger) if self._requests else []
        is_time = self._reloaded_at is None or not self._reloaded_at <= now < self._reloaded_at + RELOAD_INTERVAL
        if is_time or not self._requests or any(request.account not in self._schedules for request in requests):
            self._reloaded_at = now
            self._reload_sources(now)
        for request in requests:
            schedule = self._schedules.get(request.account)
            if schedule is None or schedule.request is not None or request.account in self._running:
                continue
            if schedule.requests_from is not None and now < schedule.requests_from:
                continue
            if take_request(self._ledger, request, self._holder):
                schedule.request, schedule.due_at = request, now

    def _reload_sources(self, now: datetime) -> None:
        """Read the sources. A new source is due at once, and so is one whose refused credentials were changed."""
        sources = {
            source.account: source
            for source in list_sources(self._ledger)
            if not self._names or source.account in self._names
        }
        for account in self._schedules.keys() - sources.keys():
            del self._schedules[account]
        for account, source in sources.items():
            schedule = self._schedules.setdefault(account, _Schedule(source, due_at=now))
            if schedule.source != source:
                if schedule.last is not None and schedule.last.status is SyncStatus.CREDENTIALS:
                    schedule.last, schedule.due_at = None, now
                schedule.source = source

    def _waiting(self) -> list[_Schedule]:
        """The schedules that will start a sync."""
        return [
            schedule
            for account, schedule in self._schedules.items()
            if account not in self._running
            and (schedule.request is not None or (self._scheduled and not schedule.source.paused))
        ]

    # ---------------------------------------------------------------- syncs

    def _start_due(self, runner: SyncRunner) -> None:
        """Start the syncs that are due, the most urgent ones first."""
        now = self._ledger.clock()
        due = [schedule for schedule in self._waiting() if schedule.due_at <= now]
        for schedule in sorted(due, key=lambda one: urgency(self._ledger, one.source, self._environment)):
            everything = schedule.request is not None and schedule.request.everything
            sync = runner.sync(schedule.source, everything=everything)
            self._running[schedule.source.account] = asyncio.create_task(sync)

    async def _wait(self) -> None:
        """Return when a sync has ended, the next one is due, or the ledger has to be read again."""
        now = self._ledger.clock()
        interval = REQUEST_INTERVAL if self._requests else RELOAD_INTERVAL
        wake_at = min([now + interval, *(schedule.due_at for schedule in self._waiting())])
        sleeper = asyncio.ensure_future(self._environment.sleep(max(timedelta(0), wake_at - now)))
        try:
            done, _ = await asyncio.wait({sleeper, *self._running.values()}, return_when=asyncio.FIRST_COMPLETED)
            if sleeper in done:
                sleeper.result()
        finally:
            sleeper.cancel()

    async def _finish_ended(self) -> None:
        """Report the syncs that have ended, and plan the next ones."""
        for account, task in list(self._running.items()):
            if not task.done():
                continue
            del self._running[account]
            result = task.result()
            self._on_result(result)
            if (schedule := self._schedules.get(account)) is not None:
                schedule.requests_from = None
                if schedule.request is not None:
                    self._served.append((schedule.request, result))
                    if result.status is SyncStatus.BUSY:
                        schedule.requests_from = self._ledger.clock() + BUSY_PAUSE
                schedule.request = None
                await asyncio.to_thread(self._plan_next, schedule, result)
                self._notify(NextSyncDue(account, schedule.due_at))
        # While another process blocks writing the ledger, the ends of requests wait.
        with suppress(LedgerError):
            await asyncio.to_thread(self._end_requests)

    def _plan_next(self, schedule: _Schedule, result: SyncResult) -> None:
        now = self._ledger.clock()
        failures = schedule.last.failures if schedule.last else 0
        if result.status is SyncStatus.DONE:
            failures = 0
        elif result.status in (SyncStatus.FAILED, SyncStatus.INCOMPLETE):
            failures += 1
        schedule.last = LastSync(now, result.status, failures, result.not_before)
        schedule.due_at = now + FAILURE_BACKOFF.first  # if the plan cannot be made
        with suppress(LiushuiError):
            plan = Plan(
                self._environment.provider(schedule.source.provider).rules,
                ranges_of(self._ledger, schedule.source.account),
                since=self._options.since or schedule.source.since,
                until=self._options.until,
                now=now,
            )
            schedule.due_at = next_sync_at(plan, schedule.last, every=self._every, jittered=self._environment.jittered)

    # ---------------------------------------------------------------- requests

    def _end_requests(self) -> None:
        """Record the outcome of the requested syncs. Requests for busy accounts stay open."""
        while self._served:
            request, result = self._served[0]
            if result.status is SyncStatus.BUSY:
                return_request(self._ledger, request, self._holder)
            else:
                error = result.error or result.note or "; ".join(result.gaps[:1])
                end_request(self._ledger, request, self._holder, status=result.status.value, error=error)
            del self._served[0]

    def _give_back_requests(self) -> None:
        """Return unfinished sync requests, so that another process can take them."""
        with suppress(LiushuiError):
            self._end_requests()
        for schedule in self._schedules.values():
            if schedule.request is not None:
                # If a request cannot be given back, the next process that notices the end of this one takes it.
                with suppress(LiushuiError):
                    return_request(self._ledger, schedule.request, self._holder)
