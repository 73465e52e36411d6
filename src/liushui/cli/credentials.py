"""Credentials from a file, the environment or a prompt: never from an argument, never printed back."""

import getpass
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from liushui.errors import ConfigError
from liushui.money import shown
from liushui.provider import Provider

STANDARD_INPUT = "-"


def read_credentials(provider: Provider, file: str | None) -> dict[str, str]:
    """A provider's credential fields: from `file` (TOML or JSON, `-` for standard input), else the environment
    (LIUSHUI_APP_KEY for app_key), else a prompt where there is a terminal. Raises ConfigError naming a missing one."""
    given = _from_file(file) if file else {}
    found: dict[str, str] = {}
    for field in provider.credentials:
        variable = f"LIUSHUI_{field.name.upper()}"
        value = given.get(field.name) if file else os.environ.get(variable)
        if value is None and not file and sys.stdin.isatty():
            value = getpass.getpass(f"{field.title}: ") if field.secret else input(f"{field.title}: ")
        if value is None:
            where = file or f"{variable}, --credentials or a terminal to ask at"
            raise ConfigError(f"{field.name}: expected in {where}, but missing")
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{field.name}: expected text, got {type(value).__name__}")
        found[field.name] = value.strip()
    return found


def _from_file(file: str) -> Mapping[str, object]:
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"credentials: {file} cannot be read: {error}") from error
    name = "standard input" if file == STANDARD_INPUT else file
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:  # both parsers' errors; they quote no value
        raise ConfigError(f"credentials: {name} is neither TOML nor JSON") from error
    if not isinstance(found, dict):
        raise ConfigError(f"credentials: expected fields by name, got {shown(type(found).__name__)}")
    return found
