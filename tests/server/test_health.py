"""Health checks: whether the process answers, and whether it can use its ledger."""

import asyncio
import logging
import threading
from pathlib import Path

import httpx2
import pytest

from liushui.errors import LedgerError
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import REVISION
from liushui.server import health
from liushui.server.health import HEALTH_PATH, READY_PATH, Health, check_ledger
from liushui.server.rsgi_app import App, DialectRouter
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import Running
from liushui.testing.reader import MemoryReader
from tests.ledger.conftest import ledger, ledger_store  # noqa: F401 - fixtures
from tests.server.doubles import HttpDouble, ScopeDouble


def answer(checks: Health, path: str, method: str = "GET") -> HttpDouble:
    """Answer one request without a site."""
    app = App(DialectRouter({}, MemoryReader()), {}, health=checks)
    http = HttpDouble()
    asyncio.run(app.__rsgi__(ScopeDouble(path, method), http))
    return http


def unusable() -> None:
    raise LedgerError("postgresql://liushui@db.example.com/ledger refused the connection")


def test_a_process_that_answers_is_alive_whatever_its_ledger_is() -> None:
    http = answer(Health(unusable), HEALTH_PATH)
    assert (http.status, http.body) == (200, b'{"status":"alive"}')
    assert http.headers["cache-control"] == "no-store"
    http = answer(Health(unusable), HEALTH_PATH, "HEAD")
    assert (http.status, http.body) == (200, b"")


def test_a_server_is_not_ready_without_its_ledger_and_the_reason_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        http = answer(Health(unusable), READY_PATH)
    assert http.status == 503
    assert b"see the server's log" in http.body
    assert b"example.com" not in http.body
    assert "db.example.com" in caplog.text


def test_other_paths_are_not_health_checks() -> None:
    assert answer(Health(unusable), "/healthz/x").status == 404


def test_a_ledger_with_the_current_schema_is_ready(ledger: Ledger) -> None:  # noqa: F811
    assert answer(Health(lambda: check_ledger(ledger)), READY_PATH).status == 200


def test_a_ledger_of_another_schema_is_not_ready(ledger: Ledger) -> None:  # noqa: F811
    for revision, status in (("0001", 503), ("9999", 503), (REVISION, 200)):
        with ledger.writing() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))
        assert answer(Health(lambda: check_ledger(ledger)), READY_PATH).status == status


def test_a_file_that_was_moved_away_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    opened = create_ledger(str(path))
    checks = Health(lambda: check_ledger(opened))
    assert answer(checks, READY_PATH).status == 200
    path.rename(tmp_path / "elsewhere.db")
    assert answer(checks, READY_PATH).status == 503
    (tmp_path / "elsewhere.db").rename(path)
    assert answer(checks, READY_PATH).status == 200
    opened.close()


def test_a_ledger_that_does_not_answer_is_asked_once_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_TIMEOUT_S", 0.05)
    may_end = threading.Event()
    calls: list[int] = []

    def hanging() -> None:
        calls.append(1)
        assert may_end.wait(60)

    checks = Health(hanging)

    async def ask() -> list[tuple[int, bytes] | None]:
        answers = await asyncio.gather(*(checks.answer(READY_PATH) for _ in range(20)))
        alive = await checks.answer(HEALTH_PATH)
        may_end.set()
        return [*answers, alive]

    *ready, alive = asyncio.run(ask())
    assert {one[0] for one in ready if one} == {503}
    assert alive is not None
    assert alive[0] == 200
    assert len(calls) == 1


def test_a_running_server_answers_health_checks_without_credentials(served: Running) -> None:
    for path in (HEALTH_PATH, READY_PATH):
        found = httpx2.get(f"{served.url}{path}", headers={"host": "10.0.0.7"})
        assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
        assert httpx2.head(f"{served.url}{path}").status_code == 200
