"""The first run of a new user: a server without a ledger, a demo that can be kept, and the login to both."""

import re
import subprocess
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import httpx2
import psycopg
import pytest
from click.testing import CliRunner

from liushui.cli.app import program
from liushui.cli.options import Settings
from liushui.cli.serve import open_or_make
from liushui.errors import ConfigError, LedgerNotFound
from liushui.server.running import PURPOSE, RunningServer, record_server
from liushui.services.accounts import has_accounts
from liushui.temporary_folder import temporary_folder
from tests.cli.commands import LIUSHUI, newcomers_environment, starting
from tests.demo import LINK
from tests.engines import DatabasePool


class Newcomer(NamedTuple):
    """A user with a home folder of their own, and nothing in it."""

    home: Path

    @property
    def data(self) -> Path:
        """Where liushui keeps ledgers."""
        return self.home / "data" / "liushui"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*LIUSHUI, *words],
            env=newcomers_environment(self.home),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def starting(self, *words: str) -> AbstractContextManager[str]:
        """A server, until the block ends. Yields what it printed, once it has printed its link."""
        return starting([*LIUSHUI, *words], newcomers_environment(self.home))


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def link_in(text: str) -> str:
    """The last login link in a text."""
    return str(LINK.findall(text)[-1])


def base_of(link: str) -> str:
    """The address of the page that a link logs in to."""
    return link.partition("/login")[0]


def page_after(link: str) -> httpx2.Response:
    """The page that follows a login link, in a browser of its own."""
    with httpx2.Client(follow_redirects=True, timeout=60) as client:
        return client.get(link)


def test_a_server_without_a_ledger_makes_one_and_shows_the_first_steps(newcomer: Newcomer) -> None:
    with newcomer.starting("serve", "--port", "0", "--workers", "1") as said:
        assert f"there was no ledger yet: made {newcomer.data / 'ledger.db'}" in said
        assert "the page shows the first steps" in said
        first = link_in(said)
        page = page_after(first)
        assert (page.status_code, page.url.path) == (200, "/welcome")
        assert "First steps" in page.text

        again = newcomer.run("login")
        assert again.returncode == 0, again.stderr
        assert base_of(link_in(again.stdout)) == base_of(first), "the port of the running server"
        assert page_after(link_in(again.stdout)).url.path == "/"

        other = newcomer.home / "other.db"
        with newcomer.starting("--ledger", str(other), "serve", "--port", "0", "--workers", "1") as second:
            unnamed, named = newcomer.run("login"), newcomer.run("login", "--ledger", str(other))
            by_url = newcomer.run("login", "--url", base_of(link_in(second)))
        assert base_of(link_in(unnamed.stdout)) == base_of(first), "the default ledger's"
        assert base_of(link_in(named.stdout)) == base_of(link_in(by_url.stdout)) == base_of(link_in(second))
    assert newcomer.run("login").stdout.startswith("http://127.0.0.1:8700/login?code="), "no server runs any more"


def test_a_demo_is_logged_in_to_and_kept(newcomer: Newcomer) -> None:
    with newcomer.starting("demo", "--keep", "--flows", "20", "--port", "0", "--workers", "1") as said:
        ledger = newcomer.data / "demo.db"
        assert f"The ledger is {ledger}: it stays when you press Ctrl-C." in said
        assert f"liushui --ledger {ledger} serve" in said
        login = newcomer.run("login")
        assert base_of(link_in(login.stdout)) == base_of(link_in(said)), "without a ledger of the user's own"
        page = page_after(link_in(login.stdout))
        assert page.status_code == 200
        assert "trader-1" in page.text
    kept = newcomer.run("--ledger", str(ledger), "account", "list", "--format", "csv")
    assert kept.returncode == 0, kept.stderr
    assert re.search(r"^trader-1,", kept.stdout, re.MULTILINE)


def test_several_servers_of_unnamed_ledgers_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("LIUSHUI_LEDGER", raising=False)
    with temporary_folder(PURPOSE) as one, temporary_folder(PURPOSE) as two:
        record_server(one, RunningServer("http://127.0.0.1:1", "one.db"))
        record_server(two, RunningServer("http://127.0.0.1:2", "two.db"))
        done = CliRunner().invoke(program, ["login"])
    assert isinstance(done.exception, ConfigError)
    listed = "http://127.0.0.1:1 with --ledger one.db; http://127.0.0.1:2 with --ledger two.db"
    assert str(done.exception) == f"ledger: several servers run here, choose one with --ledger: {listed}"


def made_once(url: str) -> None:
    """Check that the first server makes a ledger, and the second finds it."""
    settings = Settings(ledger=url)
    with pytest.raises(LedgerNotFound):
        settings.open_ledger()
    for _ in range(2):
        ledger = open_or_make(settings)
        assert not has_accounts(ledger)
        ledger.close()


def test_a_ledger_in_a_file_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_once(str(tmp_path / "new.db"))
    assert capsys.readouterr().err.count("there was no ledger yet") == 1


def test_a_ledger_on_a_server_is_made_once(pool: DatabasePool) -> None:
    url = pool.take()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        made_once(url)
    finally:
        pool.give_back(url)
