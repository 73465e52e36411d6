"""`liushui reconcile`: the proof of cash and the bank reconciliation statement, in every format."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from tests.cli.commands import result, run
from tests.ledger.ledgers import commit_read, make_row, new_ledger

BEGIN = datetime(2010, 1, 1, tzinfo=UTC)
"""Before it the provider has nothing."""
MAY = datetime(2024, 4, 30, 16, tzinfo=UTC)


def at(month: int, day: int) -> datetime:
    return datetime(2024, month, day, 4, tzinfo=UTC)


def row(id_: str, when: datetime, amount: str, balance: str, *, kind: Kind = Kind.TRADE) -> DecodedRow:
    return make_row(id_, when, amount, balance=balance, kind=kind)


def make(where: Path, *rows: DecodedRow) -> Ledger:
    """A ledger with an account `shop`, which was read up to May from its beginning."""
    ledger = new_ledger(where, "empty")
    make_account(ledger, "shop", "hkus", "Asia/Hong_Kong")
    add_source(ledger, account="shop", base_url="http://h", credentials={}, since=BEGIN, paced=True)
    commit_read(ledger, Slice(BEGIN, MAY), *rows, account="shop")
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """A shop with a payment of 5.00 that is hidden in March, a refund of 2.00, and a transfer to nobody."""
    made = make(
        tmp_path,
        row("one", at(2, 2), "10.00", "10.00"),
        row("two", at(3, 9), "-2.00", "3.00", kind=Kind.REFUND),
        row("three", at(3, 9) + timedelta(hours=1), "4.00", "7.00"),
        row("gone", at(4, 3), "-1.00", "6.00", kind=Kind.TRANSFER),
    )
    yield made.path
    made.close()


def test_a_month_that_passes(ledger: Path) -> None:
    done = run(ledger, "reconcile", "shop", "--period", "2024-02", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = result(ledger, "reconcile", "shop", "--period", "2024-02")
    assert (line["account"], line["period"], line["check"], line["reason"]) == ("shop", "2024-02", "pass", None)
    assert [line[name] for name in ("opening", "money_in", "money_out", "closing")] == ["0.00", "10.00", "0", "10.00"]
    assert (line["since"], line["until"]) == ("2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z")


def test_a_month_that_fails_names_the_flow(ledger: Path) -> None:
    done = run(ledger, "reconcile", "shop", "--period", "2024-03")
    assert done.returncode == 3
    assert "shop USD 2024-03: fail: stated and computed figures differ: payments by -5.00" in done.stderr
    assert "-5.00 before flow two at 2024-03-09T04:00:00Z" in done.stderr
    assert [word in done.stdout for word in ("ledger", "stated", "difference")] == [True] * 3
    (line,) = result(ledger, "reconcile", "shop", "--period", "2024-03", returncode=3)
    assert (line["check"], line["cause"], line["complete"]) == ("fail", "differs", True)
    assert [one["after"] for one in line["breaks"]] == ["two"]
    (april,) = result(ledger, "reconcile", "shop", "--period", "2024-04", returncode=3)
    assert (april["cause"], april["difference_opening"], april["difference_closing"]) == ("carried", "-5.00", "-5.00")


def test_every_account_is_listed_also_one_without_flows(ledger: Path) -> None:
    done = run(ledger, "reconcile", "--period", "2024-02", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(line["account"], line["currency"], line["check"]) for line in lines] == [
        ("empty", "", "could_not_check"),
        ("shop", "USD", "pass"),
    ]
    assert done.returncode == 3
    assert "empty 2024-02: could not check: no source to check it against" in done.stderr


def test_the_bank_reconciliation_statement_explains_the_difference(ledger: Path) -> None:
    words = ("reconcile", "shop", "--period", "2024-04", "--form", "bank-reconciliation")
    before = datetime.now(UTC)
    (statement,) = result(ledger, *words, returncode=3)
    after = datetime.now(UTC)
    assert (statement["ledger_balance"], statement["bank_paid"], statement["ledger_adjusted"]) == (
        "11.00",
        "5.00",
        "6.00",
    )
    assert (statement["stated_balance"], statement["bank_adjusted"], statement["unexplained"]) == (
        "6.00",
        "6.00",
        "0.00",
    )
    (item,) = statement["items"]
    assert (item["side"], item["amount"], item["flow"]) == ("bank_paid", "5.00", "two")
    assert (before - at(3, 9)).days <= item["age_days"] <= (after - at(3, 9)).days
    (open_item,) = statement["open_items"]
    assert (open_item["id"], open_item["kind"], open_item["amount"]) == ("gone", "transfer", "-1.00")
    assert (before - at(4, 3)).days <= open_item["age_days"] <= (after - at(4, 3)).days
    table = run(ledger, *words).stdout
    for text in ("企业账面余额", "银行已付企业未付", "银行对账单余额", "Outstanding transfer gone"):
        assert text in table


def test_a_row_too_many_is_on_the_side_of_the_ledger(tmp_path: Path) -> None:
    twice = [row(id_, at(3, 9), "4.00", "14.00") for id_ in ("x", "y")]
    made = make(tmp_path, row("one", at(2, 2), "10.00", "10.00"), *twice, row("two", at(3, 10), "1.00", "15.00"))
    words = ("reconcile", "shop", "--period", "2024-03", "--form", "bank-reconciliation")
    (statement,) = result(made.path, *words, returncode=3)
    assert (statement["ledger_received"], statement["bank_adjusted"], statement["unexplained"]) == (
        *("4.00", "19.00"),
        "0.00",
    )
    made.close()


@pytest.mark.parametrize("period", ["2024-13", "march", ""])
def test_what_is_not_a_month_is_refused(ledger: Path, period: str) -> None:
    done = run(ledger, "reconcile", "--period", period)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: period: expected a month such as 2026-10, a year such as 2026, or days such as" in done.stderr


def test_an_unknown_account_is_refused(ledger: Path) -> None:
    done = run(ledger, "reconcile", "nobody")
    assert (done.returncode, done.stderr) == (2, "error: account: expected one of empty, shop, got 'nobody'\n")
