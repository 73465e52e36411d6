"""Load ends when its callers leave. A caller that asks for too much is refused, and no other caller waits for it."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx2
import pytest

from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.ledger.read.balances import read_balances
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.read.model import ReadModel
from liushui.providers import load_providers
from liushui.server.admission import LIMITS, RequestClass
from liushui.server.api import balances
from liushui.server.context import AppContext
from liushui.server.litestar_app import make_site
from liushui.server.rsgi_app import App, AsgiBridge, DialectRouter
from liushui.server.web.sessions import BrowserSessions
from liushui.testing.processes import HOST, serving
from liushui.testing.reader import MemoryLimits
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger
from tests.server.doubles import HttpDouble, ScopeDouble

PATIENCE_S: Final = 60
REQUESTS: Final = 500
PER_CALLER: Final = LIMITS[RequestClass.API].caller_requests
CALLER_THREADS: Final = LIMITS[RequestClass.API].caller_threads
BALANCES: Final = "/api/v1/balances"
SLOW: Final = "slow"
"""The account whose balances take long."""


class Client(HttpDouble):
    """A client that stays until it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = asyncio.Event()

    def leave(self) -> None:
        """Disconnect."""
        self._gone.set()

    async def client_disconnect(self) -> None:
        await self._gone.wait()


class SlowBalances:
    """Reads balances, those of the slow account only when they may end. Counts how many it has begun."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.begun = 0
        self._has_begun = threading.Condition()

    def __call__(self, model: ReadModel, names: tuple[str, ...], **options: Any) -> Any:  # noqa: ANN401 - as read_balances
        if SLOW in names:
            with self._has_begun:
                self.begun += 1
                self._has_begun.notify_all()
            assert self.may_end.wait(PATIENCE_S)
        return read_balances(model, names, **options)

    async def wait_for(self, count: int) -> None:
        """Wait until so many have begun."""
        await asyncio.to_thread(self._wait_for, count)

    def _wait_for(self, count: int) -> None:
        with self._has_begun:
            assert self._has_begun.wait_for(lambda: self.begun >= count, PATIENCE_S)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path, SLOW, "a")
    for name in (SLOW, "a"):
        commit_read(ledger, hours(0, 1), *[make_row(str(at), at / 1000) for at in range(300)], account=name)
    yield ledger
    ledger.close()


@pytest.fixture
def slow_balances(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowBalances]:
    slow = SlowBalances()
    monkeypatch.setattr(balances, "read_balances", slow)
    yield slow
    slow.may_end.set()


def token_for(ledger: Ledger, account: str) -> dict[str, str]:
    """The header of a token that reads one account, as often as it likes."""
    made = create_token(ledger, names=[account], scopes=[Scope.READ], calls_per_minute=1_000_000)
    return {"authorization": f"Bearer {made.text}", "host": "127.0.0.1"}


def app_of(ledger: Ledger) -> App:
    """The application of a worker process, for the event loop that runs."""
    limits, providers = MemoryLimits(ledger.clock), load_providers()
    sessions = BrowserSessions(ledger).principal
    site = make_site(AppContext(ledger, providers, "http://127.0.0.1:1", "ws://127.0.0.1:2", limits, sessions))
    app = App(DialectRouter(providers, LedgerReader(ledger, limits)), providers, AsgiBridge(site))
    app.__rsgi_init__(asyncio.get_running_loop())
    return app


async def answer(app: App, path: str, headers: dict[str, str]) -> int:
    """The status of the answer to a request, for which the client waits."""
    client = Client()
    await asyncio.wait_for(app.__rsgi__(ScopeDouble(path, headers=headers), client), PATIENCE_S)
    return client.status


def test_nobody_waits_for_a_caller_with_many_requests(ledger: Ledger, slow_balances: SlowBalances) -> None:
    flood, other = token_for(ledger, SLOW), token_for(ledger, "a")

    async def main() -> None:
        app = app_of(ledger)
        clients = [Client() for _ in range(REQUESTS)]
        scope = ScopeDouble(BALANCES, headers=flood)
        requests = [asyncio.create_task(app.__rsgi__(scope, client)) for client in clients]
        await slow_balances.wait_for(CALLER_THREADS)
        for refusal in islice(asyncio.as_completed(requests), REQUESTS - PER_CALLER):
            await asyncio.wait_for(refusal, PATIENCE_S)
        refused = [client for client in clients if client.status]
        assert Counter(client.status for client in refused) == {429: REQUESTS - PER_CALLER}
        assert all(client.headers["retry-after"] for client in refused)
        # Meanwhile everybody else is answered. No slow request can end before that.
        for path, headers in (
            ("/login", {"host": "127.0.0.1"}),
            ("/", {"host": "127.0.0.1"}),
            (BALANCES, other),
            ("/v1/asset/cashflow", {}),
        ):
            assert await answer(app, path, headers) in (200, 303, 403), path
        assert await answer(app, BALANCES, flood) == 429
        slow_balances.may_end.set()
        await asyncio.wait_for(asyncio.gather(*requests), PATIENCE_S)
        assert Counter(client.status for client in clients) == {429: REQUESTS - PER_CALLER, 200: PER_CALLER}
        assert await answer(app, BALANCES, flood) == 200, "its own requests too, as soon as the others have ended"

    asyncio.run(main())


def test_work_that_nobody_waits_for_is_dropped(ledger: Ledger, slow_balances: SlowBalances) -> None:
    flood = token_for(ledger, SLOW)

    async def main() -> None:
        app = app_of(ledger)
        clients = [Client() for _ in range(PER_CALLER)]
        scope = ScopeDouble(BALANCES, headers=flood)
        requests = [asyncio.create_task(app.__rsgi__(scope, client)) for client in clients]
        await slow_balances.wait_for(CALLER_THREADS)
        for client in clients:
            client.leave()
        await asyncio.wait_for(asyncio.gather(*requests), PATIENCE_S)
        assert not any(client.status for client in clients)
        slow_balances.may_end.set()
        assert await answer(app, BALANCES, flood) == 200
        assert slow_balances.begun == CALLER_THREADS + 1, "of those that had gone, only what had begun was done"

    asyncio.run(main())


def test_a_caller_with_many_callers_names_gets_no_more_than_the_class(
    ledger: Ledger, slow_balances: SlowBalances
) -> None:
    tokens = [token_for(ledger, SLOW) for _ in range(LIMITS[RequestClass.API].requests // PER_CALLER + 1)]

    async def main() -> None:
        app = app_of(ledger)
        clients = [(Client(), token) for token in tokens for _ in range(PER_CALLER)]
        requests = [
            asyncio.create_task(app.__rsgi__(ScopeDouble(BALANCES, headers=token), client)) for client, token in clients
        ]
        await slow_balances.wait_for(LIMITS[RequestClass.API].threads)
        for refusal in islice(asyncio.as_completed(requests), PER_CALLER):
            await asyncio.wait_for(refusal, PATIENCE_S)
        assert Counter(client.status for client, _ in clients if client.status) == {503: PER_CALLER}
        assert await answer(app, "/login", {"host": "127.0.0.1"}) == 200
        slow_balances.may_end.set()
        await asyncio.wait_for(asyncio.gather(*requests), PATIENCE_S)

    asyncio.run(main())


def test_a_server_answers_after_500_clients_have_come_and_gone(ledger: Ledger) -> None:
    token = token_for(ledger, "a")
    with serving(ledger.path, workers=1) as running:
        address = (HOST, int(running.url.rpartition(":")[2]))
        request = f"GET {BALANCES} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {token['authorization']}\r\n\r\n".encode()
        connections = [socket.create_connection(address, PATIENCE_S) for _ in range(REQUESTS)]
        for connection in connections:
            connection.sendall(request)
        # Half of them wait for their answer.
        statuses = Counter(connection.recv(12)[-3:] for connection in connections[::2])
        for connection in connections:
            connection.close()
        assert set(statuses) <= {b"200", b"429"}
        assert statuses[b"200"]
        assert httpx2.get(f"{running.url}/login", timeout=PATIENCE_S).status_code == 200
        with httpx2.Client(base_url=running.url, headers=token, timeout=PATIENCE_S) as client:
            end_s = monotonic() + PATIENCE_S
            while client.get(BALANCES).status_code == 429:
                assert monotonic() < end_s, "the requests of clients that have gone still count"
            assert client.get(BALANCES).status_code == 200
