"""Secrets at rest: encrypted with a key that is kept beside the ledger, or handed in by the environment."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import msgspec

from liushui.errors import ConfigError, LedgerError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

ENVIRONMENT: Final = "LIUSHUI_SECRET_KEY"
"""Holds the key itself, as `Fernet.generate_key` makes it, where it is not to lie beside the ledger."""


@dataclass(frozen=True)
class Vault:
    """Encrypts and reads back the secrets of one ledger."""

    path: Path
    """The key file: the ledger's path with .key behind it, readable by its owner alone."""

    def seal(self, secrets: dict[str, str]) -> str:
        """Encrypted text. Makes the key where there is none yet."""
        return self._fernet(make=True).encrypt(msgspec.json.encode(secrets)).decode()

    def open(self, sealed: str) -> dict[str, str]:
        """What `seal` was given. What was sealed before the environment had a key opens with the file's, where it is.

        Raises LedgerError where the key is not the one it was sealed with.
        """
        from cryptography.fernet import InvalidToken, MultiFernet  # inside: who opens nothing does not wait for it

        ciphers = [self._fernet(make=False)]
        if os.environ.get(ENVIRONMENT) and self.path.exists():
            ciphers.append(self._cipher(self._from_file(make=False), str(self.path)))
        try:
            return msgspec.json.decode(MultiFernet(ciphers).decrypt(sealed.encode()), type=dict[str, str])
        except InvalidToken as error:
            raise LedgerError(
                f"the secrets in this ledger were encrypted with another key than {self._where()}"
            ) from error

    def key(self) -> bytes:
        """The key itself, for who keeps it elsewhere. Raises LedgerError where there is none."""
        text = os.environ.get(ENVIRONMENT)
        return text.encode() if text else self._from_file(make=False)

    def _where(self) -> str:
        return f"the one in {ENVIRONMENT}" if os.environ.get(ENVIRONMENT) else str(self.path)

    def _fernet(self, *, make: bool) -> "Fernet":
        return self._cipher(os.environ.get(ENVIRONMENT) or self._from_file(make=make), self._where())

    def _cipher(self, key: str | bytes, where: str) -> "Fernet":
        from cryptography.fernet import Fernet

        try:
            return Fernet(key)
        except ValueError as error:
            raise ConfigError(f"{where}: expected 32 bytes in URL-safe base64") from error

    def _from_file(self, *, make: bool) -> bytes:
        try:
            if not self.path.exists():
                if not make:
                    raise LedgerError(
                        f"the ledger's secrets cannot be read: {self.path} is missing and {ENVIRONMENT} is not set"
                    )
                self._make()
            if self.path.stat().st_mode & 0o077:
                raise ConfigError(f"{self.path} may be read by others: `chmod 600` it")
            return self.path.read_bytes().strip()
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error

    def _make(self) -> None:
        """Make the key, whole or not at all. Where another process was faster, its key is the one."""
        from cryptography.fernet import Fernet

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(fresh, self.path)
        finally:
            fresh.unlink()


def vault_beside(ledger_path: Path) -> Vault:
    """The vault of the ledger in that file."""
    return Vault(ledger_path.with_name(ledger_path.name + ".key"))
