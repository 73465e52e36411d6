"""The imports of commands: a command does not load libraries that it does not use, and help loads almost none."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import click
import pytest

from liushui.cli.app import COMMANDS, program
from liushui.instant import system_clock
from liushui.ledger.write.commit import make_account
from liushui.testing.empty_ledger import create_ledger
from tests.cli.commands import LIUSHUI, environment, run

SERVING: Final = {"granian", "jinja2", "litestar"}
COLLECTING: Final = {"httpx2", "prometheus_client", "structlog"}
DATABASES: Final = {"alembic", "psycopg", "sqlalchemy.dialects.postgresql"}
CONVERTING: Final = {"pydantic"}
PRINTING: Final = {"rich"}
ENCRYPTING: Final = {"cryptography"}
QUERYING: Final = {"sqlalchemy"}
"""It takes longer to import than the totals of a hundred thousand flows take to read."""

NEVER: Final = SERVING | COLLECTING | DATABASES | CONVERTING
HELP: Final = NEVER | ENCRYPTING | PRINTING | QUERYING | {"asyncio"}
TOTALS: Final = NEVER | ENCRYPTING | QUERYING | {"asyncio", "liushui.providers.longbridge.client"}
UNUSED: Final[dict[tuple[str, ...], set[str]]] = {
    ("--help",): HELP,
    ("--version",): HELP,
    ("balances", "--format", "json"): TOTALS | PRINTING,
    ("coverage", "--format", "json"): TOTALS | PRINTING,
    ("summary", "--by", "month", "--format", "json"): NEVER | ENCRYPTING | PRINTING,
    ("flows", "here", "--format", "csv"): NEVER | ENCRYPTING | PRINTING,
    ("balances",): TOTALS,
    ("status",): NEVER,
    ("sync",): NEVER - {"httpx2"},
    **{(name, "--help"): HELP for name in COMMANDS},
    ("import", "--help"): HELP - {"asyncio", "cryptography"},  # its help names the installed providers
    ("source", "pause", "--help"): HELP,
    ("token", "create", "--help"): HELP,
    ("db", "copy", "--help"): HELP,
}
"""The modules that a command may not import."""

CODES: Final = {"sync": 2, "balances": 3, "summary": 3}
"""Exit codes: there is no source to sync, and without one no sum is complete."""

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
    book = create_ledger(str(path), clock=system_clock)
    make_account(book, "here", "longbridge", "Asia/Hong_Kong")
    book.close()
    return path


def imported_by(ledger: Path, words: tuple[str, ...]) -> set[str]:
    """The modules that a command imports, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        env=environment(ledger),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (0 if "--help" in words else CODES.get(words[0], 0)), done.stderr
    return set(done.stderr.split("\n"))


@pytest.mark.parametrize("words", UNUSED, ids=" ".join)
def test_a_command_imports_only_what_it_needs(ledger: Path, words: tuple[str, ...]) -> None:
    modules = imported_by(ledger, words)
    assert UNUSED[words].isdisjoint(modules)
    assert "liushui.cli.app" in modules


def test_the_list_of_commands_imports_no_command(ledger: Path) -> None:
    modules = {name for name in imported_by(ledger, ("--help",)) if name.startswith("liushui.")}
    allowed = {"liushui.cli", "liushui.cli.app", "liushui.cli.options", "liushui.errors", "liushui.instant"}
    assert modules <= allowed | {"liushui.money"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_in_the_help_is_the_first_sentence_of_its_own_help(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").startswith(COMMANDS[name].help)


@pytest.mark.parametrize(
    ("module", "choices", "enum"),
    [
        ("sync", "LOG_FORMATS", "liushui.sync.sync_observers:LogFormat"),
        ("access", "SCOPES", "liushui.ledger.access.tokens:Scope"),
    ],
)
def test_choices_that_are_spelled_out_are_all_there_are(module: str, choices: str, enum: str) -> None:
    """The command line spells them out, so that help does not import the modules that define them."""
    path, _, name = enum.partition(":")
    assert getattr(import_module(f"liushui.cli.{module}"), choices) == tuple(getattr(import_module(path), name))


def test_findings_that_are_spelled_out_are_all_there_are() -> None:
    from liushui.cli.findings import FINDINGS, STATES
    from liushui.ledger import findings
    from liushui.ledger.read.filters import CHOICES
    from liushui.ledger.read.finding_decisions import FindingState

    assert set(FINDINGS) == {findings.SIDE, findings.SAME_ID, findings.BREAK}
    assert CHOICES["finding"] == findings.KINDS
    assert tuple(FindingState) == STATES


def test_defaults_that_are_spelled_out_are_the_defaults(ledger: Path) -> None:
    from liushui.ledger.access.tokens import CALLS_PER_MINUTE
    from liushui.sync.plan import INTERVAL_S

    assert f"(default: {INTERVAL_S})" in run(ledger, "sync", "--help").stdout
    assert f"(default: {CALLS_PER_MINUTE})" in run(ledger, "token", "create", "--help").stdout


# ---------------------------------------------------------------- shell completion


def completions(ledger: Path, words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    variables = {"_LIUSHUI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(LIUSHUI, env=environment(ledger) | variables, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("liushui bal", ["balances", "balance"]),
        ("liushui source ", ["add", "list", "test", "credentials", "remove", "pause", "resume"]),
        ("liushui flows --fo", ["--format"]),
        ("liushui flows --format json", ["json", "jsonl"]),
    ],
)
def test_completion(ledger: Path, words: str, offered: list[str]) -> None:
    assert completions(ledger, words) == offered


@pytest.mark.parametrize(
    ("shell", "script", "startup"),
    [
        ("/bin/bash", ".bash_completions/liushui.sh", ".bashrc"),
        ("/usr/bin/zsh", ".zfunc/_liushui", ".zshrc"),
        ("/usr/bin/fish", ".config/fish/completions/liushui.fish", None),
    ],
)
def test_completion_is_installed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, script: str, startup: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", shell)
    if startup:
        (tmp_path / startup).write_text("alias ll='ls -l'")
    for _ in range(2):
        done = run(tmp_path / "ledger.db", "--install-completion")
        assert done.returncode == 0, done.stderr
        assert str(tmp_path / script) in done.stdout
    assert (tmp_path / script).read_text() == run(tmp_path / "ledger.db", "--show-completion").stdout.removesuffix("\n")
    if startup:
        first, *lines = (tmp_path / startup).read_text().splitlines()
        assert first == "alias ll='ls -l'"
        assert len([line for line in lines if line]) == 1


def test_completion_of_an_unknown_shell_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/csh")
    done = run(tmp_path / "ledger.db", "--install-completion")
    assert (done.returncode, done.stderr) == (2, "error: shell: expected bash, zsh or fish in SHELL, got 'csh'\n")
