"""The invariant finds the faults that it should: each test plants one fault in a correct ledger."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.write.commit import commit_gap, commit_slice
from liushui.provider import Slice
from liushui.providers.longbridge import codec
from liushui.testing.clock import MovableClock
from soak.invariant import SHOWN, Breach, ProviderRecord, RowPresence, final_breaches, invariant_breaches
from tests.sync.rows import BEGIN, NOW, new_ledger, row

DAY: Final = Slice(BEGIN, BEGIN + timedelta(days=1))
NEXT: Final = Slice(DAY.until, DAY.until + timedelta(days=1))
ROWS: Final = [row(BEGIN + timedelta(hours=hour), f"-{hour}.25") for hour in range(24)]
TWINS: Final = [row(BEGIN + timedelta(hours=3, minutes=7), "12.50")] * 2
UNREADABLE: Final = [ROWS[0].replace(b'"USD"', b"null"), ROWS[1].replace(b'"USD"', b"7")]
RIGHT: Final = [*ROWS, *TWINS, *UNREADABLE]
TOOK: Final = timedelta(seconds=5)


def rows_present(rows: list[bytes]) -> list[RowPresence]:
    """Rows that the provider always has. Those that cannot be decoded happened in the first minute."""
    return [RowPresence(one, _at_us(one)) for one in rows]


def _at_us(one: bytes) -> int:
    received, _ = read_rows(codec, [one])
    return to_us(received[0].flow.at if received else BEGIN + timedelta(minutes=1))


def keep(ledger: Ledger, rows: list[bytes], asked: Slice = DAY) -> None:
    """Commit a slice with those rows, read within TOOK."""
    clock = ledger.clock
    assert isinstance(clock, MovableClock)
    read_at = clock()
    clock.move(TOOK)
    received, rejected = read_rows(codec, rows)
    commit_slice(ledger, "a", asked, read_at=read_at, received=received, rejected=rejected)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def record(rows: list[bytes], **more: int) -> ProviderRecord:
    return ProviderRecord("a", codec, rows_present(rows), after=more.get("after", 0))


def found(ledger: Ledger, rows: list[bytes]) -> list[Breach]:
    """What both functions find, where the provider always had those rows."""
    at_any_time, in_the_end = invariant_breaches(ledger, record(rows)), final_breaches(ledger, record(rows))
    assert bool(at_any_time) == bool(in_the_end)
    return at_any_time


def change(ledger: Ledger, statement: str) -> None:
    """RowChange what the ledger holds, behind its back."""
    with ledger.writing() as connection:
        assert connection.exec_driver_sql(statement).rowcount


# ---------------------------------------------------------------- correct ledgers


def test_a_correct_ledger_has_no_breach(ledger: Ledger) -> None:
    keep(ledger, RIGHT)
    keep(ledger, [], NEXT)
    commit_gap(ledger, "a", Slice(NEXT.until, NOW), tried_at=NOW, reason="HTTP 500")
    assert found(ledger, RIGHT) == []


def test_an_empty_ledger_only_lacks_rows(ledger: Ledger) -> None:
    assert invariant_breaches(ledger, record(RIGHT)) == []
    assert [breach.what for breach in final_breaches(ledger, record(ROWS))] == [
        "its flows are not the provider's: 24 rows too few, 0 too many"
    ]


def test_rows_that_appear_or_disappear_during_a_read_may_be_missing(ledger: Ledger) -> None:
    now_us, step_us = to_us(NOW), TOOK // timedelta(microseconds=1)
    late, gone = ROWS[1], ROWS[2]
    changing = [
        RowPresence(late, _at_us(late), from_us=now_us + step_us // 2),
        RowPresence(gone, _at_us(gone), until_us=now_us + step_us // 2),
    ]
    always = rows_present([ROWS[0]])
    for number, rows in enumerate(([ROWS[0]], [ROWS[0], late], [ROWS[0], gone], [ROWS[0], late, gone])):
        now = ledger.clock()
        shifted = [
            life._replace(
                from_us=life.from_us if life.from_us < 0 else life.from_us + number * step_us,
                until_us=life.until_us if life.row != gone else life.until_us + number * step_us,
            )
            for life in changing
        ]
        keep(ledger, rows)
        assert invariant_breaches(ledger, ProviderRecord("a", codec, [*always, *shifted], after=number)) == [], now


@pytest.mark.parametrize(("from_s", "until_s"), [(0, 6), (-9, 9)])
def test_a_row_that_was_there_during_the_whole_read_is_required(ledger: Ledger, from_s: int, until_s: int) -> None:
    second_us = timedelta(seconds=1) // timedelta(microseconds=1)
    life = RowPresence(ROWS[5], _at_us(ROWS[5]), to_us(NOW) + from_s * second_us, to_us(NOW) + until_s * second_us)
    keep(ledger, [])
    assert [breach.lacks for breach in invariant_breaches(ledger, ProviderRecord("a", codec, [life]))] == [(ROWS[5],)]


@pytest.mark.parametrize(("from_s", "until_s"), [(-9, 0), (6, 9)])
def test_a_row_that_was_not_there_during_the_read_is_a_breach(ledger: Ledger, from_s: int, until_s: int) -> None:
    second_us = timedelta(seconds=1) // timedelta(microseconds=1)
    life = RowPresence(ROWS[5], _at_us(ROWS[5]), to_us(NOW) + from_s * second_us, to_us(NOW) + until_s * second_us)
    keep(ledger, [ROWS[5]])
    assert [breach.has for breach in invariant_breaches(ledger, ProviderRecord("a", codec, [life]))] == [(ROWS[5],)]


def test_rows_beyond_the_retention_are_not_required(ledger: Ledger) -> None:
    keep(ledger, ROWS[12:])
    assert found(ledger, ROWS)
    kept_us = _at_us(ROWS[12])
    assert invariant_breaches(ledger, ProviderRecord("a", codec, rows_present(ROWS), lambda _now_us: kept_us)) == []


def test_only_the_given_ranges_are_compared(ledger: Ledger) -> None:
    keep(ledger, RIGHT[:10])
    noon_us, morning = to_us(BEGIN + timedelta(hours=12)), ProviderRecord("a", codec, rows_present(RIGHT[:10]))
    assert final_breaches(ledger, record(RIGHT))
    assert final_breaches(ledger, replace(morning, within=[(to_us(BEGIN), noon_us)])) == []
    assert (
        final_breaches(
            ledger, replace(morning, rows_present=rows_present(RIGHT[:5]), within=[(to_us(BEGIN), _at_us(ROWS[5]))])
        )
        == []
    )
    assert final_breaches(ledger, replace(morning, within=[(to_us(BEGIN), _at_us(ROWS[9]))]))


def test_earlier_proofs_are_not_checked_again(ledger: Ledger) -> None:
    keep(ledger, ROWS[1:])
    assert invariant_breaches(ledger, record(ROWS))
    assert invariant_breaches(ledger, record(ROWS, after=1)) == []


# ---------------------------------------------------------------- reads that differ from the provider


@pytest.mark.parametrize("lost", [ROWS[0], ROWS[23], TWINS[0], UNREADABLE[1]])
def test_a_lost_row_is_found(ledger: Ledger, lost: bytes) -> None:
    rows = list(RIGHT)
    rows.remove(lost)
    keep(ledger, rows)
    (breach,) = found(ledger, RIGHT)
    assert (breach.lacks, breach.has) == ((lost,), ())
    assert "1 rows too few, 0 too many" in breach.what
    assert repr(lost) in str(breach)


@pytest.mark.parametrize("doubled", [ROWS[0], TWINS[0], UNREADABLE[0]])
def test_a_doubled_row_is_found(ledger: Ledger, doubled: bytes) -> None:
    keep(ledger, [*RIGHT, doubled])
    (breach,) = found(ledger, RIGHT)
    assert (breach.lacks, breach.has) == ((), (doubled,))


def test_a_changed_amount_is_found(ledger: Ledger) -> None:
    changed = ROWS[7].replace(b"-7.25", b"-7.26")
    keep(ledger, [changed if one == ROWS[7] else one for one in RIGHT])
    (breach,) = found(ledger, RIGHT)
    assert (breach.lacks, breach.has) == ((ROWS[7],), (changed,))


def test_a_range_that_was_closed_too_early_is_found(ledger: Ledger) -> None:
    keep(ledger, [], NEXT)
    late = row(NEXT.since + timedelta(hours=2), "5.00")
    (breach,) = found(ledger, [late])
    assert breach.lacks == (late,)


def test_only_some_rows_are_shown(ledger: Ledger) -> None:
    keep(ledger, [])
    (breach,) = found(ledger, ROWS)
    assert len(breach.lacks) == SHOWN
    assert "24 rows too few" in breach.what


# ---------------------------------------------------------------- ledgers that differ from their reads


def sql_text(one: bytes) -> str:
    """A row as text in SQL."""
    return one.decode().replace("'", "''")


PLANTED: Final[dict[str, tuple[str, str]]] = {
    "a lost flow": (f"DELETE FROM flows WHERE wire = '{sql_text(ROWS[3])}'", "damaged: "),
    "a changed amount": ("UPDATE flows SET amount = '-4.26' WHERE amount = '-4.25'", "is not what its row says"),
    "a changed label": ("UPDATE flows SET label = 'y' WHERE amount = '-4.25'", "is not what its row says"),
    "a changed row": ("UPDATE flows SET wire = replace(wire, '-4.25', '-4.26')", "is not what its row says"),
    "false coverage": (f"UPDATE coverage SET until_us = {to_us(NEXT.until)}", "coverage is not as this batch left it"),
    "no coverage": ("DELETE FROM coverage", "flows are here of a time that is not proven"),
    "a wrong total": ("UPDATE day_totals SET money_in = '26.00' WHERE money_in <> '0'", "and its totals differ by"),
    "a total too few": ("DELETE FROM day_totals", "and its totals differ by"),
    "a broken chain": ("UPDATE batches SET link = replace(link, substr(link, 1, 1), 'g')", "damaged: "),
    "a wrong count": ("UPDATE batches SET rows_in = rows_in + 1", "of its rows are no flows"),
    "a lost entry": ("DELETE FROM quarantine WHERE id LIKE '%'", "of its rows are no flows"),
    "an entry on_other_machine": (
        f"UPDATE quarantine SET since_us = {to_us(NEXT.since)}, until_us = {to_us(NEXT.until)}",
        "its quarantine is not what",
    ),
}


@pytest.mark.parametrize(("statement", "what"), PLANTED.values(), ids=PLANTED)
def test_a_change_by_sql_is_found(ledger: Ledger, statement: str, what: str) -> None:
    keep(ledger, RIGHT)
    assert found(ledger, RIGHT) == []
    change(ledger, statement)
    assert any(what in breach.what for breach in invariant_breaches(ledger, record(RIGHT))), invariant_breaches(
        ledger, record(RIGHT)
    )


def test_a_flow_that_changes_after_its_proof_is_found(ledger: Ledger) -> None:
    """Even where the chain was made to fit."""
    keep(ledger, RIGHT)
    change(ledger, "UPDATE flows SET batch = 2 WHERE amount = '-4.25'")
    assert any("is not as batch 1 proved it" in breach.what for breach in invariant_breaches(ledger, record(RIGHT)))


@pytest.mark.parametrize("judge", [invariant_breaches, final_breaches])
def test_each_account_is_checked(tmp_path: Path, judge: Callable[..., list[Breach]]) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b")
    received, _ = read_rows(codec, ROWS)
    for account in ("a", "b"):
        commit_slice(ledger, account, DAY, read_at=NOW, received=received)
    right, wrong = ProviderRecord("a", codec, rows_present(ROWS)), ProviderRecord("b", codec, rows_present(ROWS[1:]))
    assert [breach.account for breach in judge(ledger, right, wrong)] == ["b"]


def test_the_unreadable_rows_are_rejected() -> None:
    assert all(json.loads(one)["currency"] != "USD" for one in UNREADABLE)
    assert read_rows(codec, RIGHT)[1]
