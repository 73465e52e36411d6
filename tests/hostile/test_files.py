"""Only their owner can read files with secrets or account data. A path that is not a file is not read."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.ledger.access.keys import list_keys
from liushui.ledger.access.tokens import list_tokens
from liushui.ledger.engine import open_ledger
from liushui.ratelimit import OutgoingLimits
from liushui.rules import Rate
from liushui.testing.clock import MovableClock
from tests.cli.commands import result, run
from tests.ledger.ledgers import new_ledger

KEY = ("key", "create", "--dialect", "longbridge", "--account", "a")
TOKEN = ("token", "create", "--scope", "read", "--all-accounts")


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with the account a."""
    new_ledger(tmp_path, "a").close()
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("words", [KEY, TOKEN], ids=["key", "token"])
def test_secrets_go_to_a_file_of_their_owner(ledger: Path, words: tuple[str, ...]) -> None:
    path = ledger.parent / "secret.json"
    done = run(ledger, *words, "--output", str(path), "--format", "json")
    assert done.returncode == 0, done.stderr
    secrets = json.loads(path.read_text())
    assert mode(path) == 0o600
    shown = done.stdout + done.stderr
    assert str(path) in shown
    public = json.loads(done.stdout)
    hidden = [value for value in secrets.values() if value not in public.values()]
    assert hidden and not any(value in shown for value in hidden)


def test_a_file_of_secrets_is_not_replaced_unasked(ledger: Path) -> None:
    path = ledger.parent / "secret.json"
    path.write_text("precious")
    for words in (KEY, TOKEN):
        done = run(ledger, *words, "--output", str(path))
        assert done.returncode == 2
        assert "--force replaces it" in done.stderr
        assert path.read_text() == "precious"
    for words in (KEY, TOKEN):
        done = run(ledger, *words, "--output", str(ledger.parent / "none" / "x"))
        assert done.returncode == 1
        assert "cannot be written" in done.stderr
    opened = open_ledger(str(ledger))
    assert not list_keys(opened) and not list_tokens(opened), "none whose secrets nobody has"
    opened.close()
    assert run(ledger, *KEY, "--output", str(path), "--force").returncode == 0
    assert (mode(path), set(json.loads(path.read_text()))) == (0o600, {"app_key", "app_secret", "access_token"})


def test_a_written_key_is_what_a_source_is_added_with(ledger: Path) -> None:
    path = ledger.parent / "key.json"
    assert run(ledger, *KEY, "--output", str(path)).returncode == 0
    words = ("source", "add", "longbridge", "mine", "--base-url", "http://127.0.0.1:1", "--credentials", str(path))
    assert run(ledger, *words).returncode == 0
    assert [source["source"] for source in result(ledger, "source", "list")] == ["mine"]


def test_the_record_of_calls_is_for_its_owner(tmp_path: Path) -> None:
    clock = MovableClock()
    for older in (False, True):
        path = tmp_path / f"{older}.calls"
        if older:
            path.touch(mode=0o644)
            path.chmod(0o644)
        limits = OutgoingLimits(path, clock)
        limits.begin("key", Rate(calls=1, per=timedelta(seconds=1)), call_max=timedelta(seconds=1))
        assert {mode(file) for file in tmp_path.glob(f"{older}.calls*")} == {0o600}
        limits.close()
