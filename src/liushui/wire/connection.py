"""Calls to one provider over HTTP: paced, one at a time, their faults as errors by class. It knows no dialect."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from liushui.errors import Unavailable
from liushui.rules import Rate
from liushui.wire import outgoing
from liushui.wire.pacing import Pacer

NO_HEADERS: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """What a call was answered with. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """How long the answer asks to wait, where it says so in seconds."""
        return outgoing.retry_after_s(self.headers.get("retry-after"))


class Connection:
    """Where one account's API is. Raises ConfigError for a base URL that names no such place.

    `bare_key`: calls carry the key itself and no signature, so they go over TLS, or stay on this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        rate: Rate | None,
        timeout_s: float,
        headers: Mapping[str, str] = NO_HEADERS,
        bare_key: bool = False,
    ) -> None:
        self._where = outgoing.closed_url(base_url) if bare_key else outgoing.base_url(base_url)
        self.prefix = urlsplit(self._where).path
        """What stands before every path, for signatures over the whole of it."""
        self._pacer = Pacer(rate) if rate else None
        import httpx2  # inside: a provider's rules and codec are read by many who call nobody

        self._faults = httpx2.HTTPError
        self._http = httpx2.AsyncClient(base_url=self._where, timeout=timeout_s, headers=dict(headers))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        headers: Callable[[], Mapping[str, str]] = lambda: NO_HEADERS,
        paced: bool = True,
    ) -> Answer:
        """Make one call when the rate allows it. `headers` are made then, for they may carry the time.

        Raises Unavailable where there is no answer.
        """
        async with self._pacer.call() if self._pacer and paced else nullcontext():
            target = f"{path}?{query}" if query else path
            try:
                answer = await self._http.request(method, target, content=body, headers=dict(headers()))
            except self._faults as error:
                reason = f"{type(error).__name__} {error}".strip()
                raise Unavailable(f"no answer from {self._where}: {reason}") from error
        return Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()
