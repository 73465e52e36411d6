"""A renamed account has one name everywhere, and what was sealed or recorded under the earlier name still verifies."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liushui.certificate.check import compare_with_ledger, is_erased, list_rows
from liushui.certificate.store import current_certificates, list_certificates, load_certificate
from liushui.errors import (
    AccountNotFound,
    AccountRenamed,
    AlreadyExists,
    ConfigError,
    ConnectionLost,
    InvalidField,
    LedgerError,
    WireError,
)
from liushui.flow import Direction, Kind
from liushui.ledger.access.keys import create_key, list_keys
from liushui.ledger.access.saved_views import SavedView, ViewQuery, list_views, save_view
from liushui.ledger.access.tokens import Scope, create_token, find_token
from liushui.ledger.chain import RENAMED
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.flow_row import served_identity
from liushui.ledger.jobs.sources import add_source, list_sources
from liushui.ledger.jobs.workers import take_lease
from liushui.ledger.maintenance.anchors import Anchor, parse_expected
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.heads_file import SUFFIX, read_heads_file, record_heads
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.names import identities_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.cursors import CursorError, bound_to_names, read_cursor, sign_cursor
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.read.feed import feed_page, positions_after_renames
from liushui.ledger.read.finding_decisions import list_finding_decisions
from liushui.ledger.read.link_decisions import load_decisions
from liushui.ledger.read.links import LinkReader
from liushui.ledger.schema import metadata
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.discard import discard
from liushui.ledger.write.imports import ImportRecord
from liushui.ledger.write.link_decisions import decide_link
from liushui.ledger.write.quarantine import row_digest
from liushui.ledger.write.remove import remove_account
from liushui.ledger.write.rename import rename_account
from liushui.ledger.write.stated_balances import withdraw_balance
from liushui.ledger.write.undo import undo_import
from liushui.provider import FlowQuery
from liushui.providers.longbridge import PROVIDER
from liushui.reconcile.links import LinkState
from liushui.testing.reader import MemoryLimits
from tests.certificate.certified import certifiable_ledger, certify, export
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    READ_AT,
    assert_intact,
    close_march_of,
    column,
    commit_read,
    decide_link_of,
    explain_side_of,
    hours,
    import_page,
    import_recorded,
    make_row,
    new_ledger,
    rejected_row,
    state,
    tables,
)

SECRETS = {"app_key": "public", "app_secret": "s3cr3t", "access_token": "t0ken"}


def fill(ledger: Ledger, account: str) -> None:
    """Write rows of every kind, and a source."""
    rejected = [rejected_row("{"), rejected_row("[")]
    commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2), rejected=rejected, account=account)
    commit_read(ledger, hours(0, 24), make_row("one", 1, "2.00"), rejected=rejected, account=account)
    import_page(ledger, make_row("newest", 62), *[make_row("cut", 60)] * 2, account=account)
    import_page(ledger, *[make_row("cut", 60)] * 2, make_row("oldest", 58), account=account)
    state(ledger, "10.00", 70, account=account)
    decide_link_of(ledger, account)
    close_march_of(ledger, account)
    explain_side_of(ledger, "one", 1, account)
    add_source(ledger, account=account, base_url="http://host", credentials=SECRETS, since=READ_AT, paced=True)


@pytest.fixture
def two(ledger: Ledger) -> Ledger:
    """A ledger with the accounts `a` and `b`."""
    make_account(ledger, "b", "longbridge", "UTC")
    fill(ledger, "a")
    fill(ledger, "b")
    return ledger


def verified(ledger: Ledger, *anchors: Anchor) -> dict[str, Verified]:
    """What `verify` says of each account, and that nothing is damaged."""
    results = list(verify(ledger, anchors=anchors))
    assert all(isinstance(result, Verified) for result in results), results
    return {result.account: result for result in results if isinstance(result, Verified)}


def damaged(ledger: Ledger) -> set[str]:
    return {one.account for one in verify(ledger) if isinstance(one, Damage)}


# ---------------------------------------------------------------- one name


def test_everything_has_the_new_name_and_nothing_else_changes(two: Ledger) -> None:
    before = tables(two)
    renamed = rename_account(two, "a", "c")
    assert (renamed.account, renamed.before, renamed.batch) == ("c", "a", 9)
    for name, rows in tables(two).items():
        if "account" not in metadata.tables[name].columns or name == "account_names":
            assert name == "account_names" or rows == before[name], name
            continue
        assert [row for row in rows if row[0] == "a"] == [], name
        assert [row for row in rows if row[0] == "b"] == [row for row in before[name] if row[0] == "b"], name
        if name not in ("accounts", "batches"):
            moved = [("c", *row[1:]) for row in before[name] if row[0] == "a"]
            assert [row for row in rows if row[0] == "c"] == moved, name
    assert tables(two)["account_names"] == [("c", 8, "a")]
    assert [(source.account, source.credentials) for source in list_sources(two)] == [("b", SECRETS), ("c", SECRETS)]


def test_the_chain_goes_on(two: Ledger) -> None:
    before = verified(two)["a"]
    renamed = rename_account(two, "a", "c")
    after = verified(two)["c"]
    assert (after.batches, after.flows, after.link) == (before.batches + 1, before.flows, renamed.link)
    *_, last = (row for row in column(two, "batches", "account", "seq", "state", "reason") if row[0] == "c")
    assert last == ("c", 9, RENAMED, '["a","c"]')
    commit_read(two, hours(24, 48), make_row("later", 30), rejected=[rejected_row("later")], account="c")
    discard(two, "c", row_digest(b"{"), "seals the digest of a batch of the earlier name again")
    undo_import(two, import_recorded(two, make_row("undone", 66), account="c"))
    assert verified(two)["c"].batches == 13


def test_renamed_twice_and_back(two: Ledger) -> None:
    for before, after in (("a", "c"), ("c", "d"), ("d", "a"), ("a", "c"), ("c", "a")):
        rename_account(two, before, after)
        commit_read(two, hours(24, 48), make_row(f"in {after}", 30), account=after)
        assert verified(two)[after].batches == two_batches(two, after)
    assert [row[2] for row in tables(two)["account_names"]] == ["a", "c", "d", "a", "c"]


def two_batches(ledger: Ledger, account: str) -> int:
    return sum(row == (account,) for row in column(ledger, "batches", "account"))


def test_an_account_without_batches(ledger: Ledger) -> None:
    rename_account(ledger, "a", "b")
    rename_account(ledger, "b", "c")
    assert verified(ledger)["c"].batches == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account_names SET name = 'x' WHERE account = 'c'",
        "UPDATE account_names SET until_batch = until_batch - 1 WHERE account = 'c'",
        "UPDATE account_names SET until_batch = until_batch + 1 WHERE account = 'c'",
        "DELETE FROM account_names WHERE account = 'c'",
        "INSERT INTO account_names (account, until_batch, name) VALUES ('c', 3, 'x')",
        "INSERT INTO account_names (account, until_batch, name) VALUES ('c', 99, 'c')",
        "UPDATE batches SET reason = '[\"x\",\"c\"]' WHERE account = 'c' AND seq = 9",
        "UPDATE batches SET state = 'added' WHERE account = 'c' AND seq = 9",
        "UPDATE flows SET label = 'forged' WHERE account = 'c' AND id = 'one'",
    ],
)
def test_a_forged_name_is_found(two: Ledger, statement: str) -> None:
    rename_account(two, "a", "c")
    with two.writing() as connection:
        assert connection.exec_driver_sql(statement).rowcount == 1
    assert damaged(two) == {"c"}


def test_names_that_were_changed_without_a_rename_are_found(two: Ledger) -> None:
    """Nobody can give the flows of one account another name by hand."""
    with two.writing() as connection:
        for table in metadata.sorted_tables:
            if "account" in table.columns:
                names = ", ".join(column.name for column in table.columns if column.name != "account")
                connection.exec_driver_sql(
                    f"INSERT INTO {table.name} (account, {names}) SELECT 'c', {names} FROM {table.name} "
                    "WHERE account = 'a'"
                )
                connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE account = 'a'")
    assert damaged(two) == {"c"}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("account", "name", "error", "message"),
    [
        ("missing", "c", AccountNotFound, "there is none named 'missing'"),
        ("a", "a", InvalidField, "name: expected another name than the present one, got 'a'"),
        ("a", "b", AlreadyExists, "name: there is an account named 'b' already"),
        ("a", "", ConfigError, "name: expected 1 to 64 letters"),
        ("a", "a b", ConfigError, "name: expected 1 to 64 letters"),
        ("a", "x" * 65, ConfigError, "name: expected 1 to 64 letters"),
    ],
)
def test_names_that_are_refused(two: Ledger, account: str, name: str, error: type[ConfigError], message: str) -> None:
    before = tables(two)
    with pytest.raises(error, match=message):
        rename_account(two, account, name)
    assert tables(two) == before


def test_the_earlier_name_belongs_to_the_account_for_ever(two: Ledger) -> None:
    rename_account(two, "a", "c")
    for make in (
        lambda: make_account(two, "a", "longbridge", "Asia/Hong_Kong"),
        lambda: rename_account(two, "b", "a"),
    ):
        with pytest.raises(AlreadyExists, match="'a' is the earlier name of 'c'"):
            make()
    for use in (
        lambda: commit_read(two, hours(0, 24), account="a"),
        lambda: rename_account(two, "a", "d"),
        lambda: create_token(two, names=["a"], scopes=[Scope.READ]),
    ):
        with pytest.raises(AccountRenamed, match="account: 'a' was renamed to 'c': use that name"):
            use()
    remove_account(two, "c")
    with pytest.raises(AlreadyExists, match="'a' is the earlier name of 'c'"):
        make_account(two, "a", "longbridge", "UTC")
    assert_intact(two)


def test_a_sync_that_runs_is_named(two: Ledger) -> None:
    take_lease(two, "a", "elsewhere/1/abcd", timedelta(minutes=5))
    with pytest.raises(LedgerError, match="account a is being synced by elsewhere/1/abcd: end that first, then rename"):
        rename_account(two, "a", "c")
    assert list(verified(two)) == ["a", "b"]


def test_an_import_that_runs_is_named(two: Ledger) -> None:
    record = ImportRecord(two, "a", ["page.json"])
    record.commit_rejected([rejected_row("<")])
    with pytest.raises(LedgerError, match=f"import {record.id}, which began at .*, has not ended"):
        rename_account(two, "a", "c")
    rename_account(two.with_clock(lambda: two.clock() + timedelta(minutes=2)), "a", "c")  # it was killed
    with pytest.raises(AccountRenamed):
        record.commit_rejected([rejected_row(">")])
    assert_intact(two)


# ---------------------------------------------------------------- removed accounts


def test_renamed_then_removed_then_begun_again(two: Ledger) -> None:
    link = verified(two)["a"].link
    rename_account(two, "a", "c")
    remove_account(two, "c")
    assert verified(two, Anchor("a", 8, link, "noted"))["c"].batches == 10
    make_account(two, "c", "wecom", "Asia/Shanghai")
    rename_account(two, "c", "d")
    commit_read(two, hours(0, 24), make_row("one", 1), account="d")
    assert verified(two, Anchor("a", 8, link, "noted"))["d"].flows == 1


def test_the_name_of_a_removed_account_stays_with_its_chain(two: Ledger) -> None:
    remove_account(two, "b")
    with pytest.raises(AlreadyExists, match="an account named 'b' was removed, and its chain keeps the name"):
        rename_account(two, "a", "b")
    make_account(two, "b", "longbridge", "UTC")
    rename_account(two, "b", "c")
    assert_intact(two)


# ---------------------------------------------------------------- records outside of the ledger


def test_links_that_were_noted_under_earlier_names(two: Ledger) -> None:
    first = verified(two)["a"].link
    second = rename_account(two, "a", "c").link
    third = rename_account(two, "c", "d").link
    anchors = [parse_expected(f"a={first}"), parse_expected(f"c={second}"), parse_expected(f"d={third}")]
    assert verified(two, *anchors)["d"].anchored == 10
    assert verified(two, Anchor("a", 8, first, "noted"))["d"].anchored == 8
    (failure,) = (one for one in verify(two, anchors=[Anchor("a", 7, first, "noted")]) if isinstance(one, Damage))
    assert "this batch or an earlier one was replaced" in failure.what


def test_the_heads_file_goes_on_under_the_new_name(two: Ledger) -> None:
    assert record_heads(two) == []
    for before, after in (("a", "c"), ("c", "d"), ("d", "a")):
        rename_account(two, before, after)
        assert record_heads(two) == []
    lines = [json.loads(line) for line in two.local_path(SUFFIX).read_text().splitlines()]
    assert [line["account"] for line in lines] == ["a", "b", "c", "d", "a"]
    assert verified(two, *read_heads_file(two).anchors)["a"].anchored == 11
    with two.writing() as connection:
        connection.exec_driver_sql("DELETE FROM batches WHERE account = 'a' AND seq = 11")
    assert any("does not continue" in line for line in record_heads(two))


def test_certificates_from_before(ledger_store: LedgerStore, tmp_path: Path) -> None:
    ledger = certifiable_ledger(ledger_store)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    rename_account(ledger, "a", "c")
    opened = files.open(ledger)
    assert compare_with_ledger(ledger, opened) == []
    assert len(list(list_rows(ledger, opened))) == 23
    assert not is_erased(ledger, opened)
    assert verified(ledger, opened.anchor)["c"].anchored == 1
    second = certify(ledger, account="c")
    assert (second.number, second.subject.account) == (2, "c")
    assert second.integrity.genesis == opened.document.integrity.genesis
    assert second.integrity.previous == opened.digest
    later = export(ledger, tmp_path / "later", "c")
    assert compare_with_ledger(ledger, later.open(ledger)) == []
    assert later.check_everything().returncode == 0
    assert [(one.account, one.number) for one in current_certificates(ledger)] == [("c", 1), ("c", 2)]
    assert load_certificate(ledger, "c", 1).note == files.certificate.read_bytes()
    remove_account(ledger, "c")
    assert compare_with_ledger(ledger, opened) == []
    assert is_erased(ledger, opened)
    assert len(list_certificates(ledger, ["c"])) == 2
    ledger.close()


# ---------------------------------------------------------------- who may read it


def test_grants_follow_the_account_and_nobody_gains_any(two: Ledger) -> None:
    make_account(two, "z", "longbridge", "UTC")
    create_key(two, PROVIDER, ["b", "a"])
    texts: dict[tuple[str, ...] | None, str] = {
        names: create_token(two, names=names and list(names), scopes=[Scope.READ]).text
        for names in (("a",), ("a", "b"), ("b",), None)
    }
    renamed = rename_account(two, "a", "c")
    assert (renamed.keys, renamed.tokens, renamed.rules) == (1, 2, 0)
    assert [key.accounts for key in list_keys(two)] == [("b", "c")]

    def accounts(names: tuple[str, ...] | None) -> frozenset[str] | None:
        token = find_token(two, texts[names])
        assert token is not None
        return token.accounts

    assert accounts(("a",)) == frozenset({"c"})
    assert accounts(("a", "b")) == frozenset({"b", "c"})
    assert accounts(("b",)) == frozenset({"b"})
    assert accounts(None) is None


def test_saved_views_follow(two: Ledger) -> None:
    with two.writing() as connection:
        view = SavedView(
            "owner", "mine", ViewQuery(accounts=("a", "b")), is_shared=False, created_at=READ_AT, changed_at=READ_AT
        )
        save_view(connection, two.clock(), view)
    rename_account(two, "a", "c")
    with two.reading() as connection:
        (found,) = list_views(connection, "owner")
    assert found.query.accounts == ("c", "b")


# ---------------------------------------------------------------- what people decided


def test_decisions_of_people_hold(two: Ledger) -> None:
    def decided() -> tuple[list[str], list[str]]:
        with two.reading() as connection:
            links = [name for one in load_decisions(connection).values() for name in {f.account for f in one.flows}]
            names = ("c",) if ("c",) in column(two, "accounts", "account") else ("a",)
            found = [one.finding for name in names for one in list_finding_decisions(queries_of(connection), name)]
        return sorted(links), found

    links, findings = decided()
    rename_account(two, "a", "c")
    after, found = decided()
    assert (links, after) == (["a", "b"], ["b", "c"])
    assert len(found) == len(findings) == 1
    assert found != findings
    explain_side_of(two, "one", 1, "c")
    assert decided()[1] == found * 2


def test_a_confirmed_transfer_stays_confirmed(ledger: Ledger) -> None:
    """Its decision is sealed in the chain of one account, and names both."""
    make_account(ledger, "b", "longbridge", "UTC")
    out = make_row("out", 1, "-70.00", kind=Kind.TRANSFER, direction=Direction.OUT)
    commit_read(ledger, hours(0, 24), out)
    into = make_row("in", 2, "70.00", kind=Kind.TRANSFER, direction=Direction.IN)
    commit_read(ledger, hours(0, 24), into, account="b")

    def links() -> list[tuple[str, LinkState, tuple[str, ...]]]:
        with ledger.reading() as connection:
            reader = LinkReader(connection, find_accounts(queries_of(connection)), {})
            found = list(reader.links(-(2**62), 2**62))
            assert all(reader.find(link.id) == link for link in found)
        return [(link.id, link.state, tuple(flow.account for flow in link.flows)) for link in found]

    ((id_, _, accounts),) = links()
    assert accounts == ("a", "b")
    decide_link(ledger, {}, id_, LinkState.REJECTED, decided_by="li")
    for before, after, expected in (("b", "a0", ("a", "a0")), ("a", "z", ("z", "a0"))):
        rename_account(ledger, before, after)
        ((now, decision, names),) = links()
        assert (decision, names) == (LinkState.REJECTED, expected)
        assert now != id_
    with pytest.raises(AlreadyExists):
        decide_link(ledger, {}, now, LinkState.CONFIRMED, decided_by="li")
    decide_link(ledger, {}, now, LinkState.CONFIRMED, decided_by="li", replace=True)
    assert [state_ for _, state_, _ in links()] == [LinkState.CONFIRMED]
    rename_account(ledger, "z", "a")
    assert [state_ for _, state_, _ in links()] == [LinkState.CONFIRMED]
    assert_intact(ledger)


def test_a_stated_balance_can_be_withdrawn(two: Ledger) -> None:
    id_ = state(two, "1.00", 71)
    rename_account(two, "a", "c")
    withdraw_balance(two, id_.replace("a:", "c:"), "a typing error")
    assert_intact(two)


# ---------------------------------------------------------------- readers


def test_cursors_from_before_are_refused(two: Ledger) -> None:
    query = bound_to_names(two, "q")
    cursor = sign_cursor(two, query, ["a", 1])
    assert read_cursor(two, bound_to_names(two, "q"), cursor, list[object]) == ["a", 1]
    rename_account(two, "b", "c")
    with pytest.raises(CursorError):
        read_cursor(two, bound_to_names(two, "q"), cursor, list[object])


def test_the_feed_names_the_rename(two: Ledger) -> None:
    seen = feed_page(two, ["a", "b"], {}, limit=100).positions
    rename_account(two, "a", "c")
    with pytest.raises(ConfigError, match="account a was renamed to c: read the feed from its beginning"):
        feed_page(two, ["b", "c"], seen, limit=100)
    assert feed_page(two, ["b"], seen, limit=100).steps == []
    assert {step.found.account for step in feed_page(two, ["b", "c"], {}, limit=100).steps} == {"b", "c"}
    assert positions_after_renames(two, ["b", "c"], seen) == {"b": 8, "c": 8}
    rename_account(two, "c", "a")
    assert feed_page(two, ["a", "b"], seen, limit=100).steps == []


def test_other_programs_know_its_flows_by_the_same_ids(two: Ledger) -> None:
    """A provider's API names flows by it, and so do OFX, CAMT.053, journals and SimpleFIN."""

    def identities(account: str) -> list[str]:
        with two.querying() as queries:
            identity_of = identities_of(queries)
        return [
            identity_of(account, str(id_)) for name, id_ in column(two, "flows", "account", "id") if name == account
        ]

    before = identities("a")
    others = identities("b")
    for names in (("a", "c"), ("c", "d"), ("d", "a"), ("a", "e")):
        rename_account(two, *names)
        assert identities(names[1]) == before
        assert identities("b") == others
    (first, *_) = (id_ for name, id_ in column(two, "flows", "account", "id") if name == "e")
    assert before[0] == served_identity("a", str(first))


def test_a_provider_api_serves_it_under_the_new_name(two: Ledger) -> None:
    """Flows of another provider are written under the same identities as before, and a page of before is refused."""
    reader = LedgerReader(two, MemoryLimits())

    def page(account: str, after: str | None = "") -> tuple[bytes, str | None]:
        query = FlowQuery((account,), hours(0, 99).since, hours(0, 99).until, 1, after=after)
        found = reader.read_page("wecom", query, lambda flow: str(flow.identity).encode())
        return found.rows, found.end_cursor

    before, cursor = page("a")
    second, _ = page("a", cursor)
    rename_account(two, "a", "c")
    assert page("c")[0] == before
    assert page("c", page("c")[1])[0] == second
    with pytest.raises(WireError, match="after"):
        page("c", cursor)
    assert page("a")[0] == b""


# ---------------------------------------------------------------- copies


def test_copies_backups_and_restores_carry_the_names(two: Ledger, ledger_store: LedgerStore, tmp_path: Path) -> None:
    renamed = rename_account(two, "a", "c")
    copied = copy_ledger(two, ledger_store.url("copy.db"))
    assert [(account.account, account.batches, account.differs) for account in copied] == [("b", 8, ""), ("c", 9, "")]
    back_up(two, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", str(tmp_path / "restored.db"))
    for url in (ledger_store.url("copy.db"), str(tmp_path / "restored.db")):
        other = open_ledger(url)
        assert verified(other)["c"].link == renamed.link
        with pytest.raises(AlreadyExists):
            make_account(other, "a", "wecom", "UTC")
        other.close()


def test_an_older_backup_has_the_earlier_name(two: Ledger, tmp_path: Path) -> None:
    record_heads(two)
    back_up(two, tmp_path / "backup.db")
    rename_account(two, "a", "c")
    assert record_heads(two) == []
    restore(tmp_path / "backup.db", two.url, force=True)
    other = open_ledger(two.url)
    assert list(verified(other, *read_heads_file(other).anchors)) == ["a", "b"]
    make_account(other, "c", "longbridge", "UTC")
    assert_intact(other)
    other.close()


def test_a_lost_commit_is_recognised(two: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is lost in the COMMIT: afterwards the chain under the new name tells what became of it."""
    from liushui.errors import CommitOutcomeUnknown

    def losing(*, commits: bool) -> Callable[..., None]:
        def commit(_ledger: Ledger, transaction: sa.RootTransaction) -> None:
            monkeypatch.undo()
            if commits:
                transaction.commit()
            else:
                transaction.rollback()
            raise CommitOutcomeUnknown("lost")

        return commit

    monkeypatch.setattr(type(two), "_commit", losing(commits=False))
    with pytest.raises(ConnectionLost):
        rename_account(two, "a", "c")
    assert list(verified(two)) == ["a", "b"]
    monkeypatch.setattr(type(two), "_commit", losing(commits=True))
    rename_account(two, "a", "c")
    assert list(verified(two)) == ["b", "c"]


# ---------------------------------------------------------------- any order


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("rename"), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(["sync", "state", "close", "import", "explain", "link", "remove", "discard"])),
    ),
    max_size=14,
)


@given(acts=ACTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_acts_verifies(tmp_path: Path, acts: list[tuple[str, ...]]) -> None:
    folder = tmp_path / "any"
    for old in folder.glob("*"):
        old.unlink()
    folder.mkdir(exist_ok=True)
    ledger = new_ledger(folder)
    name, noted, taken = "a", list[Anchor](), {"a"}
    for number, (act, *values) in enumerate(acts):
        if act == "rename":
            if values[0] != name:
                rename_account(ledger, name, values[0])
                name = values[0]
                taken.add(name)
        elif act == "sync":
            row = make_row(f"row {number}", 1 + number % 5, f"{number}.00")
            commit_read(ledger, hours(0, 24), row, rejected=[rejected_row(f"{number}")], account=name)
        elif act == "state":
            state(ledger, str(Decimal(number)), 30 + number, account=name)
        elif act == "close":
            close_march_of(ledger, name)
        elif act == "import":
            import_recorded(ledger, make_row(f"import {number}", 40), account=name)
        elif act == "explain":
            explain_side_of(ledger, "one", 1, name)
        elif act == "link":
            decide_link_of(ledger, name)
        elif act == "discard":
            found = [row for row in column(ledger, "quarantine", "account", "id", "ended_as") if row[2] is None]
            if found:
                discard(ledger, name, str(found[0][1]), "a reason")
        elif act == "remove":
            remove_account(ledger, name)
            make_account(ledger, name, "longbridge", "Asia/Hong_Kong")
        ((link,),) = column(ledger, "accounts", "link")
        noted.append(Anchor(name, None, str(link), "noted"))
        assert record_heads(ledger) == []
    found_all = verified(ledger, *noted, *read_heads_file(ledger).anchors)
    assert list(found_all) == [name]
    for other in taken - {name}:
        with pytest.raises(AlreadyExists):
            make_account(ledger, other, "longbridge", "Asia/Hong_Kong")
    ledger.close()
