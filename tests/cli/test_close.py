"""`liushui close`: months are closed, reopened and listed, and changes in closed months are shown."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger, open_ledger
from liushui.provider import Slice
from tests.cli.commands import result, run
from tests.cli.test_reconcile import BEGIN, MAY, at, make, row
from tests.ledger.ledgers import commit_read

ROWS = (
    row("one", at(2, 2), "10.00", "10.00"),
    row("two", at(3, 9), "-2.00", "3.00"),
    row("three", at(3, 9) + timedelta(hours=1), "4.00", "7.00"),
)
"""In March a payment of 5.00 is hidden."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """A shop whose February passes and whose March fails, and a key."""
    made = make(tmp_path, *ROWS)
    made.close()
    assert run(made.path, "certificate", "key", "create", "example.com/ledger").returncode == 0
    yield made.path


def closed(ledger: Path) -> list[tuple[str, str, str]]:
    """Every decision."""
    return [(one["account"], one["period"], one["state"]) for one in result(ledger, "close", "--list")]


def test_the_whole_way(ledger: Path) -> None:
    (decision,) = result(ledger, "close", "2024-02", "shop", "--by", "li")
    assert (decision["state"], decision["decided_by"], decision["changed_after_close"]) == ("closed", "li", 0)
    (certificate,) = result(ledger, "certificate", "list")
    assert (certificate["digest"], certificate["period"]) == (decision["certificate"], "2024-02")
    done = run(ledger, "close", "2024-03", "shop")
    assert done.returncode == 2
    assert "shop:USD: fail (stated and computed figures differ: payments by -5.00" in done.stderr
    words = ("--explain", "shop:USD", "--by", "Li Na", "--reason", "a refund that our key may not see")
    done = run(ledger, "close", "2024-03", "shop", *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert "2024-03 of shop was closed by Li Na" in done.stderr
    assert closed(ledger) == [("shop", "2024-02", "closed"), ("shop", "2024-03", "closed")]
    (change,) = changed_later(ledger)
    assert (change["change"], change["id"], change["amount_before"], change["amount"]) == (
        *("changed", "one"),
        "10.00",
        "12.00",
    )
    assert [one["changed_after_close"] for one in result(ledger, "close", "--list")] == [1, 0]
    (line,) = result(ledger, "reconcile", "shop", "--period", "2024-02")
    assert (line["closed"], line["changed_after_close"]) == (True, 1)
    status = run(ledger, "status", "shop", "--format", "json")
    assert status.returncode == 3
    assert "1 flow of a closed month has changed: 2024-02" in status.stdout
    done = run(ledger, "close", "--reopen", "2024-02", "--by", "li", "--reason", "restated")
    assert "2024-02 of shop was opened again by li" in done.stderr
    assert result(ledger, "close", "--changes") == []
    assert [state for _, period, state in closed(ledger) if period == "2024-02"] == ["closed", "reopened"]
    assert run(ledger, "verify").returncode == 0


def changed_later(ledger: Path) -> list[dict[str, str]]:
    """Restate a flow of February, and list the changes."""
    opened: Ledger = open_ledger(str(ledger))
    commit_read(opened, Slice(BEGIN, MAY), row("one", at(2, 2), "12.00", "12.00"), *ROWS[1:], account="shop")
    opened.close()
    found: list[dict[str, str]] = result(ledger, "close", "--changes", returncode=3)
    return found


def test_the_reason_may_be_given_with_each_line(ledger: Path) -> None:
    explained = ("--explain", "shop:USD=a refund", "--explain", "empty=no account any more")
    decisions = result(ledger, "close", "2024-03", *explained)
    assert [one["reason"] for one in decisions] == ["no account any more", "a refund"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "period: expected a month such as 2026-10, or --list or --changes, got nothing"),
        (("--list", "--changes"), "expected one of --reopen, --list and --changes"),
        (("--list", "--explain", "shop:USD"), "expected --explain and --sign-with only where a month is closed"),
        (("2024-02", "shop", "--reason", "x"), "reason: expected only with --explain or --reopen"),
        (("2024-13",), "period: expected a month such as 2026-10, got '2024-13'"),
        (("9999-11", "shop"), "period: expected a month that is over in Asia/Hong_Kong, got 9999-11"),
        (("2024-02", "nobody"), "account: expected one of empty, shop, got 'nobody'"),
        (("2024-02", "shop", "--explain", "shop:USD"), "explain shop:USD: expected why, got nothing"),
        (
            ("2024-03", "shop", "--explain", "shop:CNY=x"),
            "explain: expected a line that does not pass, such as shop:USD",
        ),
        (("2024-03", "--explain", "a=b", "--explain", "a=c"), "explain: expected each line once, got 'a' twice"),
        (("2024-02", "shop", "--sign-with", "x"), "key: expected one of example.com/ledger, got 'x'"),
        (("2024-02", "shop", "--by", ""), "by: expected a name, got nothing"),
        (("--reopen", "2024-02", "--reason", "x"), "period: 2024-02 is not closed in any account"),
        (("--reopen", "2024-02", "shop"), "reason: expected why, got nothing"),
        (("--reopen",), "period: expected a month such as 2026-10"),
    ],
)
def test_what_cannot_be_used_is_refused(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "close", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert closed(ledger) == []
    assert result(ledger, "certificate", "list") == []


def test_the_audit_log_tells_closing_from_opening_again(ledger: Path) -> None:
    result(ledger, "close", "2024-02", "shop")
    assert run(ledger, "close", "--reopen", "2024-02", "shop", "--reason", "x").returncode == 0
    result(ledger, "close", "--list")
    run(ledger, "close", "--changes")
    logged = [(one["action"], one["subject"]) for one in result(ledger, "audit") if one["action"].startswith("close")]
    assert sorted(logged) == [("close", "2024-02 shop"), ("close --reopen", "2024-02 shop")]


def test_without_a_key_nothing_is_closed(tmp_path: Path) -> None:
    made = make(tmp_path, *ROWS)
    made.close()
    done = run(made.path, "close", "2024-02", "shop")
    assert done.returncode == 2
    assert "the ledger has no key to sign with: `liushui certificate key create NAME` makes one" in done.stderr
    assert closed(made.path) == []
