"""Secrets in the environment: in a variable, or in a file that another variable names."""

import os
from pathlib import Path
from typing import Final

from liushui.errors import ConfigError

FILE_SUFFIX: Final = "_FILE"
SIZE_MAX: Final = 64 * 1024
"""Bytes of a file with a secret."""


def read_secret(name: str) -> str | None:
    """Return the secret in the variable `name`, or in the file that the variable `name`_FILE names. None: neither is
    set.

    Files serve systemd's LoadCredential=, and the secrets of Docker and Kubernetes: every child process inherits
    variables. Line ends at the end of the file do not count. The file is read at each call. Raises ConfigError if both
    variables are set, and for a file that cannot be read, has no text or is too large.
    """
    value, file = os.environ.get(name), os.environ.get(name + FILE_SUFFIX)
    if not file:
        return value or None
    if value:
        raise ConfigError(f"{name}: expected it or {name}{FILE_SUFFIX}, got both")
    return read_secret_file(name + FILE_SUFFIX, Path(file).expanduser())


def read_secret_file(name: str, file: Path) -> str:
    """The secret in a file, without line ends at its end.

    Raises ConfigError that begins with `name`, for a file that cannot be read, has no text or is too large.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(SIZE_MAX + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{name}: {file} cannot be read: {why}") from None
    if not text or len(content) > SIZE_MAX:
        got = "an empty file" if not text else f"more than {SIZE_MAX} bytes"
        raise ConfigError(f"{name}: expected a secret in {file}, got {got}")
    return text
