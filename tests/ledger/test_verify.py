"""`verify` finds every change that no commit made, names its account and batch, and finds none in an intact ledger."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

import pytest
import sqlalchemy as sa

from liushui.errors import LedgerError
from liushui.flow import Direction, Kind
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.flow_row import COLUMNS, Row
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.schema import FACT_TABLES, metadata
from liushui.ledger.write.change import Change as Changed
from liushui.ledger.write.commit import commit_gap, commit_rows
from liushui.ledger.write.discard import discard
from liushui.ledger.write.quarantine import quarantine_rows, row_digest
from liushui.ledger.write.rename import rename_account
from liushui.ledger.write.stated_balances import withdraw_balance
from liushui.ledger.write.undo import undo_import
from tests.ledger.ledgers import (
    READ_AT,
    assert_intact,
    close_march_of,
    column,
    commit_read,
    decide_link_of,
    explain_side_of,
    hour,
    hours,
    import_page,
    import_recorded,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
    state,
    tables,
)

DAMAGED: Final = "beta"
OTHERS: Final = ("alpha", "empty", "gamma")
EARLIER: Final = "before that"
"""The name of the damaged account when its rows were written."""
NEW: Final = "delta"
"""The name of no account, and of none that a flipped bit makes out of the others' names."""


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger with several accounts, each with rows in every table."""
    folder = tmp_path_factory.mktemp("intact")
    ledger = new_ledger(folder, EARLIER, *OTHERS)
    for account in (EARLIER, "alpha", "gamma"):
        fill(ledger, account)
    rename_account(ledger, EARLIER, DAMAGED)
    assert_intact(ledger)
    ledger.close()
    return folder / "ledger.db"


def fill(ledger: Ledger, account: str) -> None:
    """Write rows to every table of an account, in several batches."""
    rows = (
        make_full_row("full", 1, "-7654.32", label="唯一的標籤"),
        make_row("bare", 2),
        make_row("twin", 3),
        make_row("twin", 3),
    )
    old = make_row("old", 4), make_full_row("gone", 0.5)
    commit_read(ledger, hours(0, 24), *rows, *old, rejected=[rejected_row("{"), rejected_row("[")], account=account)
    commit_read(ledger, hours(0, 24), *rows, make_full_row("old", 4), account=account)
    commit_gap(ledger, account, hours(24, 48), tried_at=READ_AT, reason="HTTP 500")
    late = make_row("late", 31, kind=Kind.FEE, currency="HKD", direction=Direction.OUT)
    commit_read(ledger, hours(30, 36), late, rejected=[rejected_row("}")], account=account)
    import_page(ledger, make_row("newest", 62), *[make_row("cut", 60)] * 2, account=account)
    import_page(ledger, *[make_row("cut", 60)] * 2, make_row("oldest", 58), account=account)
    import_page(ledger, make_row("first", 64), *[make_row("cut", 60)] * 3, make_row("last", 56), account=account)
    commit_rows(
        ledger,
        account,
        lambda c, batch: Changed(quarantined=quarantine_rows(c, account, [rejected_row("cut off")], batch), rows_in=1),
    )
    state(ledger, "10.00", 70, account=account, note="statement of March", period=(hour(60), Decimal("9.50")))
    commit_read(ledger, hours(32, 34), account=account)
    decide_link_of(ledger, account)
    undo_import(ledger, import_recorded(ledger, make_row("undone", 66), make_row("with it", 67), account=account))
    commit_read(ledger, hours(40, 44), rejected=[rejected_row("a secret")], account=account)
    discard(ledger, account, row_digest(b"a secret"), "a secret")
    withdraw_balance(ledger, state(ledger, "-3.50", 80, account=account, currency="HKD"), "a typing error")
    close_march_of(ledger, account)
    explain_side_of(ledger, "bare", 2, account)


class Change:
    """A copy of a ledger's file that tests change, and what `verify` finds in it."""

    def __init__(self, intact: Path, folder: Path) -> None:
        self._intact = intact
        self.path = folder / "ledger.db"

    def sql(self, statement: str, *values: object) -> int:
        """Change a fresh copy with a statement. Returns how many rows it changed."""
        shutil.copyfile(self._intact, self.path)
        return self.more_sql(statement, *values)

    def more_sql(self, statement: str, *values: object) -> int:
        """Run a further statement."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def byte(self, offset: int, flipped: int = 1) -> None:
        """Flip bits of one byte of a fresh copy."""
        data = bytearray(self._intact.read_bytes())
        data[offset] ^= flipped
        self.path.write_bytes(data)

    def found(self) -> list[Damage | Verified]:
        ledger = open_ledger(str(self.path))
        try:
            return list(verify(ledger))
        finally:
            ledger.close()

    def assert_found(self, batch: object = None, accounts: tuple[str, ...] = (DAMAGED,)) -> None:
        """Check that damage is found in exactly these accounts, and in that batch if one is given."""
        found = self.found()
        damaged = [one for one in found if isinstance(one, Damage)]
        assert damaged, "nothing was found"
        assert {one.account for one in damaged} <= set(accounts), damaged
        assert batch is None or batch in {one.batch for one in damaged}, damaged
        verified = {one.account for one in found if isinstance(one, Verified)}
        assert verified == {DAMAGED, *OTHERS} - {one.account for one in damaged}


@pytest.fixture
def change(intact: Path, tmp_path: Path) -> Change:
    """A copy of the intact ledger to change."""
    return Change(intact, tmp_path)


# ---------------------------------------------------------------- what is intact


def test_every_kind_of_commit_leaves_the_ledger_intact(intact: Path) -> None:
    ledger = open_ledger(str(intact))
    found = {one.account: one for one in verify(ledger)}
    heads = {row[0]: row[1:] for row in column(ledger, "accounts", "account", "head", "link")}
    rows = tables(ledger)
    ledger.close()
    assert all(any(row[0] == DAMAGED for row in rows[table.name]) for table in FACT_TABLES)
    assert {name: (one.batches, one.link) for name, one in found.items() if isinstance(one, Verified)} == heads
    assert [one.flows for one in found.values() if isinstance(one, Verified)] == [13, 13, 0, 13]


def test_progress_is_reported_every_hundred_batches(ledger: Ledger) -> None:
    for _ in range(101):
        commit_read(ledger, hours(0, 1))
    told: list[tuple[str, int, int]] = []
    assert [type(one) for one in verify(ledger, lambda *values: told.append(values))] == [Verified]
    assert told == [("a", 100, 101)]


# ---------------------------------------------------------------- one value

EVERY_COLUMN: Final = [(table.name, column.name) for table in FACT_TABLES for column in table.columns]


@pytest.mark.parametrize(("table", "name"), EVERY_COLUMN, ids=[".".join(pair) for pair in EVERY_COLUMN])
def test_one_changed_value_is_found(intact: Path, change: Change, table: str, name: str) -> None:
    found = metadata.tables[table]
    rows = rows_of(intact, table)
    assert len({row[0] for row in rows}) == 1
    values = [row[list(found.columns.keys()).index(name)] for row in rows]
    of_each_kind = {type(value): row for row, value in zip(rows, values, strict=True)} | {type(values[0]): rows[0]}
    if found.c[name].nullable and name != "wire":
        assert len(of_each_kind) == 2, "the ledger here has NULL and a value in each column that may be NULL"
    for row in of_each_kind.values():
        old = dict(zip(found.columns.keys(), row, strict=True))
        for new in changed(old[name], found.c[name]):
            keys = " AND ".join(f"{key.name} = ?" for key in found.primary_key)
            place = "CAST(? AS TEXT)" if isinstance(old[name], str) else "?"
            statement = f"UPDATE {table} SET {name} = {place} WHERE {keys}"
            assert change.sql(statement, new, *(old[key.name] for key in found.primary_key)) == 1
            batch = blamed(old, name)
            accounts = (DAMAGED,) if name != "account" else (DAMAGED, shown(new))
            change.assert_found(batch, accounts)


def blamed(row: dict[str, object], name: str) -> object:
    """The batch that wrote a value. None where the value itself says so, or there is no such batch."""
    if name in ("account", "batch", "seq"):
        return None
    if "resealed_in" in row:
        return row["resealed_in"]
    return row.get(name if name == "ended_batch" else "ended_batch" if name == "ended_as" else "batch", row.get("seq"))


def rows_of(path: Path, table: str) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute(f"SELECT * FROM {table} WHERE account = ?", (DAMAGED,)))


def changed(value: object, of: sa.Column[object]) -> Iterator[object]:
    """The value with one bit of one byte flipped, in several ways. NULL becomes a value, and a value NULL."""
    if isinstance(value, int):
        yield from (value ^ 1 << bit for bit in (0, 9, 40, 62))
    elif isinstance(value, (str, bytes)):
        data = value.encode() if isinstance(value, str) else value
        for at in {0, len(data) // 2, len(data) - 1} if data else ():
            for bit in (0x01, 0x04, 0x80):
                yield data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
        yield data + b"\0"
    else:
        yield 0 if isinstance(of.type, sa.BigInteger) else ""
    if value is not None and of.nullable:
        yield None


def shown(name: object) -> str:
    """A name as damage shows it: bytes that are not text any more are escaped."""
    assert isinstance(name, bytes)
    return name.decode(errors="backslashreplace")


# ---------------------------------------------------------------- one row


@pytest.mark.parametrize("table", [table.name for table in FACT_TABLES])
def test_one_deleted_row_is_found(intact: Path, change: Change, table: str) -> None:
    found = metadata.tables[table]
    for row in rows_of(intact, table):
        old = dict(zip(found.columns.keys(), row, strict=True))
        keys = [key.name for key in found.primary_key]
        where = " AND ".join(f"{key} = ?" for key in keys)
        assert change.sql(f"DELETE FROM {table} WHERE {where}", *(old[key] for key in keys)) == 1
        change.assert_found(old.get("batch", old.get("seq")))


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("flows", "id", "more"),
        ("history", "id", "more"),
        ("quarantine", "id", "more"),
        ("coverage", "since_us", 7),
        ("page_edges", "identity", "more"),
        ("stated_balances", "batch", 3),
        ("day_totals", "day", "2024-04-04"),
        ("link_decisions", "link", "more"),
        ("period_decisions", "period", "2024-04"),
        ("finding_decisions", "finding", "more"),
        ("batches", "seq", 21),
        ("reseals", "batch", 3),
        ("findings", "day", "2024-04-04"),
        ("batches", "seq", 0),
    ],
)
def test_one_added_row_is_found(intact: Path, change: Change, table: str, key: str, value: object) -> None:
    names = list(metadata.tables[table].columns.keys())
    new = dict(zip(names, rows_of(intact, table)[-1], strict=True)) | {key: value}
    places = ", ".join("?" * len(names))
    assert change.sql(f"INSERT INTO {table} VALUES ({places})", *new.values()) == 1
    change.assert_found(new.get("batch"))


def test_an_added_account_is_found(change: Change) -> None:
    change.sql("INSERT INTO accounts SELECT ?, provider, zone, created_at_us, 0, link FROM accounts LIMIT 1", NEW)
    assert [type(one) for one in change.found() if one.account == NEW] == [Damage]


# ---------------------------------------------------------------- forgeries


@pytest.mark.parametrize("name", ["batch", "amount", "label", "wire"])
def test_a_value_swapped_between_two_rows_is_found(intact: Path, change: Change, name: str) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in rows_of(intact, "flows")]
    one, two = (next(row for row in rows if row["id"] == id_) for id_ in ("full", "late"))
    update = f"UPDATE flows SET {name} = ? WHERE account = ? AND at_us = ? AND id = ?"
    change.sql(update, two[name], DAMAGED, one["at_us"], one["id"])
    change.more_sql(update, one[name], DAMAGED, two["at_us"], two["id"])
    change.assert_found(one["batch"])
    change.assert_found(two["batch"])


def test_a_flow_removed_with_its_total_is_found(change: Change) -> None:
    change.sql("DELETE FROM flows WHERE account = ? AND id = 'late'", DAMAGED)
    assert change.more_sql("DELETE FROM day_totals WHERE account = ? AND currency = 'HKD'", DAMAGED) == 1
    change.assert_found(4)


def test_a_flow_moved_to_another_account_is_found(change: Change) -> None:
    change.sql("UPDATE flows SET account = 'gamma', id = 'moved' WHERE account = ? AND id = 'late'", DAMAGED)
    change.assert_found(4, (DAMAGED, "gamma"))


def test_a_removed_last_batch_is_found(intact: Path, change: Change) -> None:
    change.sql("DELETE FROM batches WHERE account = ? AND seq = 9", DAMAGED)
    change.assert_found(9)
    link = next(row[-1] for row in rows_of(intact, "batches") if row[1] == 8)
    change.more_sql("UPDATE accounts SET head = 8, link = ? WHERE account = ?", link, DAMAGED)
    change.assert_found(9)


def test_an_account_reset_without_its_batches_is_found(change: Change) -> None:
    change.sql("DELETE FROM batches WHERE account = ?", DAMAGED)
    change.more_sql("UPDATE accounts SET head = 0 WHERE account = ?", DAMAGED)
    change.assert_found(1)


def test_two_swapped_batches_are_found(change: Change) -> None:
    change.sql("UPDATE batches SET seq = -2 WHERE account = ? AND seq = 2", DAMAGED)
    change.more_sql("UPDATE batches SET seq = 2 WHERE account = ? AND seq = 3", DAMAGED)
    change.more_sql("UPDATE batches SET seq = 3 WHERE account = ? AND seq = -2", DAMAGED)
    change.assert_found(2)


# ---------------------------------------------------------------- bytes of the file


@pytest.mark.parametrize(
    ("text", "batch"),
    [("-7654.32", 1), ("唯一的標籤", 1), ('["full","唯一的標籤","-7654.32"]', 1), ("HTTP 500", 3), ("late", 4)],
)
def test_a_byte_flipped_in_a_value_is_found(intact: Path, change: Change, text: str, batch: int) -> None:
    data = intact.read_bytes()
    places = [at for at in range(len(data)) if data.startswith(text.encode(), at)]
    assert len(places) >= 3, "each of three accounts has it"
    damaged = set()
    for place in places:
        for at in range(place, place + len(text.encode())):
            change.byte(at)
            found = [one for one in change.found() if isinstance(one, Damage)]
            accounts = {one.account for one in found} - {""}
            assert len(accounts) == 1, found
            assert batch in {one.batch for one in found}
            damaged |= accounts
    assert damaged == {DAMAGED, "alpha", "gamma"}


def facts(ledger: Ledger) -> dict[str, list[Row]]:
    """Every row of every table that `verify` vouches for. The list of imports only tells what happened."""
    everything = tables(ledger)
    return {table.name: everything[table.name] for table in FACT_TABLES}


def test_a_byte_flipped_anywhere_is_found_or_harmless(intact: Path, change: Change) -> None:
    ledger = open_ledger(str(intact))
    expected = facts(ledger)
    ledger.close()
    random = Random(1)
    used = [offset for offset, byte in enumerate(intact.read_bytes()) if byte]
    harmless = 0
    for offset in random.sample(used, 400):
        bit = 1 << random.randrange(8)
        change.byte(offset, bit)
        try:
            found = change.found()
        except LedgerError:
            continue  # it cannot even be opened
        if not any(isinstance(one, Damage) for one in found):
            ledger = open_ledger(str(change.path))
            assert facts(ledger) == expected, f"bit {bit} at {offset}"
            ledger.close()
            harmless += 1
    assert harmless < 100, "free space was hit more than facts"
