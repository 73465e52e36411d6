"""Breaks of balance chains: with their flows, explained, and in the status, the findings and the alarms."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.findings import BREAK
from liushui.ledger.read.breaks import LedgerBreak, list_breaks
from liushui.ledger.read.finding_lists import count_findings, list_findings
from liushui.ledger.read.status import AlarmKind, read_statuses
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow
from liushui.reconcile.chain import BreakCause
from liushui.rules import BALANCE_RULES
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, hour, hours, make_row, new_ledger
from tests.ledger.reading import model_of


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with a shop."""
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    yield ledger
    ledger.close()


def read(ledger: Ledger, *rows: DecodedRow) -> None:
    commit_read(ledger, hours(0, 200), *rows, account="shop")


def breaks(ledger: Ledger) -> list[LedgerBreak]:
    return list_breaks(model_of(ledger), ("shop",))


def wrong_row(amount: str, balance: str) -> DecodedRow:
    return make_row("4", 4, amount, balance=balance, currency="CNY")


CHAIN = [make_row(f"{number}", number, "1.00", balance=f"{number}.00", currency="CNY") for number in range(1, 9)]


def test_a_healthy_chain_has_none(ledger: Ledger) -> None:
    read(ledger, *CHAIN)
    assert breaks(ledger) == []
    (status,) = read_statuses(model_of(ledger), ("shop",))
    assert (status.breaks, status.findings) == (0, 0)


def test_a_hidden_row_is_a_break_everywhere(ledger: Ledger) -> None:
    read(ledger, *CHAIN[:3], *CHAIN[4:])
    (one,) = breaks(ledger)
    assert one.before is not None
    assert (one.before.id, one.after.id, str(one.difference)) == ("3", "5", "1.00")
    assert one.explanation == (
        "1.00 is missing before this flow, in rows that the provider does not show or that were not read, "
        "or its amount is off by that"
    )
    model = model_of(ledger)
    assert [(found.kind, found.flow_id) for found in list_findings(model)] == [(BREAK, "5")]
    assert [tuple(count) for count in count_findings(model, ("other", "shop"))] == [("shop", "2024-03-01", BREAK, 1)]
    (status,) = read_statuses(model, ("shop",))
    (alarm,) = [alarm for alarm in status.alarms if alarm.kind is AlarmKind.BREAK]
    assert (alarm.number, alarm.at) == (1, hour(5))
    assert list_breaks(model, ("shop",), again=True) == [one]
    read(ledger, *CHAIN)
    assert breaks(ledger) == []


def test_a_restated_row_is_named_if_its_old_version_heals_the_chain(ledger: Ledger) -> None:
    read(ledger, *CHAIN)
    read(ledger, *CHAIN[:3], make_row("4", 4, "1.50", balance="4.00", currency="CNY"), *CHAIN[4:])
    store_chains(ledger, "shop", BALANCE_RULES)
    (one,) = breaks(ledger)
    assert (one.cause, [row.id for row in one.rows], one.after.id) == (BreakCause.RESTATED, ["4"], "4")
    assert "earlier version of 4" in one.explanation


def test_rows_of_one_second_are_not_a_break(ledger: Ledger) -> None:
    second = timedelta(seconds=1)
    fee = make_row("fee", hour(9) + second, "-0.30", balance="12.70", currency="CNY")
    receipt = make_row("receipt", hour(9) + second, "5.00", balance="13.00", currency="CNY")
    read(ledger, *CHAIN, fee, receipt)
    assert breaks(ledger) == []


@pytest.mark.parametrize(
    ("row", "cause", "explanation"),
    [
        (
            make_row("4", 4, "1.00", balance="9.00", currency="CNY"),
            BreakCause.WRONG_BALANCE,
            "the balance that 4 states",
        ),
        (make_row("4", 4, "2.00", balance="4.00", currency="CNY"), BreakCause.MISSING, "is missing before this flow"),
    ],
)
def test_a_wrong_row_is_explained(ledger: Ledger, row: DecodedRow, cause: BreakCause, explanation: str) -> None:
    read(ledger, *CHAIN[:3], row, *CHAIN[4:])
    first = breaks(ledger)[0]
    assert (first.cause, [found.id for found in first.rows]) == (cause, ["4"])
    assert explanation in first.explanation
