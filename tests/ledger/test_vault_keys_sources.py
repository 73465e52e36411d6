"""Secrets at rest, the keys that we issue, and the sources that we collect from."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.fernet import Fernet

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.keys import create_key, list_keys, revoke_key
from liushui.ledger.access.vault import KEY_VARIABLE, Vault
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import (
    Run,
    add_source,
    find_sources,
    last_runs,
    list_sources,
    record_run,
    remove_source,
)
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.provider import Restriction
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.reader import MemoryLimits
from tests.engines import LedgerStore
from tests.ledger.ledgers import assert_intact, column, commit_read, hours, make_row, new_ledger

SECRETS = {"app_key": "public-part", "app_secret": "s3cr3t-of-the-app", "access_token": "t0ken-of-the-user"}
RATE = PROVIDER.rules.rate


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def on_disk(ledger: Ledger) -> bytes:
    """Every byte of the ledger's files, except its key's."""
    ledger.close()
    files = [path for path in ledger.path.parent.iterdir() if path.suffix != ".key"]
    assert ledger.path in files
    return b"".join(path.read_bytes() for path in files)


def source(ledger: Ledger, account: str = "a", *, paced: bool = True) -> None:
    add_source(
        ledger, account=account, base_url="http://host", credentials=SECRETS, since=NOON - timedelta(7), paced=paced
    )


# ---------------------------------------------------------------- the vault


def test_encrypted_secrets_are_decrypted(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    assert Vault(vault.path).decrypt(sealed) == SECRETS
    assert vault.encrypt(SECRETS) != sealed
    assert not any(secret in sealed or secret in decoded(sealed) for secret in SECRETS.values())
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600


def decoded(sealed: str) -> str:
    return base64.urlsafe_b64decode(sealed).decode("latin-1")


def test_the_key_in_the_environment_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    sealed = vault.encrypt(SECRETS)
    assert vault.decrypt(sealed) == SECRETS
    assert not vault.path.exists()
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    with pytest.raises(LedgerError, match=f"encrypted with another key than the one in {KEY_VARIABLE}"):
        vault.decrypt(sealed)


def test_another_key_cannot_decrypt(tmp_path: Path) -> None:
    sealed = Vault(tmp_path / "one.key").encrypt(SECRETS)
    other = Vault(tmp_path / "other.key")
    other.encrypt({})
    with pytest.raises(LedgerError, match=r"encrypted with another key than .*other\.key"):
        other.decrypt(sealed)


def test_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    for at in range(0, len(sealed), 7):
        broken = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(LedgerError, match="another key"):
            vault.decrypt(broken)


def test_a_missing_key_is_an_error_and_not_created(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    vault.path.unlink()
    with pytest.raises(LedgerError, match=f"is missing and {KEY_VARIABLE} is not set"):
        vault.decrypt(sealed)
    assert not vault.path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    vault.path.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others: `chmod 600` it"):
        vault.decrypt(sealed)


@pytest.mark.parametrize("text", ["", "short", "!" * 44, "QUJD"])
def test_an_invalid_key_is_refused(tmp_path: Path, text: str) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    vault.path.write_text(text)
    with pytest.raises(ConfigError, match="expected 32 bytes in URL-safe base64"):
        vault.decrypt(sealed)


def test_a_key_file_of_arbitrary_bytes_is_refused(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "ledger.db.key")
    sealed = vault.encrypt(SECRETS)
    vault.path.write_bytes(b"\xff\xfe" * 22)
    with pytest.raises(ConfigError, match="expected 32 bytes in URL-safe base64"):
        vault.decrypt(sealed)


def test_concurrent_processes_use_the_first_key(tmp_path: Path) -> None:
    vaults = [Vault(tmp_path / "ledger.db.key") for _ in range(16)]
    together = Barrier(len(vaults))

    def seal(vault: Vault) -> str:
        together.wait()
        return vault.encrypt(SECRETS)

    with ThreadPoolExecutor(len(vaults)) as pool:
        sealed = list(pool.map(seal, vaults))
    assert all(vault.decrypt(text) == SECRETS for vault, text in zip(vaults[::-1], sealed, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db.key"]


def test_a_process_interrupted_while_it_makes_a_key_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_descriptor: int) -> None:
        # The signal would do nothing if this process was started in the background and ignores it.
        raise KeyboardInterrupt

    vault = Vault(tmp_path / "ledger.db.key")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            vault.encrypt(SECRETS)
    assert list(tmp_path.iterdir()) == []
    assert vault.decrypt(vault.encrypt(SECRETS)) == SECRETS


# ---------------------------------------------------------------- keys


def test_a_key_reads_its_accounts_in_its_dialect(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b", "c")
    credentials = create_key(ledger, PROVIDER, ["a", "c"], paced=False)
    limits = MemoryLimits()
    reader = LedgerReader(ledger, limits)
    key = reader.find_key("longbridge", credentials["app_key"])
    assert key is not None
    assert (key.accounts, key.credentials, key.expires_at) == (("a", "c"), credentials, None)
    assert all(reader.admit(key, RATE).admitted for _ in range(2 * RATE.calls)), "it is not paced"
    assert limits.names == []
    assert reader.find_key("wecom", credentials["app_key"]) is None
    assert reader.find_key("longbridge", credentials["app_secret"]) is None
    (listed,) = list_keys(ledger)
    assert (listed.public, listed.accounts, listed.created_at) == (credentials["app_key"], ("a", "c"), NOON)
    assert not set(map(str, listed)) & {credentials["app_secret"], credentials["access_token"]}
    ledger.close()


def test_two_keys_are_never_the_same(ledger: Ledger) -> None:
    one, two = create_key(ledger, PROVIDER, ["a"]), create_key(ledger, PROVIDER, ["a"])
    assert not set(one.values()) & set(two.values())


def test_a_paced_key_has_its_own_rate_limit(ledger: Ledger) -> None:
    limits = MemoryLimits(MovableClock())
    credentials = create_key(ledger, PROVIDER, ["a"])
    reader = LedgerReader(ledger, limits)
    key = reader.find_key("longbridge", credentials["app_key"])
    assert key is not None
    assert [reader.admit(key, RATE).admitted for _ in range(RATE.calls + 1)] == [True] * RATE.calls + [False]
    assert reader.admit(key, RATE, "another").admitted
    name = f"longbridge:{credentials['app_key']}"
    assert set(limits.names) == {f"{name}:", f"{name}:another"}


def test_a_key_has_one_session_at_a_time(ledger: Ledger) -> None:
    clock = MovableClock()
    credentials, other = create_key(ledger, PROVIDER, ["a"]), create_key(ledger, PROVIDER, ["a"])
    reader = LedgerReader(ledger, MemoryLimits(clock))
    key, another = (reader.find_key("longbridge", known["app_key"]) for known in (credentials, other))
    assert key is not None
    assert another is not None
    began = reader.session_start(key, timedelta(hours=2))
    clock.move(timedelta(hours=1))
    assert reader.session_start(key, timedelta(hours=2)) == began
    assert reader.session_start(another, timedelta(hours=2)) == clock()


def test_a_key_has_restrictions(ledger: Ledger) -> None:
    provider = replace(PROVIDER, restrictions=[Restriction("operators", "whose rows it sees")])
    credentials = create_key(ledger, provider, ["a"], restrictions={"operators": "ZhangSan"})
    key = LedgerReader(ledger, MemoryLimits()).find_key("longbridge", credentials["app_key"])
    assert key is not None
    assert key.restrictions == list_keys(ledger)[0].restrictions == {"operators": "ZhangSan"}
    for known, expected in ((provider, "operators"), (PROVIDER, "none")):
        with pytest.raises(ConfigError, match=f"restrict: expected {expected} for longbridge, got 'x'"):
            create_key(ledger, known, ["a"], restrictions={"x": ""})
    assert len(list_keys(ledger)) == 1


def test_a_revoked_key_is_refused_at_once_in_another_process(ledger: Ledger) -> None:
    credentials, other = create_key(ledger, PROVIDER, ["a"]), create_key(ledger, PROVIDER, ["a"])
    elsewhere = open_ledger(ledger.url)
    reader = LedgerReader(elsewhere, MemoryLimits())
    assert reader.find_key("longbridge", credentials["app_key"])
    revoke_key(ledger, credentials["app_key"])
    assert reader.find_key("longbridge", credentials["app_key"]) is None
    assert reader.find_key("longbridge", other["app_key"])
    assert [key.revoked_at for key in list_keys(ledger) if key.public == credentials["app_key"]] == [NOON]
    for gone in (credentials["app_key"], "nobody"):
        with pytest.raises(ConfigError, match="there is no valid one"):
            revoke_key(ledger, gone)
    elsewhere.close()


def test_a_key_has_an_expiry(ledger: Ledger) -> None:
    credentials = create_key(ledger, PROVIDER, ["a"], expires_at=NOON + timedelta(days=90))
    key = LedgerReader(ledger, MemoryLimits()).find_key("longbridge", credentials["app_key"])
    assert key is not None
    assert key.expires_at == NOON + timedelta(days=90)
    assert list_keys(ledger)[0].expires_at == NOON + timedelta(days=90)


def test_a_key_of_an_unknown_account_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="there is none named 'b'"):
        create_key(ledger, PROVIDER, ["a", "b"])
    assert list_keys(ledger) == []


# ---------------------------------------------------------------- sources


def test_a_source_is_read_back_as_it_was_added(ledger: Ledger) -> None:
    source(ledger, paced=False)
    (found,) = list_sources(ledger)
    assert found._asdict() == {
        "account": "a",
        "provider": "longbridge",
        "zone": "Asia/Hong_Kong",
        "base_url": "http://host",
        "credentials": SECRETS,
        "since": NOON - timedelta(7),
        "paced": False,
        "paused": False,
    }


def test_an_account_has_one_source(ledger: Ledger) -> None:
    source(ledger)
    before = column(ledger, "sources", "credentials")
    with pytest.raises(ConfigError, match="there is one named 'a' already"):
        source(ledger)
    assert column(ledger, "sources", "credentials") == before


def test_removing_a_source_keeps_its_flows(ledger: Ledger) -> None:
    source(ledger)
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    remove_source(ledger, "a")
    assert list_sources(ledger) == []
    assert column(ledger, "flows", "id") == [("one",)]
    with pytest.raises(ConfigError, match="there is none named 'a'"):
        remove_source(ledger, "a")
    source(ledger)
    assert_intact(ledger)


def test_sources_are_found_by_name(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b", "c")
    with pytest.raises(ConfigError, match="there is no source yet"):
        find_sources(ledger, [])
    for account in "ba":
        source(ledger, account)
    assert [found.account for found in find_sources(ledger, [])] == ["a", "b"]
    assert [found.account for found in find_sources(ledger, ["b", "a"])] == ["b", "a"]
    with pytest.raises(ConfigError, match="expected one of a, b, got 'c'"):
        find_sources(ledger, ["a", "c"])
    ledger.close()


def test_the_last_run_of_each_account_is_listed(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b")
    begun = Run("a", NOON, None, slices=0, rows_in=0, added=0, gaps=0, error="")
    ended = begun._replace(ended_at=NOON + timedelta(minutes=1), slices=3, rows_in=20, added=19, gaps=1, error="late")
    older = begun._replace(started_at=NOON - timedelta(days=1), error="refused")
    for run in (older, begun, ended, begun._replace(account="b")):
        record_run(ledger, run)
    assert last_runs(ledger) == {"a": ended, "b": begun._replace(account="b")}
    assert len(column(ledger, "runs", "account")) == 3
    ledger.close()


# ---------------------------------------------------------------- on the disk


def test_no_secret_is_in_the_files_in_plain_text(file_ledger: Ledger) -> None:
    ledger = file_ledger
    source(ledger)
    credentials = create_key(ledger, PROVIDER, ["a"])
    revoked = create_key(ledger, PROVIDER, ["a"])
    revoke_key(ledger, revoked["app_key"])
    data = on_disk(ledger)
    secret = [field.name for field in PROVIDER.credentials if field.secret]
    assert len(secret) == 2
    for known in (SECRETS, credentials, revoked):
        for name in secret:
            for spelled in (
                known[name].encode(),
                base64.b64encode(known[name].encode()),
                known[name].encode("utf-16-le"),
            ):
                assert spelled not in data
    assert credentials["app_key"].encode() in data, "what names a key stands there in the open"


def test_the_key_file_is_beside_the_ledger_and_private(file_ledger: Ledger) -> None:
    ledger = file_ledger
    source(ledger)
    path = ledger.vault.path
    assert path == ledger.path.with_name("ledger.db.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() not in on_disk(ledger)


def test_a_ledger_moved_without_its_key_is_an_error(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    source(ledger)
    create_key(ledger, PROVIDER, ["a"])
    ledger.vault.path.unlink()
    with pytest.raises(LedgerError, match="secrets cannot be read"):
        list_sources(ledger)
    ((public,),) = column(ledger, "keys", "public")
    reader = LedgerReader(open_ledger(str(ledger.path), clock=MovableClock()), MemoryLimits())
    with pytest.raises(LedgerError, match="secrets cannot be read"):
        reader.find_key("longbridge", str(public))
    assert len(list_keys(ledger)) == 1
    ledger.close()
