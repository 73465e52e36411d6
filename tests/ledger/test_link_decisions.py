"""Decisions about links are facts: they count in totals, survive every operation on a ledger, and are sealed."""

import json
from collections.abc import Callable, Collection
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from liushui.errors import AlreadyExists, ConfigError, InvalidField, LedgerError, NotFound
from liushui.flow import Flow, Kind
from liushui.instant import to_iso
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.jobs.notifications import (
    DEFAULT_KINDS,
    EventKind,
    RuleKind,
    active_rules,
    add_rule,
    list_notifications,
    record_alarms,
    webhook_payload,
)
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.read.link_decisions import LinkDecision, decisions_of_accounts, decisions_on, load_decisions
from liushui.ledger.read.links import LinkReader
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.own_transfers import read_own_transfers
from liushui.ledger.read.status import AlarmKind, read_alarms
from liushui.ledger.read.summaries import SummaryQuery, read_summary
from liushui.ledger.schema import link_decisions
from liushui.ledger.write.link_decisions import decide_link
from liushui.ledger.write.reprocess import rebuild
from liushui.notify.rules import Address, make_rule
from liushui.provider import DecodedRow
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.reconcile.links import Link, LinkState
from liushui.testing.clock import MovableClock
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, copied, hour, hours, make_row, new_ledger, restored

CERTAIN, CANDIDATE, CONFIRMED, REJECTED, OUTDATED = LinkState
RULES_OF = {"longbridge": RULES}


def out(id_: str, at: float, amount: str = "-5000") -> DecodedRow:
    """A row that takes money out."""
    return make_row(id_, at, amount, kind=Kind.WITHDRAWAL)


def into(id_: str, at: float, amount: str = "5000") -> DecodedRow:
    """A row that brings money in."""
    return make_row(id_, at, amount, kind=Kind.DEPOSIT)


@pytest.fixture
def pair(ledger_store: LedgerStore) -> Ledger:
    """A round sum that left one account, and two deposits of which one may be it."""
    ledger = new_ledger(ledger_store, "a", "b")
    commit_read(ledger, hours(0, 9), out("left", 1), account="a")
    commit_read(ledger, hours(0, 9), into("near", 2), into("far", 5), account="b")
    return ledger


def links_in(ledger: Ledger) -> dict[str, Link]:
    """Every link, by the id of the flow that arrived."""
    with ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES_OF)
        return {link.flows[1].id: link for link in reader.links(BEFORE_ALL_US, AFTER_ALL_US)}


def states(ledger: Ledger) -> dict[str, LinkState]:
    """The state of every link, by the id of the flow that arrived."""
    return {id_: link.state for id_, link in links_in(ledger).items()}


def decide(ledger: Ledger, arrived: str, decision: LinkState, *, replace: bool = False) -> LinkDecision:
    """Decide the link with a flow that arrived."""
    id_ = links_in(ledger)[arrived].id
    return decide_link(ledger, RULES_OF, id_, decision, decided_by="li", reason="on the slip", replace=replace)


def own_transfers(ledger: Ledger) -> int:
    """How many transfers totals leave out."""
    with ledger.reading() as connection:
        return len(read_own_transfers(connection, RULES_OF, ("a", "b"), date(2024, 3, 1), date(2024, 3, 31)))


def damages(ledger: Ledger) -> list[str]:
    """What verify finds."""
    return [found.what for found in verify(ledger) if isinstance(found, Damage)]


def test_a_confirmed_link_counts_and_leaves_its_flows_to_no_other(pair: Ledger) -> None:
    model = ReadModel(pair, RULES_OF)
    query = SummaryQuery(by_account=False, by_kind=False)
    assert states(pair) == {"near": CANDIDATE, "far": CANDIDATE}
    assert own_transfers(pair) == 0
    assert read_summary(model, query).rows[0].total.flows == 3
    decision = decide(pair, "far", CONFIRMED)
    assert (decision.decision, decision.decided_by, decision.reason) == (CONFIRMED, "li", "on the slip")
    assert decision.decided_at == pair.clock()
    assert states(pair) == {"far": CONFIRMED}, "the other deposit is none of it"
    assert own_transfers(pair) == 1
    assert read_summary(model, query).rows[0].total.flows == 1
    assert not damages(pair)


def told(ledger: Ledger) -> dict[str, list[str]]:
    """The reasons of the messages about decisions, by rule."""
    found: dict[str, list[str]] = {}
    for one in sorted(list_notifications(ledger), key=lambda one: (one.rule, one.message.reason)):
        found.setdefault(one.rule, []).append(one.message.reason)
    return found


def add_link_rule(
    ledger: Ledger, name: str, *accounts: str, kinds: Collection[RuleKind] = (EventKind.LINK_DECIDED,), by: str = ""
) -> None:
    """Add a rule that reports decisions, or other kinds. No account: it covers all of them."""
    address = Address(webhook="https://hooks.example/x")
    covered = accounts or None
    rule, _ = make_rule(name, address, kinds=kinds, accounts=covered, created_at=ledger.clock(), created_by=by or None)
    add_rule(ledger, rule)


def test_a_decision_is_reported_to_the_rules_that_ask_for_it_and_may_see_it(pair: Ledger) -> None:
    add_link_rule(pair, "all")
    add_link_rule(pair, "both", "a", "b")
    add_link_rule(pair, "half", "b")
    add_link_rule(pair, "usual", kinds=())
    add_link_rule(pair, "alarms", kinds=[AlarmKind.LINK_CHANGED])
    assert "link_decided" not in set(map(str, DEFAULT_KINDS))
    made = decide(pair, "near", CONFIRMED)
    said = f"li confirmed the link {made.link} (transfer) of a and b: on the slip"
    assert told(pair) == {"all": [said], "both": [said]}
    message = list_notifications(pair)[0].message
    assert (message.kind, message.event, message.account) == ("link_decided", "link_decided", "a")
    with pair.reading() as connection:
        (decision,) = decisions_of_accounts(connection, ["a", "b"])
    assert message.link is not None
    assert message.link.accounts == ("a", "b")
    for field in ("link", "kind", "decision", "decided_by", "reason", "decided_at"):
        assert getattr(message.link, field) == getattr(decision, field)
    with pytest.raises(AlreadyExists):
        decide(pair, "near", REJECTED)
    assert told(pair) == {"all": [said], "both": [said]}, "what was refused is not reported"
    decide(pair, "near", REJECTED, replace=True)
    assert told(pair)["all"] == [said, said.replace("confirmed", "rejected")]
    assert record_alarms(pair, active_rules(pair), []) == 0, "a decision does not end"
    add_link_rule(pair, "late")
    assert "late" not in told(pair)


def test_the_rule_of_a_token_reports_decisions_until_the_token_ends(pair: Ledger) -> None:
    life = timedelta(hours=1)
    token = create_token(pair, names=None, scopes={Scope.READ, Scope.MANAGE}, expires_at=pair.clock() + life)
    add_link_rule(pair, "clerk", by=token.token.id)
    decide(pair, "near", REJECTED)
    assert list(told(pair)) == ["clerk"]
    assert isinstance(pair.clock, MovableClock)
    pair.clock.move(life)
    decide(pair, "far", REJECTED)
    assert len(told(pair)["clerk"]) == 1


def test_no_message_without_the_decision(pair: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    add_link_rule(pair, "all")

    def fail(*_: object, **__: object) -> None:
        raise LedgerError("no space")

    with monkeypatch.context() as patch:
        patch.setattr("liushui.ledger.write.batch_writer.BatchWriter.write", fail)
        with pytest.raises(LedgerError, match="no space"):
            decide(pair, "near", CONFIRMED)
    assert told(pair) == {}
    assert states(pair)["near"] == CANDIDATE


def test_the_webhook_of_a_decision_names_who_decided_what(pair: Ledger) -> None:
    add_link_rule(pair, "all")
    made = decide(pair, "near", CONFIRMED)
    (one,) = list_notifications(pair)
    body = json.loads(webhook_payload(one.id, one.message))
    assert body["type"] == "event.link_decided"
    assert body["data"]["link"] == {
        "link": made.link,
        "kind": "transfer",
        "decision": "confirmed",
        "decided_by": "li",
        "reason": "on the slip",
        "decided_at": to_iso(made.decided_at),
        "accounts": ["a", "b"],
    }
    assert body["data"]["resolved"] is False


def test_a_rejected_link_is_none(pair: Ledger) -> None:
    decide(pair, "near", REJECTED)
    assert states(pair) == {"near": REJECTED, "far": CANDIDATE}, "a round sum is still not certain"
    assert own_transfers(pair) == 0


def test_a_certain_link_can_be_rejected(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b")
    commit_read(ledger, hours(0, 9), out("left", 1, "-512.34"), account="a")
    commit_read(ledger, hours(0, 9), into("one", 2, "512.34"), account="b")
    assert (states(ledger), own_transfers(ledger)) == ({"one": CERTAIN}, 1)
    decide(ledger, "one", REJECTED)
    assert (states(ledger), own_transfers(ledger)) == ({"one": REJECTED}, 0)


def test_a_link_is_decided_once_unless_the_decision_is_replaced(pair: Ledger) -> None:
    first = decide(pair, "near", CONFIRMED)
    for decision in (CONFIRMED, REJECTED):
        with pytest.raises(AlreadyExists, match=r"was confirmed by li at .* \(on the slip\): replace that decision"):
            decide(pair, "near", decision)
    second = decide(pair, "near", REJECTED, replace=True)
    with pair.reading() as connection:
        assert decisions_on(connection, first.link) == [first, second], "neither is lost"
    assert states(pair) == {"near": REJECTED, "far": CANDIDATE}


def test_a_flow_is_in_one_confirmed_link(pair: Ledger) -> None:
    far = links_in(pair)["far"].id
    decide(pair, "near", CONFIRMED)
    with pytest.raises(NotFound, match="there is none named"):
        decide_link(pair, RULES_OF, far, CONFIRMED, decided_by="li")
    decide(pair, "near", REJECTED, replace=True)
    decide(pair, "far", CONFIRMED)
    with pytest.raises(AlreadyExists, match="with flow left of a is confirmed: reject it first"):
        decide(pair, "near", CONFIRMED, replace=True)


@pytest.mark.parametrize("id_", ["", "x", "20240301T010000-0123456789ab"])
def test_an_unknown_link_is_an_error_that_names_it(pair: Ledger, id_: str) -> None:
    with pytest.raises(NotFound, match=r"link: there is none named '.*': `liushui link list` prints the ids"):
        decide_link(pair, RULES_OF, id_, CONFIRMED, decided_by="li")
    with pair.reading() as connection:
        assert not load_decisions(connection)


def test_a_decision_says_who_decided(pair: Ledger) -> None:
    id_ = links_in(pair)["near"].id
    for by, reason in ((" ", ""), ("x" * 1_001, ""), ("li", "\0"), ("li", "x" * 1_001)):
        with pytest.raises(InvalidField):
            decide_link(pair, RULES_OF, id_, CONFIRMED, decided_by=by, reason=reason)
    with pytest.raises(InvalidField, match="decision: expected confirmed or rejected"):
        decide_link(pair, RULES_OF, id_, CERTAIN, decided_by="li")


def test_a_link_whose_flow_was_withdrawn_is_not_there_any_more(pair: Ledger) -> None:
    id_ = links_in(pair)["near"].id
    commit_read(pair, hours(0, 9), into("far", 5), account="b", read_at=hour(10_000))
    with pytest.raises(NotFound, match=r"is no longer there: flow near of b was withdrawn at \d"):
        decide_link(pair, RULES_OF, id_, CONFIRMED, decided_by="li")


def all_decisions(ledger: Ledger) -> list[str]:
    """The ids of the links that were decided."""
    with ledger.reading() as connection:
        return list(load_decisions(connection))


@pytest.mark.parametrize(
    "later", [[into("far", 5)], [into("near", 2, "5001"), into("far", 5)]], ids=["gone", "changed"]
)
def test_what_was_confirmed_does_not_count_once_a_flow_has_changed(pair: Ledger, later: list[DecodedRow]) -> None:
    decide(pair, "near", CONFIRMED)
    assert own_transfers(pair) == 1
    commit_read(pair, hours(0, 9), *later, account="b", read_at=hour(10_000))
    assert states(pair) == {"near": OUTDATED, "far": CANDIDATE}
    (alarm,) = [alarm for alarm in read_alarms(ReadModel(pair, RULES_OF)) if alarm.kind is AlarmKind.LINK_CHANGED]
    (decision,) = all_decisions(pair)
    assert (alarm.account, alarm.number, alarm.detail) == ("b", 1, decision)
    assert "link reject --replace" in alarm.reason
    assert own_transfers(pair) == 0
    with pytest.raises(ConfigError, match=r"link: flow near of b was (withdrawn|restated) at"):
        decide(pair, "near", CONFIRMED, replace=True)
    decide(pair, "near", REJECTED, replace=True)
    assert states(pair)["near"] == REJECTED
    assert AlarmKind.LINK_CHANGED not in {alarm.kind for alarm in read_alarms(ReadModel(pair, RULES_OF))}


TAMPERINGS: list[sa.Executable] = [
    sa.delete(link_decisions),
    sa.update(link_decisions).values(decision="rejected"),
    sa.update(link_decisions).values(decided_by="wang"),
    sa.update(link_decisions).values(reason=""),
    sa.update(link_decisions).values(decided_at_us=0),
    sa.update(link_decisions).values(flows="[]"),
    sa.update(link_decisions).values(batch=link_decisions.c.batch - 1),
]


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=str)
def test_verify_sees_a_decision_that_was_tampered_with(pair: Ledger, tampering: sa.Executable) -> None:
    decide(pair, "near", CONFIRMED)
    assert not damages(pair)
    with pair.writing() as connection:
        connection.execute(tampering)
    assert damages(pair)


def test_verify_sees_a_decision_that_was_moved_to_another_account(pair: Ledger) -> None:
    """Citus moves no row to another shard by an UPDATE."""
    decide(pair, "near", CONFIRMED)
    with pair.writing() as connection:
        row = connection.execute(sa.select(*link_decisions.columns)).one()
        connection.execute(sa.delete(link_decisions).where(link_decisions.c.account == row.account))
        connection.execute(sa.insert(link_decisions).values({**row._mapping, "account": "b"}))
    assert damages(pair)


def test_a_planted_decision_is_damage(pair: Ledger) -> None:
    decide(pair, "near", CONFIRMED)
    with pair.writing() as connection:
        row = connection.execute(sa.select(*link_decisions.columns)).one()
        connection.execute(sa.insert(link_decisions).values({**row._mapping, "link": "20240301T010000-000000000000"}))
    assert damages(pair)


@pytest.mark.parametrize("go_through", [copied, restored])
def test_decisions_survive(pair: Ledger, tmp_path: Path, go_through: Callable[[Ledger, Path], Ledger]) -> None:
    decide(pair, "near", REJECTED)
    decide(pair, "near", CONFIRMED, replace=True)
    links = links_in(pair)
    with pair.reading() as connection:
        decisions = decisions_on(connection, links["near"].id)
    after = go_through(pair, tmp_path)
    assert links_in(after) == links
    with after.reading() as connection:
        assert decisions_on(connection, links["near"].id) == decisions
    assert not damages(after)


def test_decisions_survive_a_rebuild(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b")
    moved = Flow("", hour(1), Decimal(-5000), "USD", kind=Kind.WITHDRAWAL, label="old words")
    for account, flow in (("a", moved), ("b", moved._replace(amount=Decimal(5000), kind=Kind.DEPOSIT))):
        received = codec.read(codec.write(flow))
        outdated = received._replace(flow=received.flow._replace(label="as an older codec read it", kind=flow.kind))
        commit_read(ledger, hours(0, 9), outdated, account=account)
    (link,) = links_in(ledger).values()
    decide_link(ledger, RULES_OF, link.id, CONFIRMED, decided_by="li")
    assert [rebuild(ledger, name, codec, lambda _flows: None).changed for name in "ab"] == [1, 1]
    with ledger.reading() as connection:
        found = LinkReader(connection, find_accounts(queries_of(connection)), RULES_OF).find(link.id)
    assert found is not None
    assert (found.id, found.state) == (link.id, CONFIRMED)
    assert not damages(ledger)
