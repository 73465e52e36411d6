"""Credentials that are keys of many lines: they come from files, and our server keeps only the parts that it needs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from liushui.cli.sources import read_credentials
from liushui.errors import ConfigError
from liushui.ledger.access.keys import create_key
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.provider import CredentialField, CredentialForm, Provider
from liushui.testing.reader import MemoryLimits
from tests.ledger.ledgers import new_ledger
from tests.providers.toy import PROVIDER

KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
PUBLIC = "-----BEGIN PUBLIC KEY-----\nBBBB\n-----END PUBLIC KEY-----"


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    return {"app": random_bytes(8).hex(), "app_key": KEY, "their_key": PUBLIC, "our_key": KEY, "app_public": PUBLIC}


SIGNED: Provider = replace(
    PROVIDER,
    credentials=(
        CredentialField("app", "App", secret=False),
        CredentialField("app_key", "App key", secret=True, form=CredentialForm.PRIVATE_KEY),
        CredentialField("their_key", "Platform key", secret=False, form=CredentialForm.PUBLIC_KEY),
    ),
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["app"],
)
EXPECTED = {"app": "1", "app_key": KEY, "their_key": PUBLIC}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.pem").write_text(KEY + "\n")
    (tmp_path / "their.pem").write_text(PUBLIC + "\r\n")
    return tmp_path


def test_a_credentials_file_names_the_files_of_keys(folder: Path) -> None:
    """Relative to itself. A key may stand in it as well."""
    file = folder / "credentials.toml"
    file.write_text(f'app = "1"\napp_key_file = "app.pem"\ntheir_key_file = "{folder / "their.pem"}"\n')
    assert read_credentials(SIGNED, str(file)) == EXPECTED
    file.write_text(json.dumps(EXPECTED))
    assert read_credentials(SIGNED, str(file)) == EXPECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('app_key_file = "none.pem"', r"^app_key_file: .*none.pem cannot be read: No such file"),
        ('app_key_file = "app.pem"\napp_key = "x"', r"^app_key: expected it or app_key_file, got both$"),
        ("app_key_file = 1", r"^app_key_file: expected the name of a file, got int$"),
        ("", r"^app_key: expected in .*credentials.toml \(or app_key_file\), but missing$"),
    ],
)
def test_a_credentials_file_without_a_key(folder: Path, text: str, expected: str) -> None:
    file = folder / "credentials.toml"
    file.write_text(f'app = "1"\n{text}\n')
    with pytest.raises(ConfigError, match=expected):
        read_credentials(SIGNED, str(file))


def test_the_environment_names_the_files_of_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIUSHUI_APP", "1")
    monkeypatch.setenv("LIUSHUI_APP_KEY_FILE", str(folder / "app.pem"))
    with pytest.raises(ConfigError, match=r"^their_key: expected in LIUSHUI_THEIR_KEY_FILE, LIUSHUI_THEIR_KEY, "):
        read_credentials(SIGNED, None)
    monkeypatch.setenv("LIUSHUI_THEIR_KEY_FILE", str(folder / "their.pem"))
    assert read_credentials(SIGNED, None) == EXPECTED


def test_a_terminal_is_asked_for_the_files_of_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pasted at a prompt ends with its first line."""
    answers = {"App: ": "1", "App key (name of a file): ": "app.pem", "Platform key (name of a file): ": "their.pem"}
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answers.pop)
    assert read_credentials(SIGNED, None) == EXPECTED
    assert not answers


def test_a_key_keeps_what_its_server_needs(tmp_path: Path) -> None:
    """The client's private key is shown once, and the platform's private key never."""
    ledger = new_ledger(tmp_path, "a")
    given = create_key(ledger, SIGNED, ["a"])
    assert set(given) == {"app", "app_key", "their_key"}
    key = LedgerReader(ledger, MemoryLimits()).find_key(SIGNED.name, given["app"])
    assert key is not None
    assert set(key.credentials) == {"app", "their_key", "our_key", "app_public"}
    ledger.close()
