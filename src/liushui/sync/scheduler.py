"""The scheduler: each source is synced when something of it is due, until somebody ends it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.errors import LedgerError, LiushuiError
from liushui.ledger.coverage import Range
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import new_holder
from liushui.ledger.jobs.sources import Source, list_sources
from liushui.ledger.jobs.sync_requests import SyncRequest, end_request, give_back, open_requests, take_request
from liushui.ledger.read.balances import ranges_of
from liushui.ratelimit.pacing import Backoff
from liushui.rules import Paging, Rules
from liushui.sync.events import NextSyncDue, Observer, SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.plan import first_unproven, next_refresh_at, retention_left
from liushui.sync.runner import SyncRunner, time_left, working

INTERVAL_S: Final = 300
"""Seconds between two syncs of a source that is watched, where rows come at any time and nobody says."""
FAILURE_BACKOFF: Final = Backoff(timedelta(minutes=1), timedelta(hours=1))
"""How long after a failure the next sync begins."""
CREDENTIALS_PAUSE: Final = timedelta(hours=6)
"""How long a source whose credentials were refused is left alone while they are the same."""
RELOAD_INTERVAL: Final = timedelta(seconds=30)
"""How often the sources are read again, for new ones, removed ones, and new credentials."""
LISTEN: Final = timedelta(seconds=1)
"""How often requests are looked for, where they are taken."""
PUT_OFF: Final = timedelta(seconds=5)
"""When a request is taken again whose account another process was syncing."""
HURRY: Final = 4
"""Of the time until a provider forgets something, the part after which it is tried again."""


class LastSync(NamedTuple):
    """How a source's last sync ended. `failures` are those in a row, this one included."""

    ended_at: datetime
    status: SyncStatus
    failures: int = 0
    not_before: datetime | None = None


def next_sync_at(
    rules: Rules[Paging],
    coverage: Sequence[Range],
    last: LastSync | None,
    *,
    since: datetime,
    until: datetime | None = None,
    every: timedelta,
    now: datetime,
    jittered: Callable[[timedelta], timedelta] = lambda time: time,
) -> datetime:
    """When a source is to be synced next. Pure.

    At once where it never was; after a failure, later each time, but in time for what the provider is about to forget;
    else when its provider has published; or, where it publishes as things happen, `every` so often, and when something
    older is due again.
    """
    if last is None:
        return now
    if last.status is SyncStatus.CREDENTIALS:
        return last.ended_at + CREDENTIALS_PAUSE
    if last.not_before is not None:
        return last.not_before
    if last.failures:
        pause = FAILURE_BACKOFF.wait(last.failures)
        left = retention_left(rules, coverage, since=since, until=until, now=now)
        if left is not None:
            pause = min(pause, max(FAILURE_BACKOFF.first, left // HURRY))
        return last.ended_at + jittered(pause)
    soonest = last.ended_at + min(every, FAILURE_BACKOFF.first)
    published = rules.next_publication(now)
    missing = first_unproven(rules, coverage, since=since, until=until, now=now)
    if published is not None:  # what is older waits for that too: it is daily, and nothing changes before
        return max(soonest, now if missing is not None else published)
    regular = last.ended_at + every
    look = next_refresh_at(rules, coverage, since=since, until=until, now=now)
    return max(soonest, regular if look is None else min(regular, look))


@dataclass
class _Watched:
    """A source, how its last sync ended, and when the next one begins."""

    source: Source
    due: datetime
    last: LastSync | None = None
    request: SyncRequest | None = None
    """What somebody asked for, and the next sync is for."""
    not_before: datetime | None = None
    """When the next request is taken, where it cannot be before."""


class Scheduler:
    """Syncs the sources of a ledger whenever something of them is due. `ended` is told of each sync.

    With `requests` it also syncs what somebody asks for; without `scheduled` nothing else. Sources that are paused are
    passed over until somebody asks.
    """

    def __init__(
        self,
        ledger: Ledger,
        names: Sequence[str],
        options: Options,
        environment: Environment,
        *,
        every: timedelta,
        tell: Observer,
        ended: Callable[[SyncResult], None],
        scheduled: bool = True,
        requests: bool = False,
    ) -> None:
        self._ledger, self._names, self._options, self._environment = ledger, names, options, environment
        self._every, self._tell, self._report = every, tell, ended
        self._watched: dict[str, _Watched] = {}
        self._running: dict[str, asyncio.Task[SyncResult]] = {}
        self._unanswered: list[tuple[SyncRequest, SyncResult]] = []
        """What was asked for and is done, where nobody has been told yet."""
        self._scheduled, self._requests = scheduled, requests
        self._holder = new_holder()
        self._looked_at: datetime | None = None

    async def run(self) -> None:
        """Go on until this task is cancelled: then what is being committed is, and leases are given back."""
        async with working(self._ledger, self._options, self._environment, self._tell) as workers:
            try:
                while True:
                    with suppress(LedgerError):  # another process writes for long: the sources are those known before
                        await asyncio.to_thread(self._look_round)
                    self._start(workers)
                    await self._wait()
                    await self._take_in()
            finally:
                for task in self._running.values():
                    task.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)
                await asyncio.to_thread(self._give_back)

    def _look_round(self) -> None:
        """Look at the sources, where it is time to, and at what somebody asks for."""
        now = self._ledger.clock()
        found = open_requests(self._ledger) if self._requests else []
        new = any(request.account not in self._watched for request in found)
        if (
            not self._requests
            or new
            or self._looked_at is None
            or not self._looked_at <= now < self._looked_at + RELOAD_INTERVAL
        ):
            self._looked_at = now
            self._look()
        for request in found:
            watched = self._watched.get(request.account)
            if watched is None or watched.request is not None or request.account in self._running:
                continue
            if watched.not_before is not None and now < watched.not_before:
                continue
            if take_request(self._ledger, request, self._holder):
                watched.request, watched.due = request, now

    def _give_back(self) -> None:
        """Leave what was asked for, and not done, to others."""
        with suppress(LiushuiError):
            self._answer()
        for watched in self._watched.values():
            if watched.request is not None:
                with suppress(LiushuiError):  # whoever finds that we are gone takes it all the same
                    give_back(self._ledger, watched.request, self._holder)

    def _look(self) -> None:
        """Read the sources. One that is new, or whose refused credentials were changed, is due at once."""
        now = self._ledger.clock()
        found = {
            source.account: source
            for source in list_sources(self._ledger)
            if not self._names or source.account in self._names
        }
        for account in self._watched.keys() - found.keys():
            del self._watched[account]
        for account, source in found.items():
            watched = self._watched.setdefault(account, _Watched(source, due=now))
            if watched.source != source:
                if watched.last is not None and watched.last.status is SyncStatus.CREDENTIALS:
                    watched.last, watched.due = None, now
                watched.source = source

    def _start(self, workers: SyncRunner) -> None:
        """Begin what is due, that first of which a provider is about to forget something."""
        now = self._ledger.clock()
        due = [one for one in self._idle() if one.due <= now]
        for watched in sorted(due, key=lambda one: time_left(self._ledger, one.source, self._environment)):
            everything = watched.request is not None and watched.request.everything
            options = replace(self._options, everything=True) if everything else None
            self._running[watched.source.account] = asyncio.create_task(workers.sync(watched.source, options))

    async def _wait(self) -> None:
        """Return when a sync has ended, when the next one is due, or when it is time to look at the sources again."""
        now = self._ledger.clock()
        wake = min([now + (LISTEN if self._requests else RELOAD_INTERVAL), *(one.due for one in self._idle())])
        sleeper = asyncio.ensure_future(self._environment.sleep(max(timedelta(0), wake - now)))
        try:
            done, _ = await asyncio.wait({sleeper, *self._running.values()}, return_when=asyncio.FIRST_COMPLETED)
            if sleeper in done:
                sleeper.result()
        finally:
            sleeper.cancel()

    def _idle(self) -> list[_Watched]:
        """Those that wait for their time: by the schedule, or because somebody asked."""
        return [
            one
            for account, one in self._watched.items()
            if account not in self._running and (one.request is not None or (self._scheduled and not one.source.paused))
        ]

    async def _take_in(self) -> None:
        """Plan what comes after the syncs that have ended."""
        for account, task in list(self._running.items()):
            if task.done():
                del self._running[account]
                result = task.result()
                self._report(result)
                if (watched := self._watched.get(account)) is not None:
                    if watched.request is not None:
                        self._unanswered.append((watched.request, result))
                    is_busy = watched.request is not None and result.status is SyncStatus.BUSY
                    watched.request, watched.not_before = None, self._ledger.clock() + PUT_OFF if is_busy else None
                    await asyncio.to_thread(self._plan, watched, result)
                    self._tell(NextSyncDue(account, watched.due))
        with suppress(LedgerError):  # another process writes for long: later
            await asyncio.to_thread(self._answer)

    def _answer(self) -> None:
        """Say what became of what was asked for. What another process kept us from is asked for still."""
        while self._unanswered:
            request, result = self._unanswered[0]
            if result.status is SyncStatus.BUSY:
                give_back(self._ledger, request, self._holder)
            else:
                error = result.error or result.note or "; ".join(result.gaps[:1])
                end_request(self._ledger, request, self._holder, status=result.status.value, error=error)
            del self._unanswered[0]

    def _plan(self, watched: _Watched, result: SyncResult) -> None:
        before, now = watched.last.failures if watched.last else 0, self._ledger.clock()
        failures = {SyncStatus.DONE: 0, SyncStatus.FAILED: before + 1, SyncStatus.INCOMPLETE: before + 1}.get(
            result.status, before
        )
        watched.last = LastSync(now, result.status, failures, result.not_before)
        watched.due = now + FAILURE_BACKOFF.first
        with suppress(LiushuiError):  # nobody can tell when, so soon
            watched.due = next_sync_at(
                self._environment.provider(watched.source.provider).rules,
                ranges_of(self._ledger, watched.source.account),
                watched.last,
                since=self._options.since or watched.source.since,
                until=self._options.until,
                every=self._every,
                now=now,
                jittered=self._environment.jittered,
            )
