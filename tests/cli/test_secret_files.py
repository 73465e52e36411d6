"""Every secret that a command takes from the environment can be in a file."""

import json
from pathlib import Path
from subprocess import run

import pytest
from cryptography.fernet import Fernet

from liushui.cli.options import Settings
from liushui.cli.serve import sync_command
from liushui.ledger.access.sessions import has_password, set_password, verify_password
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.services.access import set_initial_password
from liushui.testing.empty_ledger import create_ledger
from tests.cli.commands import LIUSHUI, newcomers_environment, starting

PASSWORD = "correct horse battery"


def secrets(home: Path, **values: str) -> dict[str, str]:
    """An environment whose secrets are in files."""
    variables = newcomers_environment(home)
    for name, value in values.items():
        file = home / f"{name}.secret"
        file.write_text(value + "\n")
        variables[f"LIUSHUI_{name}_FILE"] = str(file)
    return variables


def test_the_ledger_the_key_and_the_credentials(tmp_path: Path) -> None:
    ledger, key = tmp_path / "in.db", Fernet.generate_key().decode()
    credentials = {"APP_KEY": "public", "APP_SECRET": "hidden", "ACCESS_TOKEN": "token"}
    variables = secrets(tmp_path, LEDGER=str(ledger), SECRET_KEY=key, **credentials)
    add = [*LIUSHUI, "source", "add", "longbridge", "mine", "--base-url", "http://127.0.0.1:9"]
    done = run(add, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not ledger.with_name("in.db.key").exists(), "the key stays where it was"
    done = run(
        [*LIUSHUI, "source", "list", "--format", "json"], env=variables, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0]["source"] == "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIUSHUI_SECRET_KEY", key)
        opened = open_ledger(str(ledger))
        assert list_sources(opened)[0].credentials == {name.lower(): value for name, value in credentials.items()}
        opened.close()


def test_the_password_of_the_page(tmp_path: Path) -> None:
    """A service that other machines reach needs one at its first start."""
    ledger = tmp_path / "in.db"
    variables = secrets(tmp_path, LEDGER=str(ledger), PAGE_PASSWORD=PASSWORD)
    with starting([*LIUSHUI, "serve", "--port", "0", "--workers", "1"], variables) as said:
        assert str(ledger) in said
        opened = open_ledger(str(ledger))
        assert verify_password(opened, PASSWORD)
        opened.close()


def test_the_process_beside_a_server_has_the_servers_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It inherits the variable that names a file with the ledger, and gets another one that names the ledger."""
    for name, value in secrets(tmp_path, LEDGER="in.db").items():
        monkeypatch.setenv(name, value)
    assert Settings().ledger_url == "in.db"
    for name, value in sync_command("served.db", scheduled=True).environment.items():
        monkeypatch.setenv(name, value)
    assert Settings().ledger_url == "served.db"


def test_a_password_that_was_set_since_stays(tmp_path: Path) -> None:
    ledger = create_ledger(str(tmp_path / "in.db"))
    set_initial_password(ledger, None)
    assert not has_password(ledger)
    set_password(ledger, PASSWORD)
    set_initial_password(ledger, "another password")
    assert verify_password(ledger, PASSWORD)
    ledger.close()
