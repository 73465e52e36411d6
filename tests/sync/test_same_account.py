"""The account that credentials read: how it is proven, and what is refused before a commit."""

from dataclasses import replace
from pathlib import Path

import pytest

from liushui.errors import Unavailable
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import load_state, record_unproven
from liushui.ledger.jobs.sources import remove_source
from liushui.provider import Provider
from liushui.providers import get_provider
from liushui.providers.longbridge import codec
from liushui.services import sources as services
from liushui.sync.events import SyncStatus
from liushui.sync.same_account import WrongAccount
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import hourly, new_ledger, source
from tests.sync.running import amounts, amounts_of, synced

ROWS = hourly(10)
OTHERS = [row.replace(b'"balance": "-', b'"balance": "-7') for row in ROWS]
KEYS = {"app_key": "k", "app_secret": "s", "access_token": "t"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = new_ledger(tmp_path)
    synced(ledger, ClientDouble(codec, ROWS))
    return ledger


def answering(monkeypatch: pytest.MonkeyPatch, rows: list[bytes], *, fault: Exception | None = None) -> None:
    """Let the provider's clients get these rows."""

    def fail(*_: object) -> None:
        if fault is not None:
            raise fault

    def provider(name: str) -> Provider:
        return replace(get_provider(name), connect=lambda **_: ClientDouble(codec, rows, fault=fail))

    monkeypatch.setattr(services, "get_provider", provider)


def test_known_rows_prove_new_credentials(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    services.add_source(ledger, source()._replace(base_url="http://127.0.0.1:1", credentials=KEYS))
    answering(monkeypatch, ROWS)
    services.replace_credentials(ledger, "a", KEYS | {"app_key": "new"})
    assert services.get_source(ledger, "a").credentials["app_key"] == "new"
    assert not load_state(ledger, "a", ledger.clock()).is_unproven


def test_credentials_of_another_account_are_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under a name that was used before."""
    known = source()._replace(base_url="http://127.0.0.1:1", credentials=KEYS)
    answering(monkeypatch, ROWS)
    services.add_source(ledger, known)
    answering(monkeypatch, OTHERS)
    with pytest.raises(
        WrongAccount, match=r"^credentials: they are of another account: 0 of \d+ rows are ones that a has"
    ):
        services.replace_credentials(ledger, "a", KEYS | {"app_key": "new"})
    assert services.get_source(ledger, "a").credentials == KEYS
    remove_source(ledger, "a")
    with pytest.raises(WrongAccount):
        services.add_source(ledger, known)
    answering(monkeypatch, ROWS)
    services.add_source(ledger, known)


def test_what_cannot_be_asked_now_is_asked_by_the_next_sync(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ROWS, fault=Unavailable("down"))
    services.add_source(ledger, source()._replace(base_url="http://127.0.0.1:1", credentials=KEYS))
    assert load_state(ledger, "a", ledger.clock()).is_unproven
    result = synced(ledger, ClientDouble(codec, OTHERS))
    assert result.status is SyncStatus.CREDENTIALS
    assert result.error.startswith("credentials: they are of another account")
    assert amounts(ledger) == amounts_of(ROWS)
    assert synced(ledger, ClientDouble(codec, [])).status is SyncStatus.FAILED
    assert synced(ledger, ClientDouble(codec, ROWS)).status is SyncStatus.DONE
    assert not load_state(ledger, "a", ledger.clock()).is_unproven


def test_an_account_without_rows_needs_no_proof(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    record_unproven(ledger, "a", is_unproven=True)
    assert synced(ledger, ClientDouble(codec, ROWS)).added == len(ROWS)
