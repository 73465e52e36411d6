"""The rate-limited caller: makes a source's calls within its credential's rate, and repeats calls that failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from liushui.errors import (
    AuthError,
    ClockRefused,
    LiushuiError,
    RateLimited,
    SyncError,
    Unanswered,
    Unavailable,
    Unfinished,
    Unreachable,
    WireError,
    WrongPage,
)
from liushui.instant import to_iso
from liushui.ledger.jobs.sources import Source
from liushui.provider import ClockedClient, Page, PageRequest, SessionClient
from liushui.ratelimit import Backoff, Permit, credential_key
from liushui.sync.events import CallDelayed, CallRetried
from liushui.sync.options import SyncContext

RETRY_WAIT_MAX: Final = timedelta(seconds=30)
PERMIT_TRIES_MAX: Final = 1_000_000
"""How often a call asks whether it may begin. This takes hours, so only broken limits exceed it."""
CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""Smaller differences between clocks are ignored: answers state their time in seconds, and take some time to arrive."""
CORRECTIONS_MAX: Final = 2
"""How often a sync may correct its assumption about the provider's clock."""
CONNECT_ATTEMPTS: Final = 3
"""How often the first connection of a sync is tried. It is low, so that a missing network is reported soon."""
WRONG_PAGE_ATTEMPTS: Final = 2
"""How often a page is requested before the service is considered to return wrong pages: a cache may do that once."""
UNFINISHED_ATTEMPTS: Final = 2
"""How often a call is made whose answer does not end: each attempt takes the full time of a call."""


SILENT_PAGES: Final = 2
"""The number of consecutive pages without an answer after which a service counts as silent."""


class Deferred(SyncError):
    """The provider asked for no calls until an instant. The instant is too far away to wait for."""

    def __init__(self, reason: str, until: datetime) -> None:
        super().__init__(f"{reason}: put off until {to_iso(until)}")
        self.until, self.reason = until, reason


class ClockCorrected(LiushuiError):
    """An answer showed that the provider's clock differs from the sync's assumption. Plan again with its time."""


class RateLimitedCaller:
    """A client that paces its source's calls. It makes one call at a time, within the rate of the source's
    credential."""

    def __init__(self, context: SyncContext, source: Source, *, keep_lease: Callable[[], Awaitable[None]]) -> None:
        self._options, self._environment, self._notify = context.options, context.environment, context.notify
        self._limits, self._clock = context.limits, context.ledger.clock
        provider = context.environment.provider(source.provider)
        self._client = client = context.environment.connect(provider, source, context.options)
        # Evaluated once, because an isinstance check of a protocol takes longer than checking whether a call may begin.
        self._session_client = client if isinstance(client, SessionClient) else None
        self._clocked_client = client if isinstance(client, ClockedClient) else None
        self._account, self._rate, self._is_paced = source.account, provider.rules.rate, source.paced
        self._key = credential_key(provider, source.base_url, source.credentials)
        self._keep_lease = keep_lease
        """Called before each call and after each wait, because another worker may take the account from a silent
        one."""
        self._lock = asyncio.Lock()
        self._retries_left = context.options.retries_max
        self._skew_max = provider.rules.clock_skew_max
        self._corrections, self._was_answered = 0, False
        self._unanswered = 0
        """Consecutive pages that were given up without any answer."""
        self.clock_offset = timedelta(0)
        """The provider's time minus the ledger's time."""

    def now(self) -> datetime:
        """Return the provider's time; ours until an answer has shown a difference."""
        return self._clock() + self.clock_offset

    def begin_slice(self) -> None:
        """Reset the number of retries for a new slice."""
        self._retries_left = self._options.retries_max

    async def fetch_page(self, request: PageRequest) -> Page:
        """Fetch one page, as Client.fetch_page does. Raises Deferred, ClockCorrected, or the error of the last
        attempt."""
        attempt = 1
        while True:
            try:
                page = await self._call(request)
            except AuthError as error:
                self.check_clock()  # a wrong time makes a signature invalid
                if isinstance(error, ClockRefused) or (self._skew_max and abs(self.clock_offset) > self._skew_max):
                    raise ClockRefused(f"{error}. {self._clock_text()}") from error
                raise
            except (RateLimited, Unavailable, WireError) as error:
                # An unreadable answer may have been cut off in transit, so it is requested again too.
                wait = self._wait_after(error, attempt)
                if attempt >= self._attempts_after(error) or self._retries_left == 0:
                    self._unanswered += isinstance(error, Unanswered)
                    raise
                self._retries_left -= 1
                self._notify(CallRetried(self._account, request.slice_, str(error), attempt, wait))
            else:
                self._was_answered, self._unanswered = True, 0
                self.check_clock()
                return page
            await self._sleep(wait, "retry")
            attempt += 1

    @property
    def is_silent(self) -> bool:
        """Whether the service no longer answers. A single page may be too slow for it while others are not."""
        return self._unanswered >= (SILENT_PAGES if self._was_answered else 1)

    def _attempts_after(self, error: LiushuiError) -> int:
        if isinstance(error, Unanswered):
            return max(1, min(self._options.attempts, self._options.silence_max // self._options.timeout))
        if isinstance(error, Unfinished):
            return min(self._options.attempts, UNFINISHED_ATTEMPTS)
        if isinstance(error, WrongPage):
            return min(self._options.attempts, WRONG_PAGE_ATTEMPTS)
        if isinstance(error, Unreachable) and not self._was_answered:
            return min(self._options.attempts, CONNECT_ATTEMPTS)
        return self._options.attempts

    def check_clock(self) -> None:
        """Raise ClockCorrected if the provider's clock differs from the one that the sync assumes."""
        measured = self._clocked_client.clock_offset if self._clocked_client is not None else None
        offset = measured if measured and abs(measured) > CLOCK_TOLERANCE else timedelta(0)
        if measured is None or abs(offset - self.clock_offset) <= CLOCK_TOLERANCE:
            return
        # If several clocks are possible, use the slowest one, so that no range is proven beyond any of them.
        self.clock_offset = offset if self._corrections == 0 else min(offset, self.clock_offset)
        if self._corrections < CORRECTIONS_MAX:
            self._corrections += 1
            raise ClockCorrected(self._clock_text())

    def _clock_text(self) -> str:
        if not self.clock_offset:
            return "Check the clock of this machine"
        return clock_text(self.clock_offset)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _call(self, request: PageRequest) -> Page:
        async with self._lock:
            session = self._session_client
            if session is not None and session.needs_session():
                async with self._permitted():
                    await session.open_session()
            async with self._permitted():
                return await self._client.fetch_page(request)

    # ---------------------------------------------------------------- before a call

    @asynccontextmanager
    async def _permitted(self) -> AsyncIterator[None]:
        """Context for one call, which begins when the call may be made. Raises Unavailable if it takes too long."""
        permit = await self._permit()
        call_max = self._options.call_max
        try:
            async with asyncio.timeout(call_max.total_seconds()):
                yield
        except TimeoutError as error:
            raise Unfinished(f"no whole answer within {call_max.total_seconds():g} s") from error
        finally:
            if permit is not None:
                self._limits.end(self._key, permit)

    async def _permit(self) -> Permit | None:
        """Return when a call may begin. None: the call is not counted."""
        for _ in range(PERMIT_TRIES_MAX):
            await self._keep_lease()
            if self._is_paced:
                begun = self._limits.begin(self._key, self._rate, call_max=self._options.call_max)
                if isinstance(begun, Permit):
                    return begun
                wait, blocked = begun
            else:
                until = self._limits.blocked_until(self._key)
                if until is None:
                    return None
                wait, blocked = until - self._clock(), True
            if blocked:
                self._check_patience(wait, "the provider wants no calls")
            await self._sleep(wait, "blocked" if blocked else "rate")
        raise SyncError(f"no call was allowed in {PERMIT_TRIES_MAX} tries")

    # ---------------------------------------------------------------- after a call that failed

    def _wait_after(self, error: LiushuiError, attempt: int) -> timedelta:
        """Return how long to wait before a call is repeated, in addition to the current block of its credential.

        Raises Deferred if the provider asks for a wait that is too long, or asks for one after the last attempt.
        """
        if isinstance(error, RateLimited) or (isinstance(error, Unavailable) and error.retry_after_s):
            self._block(error, attempt)
            return timedelta(0)
        # Otherwise workers that failed together would retry together.
        return self._environment.jittered(Backoff(self._options.wait, RETRY_WAIT_MAX).wait(attempt))

    def _block(self, error: RateLimited | Unavailable, attempt: int) -> None:
        """Block all users of the credential for as long as the provider asks."""
        if error.retry_after_s is not None:
            wait = timedelta(seconds=error.retry_after_s)
        else:
            wait = Backoff(self._rate.per, self._options.patience).wait(attempt)
        until = self._clock() + wait
        if wait > timedelta(0):
            self._limits.block(self._key, until)
        self._check_patience(wait, str(error))
        if wait > timedelta(0) and attempt >= self._options.attempts:
            raise Deferred(str(error), until) from error

    def _check_patience(self, wait: timedelta, reason: str) -> None:
        if wait > self._options.patience:
            raise Deferred(reason, self._clock() + wait)

    async def _sleep(self, wait: timedelta, reason: str) -> None:
        if wait > timedelta(0):
            self._notify(CallDelayed(self._account, wait, reason))
            await self._environment.sleep(wait)
            await self._keep_lease()


def clock_text(offset: timedelta) -> str:
    """Say how far this machine's clock is off; `offset` is the provider's time minus the machine's."""
    seconds = round(abs(offset).total_seconds())
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")]
    length = " ".join(f"{count} {unit}" for count, unit in parts if count)
    return f"The clock of this machine is {length} {'behind' if offset > timedelta(0) else 'ahead of'} the provider's"
