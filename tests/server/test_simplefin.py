"""Accounts over SimpleFIN: a consumer written from the protocol's text, and that of Actual Budget."""

import asyncio
import json
import re
import shutil
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from liushui.errors import WireError
from liushui.instant import to_us
from liushui.ledger.access.audit import list_actions
from liushui.ledger.access.keys import list_keys, revoke_key
from liushui.ledger.access.tokens import Scope, create_token, revoke_token
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.write.remove import remove_account
from liushui.provider import MOUNT
from liushui.providers import load_providers
from liushui.server.context import AppContext
from liushui.server.public_address import PublicAddress
from liushui.server.rsgi_app import App, DialectRouter
from liushui.server.run import mounted_apis
from liushui.server.simplefin import RATE, parse_query
from liushui.services.access import bearer, create_key, owner
from liushui.services.dialects import SIMPLEFIN, give_out
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits
from tests.api.callers import open_api
from tests.cli.commands import result, run
from tests.engines import POSTGRESQL, SQLITE, LedgerStore, store_of
from tests.ledger.ledgers import commit_read, hour, hours, import_page, make_row, new_ledger, rejected_row, state
from tests.providers.installed import packed_npm
from tests.server.doubles import HttpDouble, ScopeDouble
from tests.system import require
from tests.web.visitor import visiting

URL: Final = "https://books.example/ledger"
NODE_S: Final = 60


class Answer(NamedTuple):
    """An answer, with the names of its headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.body)


class Site:
    """The served APIs of a ledger behind a proxy, in this process."""

    def __init__(self, ledger: Ledger, url: str = URL, *, listening_url: str = "") -> None:
        self.ledger, self.url, self._public = ledger, url, PublicAddress(url)
        providers, limits = load_providers(), MemoryLimits(ledger.clock)
        app_context = AppContext(ledger, providers, url, "ws://test", limits, listening_url=listening_url)
        reader = LedgerReader(ledger, limits)
        router, mounted = DialectRouter(providers, reader), mounted_apis(app_context, reader)
        self._app = App(router, providers, public=self._public, mounted=mounted)

    def send(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """Send a request to a URL of the site."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".startswith(self.url)
        http = HttpDouble()
        asyncio.run(self._app.__rsgi__(ScopeDouble(parts.path, method, parts.query, headers), http))
        return Answer(http.status, {name.lower(): text for name, text in http.headers.items()}, http.body)

    def setup_token(self, *accounts: str, **options: Any) -> str:  # noqa: ANN401
        """The setup token of a new key."""
        credentials = create_key(self.ledger, owner("test"), SIMPLEFIN, accounts or ("a",), **options)
        return give_out(SIMPLEFIN, credentials, self.url)["setup_token"]


class Consumer:
    """An application as the protocol's App Quickstart describes it. It knows nothing but a setup token."""

    def __init__(self, site: Site, setup_token: str) -> None:
        self._site = site
        self.claim_url = b64decode(setup_token, validate=True).decode()
        self.access_url = ""

    def claim(self) -> Answer:
        answer = self._site.send("POST", self.claim_url, {"content-length": "0"})
        if answer.status == 200:
            self.access_url = answer.body.decode()
        return answer

    def get(self, path: str, *params: tuple[str, str], password: str | None = None) -> Answer:
        parts = urlsplit(self.access_url)
        pair = f"{parts.username}:{parts.password if password is None else password}"
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{path}"
        headers = {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        return self._site.send("GET", f"{url}?{urlencode(params)}" if params else url, headers)

    def accounts(self, *params: tuple[str, str]) -> Any:  # noqa: ANN401 - JSON
        """The Account Set of an answer, which has what the protocol requires."""
        answer = self.get("/accounts", *params)
        assert answer.status == 200, answer
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        check_account_set(answer.json)
        return answer.json


def check_account_set(found: Any) -> None:  # noqa: ANN401 - JSON
    """Check what the tables of the protocol's document require, and that every amount has two decimals."""
    assert all(isinstance(text, str) for text in found["errors"])
    assert len({account["id"] for account in found["accounts"]}) == len(found["accounts"])
    assert len({account["name"] for account in found["accounts"]}) == len(found["accounts"])
    for account in found["accounts"]:
        assert account["org"]["sfin-url"] == f"{URL}/dialect/simplefin"
        assert account["org"]["name"]
        assert re.fullmatch("[A-Z]{3}", account["currency"])
        assert re.fullmatch(r"-?\d+\.\d\d", account["balance"])
        assert type(account["balance-date"]) is int
        posted = [transaction["posted"] for transaction in account["transactions"]]
        assert posted == sorted(posted)
        assert len({transaction["id"] for transaction in account["transactions"]}) == len(posted)
        for transaction in account["transactions"]:
            assert re.fullmatch(r"-?\d+\.\d\d", transaction["amount"])
            assert type(transaction["posted"]) is type(transaction["transacted_at"]) is int
            assert transaction["description"]
            assert transaction["pending"] is False


@pytest.fixture(scope="module", params=[SQLITE])
def ledger_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerStore]:
    yield from store_of(request, tmp_path_factory.mktemp("ledger_store"))


on_both_engines = pytest.mark.parametrize("ledger_store", [SQLITE, POSTGRESQL], indirect=True, scope="module")
"""For what depends on SQL: most tests are about messages and parameters."""


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger whose account `a` was read for three days, and `b`, which has no source."""
    ledger_store.fresh()
    ledger = new_ledger(ledger_store, "a", "b")
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=hour(0), paced=True)
    commit_read(
        ledger,
        hours(0, 72),
        make_row("r1", 1, "1200.5", label="Salary"),
        make_row("r2", 2.5, "-12"),
        make_row("r3", 30, "-0.40"),
        make_row("h1", 3, "7", currency="HKD"),
        make_row("c1", 4, "0.12345678", currency="BTC"),
    )
    state(ledger, "0", 0)
    yield ledger
    ledger.close()


@pytest.fixture
def site(ledger: Ledger) -> Site:
    return Site(ledger)


@pytest.fixture
def consumer(site: Site) -> Consumer:
    consumer = Consumer(site, site.setup_token("a"))
    assert consumer.claim().status == 200
    return consumer


def clock_of(ledger: Ledger) -> MovableClock:
    assert isinstance(ledger.clock, MovableClock)
    return ledger.clock


def seconds(number: float) -> str:
    """The Unix seconds of `hour(number)`."""
    return str(to_us(hour(number)) // 1_000_000)


# ---------------------------------------------------------------- claiming


@on_both_engines
def test_a_setup_token_is_claimed_once(site: Site, ledger: Ledger) -> None:
    consumer = Consumer(site, site.setup_token("a"))
    (key,) = list_keys(ledger)
    assert consumer.claim_url.startswith(f"{URL}/dialect/simplefin/claim/{key.public}")
    first = consumer.claim()
    assert (first.status, first.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert re.fullmatch(
        rf"https://{key.public}:[0-9a-f]{{64}}@books\.example/ledger/dialect/simplefin", first.body.decode()
    )
    again = Consumer(site, b64encode(consumer.claim_url.encode()).decode())
    assert (again.claim().status, again.access_url) == (403, "")
    assert again.claim().body.startswith(b"Forbidden")
    assert consumer.get("/accounts").status == 200
    entries = sorted((entry.who, entry.action, entry.subject, entry.outcome) for entry in list_actions(ledger))
    claim = f"key {key.public}", "key claim", key.public
    assert entries == [(*claim, "done"), (*claim, "refused (403)"), (*claim, "refused (403)")]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("books.internal:8700", "books.internal:8700"),
        ("[fd00::1]:8700", "[fd00::1]:8700"),
        ("evil@x", "0.0.0.0:8700"),
        ("", "0.0.0.0:8700"),
    ],
)
def test_without_a_public_address_the_access_url_has_that_of_the_claim(ledger: Ledger, host: str, address: str) -> None:
    """A program in a container reaches the server at another address than this machine does."""
    url = "http://0.0.0.0:8700"
    site = Site(ledger, url, listening_url=url)
    claim_url = b64decode(site.setup_token("a")).decode()
    claimed = site.send("POST", claim_url, {"host": host})
    assert claimed.body.decode().endswith(f"@{address}/dialect/simplefin")


@on_both_engines
def test_of_many_claims_at_once_one_succeeds(ledger: Ledger) -> None:
    """Each is sent to a server of its own, as to the processes of one."""
    sites = [Site(ledger) for _ in range(4)]
    token = sites[0].setup_token("a")
    barrier = threading.Barrier(len(sites))

    def claim(site: Site) -> int:
        barrier.wait()
        return Consumer(site, token).claim().status

    with ThreadPoolExecutor(len(sites)) as threads:
        assert sorted(threads.map(claim, sites)) == [200, 403, 403, 403]


@pytest.mark.parametrize("change", ["x", "é", "%00", "/more", "short", ""])
def test_other_tokens_are_forbidden_and_not_in_the_audit_log(site: Site, ledger: Ledger, change: str) -> None:
    consumer = Consumer(site, site.setup_token("a"))
    right = consumer.claim_url
    consumer.claim_url = (
        f"{right}{change}" if change not in ("short", "") else right[: right.rindex("/") + 1 + len(change)]
    )
    assert consumer.claim().status == 403
    assert list_actions(ledger) == []
    consumer.claim_url = right
    assert consumer.claim().status == 200


@on_both_engines
def test_a_revoked_or_expired_key_cannot_be_claimed(site: Site, ledger: Ledger) -> None:
    revoked = Consumer(site, site.setup_token("a"))
    revoke_key(ledger, list_keys(ledger)[0].public)
    expired = Consumer(site, site.setup_token("a", expires_at=ledger.clock() + timedelta(hours=1)))
    clock_of(ledger).move(timedelta(hours=1))
    assert (revoked.claim().status, expired.claim().status) == (403, 403)


def test_secrets_are_not_in_the_list_of_keys(consumer: Consumer, ledger: Ledger) -> None:
    (key,) = list_keys(ledger)
    password = urlsplit(consumer.access_url).password
    assert password is not None
    assert password not in str(key)
    assert consumer.claim_url.rpartition("/")[2] not in str(key)


# ---------------------------------------------------------------- access


def test_wrong_credentials_are_forbidden(consumer: Consumer, site: Site) -> None:
    assert consumer.get("/accounts", password="wrong").status == 403
    assert consumer.get("/accounts", password="").status == 403
    answer = site.send("GET", f"{URL}/dialect/simplefin/accounts", {})
    assert (answer.status, answer.json["accounts"]) == (403, [])
    unclaimed = Consumer(site, site.setup_token("a"))
    name = unclaimed.claim_url.rpartition("/")[2][:32]
    unclaimed.access_url = f"https://{name}:@books.example/ledger/dialect/simplefin"
    assert unclaimed.get("/accounts").status == 403
    for value in ("Bearer x", "Basic", "Basic %", "Basic AAAA", f"Basic {b64encode(b'a').decode()}"):
        headers = {"authorization": value}
        assert site.send("GET", f"{URL}/dialect/simplefin/accounts", headers).status == 403


@on_both_engines
def test_a_revoked_key_is_forbidden(consumer: Consumer, ledger: Ledger) -> None:
    revoke_key(ledger, list_keys(ledger)[0].public)
    assert consumer.get("/accounts").status == 403


def test_a_key_ends_with_its_time_and_with_the_token_that_created_it(site: Site, ledger: Ledger) -> None:
    token = create_token(ledger, names=["a"], scopes=[Scope.READ, Scope.MANAGE]).token
    credentials = create_key(ledger, bearer("b", token), SIMPLEFIN, ["a"])
    of_token = Consumer(site, give_out(SIMPLEFIN, credentials, URL)["setup_token"])
    short = Consumer(site, site.setup_token("a", expires_at=ledger.clock() + timedelta(hours=1)))
    assert (of_token.claim().status, short.claim().status) == (200, 200)
    assert (of_token.get("/accounts").status, short.get("/accounts").status) == (200, 200)
    revoke_token(ledger, token.id)
    clock_of(ledger).move(timedelta(hours=1))
    assert (of_token.get("/accounts").status, short.get("/accounts").status) == (403, 403)


def test_a_key_reads_its_accounts_only(site: Site, ledger: Ledger) -> None:
    import_page(ledger, make_row("p1", 10, "7"), account="b")
    state(ledger, "0", 0, account="b")
    one, both = Consumer(site, site.setup_token("b")), Consumer(site, site.setup_token("a", "b"))
    one.claim()
    both.claim()
    assert [account["name"] for account in one.accounts()["accounts"]] == ["b USD"]
    assert [account["name"] for account in both.accounts()["accounts"]] == ["a USD", "b USD"]
    (other,) = (account["id"] for account in both.accounts()["accounts"] if account["name"] == "a USD")
    found = one.accounts(("account", other))
    assert (found["accounts"], found["errors"]) == ([], [f"There is no account with the id '{other}'."])
    remove_account(ledger, "b")
    assert one.get("/accounts").status == 403
    assert [account["name"] for account in both.accounts()["accounts"]] == ["a USD"]


def test_calls_are_limited(consumer: Consumer, site: Site, ledger: Ledger) -> None:
    for _ in range(RATE.calls):
        assert consumer.get("/accounts", ("balances-only", "1")).status == 200
    answer = consumer.get("/accounts")
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    unpaced = Consumer(site, site.setup_token("a", paced=False))
    unpaced.claim()
    for _ in range(RATE.calls + 1):
        assert unpaced.get("/accounts", ("balances-only", "1")).status == 200
    clock_of(ledger).move(timedelta(minutes=1))
    assert consumer.get("/accounts").status == 200


def test_the_other_paths(consumer: Consumer) -> None:
    assert consumer.get("/info").json == {"versions": ["1.0"]}
    create = consumer.get("/create")
    assert (create.status, create.headers["location"]) == (303, f"{URL}/keys/new?dialect=simplefin")
    assert consumer.get("/claim/x").status == 404
    assert consumer.get("/").status == 404


# ---------------------------------------------------------------- accounts


@on_both_engines
def test_balances_and_transactions(consumer: Consumer) -> None:
    (account,) = consumer.accounts()["accounts"]
    assert (account["name"], account["currency"], account["balance"]) == ("a USD", "USD", "1188.10")
    assert account["balance-date"] == int(seconds(72))
    transactions = account["transactions"]
    assert [transaction["amount"] for transaction in transactions] == ["1200.50", "-12.00", "-0.40"]
    assert [transaction["posted"] for transaction in transactions] == [int(seconds(at)) for at in (1, 2.5, 30)]
    assert transactions[0]["description"] == transactions[0]["payee"] == "Salary"
    assert consumer.accounts()["accounts"] == [account]


def test_what_cannot_be_said_is_left_out_with_a_message(consumer: Consumer, ledger: Ledger) -> None:
    found = consumer.accounts()
    assert [account["name"] for account in found["accounts"]] == ["a USD"]
    (coins,) = (text for text in found["errors"] if "BTC" in text)
    assert coins == "a: BTC left out: only currencies of countries, with two decimals, are served."
    (unknown,) = (text for text in found["errors"] if "HKD" in text)
    assert unknown.startswith("a HKD is left out: its balance is not known, only the net change since 2024-03-01.")
    state(ledger, "3", 0, currency="HKD")
    found = consumer.accounts()
    assert [(account["name"], account["balance"]) for account in found["accounts"]] == [
        ("a HKD", "10.00"),
        ("a USD", "1188.10"),
    ]


@on_both_engines
@pytest.mark.parametrize(
    ("amounts", "balance"),
    [
        (["1.230", "-0.230"], "1189.10"),
        (["100.50000000"], "1288.60"),
        (["0.005", "0.005"], None),
        (["0.001", "-0.001"], None),
        (["-1188.10"], "0.00"),
    ],
)
def test_amounts_have_exactly_two_decimals(
    consumer: Consumer, ledger: Ledger, amounts: list[str], balance: str | None
) -> None:
    rows = [make_row(f"n{number}", 80 + number, amount) for number, amount in enumerate(amounts)]
    commit_read(ledger, hours(72, 96), *rows)
    found = consumer.accounts(("start-date", seconds(95)))  # the amounts lie before the range
    assert [account["balance"] for account in found["accounts"]] == ([] if balance is None else [balance])
    assert any("more than two decimals" in text for text in found["errors"]) == (balance is None)


@pytest.mark.parametrize(
    ("since", "until", "amounts"),
    [
        (2.5, 30, ["-12.00"]),
        (1, None, ["1200.50", "-12.00", "-0.40"]),
        (None, 2.5, ["1200.50"]),
        (30, 30, []),
        (50, 60, []),
    ],
)
def test_ranges_include_their_first_second_and_not_their_last(
    consumer: Consumer, since: float | None, until: float | None, amounts: list[str]
) -> None:
    bounds = (("start-date", since), ("end-date", until))
    params = [(name, seconds(at)) for name, at in bounds if at is not None]
    (account,) = consumer.accounts(*params)["accounts"]
    assert [transaction["amount"] for transaction in account["transactions"]] == amounts
    assert account["balance"] == "1188.10"


def test_a_range_is_of_the_seconds_that_are_served(consumer: Consumer, ledger: Ledger) -> None:
    commit_read(ledger, hours(72, 96), make_row("late", hour(80) + timedelta(milliseconds=700), "5"))
    second = int(seconds(80))
    for since, until, number in ((second, second + 1, 1), (second + 1, second + 2, 0), (second - 1, second, 0)):
        (account,) = consumer.accounts(("start-date", str(since)), ("end-date", str(until)))["accounts"]
        assert len(account["transactions"]) == number
        assert all(since <= transaction["posted"] < until for transaction in account["transactions"])


def test_balances_only_and_chosen_accounts(consumer: Consumer, ledger: Ledger) -> None:
    state(ledger, "0", 0, currency="HKD")
    found = consumer.accounts(("balances-only", "1"))
    assert [account["transactions"] for account in found["accounts"]] == [[], []]
    ids = {account["name"]: account["id"] for account in found["accounts"]}
    chosen = consumer.accounts(("account", ids["a HKD"]), ("pending", "1"))
    assert [account["name"] for account in chosen["accounts"]] == ["a HKD"]
    assert not any("BTC" in text for text in chosen["errors"])
    both = consumer.accounts(("account", ids["a HKD"]), ("account", ids["a USD"]))
    assert len(both["accounts"]) == 2


@pytest.mark.parametrize("value", ["today", "1e9", "٣", "1 2", "9" * 13])
def test_a_time_that_is_invalid_is_refused(consumer: Consumer, value: str) -> None:
    answer = consumer.get("/accounts", ("start-date", value))
    assert answer.status == 400
    assert answer.json["errors"][0].startswith("start-date: expected a time in Unix seconds such as 1704067200, got ")


def test_times_at_the_ends_of_time() -> None:
    query = parse_query("start-date=-999999999999&end-date=999999999999&x=1", ["a"])
    assert (query.since, query.until) != (None, None)
    assert parse_query("start-date=1.5", ["a"]).since == parse_query("start-date=2", ["a"]).since
    assert parse_query("start-date=&end-date=", ["a"]) == parse_query("", ["a"])
    with pytest.raises(WireError):
        parse_query("&".join(f"account={number}" for number in range(200)), ["a"])


# ---------------------------------------------------------------- completeness


def about(found: Any, *words: str) -> list[str]:  # noqa: ANN401 - JSON
    """The messages with these words, as they go on after the first one of them."""
    return [text for text in found["errors"] if all(word in text for word in words)]


def test_a_complete_range_has_no_message(consumer: Consumer, ledger: Ledger) -> None:
    found = consumer.accounts(("start-date", seconds(1)), ("end-date", seconds(72)))
    assert about(found, "a: transactions") == []
    (account,) = found["accounts"]
    assert account["extra"] == {"completeness": "complete"}


def test_a_range_up_to_now_that_was_not_read_is_said_to_be_partial(consumer: Consumer) -> None:
    for params in ((), (("end-date", "4000000000"),)):
        (message,) = about(consumer.accounts(("start-date", seconds(1)), *params), "a: transactions")
        assert message.startswith("a: transactions are complete up to 2024-03-04T00:00:00Z only: not ")


def test_a_range_in_the_future_lacks_nothing(consumer: Consumer) -> None:
    found = consumer.accounts(("start-date", "4000000000"), ("end-date", "4100000000"))
    assert about(found, "a: transactions") == []


def test_rejected_rows_and_gaps_are_said(consumer: Consumer, ledger: Ledger) -> None:
    commit_read(ledger, hours(72, 96), rejected=[rejected_row("bad")])
    commit_read(ledger, hours(120, 144), make_row("n1", 130, "1"))
    (message,) = about(consumer.accounts(("start-date", seconds(1)), ("end-date", seconds(144))), "a: transactions")
    assert message.startswith("a: transactions may be missing: ")
    assert "1 rejected row" in message
    assert "not read yet" in message
    found = consumer.accounts(("balances-only", "1"))
    (message,) = about(found, "balance may lack")
    assert "1 rejected row" in message
    assert [account["extra"] for account in found["accounts"]] == [{"completeness": "incomplete"}]


def test_an_account_without_a_source_cannot_be_checked(site: Site, ledger: Ledger) -> None:
    import_page(ledger, make_row("p1", 10, "7"), account="b")
    state(ledger, "0", 0, account="b")
    consumer = Consumer(site, site.setup_token("b"))
    consumer.claim()
    found = consumer.accounts()
    assert about(found, "b: whether transactions are missing cannot be checked", "no source")
    (account,) = found["accounts"]
    assert (account["balance"], account["extra"]) == ("7.00", {"completeness": "unknown"})


def test_an_account_without_flows_is_said_to_have_none(site: Site) -> None:
    consumer = Consumer(site, site.setup_token("b"))
    consumer.claim()
    found = consumer.accounts()
    assert found["accounts"] == []
    assert about(found, "b: there is no balance to serve")
    assert about(found, "b: whether transactions are missing cannot be checked")


def test_a_balance_that_differs_from_the_stated_one_is_doubtful(consumer: Consumer, ledger: Ledger) -> None:
    state(ledger, "99", 50)
    (message,) = about(consumer.accounts(("balances-only", "1")), "doubtful")
    assert message.startswith("a USD: the balance is doubtful: ")
    assert "99" in message


def test_many_transactions_are_cut_with_a_message(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liushui.export.account_set.TRANSACTIONS_MAX", 2)
    found = consumer.accounts()
    (account,) = found["accounts"]
    assert [transaction["amount"] for transaction in account["transactions"]] == ["-12.00", "-0.40"]
    (message,) = about(found, "left out, because there are more than 2")
    assert "a USD: transactions before 2024-03-01T02:30:00Z are left out" in message
    monkeypatch.setattr("liushui.export.account_set.TRANSACTIONS_MAX", 3)
    assert about(consumer.accounts(), "because there are more than") == []


# ---------------------------------------------------------------- keys through the API and the command line


def test_the_command_line_creates_keys_of_simplefin(tmp_path: Path) -> None:
    new_ledger(tmp_path, "a").close()
    path, words = tmp_path / "ledger.db", ("key", "create", "--dialect", "simplefin", "--account", "a")
    file = tmp_path / "key.json"
    made = run(path, *words, "--url", f"{URL}/", "--output", str(file))
    assert made.returncode == 0, made.stderr
    claim_url = b64decode(json.loads(file.read_bytes())["setup_token"]).decode()
    assert claim_url.startswith(f"{URL}/dialect/simplefin/claim/")
    assert claim_url.rpartition("/")[2] not in made.stdout + made.stderr
    ledger = open_ledger(str(path), clock=MovableClock())
    assert Consumer(Site(ledger), b64encode(claim_url.encode()).decode()).claim().status == 200
    ledger.close()
    found = result(path, *words)
    claim_url = b64decode(found["setup_token"]).decode()
    assert claim_url.startswith("http://127.0.0.1:8700/dialect/simplefin/claim/")
    wrong = run(path, *words, "--url", "books.example")
    assert wrong.returncode != 0
    assert "base-url: expected http" in wrong.stderr
    unknown = run(path, "key", "create", "--dialect", "nothing", "--account", "a")
    assert "simplefin" in unknown.stderr


def test_the_api_creates_keys_of_simplefin(ledger: Ledger) -> None:
    with open_api(ledger) as api:
        made = api.caller("a").ask("POST", "/keys", json={"dialect": "simplefin", "accounts": ["a"]})
        assert made.status_code == 201, made.text
        claim_url = b64decode(made.json()["credentials"]["setup_token"]).decode()
        assert claim_url.startswith(f"http://test{MOUNT}simplefin/claim/{made.json()['key']}")
        hidden = api.caller("a").ask("POST", "/keys", json={"dialect": "simplefin", "accounts": ["b"]})
        assert hidden.status_code == 404
        unknown = api.caller("a").ask("POST", "/keys", json={"dialect": "nothing", "accounts": ["a"]})
        assert "simplefin" in unknown.text


def test_the_page_creates_keys_of_simplefin(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, "a")
    with visiting(ledger) as visitor:
        visitor.log_in()
        assert re.search(r'<option value="simplefin" selected', visitor.get("/keys/new?dialect=simplefin").text)
        made = visitor.post("/keys", {"dialect": "simplefin", "accounts": "a", "days": "90", "paced": "yes"})
        assert made.status_code == 200, made.text
        token = re.search(r'data-credential="setup_token">([^<]+)<', made.text)
        assert token is not None
        (key,) = list_keys(ledger)
        claim_url = b64decode(token[1]).decode()
        assert f"/dialect/simplefin/claim/{key.public}" in claim_url
        assert f"echo {token[1]} | base64 --decode" in made.text
        assert claim_url.rpartition("/")[2] not in made.text
        listed = visitor.get("/keys").text
        assert "SimpleFIN" in listed
        assert token[1] not in listed
    ledger.close()


# ---------------------------------------------------------------- Actual Budget


@contextmanager
def listening(ledger: Ledger) -> Iterator[Site]:
    """The site on a port. It accepts connections."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items()}
            answer = sites[0].send(self.command, f"{sites[0].url}{self.path.removeprefix('/ledger')}", headers)
            self.send_response(answer.status)
            for name, text in answer.headers.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = answer  # noqa: N815 - the names of BaseHTTPRequestHandler

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    sites: list[Site] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sites.append(Site(ledger, f"http://127.0.0.1:{server.server_address[1]}/ledger"))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield sites[0]
        finally:
            server.shutdown()
            thread.join()


def test_actual_budget_reads_the_accounts(tmp_path: Path) -> None:
    """Its handler of 26.9.0 claims the token and reads balances without their point, so two decimals are needed."""
    node = require("node", "nodejs")
    (bundle,) = (packed_npm("@actual-app/sync-server", "26.9.0") / "build" / "chunks").glob("app-*.js")
    ledger = new_ledger(tmp_path, "a")
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=hour(0), paced=True)
    commit_read(
        ledger,
        hours(0, 72),
        make_row("r1", 1, "1200.5", label="Salary"),
        make_row("r2", 30, "-12"),
        make_row("h1", 3, "100", currency="HKD"),
    )
    state(ledger, "0", 0)
    state(ledger, "0", 0, currency="HKD")
    with listening(ledger) as site:
        script = shutil.copy(Path(__file__).with_name("simplefin_actual.mjs"), tmp_path)
        command = [node, str(script), str(bundle), site.setup_token("a"), "2024-03-02"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_S, check=False)
    ledger.close()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"]["data"] == {"configured": True}
    accounts = {account["name"]: account for account in found["accounts"]["data"]["accounts"]}
    assert {name: account["balance"] for name, account in accounts.items()} == {"a HKD": "100.00", "a USD": "1188.50"}
    data = found["transactions"]["data"]
    hkd, usd = (data[accounts[name]["id"]] for name in ("a HKD", "a USD"))
    assert (hkd["startingBalance"], usd["startingBalance"]) == (10_000, 118_850)
    assert hkd["transactions"]["all"] == []
    (booked,) = usd["transactions"]["booked"]
    assert booked["transactionAmount"]["amount"] == "-12.00"
    assert (booked["date"], booked["payeeName"], booked["notes"]) == ("2024-03-02", "x", "x")
    assert usd["transactions"]["pending"] == []
    assert found["missing"]["data"]["error_code"] == "ACCOUNT_MISSING"
    assert found["claimedAgain"]["data"]["error_code"] == "INVALID_ACCESS_TOKEN"
