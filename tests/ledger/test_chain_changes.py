"""After any changes, checking only the changes gives the same result as checking all rows.

CHAIN_EXAMPLES in the environment sets the number of histories to try.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.chain_check import check_changes
from liushui.ledger.read.chain_segments import Segment
from liushui.ledger.read.chains import check_segments, join_segments
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.undo import undo_import
from liushui.provider import DecodedRow, Slice
from liushui.rules import BALANCE_RULES, BalanceRules
from tests.ledger.ledgers import commit_read, hour, import_page, import_recorded, make_row, new_ledger

EXAMPLES: Final = int(os.environ.get("CHAIN_EXAMPLES", "25"))
DAYS: Final = 6
SECONDS: Final = (3_600, 16 * 3_600 - 5, 16 * 3_600 - 1, 16 * 3_600, 16 * 3_600 + 4, 20 * 3_600)
"""Times of rows on a day in UTC: several are near midnight in the account's zone."""
RULES: Final = (BALANCE_RULES, BalanceRules(window=timedelta(0)), BalanceRules(window_rows=3))


class Row(NamedTuple):
    """A row that a provider may have, in two versions."""

    day: int
    second: int
    subaccount: str
    amount: int
    states: bool
    """Whether it states its balance."""
    error: int
    """What its second version states too much."""


class Read(NamedTuple):
    """A sync reads some hours. `versions`: of each row which one it has, 0 or 1; 2: it has none."""

    since: int
    hours: int
    versions: tuple[int, ...]
    stores: bool


class Page(NamedTuple):
    """An import of the rows of some hours."""

    since: int
    hours: int
    stores: bool


class Undo(NamedTuple):
    """The newest import that was not undone is undone."""


class Store(NamedTuple):
    """The result is stored, by rules that may be others than before."""

    rules: int


ROWS = st.lists(
    st.builds(
        Row,
        st.integers(0, DAYS - 1),
        st.sampled_from(SECONDS),
        st.sampled_from(["", "", "s"]),
        st.integers(-2, 2),
        st.sampled_from([True, True, True, False]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=14,
).map(lambda rows: sorted(rows, key=lambda row: (row.day, row.second)))
BEGINS = st.integers(0, DAYS * 6 - 1).map(lambda number: 4 * number)
HOURS = st.sampled_from([4, 8, 12, 24, 48, 24 * DAYS])
READS = st.builds(Read, BEGINS, HOURS, st.tuples(*[st.sampled_from([0, 0, 0, 1, 2])] * 14), st.booleans())
STEPS = st.lists(
    st.one_of(
        READS,
        st.builds(Page, BEGINS, HOURS, st.booleans()),
        st.just(Undo()),
        st.builds(Store, st.sampled_from([0, 0, 0, 1, 2])),
    ),
    min_size=2,
    max_size=12,
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger in a file. Each history has an account of its own."""
    ledger = new_ledger(tmp_path_factory.mktemp("chains"))
    yield ledger
    ledger.close()


_numbers = count()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, steps=STEPS)
def test_what_is_checked_again_is_what_a_check_of_all_rows_finds(
    ledger: Ledger, rows: list[Row], steps: list[Read | Page | Undo | Store]
) -> None:
    account, rules = f"account-{next(_numbers)}", BALANCE_RULES
    make_account(ledger, account, "longbridge", "Asia/Hong_Kong")
    versions = provider_rows(rows)
    imports: list[str] = []
    for step in steps:
        match step:
            case Read(since, hours, chosen):
                asked = Slice(hour(since), hour(since + hours))
                received = [row[version] for row, version in zip(versions, chosen, strict=False) if version < 2]
                inside = [row for row in received if asked.since <= row.flow.at < asked.until]
                commit_read(ledger, asked, *inside, account=account)
            case Page(since, hours):
                page = [row for row, _ in versions if hour(since) <= row.flow.at < hour(since + hours)]
                if page:
                    imports.append(import_recorded(ledger, *page, account=account))
            case Undo():
                if imports:
                    undo_import(ledger, imports.pop())
            case Store(number):
                rules = RULES[number]
                store_chains(ledger, account, rules)
        changed, whole = segments(ledger, account, rules), segments(ledger, account, rules, again=True)
        assert changed == whole
        assert join_segments(changed) == join_segments(whole)
        if isinstance(step, Read | Page) and step.stores:
            store_chains(ledger, account, rules)
    store_chains(ledger, account, rules)
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        assert check_changes(connection, name, rules).fresh == []
    assert segments(ledger, account, rules) == segments(ledger, account, rules, again=True)


def provider_rows(rows: list[Row]) -> list[tuple[DecodedRow, DecodedRow]]:
    """Both versions of each row. The first ones' balances follow, those of one instant in some order."""
    balances = {"": 0, "s": 0}
    versions = []
    for number, row in enumerate(rows):
        balances[row.subaccount] += row.amount
        at = hour(24 * row.day) + timedelta(seconds=row.second)
        stated = [f"{balances[row.subaccount] + error}" if row.states else None for error in (0, row.error)]
        # Ids sort the other way round than balances follow.
        first, second = (
            make_row(f"{99 - number}", at, f"{row.amount}", balance=balance, subaccount=row.subaccount)
            for balance in stated
        )
        versions.append((first, second))
    return versions


def segments(ledger: Ledger, account: str, rules: BalanceRules, *, again: bool = False) -> list[Segment]:
    """The segments of an account."""
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        return check_segments(connection, name, rules, again=again)


def test_a_segment_that_begins_with_another_balance_is_checked_again(ledger: Ledger) -> None:
    """A row without a balance on the first day changes what the last day begins with, and nothing of the days between,
    which have rows of another chain."""
    account = "carried"
    make_account(ledger, account, "longbridge", "Asia/Hong_Kong")
    days = [make_row(f"s{day}", 24 * day, "1", balance=f"{day + 1}", subaccount="s") for day in range(5)]
    ends = make_row("first", 1, "5", balance="5"), make_row("last", 24 * 4 + 1, "1", balance="8")
    import_page(ledger, *sorted([*days, *ends], key=lambda row: row.flow.at), account=account)
    store_chains(ledger, account, BALANCE_RULES)
    (state,) = (state for state in join_segments(segments(ledger, account, BALANCE_RULES)).values() if state.breaks)
    assert [one.difference for one in state.breaks] == [2]
    commit_read(ledger, Slice(hour(2), hour(3)), make_row("between", 2, "2"), account=account)
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        checked = check_changes(connection, name, BALANCE_RULES)
    assert {segment.since_us for segment in checked.fresh if segment.key == ("s", "USD")} == {
        segment.since_us for segment in checked.fresh
    }
    assert len(checked.outdated) == 2
    assert not any(state.breaks for state in join_segments(segments(ledger, account, BALANCE_RULES)).values())


@pytest.mark.parametrize("rules", RULES[1:])
def test_other_rules_check_all_rows_again(ledger: Ledger, rules: BalanceRules) -> None:
    account = f"rules-{rules.window_rows}"
    make_account(ledger, account, "longbridge", "Asia/Hong_Kong")
    import_page(ledger, make_row("1", 1, "1", balance="1"), make_row("2", 30, "1", balance="2"), account=account)
    store_chains(ledger, account, BALANCE_RULES)
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        assert check_changes(connection, name, BALANCE_RULES).fresh == []
        assert len(check_changes(connection, name, rules).fresh) == 2
