"""Chains of a ledger: stored results, updated after commits, equal a check from the beginning."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.chain_check import check_changes, decode_columns
from liushui.ledger.read.chain_segments import Key
from liushui.ledger.read.chains import ChainState, check_segments, join_segments, read_chains
from liushui.ledger.schema import chain_segments
from liushui.ledger.write.chain_segments import store_chains
from liushui.provider import DecodedRow, Slice
from liushui.reconcile.chain import ChainRow
from liushui.rules import BALANCE_RULES, BalanceRules
from tests.ledger.ledgers import commit_read, hour, hours, import_page, make_row


def chains(ledger: Ledger, *, again: bool = False, rules: BalanceRules = BALANCE_RULES) -> dict[Key, ChainState]:
    """The chains of account `a`."""
    with ledger.reading() as connection:
        (account,) = find_accounts(queries_of(connection), ("a",))
        if again:
            return join_segments(check_segments(connection, account, rules, again=True))
        return read_chains(connection, account, rules)


def breaks(ledger: Ledger) -> list[tuple[str | None, str, str]]:
    """The breaks of account `a`: the rows that they are between, and the difference."""
    return [
        (None if one.before is None else one.before[1], one.after[1], str(one.difference))
        for state in chains(ledger).values()
        for one in state.breaks
    ]


def test_a_break_lies_between_two_rows_of_two_days(ledger: Ledger) -> None:
    rows = [make_row("a", 1, balance="1.00"), make_row("b", 30, balance="2.00"), make_row("c", 60, balance="5.00")]
    import_page(ledger, *rows)
    assert breaks(ledger) == [("b", "c", "2.00")]
    store_chains(ledger, "a", BALANCE_RULES)
    assert breaks(ledger) == [("b", "c", "2.00")]
    import_page(ledger, make_row("late", 40, "2.00", balance="4.00"))
    assert breaks(ledger) == []
    (state,) = chains(ledger).values()
    assert (state.opening, state.closing, state.stated) == (Decimal(0), Decimal(5), 4)


def test_every_subaccount_and_currency_has_a_chain_of_its_own(ledger: Ledger) -> None:
    import_page(
        ledger,
        make_row("a", 1, balance="1.00"),
        make_row("b", 1, balance="9.00", currency="HKD"),
        make_row("c", 1, balance="5.00", subaccount="s"),
        make_row("d", 2, balance="2.00"),
        make_row("e", 2, balance="7.00", subaccount="s"),
    )
    assert breaks(ledger) == [("c", "e", "1.00")]


def test_a_commit_checks_what_it_touched_and_no_more(ledger: Ledger) -> None:
    import_page(ledger, *(make_row(f"{day}", day * 24, balance=f"{day + 1}.00") for day in range(60)))
    store_chains(ledger, "a", BALANCE_RULES)
    commit_read(ledger, hours(24 * 30 + 1, 24 * 30 + 2), make_row("new", 24 * 30 + 1, balance="32.00"))
    with ledger.reading() as connection:
        (account,) = find_accounts(queries_of(connection), ("a",))
        checked, segments = (
            check_changes(connection, account, BALANCE_RULES),
            check_segments(connection, account, BALANCE_RULES),
        )
    assert 1 <= len(checked.fresh) <= 3
    assert len(segments) >= 58
    assert breaks(ledger) == [("new", "31", "-1.00")]
    commit_read(ledger, hours(24 * 30 + 1, 24 * 30 + 2))
    assert breaks(ledger) == []


def test_nothing_is_checked_where_nothing_changed(ledger: Ledger) -> None:
    import_page(ledger, make_row("a", 1, balance="1.00"))
    store_chains(ledger, "a", BALANCE_RULES)
    commit_read(ledger, hours(100, 200))
    with ledger.reading() as connection:
        (account,) = find_accounts(queries_of(connection), ("a",))
        assert check_changes(connection, account, BALANCE_RULES).fresh == []


def test_rows_of_a_window_over_midnight_are_one_segment(ledger: Ledger) -> None:
    midnight = 16  # in Hong Kong
    second = timedelta(seconds=1)
    import_page(
        ledger,
        make_row("a", 1, "10.00", balance="10.00"),
        make_row("b", hour(midnight) - second, "5.00", balance="14.00"),
        make_row("c", hour(midnight) + second, "-1.00", balance="9.00"),
        make_row("d", 40, "1.00", balance="15.00"),
    )
    assert breaks(ledger) == []
    store_chains(ledger, "a", BALANCE_RULES)
    assert breaks(ledger) == []


def test_rows_that_come_to_nothing_follow_the_day_before(ledger: Ledger) -> None:
    """The second day could begin at 10 or at 5: the first one tells."""
    rows = make_row("c", 30, "-5.00", balance="5.00"), make_row("b", 30, "5.00", balance="10.00")
    import_page(ledger, make_row("a", 1, "10.00", balance="10.00"), *rows)
    store_chains(ledger, "a", BALANCE_RULES)
    assert breaks(ledger) == []
    import_page(ledger, make_row("a2", 2, "-5.00", balance="5.00"))
    assert breaks(ledger) == []


def test_rows_are_read_with_every_id_amount_and_time(ledger: Ledger) -> None:
    """Rows come from the engine as JSON."""
    ids = ['"', "\\", "a,b", "流水", "\t\x1f\x7f", "\U0001f4b0", "'"]
    amount = "0.000000000000000000000000000000000001"
    rows = [make_row(id_, 30 * number, amount, balance=f"{amount[:-1]}{number + 1}") for number, id_ in enumerate(ids)]
    import_page(ledger, *rows, make_row("none", 400), make_row("last", 500, "-0.00", balance="9.00"))
    assert breaks(ledger) == [("none", "last", f"7.{'9' * 35}3")]
    (state,) = chains(ledger).values()
    assert (state.opening, state.stated) == (Decimal(0), 8)


def test_rows_of_one_instant_that_the_engine_gives_in_another_order_are_sorted() -> None:
    columns = decode_columns("[2,1,2]", '["b","c","a"]', '["1","1.0","2"]', '["4","1.0",null]')
    assert [columns.row(index) for index in range(3)] == [
        ChainRow(1, "c", Decimal("1.0"), Decimal("1.0")),
        ChainRow(2, "a", Decimal(2), None),
        ChainRow(2, "b", Decimal(1), Decimal(4)),
    ]


def test_advisory_balances_are_not_checked(ledger: Ledger) -> None:
    import_page(ledger, make_row("a", 1, balance="1.00"), make_row("b", 2, balance="9.00"))
    store_chains(ledger, "a", BalanceRules(advisory=True))
    with ledger.reading() as connection:
        assert connection.execute(chain_segments.select()).all() == []


@pytest.mark.parametrize("seed", range(25))
def test_what_is_checked_again_is_what_a_check_from_nothing_finds(tmp_path: Path, seed: int) -> None:
    from tests.ledger.ledgers import new_ledger

    chance = Random(seed)
    ledger = new_ledger(tmp_path)
    rows: dict[str, DecodedRow] = {}
    balance = {"": 0, "s": 0}
    for number in range(60):
        subaccount = chance.choice(["", "", "s"])
        amount = chance.randrange(-3, 4)
        balance[subaccount] += amount
        stated = None if chance.random() < 0.1 else str(balance[subaccount])
        at = hour(0) + timedelta(hours=number * 3) + timedelta(seconds=chance.choice([0, 0, 5]))
        if chance.random() < 0.5 and number:
            at = rows[f"{number - 1}"].flow.at
        rows[f"{number}"] = make_row(f"{number}", at, f"{amount}", balance=stated, subaccount=subaccount)
    held = dict(rows)
    for _ in range(12):
        first = hour(0) + timedelta(hours=chance.randrange(190))
        asked = Slice(first, first + timedelta(hours=chance.randrange(1, 60)))
        for id_, row in rows.items():
            if asked.since <= row.flow.at < asked.until:
                held[id_] = row
                if chance.random() < 0.1:
                    held.pop(id_)
                elif chance.random() < 0.1:
                    held[id_] = make_row(id_, row.flow.at, "7", balance="3", subaccount=row.flow.subaccount)
        commit_read(ledger, asked, *(row for row in held.values() if asked.since <= row.flow.at < asked.until))
        incremental, whole = chains(ledger), chains(ledger, again=True)
        for key, state in whole.items():
            assert (incremental[key].opening, incremental[key].closing) == (state.opening, state.closing)
            assert incremental[key].stated == state.stated
            assert {one.after for one in incremental[key].breaks} == {one.after for one in state.breaks}
        assert incremental.keys() == whole.keys()
        if chance.random() < 0.6:
            store_chains(ledger, "a", BALANCE_RULES)
    ledger.close()
