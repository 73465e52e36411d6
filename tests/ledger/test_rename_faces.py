"""A renamed account answers every question as before: in the command line, the API and the page."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from liushui.certificate.keys import create_signing_key
from liushui.flow import Direction, Kind
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import BREAK, finding_id
from liushui.ledger.jobs.notifications import active_rules, add_rule, list_notifications, record_alarms
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.status import AlarmKind, read_alarms
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.finding_decisions import explain_findings
from liushui.ledger.write.link_decisions import decide_link
from liushui.ledger.write.rename import rename_account
from liushui.notify.rules import Address, make_rule
from liushui.provider import DecodedRow, Slice
from liushui.providers import ProviderRules, load_providers
from liushui.reconcile.links import LinkState
from liushui.services.periods import Explanations, close_month, line_id
from tests.api.callers import open_api
from tests.cli.commands import run
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, make_row, new_ledger, state
from tests.ledger.test_close import BEGIN, MAY, at
from tests.server.test_simplefin import Consumer, Site
from tests.web.test_overview import text_of
from tests.web.visitor import visiting

BEFORE: Final = "shop-before"
NOW: Final = "shop-now"
"""It sorts where the name before does, so that lists have the same order."""


def moved(id_: str, day: int, amount: str, balance: str) -> DecodedRow:
    """A transfer of March."""
    direction = Direction.OUT if amount.startswith("-") else Direction.IN
    return make_row(id_, at(3, day), amount, kind=Kind.TRANSFER, direction=direction, balance=balance)


ROWS: Final = (
    make_row("one", at(2, 2), "10.00", balance="10.00"),
    moved("sent", 4, "-7.31", "2.69"),
    moved("gone", 5, "-1.13", "1.56"),
    make_row("two", at(3, 9), "-1.00", balance="-4.44"),
)
"""Before the last one a payment of 5.00 is hidden."""


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """An account about which people have decided everything that they can decide."""
    ledger = new_ledger(ledger_store, "bank")
    make_account(ledger, BEFORE, "hkus", "Asia/Hong_Kong")
    add_source(ledger, account=BEFORE, base_url="http://h", credentials={}, since=BEGIN, paced=True)
    read(ledger, *ROWS)
    arrived = [moved("arrived", 4, "7.31", "7.31"), moved("came", 5, "1.13", "8.44")]
    commit_read(ledger, Slice(BEGIN, MAY), *[row_later(one) for one in arrived], account="bank")
    create_signing_key(ledger, "example.com/ledger")
    model = ReadModel(ledger, ProviderRules())
    with open_api(ledger) as api:
        links = api.caller().get("/links")["links"]
    for link in links:
        decide_link(ledger, ProviderRules(), link["id"], LinkState.CONFIRMED, decided_by="li", reason="on the slip")
    assert len(links) == 2
    state(ledger, "10.00", at(2, 20), account=BEFORE)
    finding = finding_id(BEFORE, BREAK, to_us(at(3, 9)), "two")
    explain_findings(model, [finding], by="li", reason="a refund that our key may not see")
    close_month(model, "2024-02", (BEFORE,), Explanations("li", {}), load_providers())
    explained = Explanations("li", {line_id(BEFORE, ("", "USD")): "the hidden refund"})
    close_month(model, "2024-03", (BEFORE,), explained, load_providers())
    rule, _ = make_rule("ops", Address(webhook="https://hooks.example/x"), accounts=[BEFORE], created_at=ledger.clock())
    add_rule(ledger, rule)
    read(ledger, *[one for one in ROWS if one.flow.identity != "gone"])
    yield ledger
    ledger.close()


def read(ledger: Ledger, *rows: DecodedRow) -> None:
    """Read the account whole, up to May."""
    commit_read(ledger, Slice(BEGIN, MAY), *rows, account=BEFORE)


def row_later(row: DecodedRow) -> DecodedRow:
    """The row, an hour later."""
    return row._replace(flow=row.flow._replace(at=row.flow.at + timedelta(hours=1)))


COMMANDS: Final = (
    "flows {name}",
    "balances {name}",
    "balance list {name}",
    "summary {name}",
    "summary --by meaning",
    "reconcile {name} --period 2024-03",
    "close --list",
    "close --changes",
    "certificate list",
    "link list",
    "findings {name}",
    "findings",
    "breaks {name}",
    "coverage {name}",
    "status",
    "notify list",
)
API: Final = (
    "/balances?account={name}",
    "/stated-balances?account={name}",
    "/breaks?account={name}",
    "/links",
    "/findings/list?account={name}",
    "/findings",
    "/closed-months",
    "/closed-months/changes",
    "/reconciliation?period=2024-03&account={name}",
    "/reconciliation/months",
    "/summary?by=meaning",
    "/coverage?account={name}",
    "/notification-rules",
    "/feed?account={name}",
    "/daily-balances?account={name}",
    "/fees",
)
PAGES: Final = (
    "/",
    "/accounts/{name}",
    "/flows?account={name}",
    "/reconcile",
    "/reconcile/{name}/2024-02",
    "/reconcile/{name}/2024-03",
    "/review",
    "/notifications",
    "/sources",
    "/page/overview/moved",
    "/page/overview/streams",
)


def from_command_line(ledger: Ledger, name: str) -> dict[str, object]:
    """The output and exit code of every command."""
    answers: dict[str, object] = {}
    for line in COMMANDS:
        done = run(Path("unused"), "--ledger", ledger.url, *line.format(name=name).split(), "--format", "json")
        assert done.returncode in (0, 3), f"{line}: {done.stderr}"
        answers[line] = done.returncode, json.loads(done.stdout)
    return answers


def from_api(ledger: Ledger, name: str) -> dict[str, object]:
    """The API's answer to every question."""
    with open_api(ledger) as api:
        caller = api.caller()
        account = caller.get(f"/accounts/{name}")
        account["batch"] = "the newest one, which a rename is itself"
        return {"/accounts/{name}": account, **{path: caller.get(path.format(name=name)) for path in API}}


def from_page(ledger: Ledger, name: str) -> dict[str, object]:
    """The text of every page."""
    answers: dict[str, object] = {}
    with visiting(ledger) as visitor:
        visitor.log_in()
        for path in PAGES:
            answer = visitor.get(path.format(name=name))
            assert answer.status_code == 200, path
            answers[path] = text_of(answer.text)
    return answers


IDS: Final = r"\d{8}T?\d{6}Z?-[0-9a-f]+|\d{4}-\d\d-\d\dT\d\d:?\d\d:?\d\dZ?-[0-9a-f]+"

KEYS: Final = r'"[A-Za-z0-9_-]{30,}"'
"""Keys of flows and signed cursors, which contain the name."""

COUNTED: Final = r'("\w+_s"|"batches"): \d+'
"""Seconds since then, and the number of batches, of which a rename is one."""

TIMES: Final = r"\d{4}-\d\d-\d\dT[\d:]+\.\d+Z"
"""The time of the answer."""


def as_one_text(answer: object, name: str) -> str:
    """An answer without what a rename has to change: the name itself, and ids that are derived from it."""
    text = json.dumps(answer, ensure_ascii=False, default=str).replace(name, "NAME")
    text = re.sub(TIMES, "TIME", re.sub(COUNTED, r"\1: 0", text))
    return re.sub(KEYS, '"KEY"', re.sub(IDS, "ID", text))


@pytest.mark.parametrize("ask", [from_command_line, from_api, from_page])
def test_every_answer_is_the_same_under_the_new_name(
    ledger: Ledger, ask: Callable[[Ledger, str], dict[str, object]]
) -> None:
    before = {question: as_one_text(answer, BEFORE) for question, answer in ask(ledger, BEFORE).items()}
    assert any("NAME" in text for text in before.values())
    rename_account(ledger, BEFORE, NOW)
    after = {question: as_one_text(answer, NOW) for question, answer in ask(ledger, NOW).items()}
    for question, text in before.items():
        assert after[question] == text, question
        assert BEFORE not in after[question], question


def test_alarms_and_what_rules_have_seen_follow(ledger: Ledger) -> None:
    model = ReadModel(ledger, ProviderRules())

    def alarms() -> dict[AlarmKind, int]:
        return {one.kind: one.number for one in read_alarms(model)}

    before = alarms()
    assert before[AlarmKind.LINK_CHANGED] == 1
    assert before[AlarmKind.CHANGED_AFTER_CLOSE] >= 1
    assert record_alarms(ledger, active_rules(ledger), read_alarms(model)) > 0
    told = len(list_notifications(ledger))
    rename_account(ledger, BEFORE, NOW)
    assert alarms() == before
    assert record_alarms(ledger, active_rules(ledger), read_alarms(model)) == 0, "nothing is news"
    assert len(list_notifications(ledger)) == told


def test_exports_and_simplefin_name_flows_by_the_same_ids(ledger: Ledger) -> None:
    site = Site(ledger)
    consumer = Consumer(site, site.setup_token(BEFORE))
    assert consumer.claim().status == 200

    def ids(name: str) -> dict[str, list[str]]:
        """The ids of transactions in each format, and how the format names the account."""
        since = str(int(BEGIN.timestamp()))
        (account,) = consumer.accounts(("start-date", since))["accounts"]
        found = {"simplefin": [one["id"] for one in account["transactions"]], "simplefin account": [account["id"]]}
        for words, pattern in (("ofx", r"<FITID>([^<\s]+)"), ("camt053", r"<AcctSvcrRef>([^<]+)")):
            done = run(Path("unused"), "--ledger", ledger.url, "export", words, name)
            assert done.returncode in (0, 3), done.stderr
            found[words] = re.findall(pattern, done.stdout)
            assert name in done.stdout
        return found

    before = ids(BEFORE)
    assert [len(before[one]) for one in ("simplefin", "ofx")] == [3, 3]
    assert before["camt053"]
    for earlier, name in ((BEFORE, NOW), (NOW, "shop-third"), ("shop-third", BEFORE), (BEFORE, NOW)):
        rename_account(ledger, earlier, name)
        assert ids(name) == before, name
