"""Calls of one source: within its credential's budget, repeated where the error's class says that it may help."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liushui.errors import LiushuiError, RateLimited, SyncError, Unavailable, WireError
from liushui.instant import Clock, to_iso
from liushui.provider import NO_VALUES, Client, Page, SessionClient, Slice
from liushui.ratelimit.outgoing import Begun, Budget
from liushui.rules import Rate
from liushui.sync.events import Retried, Tell, Waited
from liushui.sync.options import Environment, Options

WAIT_MAX: Final = timedelta(seconds=30)
"""The longest wait before a call is repeated."""
TURNS_MAX: Final = 1_000_000
"""How often a call asks for its turn: hours of looking again, so only a budget that is broken is given up."""
UNCLEAR: Final = (Unavailable, WireError)
"""What may pass by itself: a provider that is down, an answer that was cut off on its way."""


class PutOff(SyncError):
    """The provider wants no calls until an instant that is too far away to wait for."""

    def __init__(self, reason: str, until: datetime) -> None:
        super().__init__(f"{reason}: put off until {to_iso(until)}")
        self.until = until


@dataclass(frozen=True)
class Allowance:
    """What a source's calls are held to. `rate` None: they are not paced, and wait only where the provider says so."""

    budget: Budget
    key: str
    rate: Rate | None
    window: timedelta
    """How long to wait after a refusal for the rate that does not say."""


class Caller:
    """A source's client, one call at a time."""

    def __init__(
        self,
        account: str,
        client: Client,
        allowance: Allowance,
        options: Options,
        environment: Environment,
        *,
        clock: Clock,
        tell: Tell,
        alive: Callable[[], Awaitable[None]],
    ) -> None:
        self._account, self._client, self._allowance = account, client, allowance
        self._options, self._environment, self._clock, self._tell = options, environment, clock, tell
        self._alive = alive
        """Called before each call and each wait: another worker may take over whoever is silent for too long."""
        self._turn = asyncio.Lock()
        self._retries_left = options.retries_max

    def begin_slice(self) -> None:
        """Another slice is read: its calls may be repeated as often as the first one's."""
        self._retries_left = self._options.retries_max

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """One page, as Client.page. Raises PutOff, or what the last attempt raised."""
        for attempt in range(1, self._options.attempts + 1):
            try:
                return await self._call(asked, size, page_token=page_token, params=params, newest=newest)
            except RateLimited as error:
                self._block(error, attempt)
                await self._repeat(asked, error, attempt, timedelta(0))
            except UNCLEAR as error:
                if isinstance(error, Unavailable) and error.retry_after_s:
                    self._block(error, attempt)
                    await self._repeat(asked, error, attempt, timedelta(0))
                    continue
                wait = self._environment.jittered(min(WAIT_MAX, self._options.wait * 2 ** (attempt - 1)))
                await self._repeat(asked, error, attempt, wait)
        raise SyncError(f"attempts: expected 1 or more, got {self._options.attempts}")

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.close()

    async def _repeat(self, asked: Slice, error: LiushuiError, attempt: int, wait: timedelta) -> None:
        """Wait before a call is repeated. Raises the error where it has been often enough."""
        if attempt >= self._options.attempts or self._retries_left == 0:
            raise error
        self._retries_left -= 1
        self._tell(Retried(self._account, asked, str(error), attempt, wait))
        await self._sleep(wait, "retry")

    async def _call(
        self, asked: Slice, size: int, *, page_token: str | None, params: Mapping[str, str], newest: bool
    ) -> Page:
        async with self._turn:
            if isinstance(self._client, SessionClient) and self._client.needs_session():
                async with self._counted():
                    await self._client.open_session()
            async with self._counted():
                return await self._client.fetch_page(asked, size, page_token=page_token, params=params, newest=newest)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        """Make one call inside, when it may be made. Raises Unavailable where it takes too long."""
        begun = await self._begun()
        call_max = self._options.call_max
        try:
            async with asyncio.timeout(call_max.total_seconds()):
                yield
        except TimeoutError as error:
            raise Unavailable(f"no whole answer within {call_max.total_seconds():g} s") from error
        finally:
            if begun is not None:
                self._allowance.budget.end(self._allowance.key, begun)

    async def _begun(self) -> Begun | None:
        """Return when a call may be made. None: nobody counts it."""
        given = self._allowance
        for _ in range(TURNS_MAX):
            await self._alive()
            if given.rate is None:
                until = given.budget.blocked_until(given.key)
                if until is None:
                    return None
                wait, blocked = until - self._clock(), True
            else:
                found = given.budget.begin(given.key, given.rate, call_max=self._options.call_max)
                if isinstance(found, Begun):
                    return found
                wait, blocked = found
            if blocked:
                self._check_patience(wait, "the provider wants no calls")
            await self._sleep(wait, "blocked" if blocked else "rate")
        raise SyncError(f"no call was allowed in {TURNS_MAX} turns")

    def _block(self, error: RateLimited | Unavailable, attempt: int) -> None:
        """Hold back everybody who uses the credential. Raises PutOff where that is for too long, or once too often."""
        if error.retry_after_s is not None:
            wait = timedelta(seconds=error.retry_after_s)
        else:
            wait = min(self._options.patience, self._allowance.window * 2 ** (attempt - 1))
        until = self._clock() + wait
        if wait > timedelta(0):
            self._allowance.budget.block(self._allowance.key, until)
        self._check_patience(wait, str(error))
        if wait > timedelta(0) and attempt >= self._options.attempts:
            raise PutOff(str(error), until) from error

    def _check_patience(self, wait: timedelta, reason: str) -> None:
        if wait > self._options.patience:
            raise PutOff(reason, self._clock() + wait)

    async def _sleep(self, wait: timedelta, reason: str) -> None:
        if wait > timedelta(0):
            self._tell(Waited(self._account, wait, reason))
            await self._environment.sleep(wait)
            await self._alive()
