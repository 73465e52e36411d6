"""What a command does not wait for: libraries that it has no use for are not imported."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from liushui.instant import system_clock
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import make_account
from tests.cli.commands import environment, run

SERVING: Final = {"granian", "jinja2", "litestar"}
COLLECTING: Final = {"httpx2", "prometheus_client", "structlog"}
DATABASES: Final = {"alembic", "psycopg", "sqlalchemy.dialects.postgresql"}
TYPED: Final = {"pydantic"}
"""What typer converts with."""
LOOKED_AT: Final = {"rich"}
SEALED: Final = {"cryptography"}

NEVER: Final = SERVING | COLLECTING | DATABASES | TYPED
CHEAP: Final = {
    ("--help",): NEVER | SEALED,
    ("--version",): NEVER | SEALED | LOOKED_AT | {"sqlalchemy"},
    ("balances", "--format", "json"): NEVER | SEALED | LOOKED_AT,
    ("summary", "--by", "month", "--format", "json"): NEVER | SEALED | LOOKED_AT,
    ("flows", "here", "--format", "csv"): NEVER | SEALED | LOOKED_AT,
    ("balances",): NEVER | SEALED,
    ("status",): NEVER,
    ("sync",): NEVER - {"httpx2"},
}

RUN: Final = """
import sys
from liushui.cli import main
try:
    main()
finally:
    sys.stderr.write("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with an account."""
    path = tmp_path_factory.mktemp("start") / "ledger.db"
    book = open_ledger(str(path), create=True, clock=system_clock)
    make_account(book, "here", "longbridge", "Asia/Hong_Kong")
    book.close()
    return path


@pytest.mark.parametrize("words", CHEAP, ids=" ".join)
def test_a_command_imports_only_what_it_needs(ledger: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        env=environment(ledger),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (1 if words == ("sync",) else 0), done.stderr  # of no source
    assert CHEAP[words].isdisjoint(done.stderr.split("\n"))
    assert "liushui.cli.app" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["balances", "--format", "JSON"], "'JSON' is not one of 'table'"),
        (["summary", "--by", "week"], "'week' is not one of 'day'"),
        (["flows", "--limit", "few"], "unable to"),
        (["flows", "--limit", "-1"], "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_taken_as_it_is_typer_refuses(ledger: Path, words: list[str], said: str) -> None:
    done = run(ledger, *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
