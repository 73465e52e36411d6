"""A removed account is erased, and its chain still verifies. A later account of the same name is a separate account."""

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from liushui.errors import AccountNotFound, AlreadyExists, ConfigError, LedgerError
from liushui.ledger.access.keys import create_key, list_keys
from liushui.ledger.access.tokens import Scope, create_token, find_token
from liushui.ledger.chain import REMOVED, REOPENED
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source, list_sources
from liushui.ledger.jobs.workers import take_lease
from liushui.ledger.maintenance.anchors import Anchor
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.heads_file import record_heads
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.read.feed import feed_page
from liushui.ledger.schema import metadata
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.discard import discard
from liushui.ledger.write.quarantine import row_digest
from liushui.ledger.write.remove import KEPT_TABLES, remove_account
from liushui.providers.longbridge import PROVIDER
from liushui.services.accounts import list_accounts
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    READ_AT,
    column,
    commit_read,
    hours,
    import_recorded,
    make_row,
    rejected_row,
    tables,
)
from tests.ledger.reading import statuses

SECRETS = {"app_key": "public", "app_secret": "s3cr3t", "access_token": "t0ken"}


def fill(ledger: Ledger, account: str) -> None:
    """Write rows of every kind, and a source."""
    commit_read(ledger, hours(0, 24), make_row("one", 1), rejected=[rejected_row("{")], account=account)
    commit_read(ledger, hours(0, 24), make_row("one", 1, "2.00"), rejected=[rejected_row("{")], account=account)
    import_recorded(ledger, make_row("two", 30), make_row("three", 31), account=account)
    discard(ledger, account, row_digest(b"{"), "a reason")
    add_source(ledger, account=account, base_url="http://host", credentials=SECRETS, since=READ_AT, paced=True)


@pytest.fixture
def two(ledger: Ledger) -> Ledger:
    """A ledger with the accounts `a` and `b`."""
    make_account(ledger, "b", "longbridge", "UTC")
    fill(ledger, "a")
    fill(ledger, "b")
    return ledger


def verified(ledger: Ledger) -> dict[str, Verified]:
    """What `verify` says of each account, and that nothing is damaged."""
    results = list(verify(ledger))
    assert all(isinstance(result, Verified) for result in results), results
    return {result.account: result for result in results if isinstance(result, Verified)}


def test_everything_of_the_account_is_erased_and_nothing_else(two: Ledger) -> None:
    of_b = {name: [row for row in rows if "b" in row] for name, rows in tables(two).items()}
    removed = remove_account(two, "a")
    assert (removed.flows, removed.batches) == (3, 5)
    kept = {table.name for table in KEPT_TABLES}
    for name, rows in tables(two).items():
        if "account" in metadata.tables[name].columns:
            assert name in kept or not [row for row in rows if row[0] == "a"], name
            assert [row for row in rows if "b" in row] == of_b[name]
    assert [source.account for source in list_sources(two)] == ["b"]
    assert [status.account for status in statuses(two)] == ["b"]
    with pytest.raises(AccountNotFound):
        remove_account(two, "a")


def test_the_chain_still_verifies(two: Ledger) -> None:
    before = verified(two)["a"].link
    removed = remove_account(two, "a")
    after = verified(two)["a"]
    assert (after.batches, after.flows, after.link) == (5, 0, removed.link)
    assert column(two, "batches", "account", "state")[4] == ("a", REMOVED)
    anchors = [Anchor("a", 4, before, "noted"), Anchor("a", None, removed.link, "noted")]
    assert all(isinstance(result, Verified) for result in verify(two, anchors=anchors))


def test_what_is_changed_afterwards_is_found(two: Ledger) -> None:
    remove_account(two, "a")
    for statement in (
        "UPDATE tombstones SET head = 4",
        "UPDATE tombstones SET zone = 'UTC'",
        "UPDATE tombstones SET removed_at_us = removed_at_us + 1",
        "UPDATE tombstones SET link = 'forged'",
        "DELETE FROM tombstones",
        "UPDATE batches SET added = 9 WHERE account = 'a' AND seq = 2",
        "DELETE FROM batches WHERE account = 'a' AND seq = 5",
        _into_a("findings"),
        _into_a("page_edges"),
    ):
        with two.writing() as connection:
            changed = connection.exec_driver_sql(statement).rowcount
            results = list(_verify_inside(two, connection))
            connection.rollback()
        assert not changed or any(isinstance(result, Damage) and result.account == "a" for result in results), statement


def _into_a(table: str) -> str:
    """The statement that gives account `a` the rows of the others. Citus moves no row by an UPDATE."""
    names = ", ".join(one.name for one in metadata.tables[table].columns if one.name != "account")
    return f"INSERT INTO {table} (account, {names}) SELECT 'a', {names} FROM {table}"


def _verify_inside(ledger: Ledger, connection: sa.Connection) -> list[Damage | Verified]:
    """What `verify` finds in a transaction that is rolled back."""
    with patch.object(type(ledger), "reading", lambda _self: nullcontext(connection)):
        return list(verify(ledger))


# ---------------------------------------------------------------- keys and tokens


def test_keys_and_tokens_no_longer_read_it(two: Ledger) -> None:
    create_key(two, PROVIDER, ["a"])
    create_key(two, PROVIDER, ["a", "b"])
    only, both, every = (
        create_token(two, names=names, scopes=[Scope.READ]).text for names in (["a"], ["a", "b"], None)
    )
    removed = remove_account(two, "a")
    assert (removed.keys_revoked, removed.tokens_revoked) == (1, 1)
    make_account(two, "a", "longbridge", "UTC")
    assert sorted((key.accounts, key.revoked_at is None) for key in list_keys(two)) == [((), False), (("b",), True)]
    assert find_token(two, only) is None
    token = find_token(two, both)
    assert token is not None
    assert token.accounts == frozenset({"b"})
    assert find_token(two, every) is not None


# ---------------------------------------------------------------- the name's later use


def test_a_later_account_of_the_name_continues_the_chain(two: Ledger) -> None:
    removed = remove_account(two, "a")
    make_account(two, "a", "wecom", "Asia/Shanghai")
    assert column(two, "batches", "account", "seq", "state")[:6][-1] == ("a", 6, REOPENED)
    assert verified(two)["a"].batches == 6
    (status, _) = statuses(two)
    assert (status.account, status.quarantined) == ("a", 0)
    commit_read(two, hours(0, 24), make_row("one", 1), account="a")
    assert verified(two)["a"].flows == 1
    again = remove_account(two, "a")
    assert again.batches == 8
    make_account(two, "a", "longbridge", "UTC")
    commit_read(two, hours(0, 24), make_row("new", 1), account="a")
    anchors = [Anchor("a", 5, removed.link, "noted"), Anchor("a", 8, again.link, "noted")]
    assert all(isinstance(result, Verified) for result in verify(two, anchors=anchors))


def test_a_provider_or_zone_that_was_changed_afterwards_is_found(two: Ledger) -> None:
    remove_account(two, "a")
    make_account(two, "a", "longbridge", "UTC")
    with two.writing() as connection:
        connection.exec_driver_sql("UPDATE accounts SET provider = 'wecom' WHERE account = 'a'")
    assert {result.account for result in verify(two) if isinstance(result, Damage)} == {"a"}


def test_the_later_account_has_nothing_of_the_first_one(two: Ledger) -> None:
    """Neither its coverage, nor its state as of then, nor its commits in the feed."""
    remove_account(two, "a")
    make_account(two, "a", "longbridge", "UTC")
    assert [row for row in column(two, "coverage", "account") if row == ("a",)] == []
    page = feed_page(two, ["a"], {}, limit=10)
    assert (page.steps, page.positions) == ([], {"a": 6})
    with pytest.raises(ConfigError, match="account a was removed, and begun again: read the feed from its beginning"):
        feed_page(two, ["a"], {"a": 2}, limit=10)


def test_the_name_of_an_account_that_exists_is_still_taken(two: Ledger) -> None:
    remove_account(two, "a")
    make_account(two, "a", "wecom", "UTC")
    with pytest.raises(AlreadyExists, match="holds flows of wecom, not of longbridge"):
        make_account(two, "a", "longbridge", "UTC")
    assert verified(two)["a"].batches == 6


# ---------------------------------------------------------------- around it


def test_an_account_that_is_being_synced_is_not_removed(two: Ledger) -> None:
    take_lease(two, "a", "elsewhere/1/abcd", timedelta(minutes=5))
    with pytest.raises(LedgerError, match="account a is being synced by elsewhere/1/abcd"):
        remove_account(two, "a")
    assert len(verified(two)) == 2


def test_copies_backups_and_restores_carry_the_tombstone(
    two: Ledger, ledger_store: LedgerStore, tmp_path: Path
) -> None:
    removed = remove_account(two, "a")
    copied = copy_ledger(two, ledger_store.url("copy.db"))
    assert [(account.account, account.batches, account.differs) for account in copied] == [("a", 5, ""), ("b", 4, "")]
    back_up(two, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", str(tmp_path / "restored.db"))
    for url in (ledger_store.url("copy.db"), str(tmp_path / "restored.db")):
        other = open_ledger(url)
        assert verified(other)["a"].link == removed.link
        make_account(other, "a", "wecom", "UTC")
        assert verified(other)["a"].batches == 6
        other.close()


def test_the_heads_file_goes_on(two: Ledger) -> None:
    assert record_heads(two) == []
    remove_account(two, "a")
    assert record_heads(two) == []
    make_account(two, "a", "wecom", "UTC")
    assert record_heads(two) == []


def test_the_list_of_accounts(two: Ledger) -> None:
    create_key(two, PROVIDER, ["a", "b"])
    create_token(two, names=None, scopes=[Scope.READ])
    first, second = list_accounts(two)
    assert (first.account, first.flows, first.source, first.keys, first.tokens) == ("a", 3, True, 1, 1)
    remove_account(two, "a")
    assert [account.account for account in list_accounts(two)] == ["b"]
    gone, second = list_accounts(two, removed=True)
    assert (gone.account, gone.removed_at, second.removed_at) == ("a", two.clock(), None)
    make_account(two, "a", "wecom", "UTC")
    assert [account.removed_at for account in list_accounts(two, removed=True)] == [None, None]
