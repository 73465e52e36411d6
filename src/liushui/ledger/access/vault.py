"""Secrets at rest: encrypted with a key in a separate file, or in an environment variable."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from liushui.environment import read_secret
from liushui.errors import ConfigError, LedgerError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

    from liushui.ledger.engine import Ledger

KEY_VARIABLE: Final = "LIUSHUI_SECRET_KEY"
"""The environment variable that may contain the key, as `Fernet.generate_key` makes it. Then no key file is needed.

LIUSHUI_SECRET_KEY_FILE names a file with it, for a key that a service manager hands over.
"""


@dataclass(frozen=True)
class Vault:
    """Encrypts and decrypts the secrets of one ledger."""

    path: Path
    """The key file. Only its owner may read it."""

    def encrypt(self, values: dict[str, str]) -> str:
        """Encrypt values. Creates the key if there is none yet."""
        return self._fernet(create=True).encrypt(msgspec.json.encode(values)).decode()

    def decrypt(self, encrypted: str) -> dict[str, str]:
        """Return the input of `encrypt`. Raises LedgerError if it was encrypted with another key.

        The key file is tried after the environment's key, because it has encrypted older data.
        """
        # Imported here: most commands decrypt nothing, and the import takes a while.
        from cryptography.fernet import InvalidToken, MultiFernet

        ciphers = [self._fernet(create=False)]
        if read_secret(KEY_VARIABLE) and self.path.exists():
            ciphers.append(self._cipher(self._key_in_file(create=False), str(self.path)))
        try:
            return msgspec.json.decode(MultiFernet(ciphers).decrypt(encrypted.encode()), type=dict[str, str])
        except InvalidToken as error:
            raise LedgerError(
                f"the secrets in this ledger were encrypted with another key than {self._key_location()}"
            ) from error

    def key(self) -> bytes:
        """The key itself, for a backup. Raises LedgerError if there is none."""
        text = read_secret(KEY_VARIABLE)
        return text.encode() if text else self._key_in_file(create=False)

    def _key_location(self) -> str:
        return f"the one in {KEY_VARIABLE}" if read_secret(KEY_VARIABLE) else str(self.path)

    def _fernet(self, *, create: bool) -> "Fernet":
        return self._cipher(read_secret(KEY_VARIABLE) or self._key_in_file(create=create), self._key_location())

    def _cipher(self, key: str | bytes, location: str) -> "Fernet":
        from cryptography.fernet import Fernet

        try:
            return Fernet(key)
        except ValueError as error:
            raise ConfigError(f"{location}: expected 32 bytes in URL-safe base64") from error

    def _key_in_file(self, *, create: bool) -> bytes:
        try:
            if not self.path.exists():
                if not create:
                    raise LedgerError(
                        f"the ledger's secrets cannot be read: {self.path} is missing and {KEY_VARIABLE} is not set"
                    )
                self._create_key()
            if self.path.stat().st_mode & 0o077:
                raise ConfigError(f"{self.path} can be read by others: `chmod 600` it")
            return self.path.read_bytes().strip()
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error

    def _create_key(self) -> None:
        """Write a new key, whole or not at all. If another process was faster, its key is used."""
        import secrets

        from cryptography.fernet import Fernet

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, self.path)
        finally:
            temporary.unlink()


def vault_beside(ledger_path: Path) -> Vault:
    """The vault of a ledger in a file: its key is in the file with this name with `.key` appended."""
    return Vault(ledger_path.with_name(ledger_path.name + ".key"))


# ---------------------------------------------------------------- secrets that servers share


def shared_secret(ledger: "Ledger", name: str) -> bytes:
    """256 random bits under a name: the same for all processes that serve a ledger, made at the first call."""
    secret = _load_secret(ledger, name)
    if secret is None:
        with suppress(LedgerError):  # another process was faster: then its secret is loaded
            _create_secret(ledger, name)
        secret = _load_secret(ledger, name)
    if secret is None:
        raise LedgerError(f"the secret {name!r} could not be stored")
    return secret


def _load_secret(ledger: "Ledger", name: str) -> bytes | None:
    with ledger.reading() as connection:
        encrypted = connection.exec_driver_sql("SELECT sealed FROM server_secrets WHERE name = ?", (name,)).scalar()
    return None if encrypted is None else bytes.fromhex(ledger.vault.decrypt(encrypted)[name])


def _create_secret(ledger: "Ledger", name: str) -> None:
    import secrets

    encrypted = ledger.vault.encrypt({name: secrets.token_hex(32)})
    with ledger.writing() as connection:
        insert = "INSERT INTO server_secrets (name, sealed) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
        connection.exec_driver_sql(insert, (name, encrypted))
