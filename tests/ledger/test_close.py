"""Closing months: successful and refused closes, their seals, their survival, and later changes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.certificate.keys import create_signing_key
from liushui.certificate.make import sign_certificate
from liushui.certificate.store import list_certificates
from liushui.errors import AccountNotFound, AlreadyExists, InvalidField, NotFound, NotReconciled
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.closed_months import MonthChanges, PeriodDecision, closed_months, list_decisions
from liushui.ledger.read.status import AlarmKind, read_statuses
from liushui.ledger.schema import period_decisions
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.remove import remove_account
from liushui.ledger.write.reprocess import rebuild
from liushui.provider import DecodedRow, Slice
from liushui.providers import load_providers
from liushui.services.periods import Explanations, close_month, line_id, reopen_month
from tests.engines import LedgerStore
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import (
    assert_intact,
    commit_read,
    copied,
    damages,
    decode_and_commit,
    hours,
    import_rejected,
    make_row,
    new_ledger,
    rejected_row,
    restored,
)
from tests.ledger.reading import model_of

BEGIN = datetime(2010, 1, 1, tzinfo=UTC)
"""Before it the provider has nothing."""
MAY = datetime(2024, 4, 30, 16, tzinfo=UTC)
"""Midnight of 1 May in Hong Kong."""


def at(month: int, day: int) -> datetime:
    return datetime(2024, month, day, 4, tzinfo=UTC)


def row(id_: str, when: datetime, amount: str, balance: str | None = None) -> DecodedRow:
    return make_row(id_, when, amount, balance=balance)


FEBRUARY = row("one", at(2, 2), "10.00", "10.00")
MARCH = row("two", at(3, 9), "-2.00", "3.00")
"""Before it a payment of 5.00 is hidden."""
APRIL = row("three", at(4, 3), "1.00", "4.00")


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """An account that was read whole up to May, and whose balances fail from March on."""
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "a", "hkus", "Asia/Hong_Kong")
    add_source(ledger, account="a", base_url="http://h", credentials={}, since=BEGIN, paced=True)
    read(ledger, FEBRUARY, MARCH, APRIL)
    create_signing_key(ledger, "example.com/ledger")
    yield ledger
    ledger.close()


def read(ledger: Ledger, *rows: DecodedRow) -> None:
    """Read the account whole, up to May."""
    commit_read(ledger, Slice(BEGIN, MAY), *rows)


def close(ledger: Ledger, period: str, *names: str, **explained: str) -> list[PeriodDecision]:
    """Close a month. `explained`: why lines are accepted, by currency of account `a`."""
    texts = {line_id("a", ("", currency)): text for currency, text in explained.items()}
    return close_month(model_of(ledger), period, names or ("a",), Explanations("li", texts), load_providers())


def closed(ledger: Ledger) -> list[tuple[str, str]]:
    """The months that are closed."""
    with ledger.querying() as queries:
        return list(closed_months(list_decisions(queries)))


def changes(ledger: Ledger) -> list[MonthChanges]:
    """What has changed in the closed months of `a`."""
    with model_of(ledger).reading(("a",)) as reading:
        return reading.month_changes(reading.accounts["a"])


def test_a_month_that_passes_is_closed_with_a_certificate(ledger: Ledger) -> None:
    (decision,) = close(ledger, "2024-02")
    assert (decision.account, decision.period, decision.state, decision.decided_by) == ("a", "2024-02", "closed", "li")
    (line,) = decision.lines
    assert (line.closing, line.stated, line.difference, line.check, line.explanation) == (
        *("10.00", "10.00", "0.00"),
        "pass",
        "",
    )
    (certificate,) = list_certificates(ledger)
    assert (certificate.digest, certificate.period) == (decision.certificate, "2024-02")
    assert certificate.batch + 1 == decision.batch, "the close seals the certificate"
    with ledger.querying() as queries:
        assert list_decisions(queries) == [decision]
    assert_intact(ledger)


def test_a_month_that_fails_is_refused_and_its_lines_are_named(ledger: Ledger) -> None:
    with pytest.raises(NotReconciled) as error:
        close(ledger, "2024-03")
    assert [line for line, _ in error.value.lines] == ["a:USD"]
    assert "2024-03 cannot be closed: a:USD: fail (stated and computed figures differ: payments by -5.00" in str(
        error.value
    )
    assert "Nothing was changed" in str(error.value)
    assert (closed(ledger), list_certificates(ledger)) == ([], [])


def test_a_month_that_cannot_be_checked_is_refused(ledger: Ledger) -> None:
    import_rejected(ledger, rejected_row("?"))
    with pytest.raises(NotReconciled, match=r"a:USD: could not check \(1 rejected row\)"):
        close(ledger, "2024-02")
    with pytest.raises(NotReconciled, match=r"a:USD: .*; other: could not check \(no source to check it against\)"):
        close_month(model_of(ledger), "2024-02", (), Explanations("li", {}), load_providers())
    assert closed(ledger) == []
    with pytest.raises(NotReconciled, match="closed: other: could not check"):
        close(ledger, "2024-02", "other", "a", USD="the row is of 2025")
    assert closed(ledger) == [], "all of them or none"
    (decision,) = close(ledger, "2024-02", USD="the row is of 2025")
    assert (decision.lines[0].check, decision.lines[0].reason) == ("could_not_check", "1 rejected row")


def test_a_person_explains_what_does_not_pass(ledger: Ledger) -> None:
    (decision,) = close(ledger, "2024-03", USD="a refund that our key may not see")
    (line,) = decision.lines
    assert (line.check, line.difference, line.explanation) == ("fail", "-5.00", "a refund that our key may not see")
    assert (decision.reason, decision.explained) == ("a refund that our key may not see", 1)
    (april,) = close(ledger, "2024-04")
    assert april.lines[0].explanation == "as explained for 2024-03: a refund that our key may not see", "once is enough"
    assert_intact(ledger)


def test_another_difference_than_the_explained_one_is_refused(ledger: Ledger) -> None:
    close(ledger, "2024-03", USD="a refund")
    read(ledger, FEBRUARY, row("two", at(3, 9), "-2.00", "2.00"), row("three", at(4, 3), "1.00", "3.00"))
    with pytest.raises(NotReconciled, match="a:USD"):
        close(ledger, "2024-04")


@pytest.mark.parametrize(
    ("period", "by", "texts", "message"),
    [
        ("2026-01", "li", {}, "period: expected a month that is over in Asia/Hong_Kong, got 2026-01"),
        ("2024-13", "li", {}, "period: expected a month such as 2026-10, got '2024-13'"),
        ("2024-02", " ", {}, "by: expected a name, got nothing"),
        ("2024-02", "li", {"a:USD": "why"}, "explain: expected a line that does not pass, got 'a:USD', which passes"),
        ("2024-03", "li", {"a:HKD": "why"}, "explain: expected a line that does not pass, such as a:USD, got 'a:HKD'"),
        ("2024-03", "li", {"a:USD": " "}, "explain a:USD: expected why, got nothing"),
        ("2024-03", "li", {"a:USD": "x" * 1_001}, "explain a:USD: expected at most 1000 characters"),
        ("2024-02", "l\0", {}, "by: expected at most 1000 characters, without U"),
    ],
)
def test_what_cannot_be_used_is_refused(
    ledger: Ledger, period: str, by: str, texts: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidField) as error:
        close_month(model_of(ledger), period, ("a",), Explanations(by, texts), load_providers())
    assert str(error.value).startswith(message)
    assert closed(ledger) == []


def test_a_closed_month_is_closed_once_and_opened_again_with_a_reason(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    with pytest.raises(AlreadyExists, match=r"period: 2024-02 of a was closed by li at .*: reopen it first"):
        close(ledger, "2024-02")
    for by, reason in (("", "why"), ("li", " ")):
        with pytest.raises(InvalidField):
            reopen_month(ledger, "2024-02", ("a",), by=by, reason=reason)
    (decision,) = reopen_month(ledger, "2024-02", (), by="wang", reason="a late statement")
    assert (decision.account, decision.state, decision.decided_by) == ("a", "reopened", "wang")
    assert closed(ledger) == []
    for names in (("a",), ()):
        with pytest.raises(NotFound, match="period: 2024-02 is not closed in"):
            reopen_month(ledger, "2024-02", names, by="wang", reason="again")
    with pytest.raises(AccountNotFound):
        reopen_month(ledger, "2024-02", ("nobody",), by="wang", reason="again")
    close(ledger, "2024-02")
    with ledger.querying() as queries:
        states = [decision.state.value for decision in list_decisions(queries)]
    assert states == ["closed", "reopened", "closed"], "nothing is forgotten"
    assert_intact(ledger)


def test_an_account_that_commits_meanwhile_is_looked_at_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    late = iter([True])

    def sign_late(*arguments: object) -> object:
        if next(late, False):
            read(ledger, FEBRUARY, row("late", at(2, 3), "1.00", "11.00"), MARCH)
        return sign_certificate(*arguments)  # type: ignore[arg-type] # what the service passes

    monkeypatch.setattr("liushui.services.periods.sign_certificate", sign_late)
    (decision,) = close(ledger, "2024-02")
    assert decision.lines[0].closing == "11.00"
    assert changes(ledger) == []


# ---------------------------------------------------------------- changed after close


def test_what_changes_after_a_close_is_listed_and_raises_an_alarm(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    close(ledger, "2024-03", USD="a refund")
    assert changes(ledger) == []
    read(ledger, row("one", at(2, 2), "11.00", "11.00"), row("late", at(2, 3), "1.00"), APRIL)
    february, march = changes(ledger)
    assert [(one.kind.value, one.flow.id, one.ended_as) for one in february.changes] == [
        ("changed", "one", "restated"),
        ("added", "late", None),
    ]
    assert [str(one.flow.amount) for one in (february.changes[0].before, february.changes[0].now) if one] == [
        *("10.00", "11.00"),
    ]
    assert [(one.kind.value, one.flow.id, one.now) for one in march.changes] == [("withdrawn", "two", None)]
    (status,) = read_statuses(model_of(ledger), ("a",))
    (alarm,) = [alarm for alarm in status.alarms if alarm.kind is AlarmKind.CHANGED_AFTER_CLOSE]
    assert alarm.reason == "3 flows of closed months have changed: 2024-02, 2024-03"
    reopen_month(ledger, "2024-02", (), by="li", reason="restated")
    assert [one.closed.period for one in changes(ledger)] == ["2024-03"]
    close(ledger, "2024-02", USD="the bank has restated it")
    assert [one.closed.period for one in changes(ledger)] == ["2024-03"], "closed as it is now"


def test_a_flow_that_comes_back_as_it_was_has_not_changed(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    read(ledger, MARCH, APRIL)
    assert [one.kind.value for one in changes(ledger)[0].changes] == ["withdrawn"]
    read(ledger, FEBRUARY, MARCH, APRIL)
    assert changes(ledger) == []


def test_a_flow_that_is_restated_and_then_withdrawn_names_the_commit_that_withdrew_it(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    read(ledger, row("one", at(2, 2), "11.00", "11.00"), MARCH, APRIL)
    restated = changes(ledger)[0].changes[0]
    read(ledger, MARCH, APRIL)
    (withdrawn,) = changes(ledger)[0].changes
    assert (withdrawn.kind.value, withdrawn.ended_as, withdrawn.batch) == ("withdrawn", "withdrawn", restated.batch + 1)
    assert withdrawn.before is not None
    assert str(withdrawn.before.flow.amount) == "10.00", "as it was when the month was closed"


def test_flows_of_other_months_are_not_a_change(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    end, begin = datetime(2024, 2, 29, 15, 59, 59, tzinfo=UTC), datetime(2024, 2, 29, 16, tzinfo=UTC)
    read(ledger, FEBRUARY, row("march", begin, "1.00"), MARCH, APRIL)
    assert changes(ledger) == []
    read(ledger, FEBRUARY, row("february", end, "1.00"), row("march", begin, "1.00"), MARCH, APRIL)
    assert [one.flow.id for one in changes(ledger)[0].changes] == ["february"]


@pytest.fixture(scope="module")
def many(module_store: LedgerStore) -> Iterator[tuple[Ledger, Iterator[str]]]:
    """A ledger with a key, and names of accounts that it does not have yet."""
    ledger = new_ledger(module_store, "other")
    create_signing_key(ledger, "example.com/ledger")
    yield ledger, (f"account-{number}" for number in count())
    ledger.close()


_pages = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from([1, 2, 31]), st.sampled_from(["1", "2"])), max_size=5
)


@settings(max_examples=15, deadline=None)
@given(pages=st.lists(_pages, min_size=1, max_size=6), closed_after=st.integers(1, 3))
def test_changes_are_as_a_comparison_of_two_states_finds_them(
    many: tuple[Ledger, Iterator[str]], pages: list[list[tuple[str, int, str]]], closed_after: int
) -> None:
    """Each page replaces the one before. Days 1 and 2 are of the closed month, day 31 is not."""
    ledger, names = many
    account = next(names)
    make_account(ledger, account, "longbridge", "Asia/Hong_Kong")
    before: dict[tuple[int, str], str] | None = None
    for number, page in enumerate(pages, 1):
        now = {(day, f"{id_}{day}"): amount for id_, day, amount in page}
        rows = [make_row(id_, at(3, 1) + timedelta(days=day), amount) for (day, id_), amount in now.items()]
        commit_read(ledger, Slice(BEGIN, MAY), *rows, account=account)
        inside = {key: amount for key, amount in now.items() if key[0] < 31}
        if number == closed_after:
            texts = {account: "no flow", f"{account}:USD": "no source"}
            explained = {line: text for line, text in texts.items() if (":" in line) is bool(inside)}
            close_month(model_of(ledger), "2024-03", (account,), Explanations("li", explained), load_providers())
            before = inside
        if before is not None:
            with model_of(ledger).reading((account,)) as reading:
                months = reading.month_changes(reading.accounts[account])
            found = {
                ((change.flow.flow.at - at(3, 1)).days, change.flow.id): change.kind.value
                for month in months
                for change in month.changes
            }
            assert found == {
                key: "added" if key not in before else "withdrawn" if key not in inside else "changed"
                for key in before.keys() | inside.keys()
                if before.get(key) != inside.get(key)
            }


def test_an_explanation_does_not_outlive_its_difference(ledger: Ledger) -> None:
    hidden = row("hidden", at(3, 5), "-5.00", "5.00")
    close(ledger, "2024-03", USD="a fee that we cannot see")
    read(ledger, FEBRUARY, hidden, MARCH, APRIL)
    (april,) = close(ledger, "2024-04")
    assert [(line.check, line.difference) for line in april.lines] == [("pass", "0.00")]
    commit_read(ledger, Slice(BEGIN, datetime(2024, 5, 31, 16, tzinfo=UTC)), FEBRUARY, MARCH, APRIL)
    with pytest.raises(NotReconciled, match="a:USD"):
        close(ledger, "2024-05")
    (may,) = close(ledger, "2024-05", USD="it is gone again")
    assert may.reason == "it is gone again"


# ---------------------------------------------------------------- decisions are facts


@pytest.mark.parametrize(
    "damage",
    [
        sa.delete(period_decisions),
        sa.update(period_decisions).values(decision="reopened"),
        sa.update(period_decisions).values(decided_by="wang"),
        sa.update(period_decisions).values(reason="x"),
        sa.update(period_decisions).values(lines="[]"),
        sa.update(period_decisions).values(certificate=""),
        sa.update(period_decisions).values(period="2024-01"),
        sa.update(period_decisions).values(decided_at_us=0),
        sa.update(period_decisions).values(batch=period_decisions.c.batch - 1),
    ],
)
def test_a_decision_that_is_changed_is_found(ledger: Ledger, damage: sa.Executable) -> None:
    close(ledger, "2024-02")
    assert damages(ledger) == []
    with ledger.writing() as connection:
        connection.execute(damage)
    assert damages(ledger)


@pytest.mark.parametrize("move", [copied, restored])
def test_closed_months_survive(ledger: Ledger, tmp_path: Path, move: Callable[[Ledger, Path], Ledger]) -> None:
    close(ledger, "2024-02")
    read(ledger, FEBRUARY, row("late", at(2, 3), "1.00"), MARCH, APRIL)
    with ledger.querying() as queries:
        before = list_decisions(queries)
    moved = move(ledger, tmp_path)
    with moved.querying() as queries:
        assert list_decisions(queries) == before
    assert [one.flow.id for one in changes(moved)[0].changes] == ["late"]
    assert_intact(moved)
    moved.close()


def test_closed_months_survive_a_rebuild_and_show_what_it_changed(ledger: Ledger) -> None:
    make_account(ledger, "toys", "longbridge", "Asia/Hong_Kong")
    decode_and_commit(ledger, hours(0, 24), LearningCodec(), toy_row("one", 1, label="gift"), account="toys")
    close_month(
        model_of(ledger),
        "2024-03",
        ("toys",),
        Explanations("li", {"toys:USD": "no source"}),
        load_providers(),
    )
    rebuild(ledger, "toys", LearningCodec(kinds={"gift": Kind.REBATE}), lambda _flows: None)
    assert closed(ledger) == [("toys", "2024-03")]
    with model_of(ledger).reading(("toys",)) as reading:
        ((change,),) = ([*one.changes] for one in reading.month_changes(reading.accounts["toys"]))
    assert (change.kind.value, change.ended_as) == ("changed", "rederived")
    assert_intact(ledger)


def test_an_account_that_is_removed_leaves_no_closed_month(ledger: Ledger) -> None:
    close(ledger, "2024-02")
    remove_account(ledger, "a")
    assert closed(ledger) == []
    assert_intact(ledger)
