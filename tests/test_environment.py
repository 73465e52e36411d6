"""Secrets in variables and in files. No secret is read from the environment in another way."""

import ast
from pathlib import Path
from typing import Final

import pytest

from liushui.environment import SIZE_MAX, read_secret
from liushui.errors import ConfigError
from tests.test_house import MODULES

NAME: Final = "LIUSHUI_SOME_SECRET"

PUBLIC: Final = {
    "cli/__init__.py": "LIUSHUI_DEBUG",
    "cli/app.py": "the user's shell",
    "server/run.py": "what a server passes to the commands beside it",
    "testing/file_formats.py": "how much a run of the checks does",
    "testing/processes.py": "what a test passes to a process",
    "environment.py": "the one place that reads secrets",
}
"""Where the environment is used, and for what."""


@pytest.fixture(autouse=True)
def no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


def read_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> str | None:
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    return read_secret(NAME)


def test_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_secret(NAME) is None
    monkeypatch.setenv(NAME, "")
    monkeypatch.setenv(f"{NAME}_FILE", "")
    assert read_secret(NAME) is None


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, " as it is\n")
    assert read_secret(NAME) == " as it is\n"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    (tmp_path / "secret").write_bytes(f" 密 {end}".encode())
    assert read_file(monkeypatch, tmp_path / "secret") == " 密 "


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "expected a secret in .*, got an empty file"),
        (b"\n", "expected a secret in .*, got an empty file"),
        (b"\xff", "cannot be read: it is not UTF-8"),
        (b"x" * (SIZE_MAX + 1), f"got more than {SIZE_MAX} bytes"),
    ],
)
def test_a_file_without_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, error: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{NAME}_FILE: .*{error}"):
        read_file(monkeypatch, tmp_path / "secret")


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"^{NAME}_FILE: .*none cannot be read: No such file or directory$"):
        read_file(monkeypatch, tmp_path / "none")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_file(monkeypatch, tmp_path)


def test_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one")
    with pytest.raises(ConfigError, match=f"^{NAME}: expected it or {NAME}_FILE, got both$"):
        read_file(monkeypatch, tmp_path / "two")


def test_the_environment_is_read_in_one_place() -> None:
    """A new variable with a secret can be a file too, because `read_secret` is the only way to it."""
    users = {
        module.file
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and ast.unparse(node).startswith("os.")
    }
    assert users == set(PUBLIC)
