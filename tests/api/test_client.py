"""The client against a server with several processes: idempotency across them and after a kill, events, syncs."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx2
import msgspec
import pytest

import liushui
from liushui.certificate.keys import create_signing_key
from liushui.client import errors, models
from liushui.flow import Kind
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import open_ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.testing.processes import Running, serving
from tests.engines import LedgerStore
from tests.ledger.ledgers import assert_intact, commit_read, hours, make_row, new_ledger
from tests.server.test_run import worker_ids

AT = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def book(module_store: LedgerStore) -> str:
    """The URL of a ledger."""
    ledger = new_ledger(module_store, "a", "b")
    commit_read(ledger, hours(0, 24), *(make_row(f"r{n}", n, f"{n}.50") for n in range(20)))
    ledger.close()
    return module_store.url()


@pytest.fixture(scope="module")
def running(book: str) -> Iterator[Running]:
    with serving(book, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def token(book: str) -> str:
    ledger = open_ledger(book)
    text = create_token(ledger, names=None, scopes=list(Scope)).text
    ledger.close()
    return text


@pytest.fixture
def client(running: Running, token: str) -> Iterator[liushui.Client]:
    with liushui.Client(running.url, token) as client:
        yield client


def flow(reference: str, amount: str = "-1.50", account: str = "mine") -> models.RecordFlow:
    return models.RecordFlow(account=account, reference=reference, at=AT, amount=amount, currency="USD")


def test_the_client_returns_what_the_server_answers(client: liushui.Client) -> None:
    assert client.about().scopes == ["manage", "read", "record"]
    assert [account.account for account in client.accounts()] == ["a", "b"]
    found = list(client.flows(limit=7, account="a", order=models.Order.OLDEST, until=AT + timedelta(hours=15)))
    assert [one.amount for one in found] == [f"{n}.50" for n in range(15)]
    assert client.flow(found[3].key).flow == found[3]
    (balance,) = client.balances(account="a", at=AT + timedelta(hours=15)).balances
    assert sum(Decimal(one.amount) for one in found) == Decimal(balance.amount)
    assert client.coverage(account=["a"])[0].state == "proven"
    assert [(head.account, head.batch) for head in client.heads(account=["a"])] == [("a", 1)]
    assert client.summary(by=["kind"], period="all").rows[0].flows >= 20
    assert client.feed(limit=1).cursor
    with pytest.raises(errors.NotFound, match="account: there is none named 'x'"):
        client.account("x")
    with pytest.raises(errors.BadRequest) as refused:
        list(client.flows(limit=0))
    assert refused.value.errors[0].parameter == "limit"


def test_the_client_states_and_withdraws_balances(client: liushui.Client) -> None:
    client.create_account("stated")
    stated = client.state_balance(models.StateBalance(account="stated", currency="USD", amount="1.00", at="2024-03-02"))
    assert client.stated_balances(account=["stated"]) == [stated]
    gone = client.withdraw_balance(stated.id, "wrong")
    assert gone.withdrawn_reason == "wrong"
    assert client.stated_balances(account=["stated"]) == []
    assert client.stated_balances(account=["stated"], withdrawn=True) == [gone]


def test_the_client_renames_an_account(client: liushui.Client, running: Running, book: str) -> None:
    client.create_account("before")
    recorded = client.record(flow("r1", account="before"))
    cursor = client.feed().cursor
    renamed = client.rename_account("before", "after")
    assert (renamed.account, renamed.before) == ("after", "before")
    (head,) = client.heads(account=["after"])
    assert (head.batch, head.link) == (renamed.batch, renamed.link)
    assert client.flow(recorded.rows[0].key or "").flow.account == "after"
    with pytest.raises(errors.NotFound, match="there is none named 'before'"):
        client.account("before")
    with pytest.raises(errors.ApiError, match="account before was renamed to after: read the feed from its beginning"):
        client.feed(cursor)
    for name in ("a", "after"):
        with pytest.raises(errors.ApiError, match="name"):
            client.rename_account("after", name)
    with pytest.raises(errors.Conflict):
        client.rename_account("a", "before")
    with pytest.raises(errors.Conflict):
        client.create_account("before")
    ledger = open_ledger(book)
    some = create_token(ledger, names=["after"], scopes=[Scope.MANAGE, Scope.READ]).text
    ledger.close()
    with liushui.Client(running.url, some) as other:
        with pytest.raises(errors.Forbidden, match="rights for all accounts"):
            other.rename_account("after", "again")
        with pytest.raises(errors.NotFound):
            other.rename_account("a", "again")


def test_an_unknown_token_is_an_error(running: Running) -> None:
    with liushui.Client(running.url, "lsk_no", attempts=1) as client, pytest.raises(errors.Unauthorized):
        client.about()


def test_a_repeated_write_takes_effect_once(client: liushui.Client, book: str) -> None:
    """Many at once, to two workers, under one key: all get the same answer, and the flows are recorded once."""
    client.create_account("mine")
    rows = [flow(f"r{n}") for n in range(50)]
    answers: list[models.Recorded] = []
    threads = [threading.Thread(target=lambda: answers.append(client.record(rows, key="once"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert {answer.added for answer in answers} == {50}
    assert sum(not answer.again for answer in answers) == 1
    assert len(list(client.flows(account="mine"))) == 50
    with pytest.raises(errors.BadRequest, match="Idempotency-Key"):
        client.record(flow("another"), key="once")
    with pytest.raises(errors.Conflict, match="amount"):
        client.record(flow("r1", "2"))
    assert client.record(flow("r1", "2"), restate=True).restated == 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="tells processes apart as Linux does")
def test_a_write_takes_effect_once_when_its_worker_is_killed(book: str, token: str) -> None:
    """The worker is killed while a program writes the same again and again: what it was told is what is there.

    Once: Granian takes a second death within seconds for a crash that goes on, and ends.
    """
    with serving(book, workers=1) as running:
        with liushui.Client(running.url, token, attempts=60) as client:
            client.create_account("other")
            rows = [flow(f"k{n}", account="other") for n in range(300)]
            told: list[models.Recorded] = []
            writer = threading.Thread(
                target=lambda: told.extend(client.record(rows, key=f"killed {n // 2}") for n in range(20))
            )
            writer.start()
            for worker in worker_ids(running.pid):
                os.kill(worker, signal.SIGKILL)
            client.about()  # answered when there is a worker again
            writer.join()
        assert [one.added + one.known for one in told] == [300] * 20
        assert [told[n].rows == told[n + 1].rows for n in range(0, 20, 2)] == [True] * 10
    ledger = open_ledger(book)
    assert len(list(list_flows(ledger, FlowFilter(accounts=("other",))))) == 300
    assert_intact(ledger)
    ledger.close()


def test_events_continue_where_the_stream_broke_off(running: Running, token: str, client: liushui.Client) -> None:
    headers = {"authorization": f"Bearer {token}"}
    url = f"{running.url}/api/v1/events"
    client.create_account("eventful")
    with httpx2.stream("GET", url, headers=headers, timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": begun"
        client.record(flow("e1", account="eventful"))
        last = next(line for line in lines if line.startswith("id: ")).removeprefix("id: ")
        seen = next(line for line in lines if line.startswith("data: {")).removeprefix("data: ")
        assert msgspec.json.decode(seen, type=models.CommitSeen).added == 1
    client.record(flow("e2", account="eventful"))
    with httpx2.stream("GET", url, headers={**headers, "last-event-id": last}, timeout=20) as stream:
        data = next(line for line in stream.iter_lines() if line.startswith("data: {"))
        assert msgspec.json.decode(data.removeprefix("data: "), type=models.CommitSeen).account == "eventful"
    assert [step.flow.id for step in client.feed(last).steps] == ["e2"]
    refused = httpx2.get(url, headers={**headers, "last-event-id": "x"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "Last-Event-ID"


def test_the_client_closes_a_month_and_is_told_of_it(
    running: Running, token: str, client: liushui.Client, book: str
) -> None:
    ledger = open_ledger(book)
    create_signing_key(ledger, "example.com/ledger")
    ledger.close()
    client.create_account("closing")
    client.record(flow("c1", account="closing"))
    (proof,) = client.reconciliation("2024-03", account=["closing"])
    assert (proof.check, [line.line for line in proof.lines]) == ("could_not_check", ["closing:USD"])
    assert [month.check for month in client.months("2024-03", "2024-03", account=["closing"])] == ["could_not_check"]
    month = models.CloseMonth(period="2024-03", accounts=["closing"])
    with pytest.raises(errors.Conflict, match="closing:USD: could not check"):
        client.close_month(month)
    month.explanations = [models.Explanation(line="closing:USD", reason="counted by hand")]
    url, headers = f"{running.url}/api/v1/events", {"authorization": f"Bearer {token}"}
    with httpx2.stream("GET", url, headers=headers, params={"account": "closing"}, timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": begun"
        events = (line.removeprefix("event: ") for line in lines if line.startswith("event: "))
        (decision,) = client.close_month(month)
        assert next(events) == "period_closed"
        client.record(flow("c2", account="closing"))
        assert [next(events), next(events)] == ["commit", "changed_after_close"]
        (change,) = client.changes_after_close(account=["closing"])
        assert (change.change, change.flow.ref) == ("added", None)
        client.reopen_month(models.ReopenMonth(period="2024-03", accounts=["closing"], reason="more came"))
        assert next(events) == "period_reopened"
    assert [one.state for one in client.closed_months(account=["closing"])] == ["closed", "reopened"]
    assert client.closed_months(account=["closing"])[0].lines == decision.lines


def test_the_client_is_told_of_breaks_and_decisions(running: Running, token: str, client: liushui.Client) -> None:
    def chained(number: int) -> models.RecordFlow:
        made = flow(f"r{number}", "1.00", account="chained")
        made.at, made.balance_after = AT + timedelta(hours=number), f"{number}.00"
        return made

    client.create_account("chained")
    client.record([chained(1), chained(2)])
    url, headers = f"{running.url}/api/v1/events", {"authorization": f"Bearer {token}"}
    with httpx2.stream("GET", url, headers=headers, params={"account": "chained"}, timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": begun"
        events = (line.removeprefix("event: ") for line in lines if line.startswith("event: "))
        client.record(chained(4))
        assert [next(events), next(events)] == ["commit", "break_found"]
        found = msgspec.json.decode(next(lines).removeprefix("data: "), type=models.SeenBreak)
        (break_,) = client.breaks(account=["chained"]).breaks
        assert (found.finding, found.difference, found.batch) == (break_.finding, "1.00", 2)
        explained = client.explain_finding(break_.finding, "a refund that nobody recorded")
        assert (explained.finding.state, next(events)) == ("explained", "finding_explained")
        assert client.finding(break_.finding) == explained
        assert [one.id for one in client.each_finding(account=["chained"], state=["explained"])] == [break_.finding]
        client.withdraw_explanation(break_.finding, "somebody did")
        assert next(events) == "finding_withdrawn"
        client.record(chained(3))
        assert [next(events), next(events)] == ["commit", "break_ended"]
    for account in ("left", "arrived"):
        client.create_account(account)
    with httpx2.stream("GET", url, headers=headers, params={"account": ["left", "arrived"]}, timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": begun"
        events = (line.removeprefix("event: ") for line in lines if line.startswith("event: "))
        for account, amount, kind in (("left", "-700", Kind.WITHDRAWAL), ("arrived", "700", Kind.DEPOSIT)):
            at = AT + timedelta(days=90, hours=amount == "700")
            client.record(
                models.RecordFlow(account=account, reference="e", at=at, amount=amount, currency="USD", kind=kind)
            )
        links = client.links(account=["left"], state=[models.LinkState.CANDIDATE], since=AT + timedelta(days=60))
        client.decide_link(next(links).id, models.DecideLink(decision="rejected"))
        assert [next(events) for _ in range(3)] == ["commit", "commit", "link_rejected"]


def test_a_requested_sync_runs_beside_the_server(client: liushui.Client) -> None:
    with pytest.raises(errors.NotFound, match="source"):
        client.sync("a")


def test_the_client_lists_and_decides_links(client: liushui.Client) -> None:
    for account, amount, kind in (("from", "-5000", Kind.WITHDRAWAL), ("to", "5000", Kind.DEPOSIT)):
        client.create_account(account)
        at = AT + timedelta(hours=amount == "5000")
        client.record(
            models.RecordFlow(account=account, reference="r", at=at, amount=amount, currency="USD", kind=kind)
        )
    (link,) = client.links(account=["from"], state=[models.LinkState.CANDIDATE])
    full = client.decide_link(link.id, models.DecideLink(decision="confirmed", reason="the slip"))
    assert full.link.state is models.LinkState.CONFIRMED
    assert client.link(link.id) == full
    with pytest.raises(errors.Conflict, match="was confirmed by"):
        client.decide_link(link.id, models.DecideLink(decision="confirmed"))
    assert [known.id for known in client.links(kind=[models.LinkKind.TRANSFER], limit=1)] == [link.id]
    with pytest.raises(errors.NotFound, match="none named 'nothing'"):
        client.link("nothing")
