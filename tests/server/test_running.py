"""The record of the servers that run on this machine."""

import os
import tempfile
from pathlib import Path

import pytest

from liushui.server.running import PURPOSE, RunningServer, record_server, running_servers
from liushui.temporary_folder import PREFIX, temporary_folder

SERVER = RunningServer("http://127.0.0.1:8700", "/data/ledger.db")


@pytest.fixture(autouse=True)
def own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_server_is_found_as_long_as_it_runs() -> None:
    with temporary_folder(PURPOSE) as folder:
        assert running_servers() == [], "it does not answer yet"
        record_server(folder, SERVER)
        assert running_servers() == [SERVER]
    assert running_servers() == []


def test_what_a_killed_server_left_behind_is_not_found(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}{PURPOSE}-killed"
    folder.mkdir()
    (folder / "lock").touch()
    record_server(folder, SERVER)
    assert running_servers() == []


@pytest.mark.parametrize("content", ["", "{}", '{"url": 1, "ledger": ""}', "\xff"])
def test_a_broken_record_is_not_found(content: str) -> None:
    with temporary_folder(PURPOSE) as folder:
        (folder / "server.json").write_text(content, encoding="latin-1")
        assert running_servers() == []


def test_the_records_of_other_users_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_folder(PURPOSE) as folder:
        record_server(folder, SERVER)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert running_servers() == []


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700"),
        ("http://0.0.0.0:8700", "http://127.0.0.1:8700"),
        ("http://[::]:8700", "http://[::1]:8700"),
    ],
)
def test_a_server_on_all_addresses_is_reached_on_loopback(url: str, local: str) -> None:
    assert RunningServer(url, "").local_url == local
