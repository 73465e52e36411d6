"""Findings that people explain: their states, which ones need attention, and decisions as facts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound
from liushui.flow import Direction
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import BREAK, SAME_ID, SIDE
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.finding_decisions import FindingState
from liushui.ledger.read.finding_lists import Finding, find_finding, findings_of_flow, list_findings, with_finding_rows
from liushui.ledger.read.flows import flows_page, list_flows
from liushui.ledger.read.status import AccountStatus, AlarmKind, read_statuses
from liushui.ledger.schema import finding_decisions
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.finding_decisions import explain_findings, withdraw_explanations
from liushui.provider import DecodedRow
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    assert_intact,
    commit_read,
    copied,
    damages,
    hours,
    make_row,
    new_ledger,
    restored,
    tables,
)
from tests.ledger.reading import model_of

SIDE_ROW = make_row("side", 1, "5.00", direction=Direction.OUT)
TWINS = (make_row("twin", 2, "1.00"), make_row("twin", 2, "7.00"))
CHAIN = [make_row(f"{number}", number, "1.00", balance=f"{number}.00", currency="CNY") for number in range(1, 9)]


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A broker with a contradictory direction and a copy that differs, and a shop with a hidden row."""
    ledger = new_ledger(ledger_store, "a")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    commit_read(ledger, hours(0, 24), SIDE_ROW, *TWINS)
    read_shop(ledger, *CHAIN[:3], *CHAIN[4:])
    yield ledger
    ledger.close()


def read_shop(ledger: Ledger, *rows: DecodedRow) -> None:
    commit_read(ledger, hours(0, 200), *rows, account="shop")


def findings_in(ledger: Ledger) -> dict[str, Finding]:
    """Every finding by its kind; each is there once."""
    return {one.kind: one for one in list_findings(model_of(ledger))}


def states_in(ledger: Ledger) -> dict[str, str]:
    return {kind: one.state.value for kind, one in findings_in(ledger).items()}


def explain(ledger: Ledger, *kinds: str, reason: str = "it is known") -> None:
    found = findings_in(ledger)
    explain_findings(model_of(ledger), [found[kind].id for kind in kinds], by="li", reason=reason)


def status_of(ledger: Ledger, account: str) -> AccountStatus:
    (status,) = read_statuses(model_of(ledger), (account,))
    return status


def kinds_of_alarms(ledger: Ledger, account: str) -> set[AlarmKind]:
    wanted = {AlarmKind.FINDING, AlarmKind.BREAK, AlarmKind.BALANCE}
    return {alarm.kind for alarm in status_of(ledger, account).alarms} & wanted


def test_each_finding_shows_every_flow_that_it_is_about(ledger: Ledger) -> None:
    found = findings_in(ledger)
    assert {kind: [flow.id for flow in one.flows] for kind, one in found.items()} == {
        SIDE: ["side"],
        SAME_ID: ["twin~1", "twin"],
        BREAK: ["5", "3"],
    }
    assert {one.state for one in found.values()} == {FindingState.OPEN}
    assert found[SIDE].evidence == "out 5.00 USD"
    assert found[SAME_ID].evidence in ("7.00 USD / 1.00 USD", "1.00 USD / 7.00 USD")
    assert found[BREAK].evidence == "1 CNY"


def test_an_explained_finding_needs_no_attention(ledger: Ledger) -> None:
    assert kinds_of_alarms(ledger, "a") == {AlarmKind.FINDING}
    assert AlarmKind.BREAK in kinds_of_alarms(ledger, "shop")
    explain(ledger, SIDE, SAME_ID, BREAK)
    assert set(states_in(ledger).values()) == {"explained"}
    for account in ("a", "shop"):
        assert kinds_of_alarms(ledger, account) == set()
        status = status_of(ledger, account)
        assert (status.findings, status.breaks, status.failed_checks) == (0, 0, 0)
    assert (status_of(ledger, "a").explained, status_of(ledger, "shop").explained) == (2, 1)
    assert [one.kind for one in list_findings(model_of(ledger), states=(FindingState.OPEN,))] == []
    assert_intact(ledger)


def test_a_balance_that_differs_by_more_than_explained_breaks_needs_attention(ledger: Ledger) -> None:
    read_shop(ledger, *CHAIN[1:3], *CHAIN[4:])
    explain(ledger, BREAK)
    assert AlarmKind.BREAK not in kinds_of_alarms(ledger, "shop")
    before = status_of(ledger, "shop").failed_checks
    read_shop(ledger, *CHAIN[1:3], *CHAIN[4:6], CHAIN[7])
    assert len([one for one in list_findings(model_of(ledger)) if one.kind == BREAK]) == 2
    assert (status_of(ledger, "shop").breaks, before) == (1, 0)


def test_who_explained_what_and_why_is_kept(ledger: Ledger) -> None:
    id_ = findings_in(ledger)[SIDE].id
    (decision,) = explain_findings(model_of(ledger), [id_], by=" li ", reason="a reversal ")
    full = find_finding(model_of(ledger), id_)
    assert full.decisions == [decision]
    assert (decision.decided_by, decision.reason, decision.decided_at) == ("li", "a reversal", ledger.clock())
    assert (decision.account, decision.flow, decision.evidence) == ("a", "side", "out 5.00 USD")
    (withdrawn,) = withdraw_explanations(model_of(ledger), [id_], by="wang", reason="no reversal")
    assert find_finding(model_of(ledger), id_).decisions == [decision, withdrawn]
    assert states_in(ledger)[SIDE] == "open"
    assert status_of(ledger, "a").findings == 2
    explain(ledger, SIDE)
    assert states_in(ledger)[SIDE] == "explained"
    assert_intact(ledger)


def test_an_explanation_does_not_outlive_what_it_explains(ledger: Ledger) -> None:
    explain(ledger, SIDE, SAME_ID, BREAK)
    commit_read(ledger, hours(0, 24), make_row("side", 1, "6.00", direction=Direction.OUT), *TWINS)
    assert states_in(ledger) == {SIDE: "open", SAME_ID: "explained", BREAK: "explained"}
    assert status_of(ledger, "a").findings == 1
    read_shop(ledger, *CHAIN[:3], *(make_row(f"{n}", n, "1.00", balance=f"{n + 2}.00", currency="CNY") for n in (5, 6)))
    assert states_in(ledger)[BREAK] == "open"
    commit_read(ledger, hours(0, 24), SIDE_ROW, *TWINS)
    assert states_in(ledger)[SIDE] == "explained", "it is again what was explained"


def test_a_finding_that_is_no_longer_found_is_gone(ledger: Ledger) -> None:
    explain(ledger, SIDE, SAME_ID, BREAK)
    commit_read(ledger, hours(0, 24), make_row("side", 1, "-5.00", direction=Direction.OUT), TWINS[0])
    read_shop(ledger, *CHAIN)
    found = findings_in(ledger)
    assert {one.state for one in found.values()} == {FindingState.GONE}
    assert found[SAME_ID].flow is None
    assert found[BREAK].flow is not None
    assert (status_of(ledger, "a").explained, status_of(ledger, "shop").explained) == (0, 0)
    with pytest.raises(ConfigError, match="no longer found"):
        explain(ledger, SIDE)


def test_what_cannot_be_decided_changes_nothing(ledger: Ledger) -> None:
    model, id_ = model_of(ledger), findings_in(ledger)[SIDE].id
    explain(ledger, SAME_ID)
    before = tables(ledger)
    explained = findings_in(ledger)[SAME_ID].id
    with pytest.raises(AlreadyExists, match="was explained by li"):
        explain_findings(model, [id_, explained], by="li", reason="both")
    with pytest.raises(NotFound, match="20240301T010000-000000000000"):
        explain_findings(model, [id_, "20240301T010000-000000000000"], by="li", reason="both")
    with pytest.raises(NotFound, match="odd"):
        explain_findings(model, ["odd"], by="li", reason="why")
    with pytest.raises(ConfigError, match="is not explained"):
        withdraw_explanations(model, [id_], by="li", reason="why")
    for by, reason in (("", "why"), ("li", " "), ("li", "\0"), ("x" * 1_001, "why")):
        with pytest.raises(InvalidField):
            explain_findings(model, [id_], by=by, reason=reason)
    with pytest.raises(InvalidField, match="1 to 1,000 ids"):
        explain_findings(model, [], by="li", reason="why")
    assert tables(ledger) == before


def test_findings_of_hidden_accounts_are_not_found(ledger: Ledger) -> None:
    found = findings_in(ledger)
    of_shop = model_of(ledger).restricted_to(frozenset({"shop"}))
    assert [one.kind for one in list_findings(of_shop)] == [BREAK]
    with pytest.raises(NotFound):
        find_finding(of_shop, found[SIDE].id)
    with pytest.raises(NotFound):
        explain_findings(of_shop, [found[BREAK].id, found[SIDE].id], by="li", reason="why")
    assert set(states_in(ledger).values()) == {"open"}


def test_a_filter_names_the_flows_of_findings(ledger: Ledger) -> None:
    model, found = model_of(ledger), findings_in(ledger)

    def rows(**fields: object) -> list[str]:
        wanted = with_finding_rows(model, FlowFilter(**fields))  # type: ignore[arg-type] # fields of a filter
        listed = [flow.id for flow in list_flows(ledger, wanted, model.rules)]
        assert [flow.id for flow in flows_page(ledger, wanted, limit=10, rules=model.rules).flows] == listed
        return listed

    assert rows(finding=found[SIDE].id) == ["side"]
    assert rows(finding=found[SAME_ID].id) == ["twin", "twin~1"]
    assert rows(finding=found[BREAK].id) == rows(finding=BREAK) == ["3", "5"]
    assert rows(finding=BREAK, accounts=("a",)) == []
    assert rows(finding=found[BREAK].id, accounts=("a",)) == []
    explain(ledger, BREAK)
    assert rows(finding=BREAK) == ["3", "5"]
    with pytest.raises(NotFound):
        rows(finding="20240301T010000-000000000000")


def test_the_findings_of_a_flow(ledger: Ledger) -> None:
    model = model_of(ledger)
    flows = {flow.id: flow for flow in list_flows(ledger, FlowFilter())}
    assert [one.finding.kind for one in findings_of_flow(model, flows["side"])] == [SIDE]
    assert [one.finding.kind for one in findings_of_flow(model, flows["twin~1"])] == [SAME_ID]
    assert [one.finding.kind for one in findings_of_flow(model, flows["5"])] == [BREAK]
    assert findings_of_flow(model, flows["twin"]) == findings_of_flow(model, flows["4" if "4" in flows else "3"]) == []


def test_copies_and_backups_have_the_explanations(ledger: Ledger, tmp_path: Path) -> None:
    explain(ledger, SIDE, SAME_ID, BREAK)
    for make in (copied, restored):
        other = make(ledger, tmp_path)
        assert states_in(other) == states_in(ledger)
        assert_intact(other)
        other.close()


@pytest.mark.parametrize(
    "damage",
    [
        sa.delete(finding_decisions),
        sa.update(finding_decisions).values(finding="20240301T010000-000000000000"),
        sa.update(finding_decisions).values(kind="break"),
        sa.update(finding_decisions).values(at_us=0),
        sa.update(finding_decisions).values(flow="x"),
        sa.update(finding_decisions).values(evidence="x"),
        sa.update(finding_decisions).values(decision="withdrawn"),
        sa.update(finding_decisions).values(decided_by="wang"),
        sa.update(finding_decisions).values(reason="x"),
        sa.update(finding_decisions).values(decided_at_us=0),
        sa.update(finding_decisions).values(batch=finding_decisions.c.batch - 1),
    ],
)
def test_a_decision_that_is_changed_is_found(tmp_path: Path, damage: sa.Executable) -> None:
    ledger = new_ledger(tmp_path)
    commit_read(ledger, hours(0, 24), SIDE_ROW)
    explain(ledger, SIDE)
    assert damages(ledger) == []
    with ledger.writing() as connection:
        connection.execute(damage)
    assert damages(ledger)
    ledger.close()
