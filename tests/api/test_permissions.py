"""Permissions of every route with every scope: a token of one account never sees or changes another."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from litestar.routes import HTTPRoute

from liushui.flow import Direction, Kind
from liushui.instant import to_us
from liushui.ledger.access.keys import create_key
from liushui.ledger.access.saved_views import ViewQuery
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import SIDE, finding_id
from liushui.ledger.jobs.notifications import Channel, Rule, add_rule
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.jobs.sync_requests import request_sync
from liushui.ledger.jobs.workers import Progress, write_progress
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.status import AlarmKind
from liushui.ledger.write.record import make_own_account
from liushui.providers import get_provider
from liushui.reconcile.links import FlowKey, LinkKind, link_id
from liushui.services.access import owner
from liushui.services.views import save_view
from tests.api.callers import Answer, Api, Caller, open_api
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    close_march_of,
    commit_read,
    hour,
    hours,
    make_row,
    new_ledger,
    rejected_row,
    state,
    tables,
)

HIDDEN = "hidden"
"""The account that the callers may not see. Its name is in no answer, nor is anything that only it has."""
SECRETS = ("hidden", "987.65", "SECRET")


class Known(NamedTuple):
    """Ids of things that belong to the hidden account."""

    request: str
    key: str
    token: str
    flow: str
    link: str
    balance: str
    finding: str


RULE = "ops"
"""The name of a rule for notifications about the hidden account, and of a shared view of it."""
NO_ID = "20240301T030000-000000000000"
NOTHING = Known("0" * 16, "0" * 16, "0" * 12, "zzzz", NO_ID, "nobody:9", NO_ID)


def fill(ledger: Ledger) -> Known:
    """Write something of everything into both accounts."""
    for account, amount, label in [("a", "1.00", "x"), (HIDDEN, "987.65", "SECRET")]:
        rows = [
            make_row("one", 1, amount, label=label, direction=Direction.OUT),
            make_row("two", 2, amount, label=label),
        ]
        legs = [
            make_row("sold", 3, f"-{amount}", label=label, kind=Kind.CONVERSION),
            make_row("got", 3, amount, label=label, currency="HKD", kind=Kind.CONVERSION),
        ]
        commit_read(ledger, hours(0, 24), *rows, *legs, rejected=[rejected_row(f"{label} row")], account=account)
        close_march_of(ledger, account)
        commit_read(ledger, hours(0, 24), rows[0], *legs, rejected=[rejected_row(f"{label} row")], account=account)
        add_source(
            ledger,
            account=account,
            base_url=f"http://{label}.example",
            credentials=get_provider("longbridge").new_credentials(lambda size: b"x" * size),
            since=hour(0),
            paced=True,
        )
        balance = state(ledger, amount, 4, account=account, note=label)
        record_run(ledger, Run(account, hour(0), hour(1), 1, 2, 3, 0, label))
        write_progress(ledger, [Progress(account, label, hour(0), hour(1), hour(1), "done", message=label)])
    made = create_key(ledger, get_provider("longbridge"), [HIDDEN])
    create_key(ledger, get_provider("longbridge"), [HIDDEN, "a"])
    token = create_token(ledger, name="SECRET", names=[HIDDEN, "a"], scopes=[Scope.READ]).token.id
    asked = request_sync(ledger, HIDDEN, by="SECRET")
    hook = {"url": "https://hooks.example/x", "secret": "whsec_AAAA"}
    accounts, kinds = frozenset({HIDDEN}), frozenset({AlarmKind.GAP})
    add_rule(ledger, Rule(RULE, Channel.WEBHOOK, "https://hooks.example", hook, kinds, accounts, 24, hour(0)))
    save_view(ledger, owner("tests"), RULE, ViewQuery({"text": "SECRET"}, (HIDDEN,)), is_shared=True)
    make_own_account(ledger, f"{HIDDEN}-own", "UTC")
    keys = [FlowKey(HIDDEN, to_us(hour(3)), id_) for id_ in ("sold", "got")]
    flow = flow_key(HIDDEN, to_us(hour(1)), "one")
    finding = finding_id(HIDDEN, SIDE, to_us(hour(1)), "one")
    return Known(asked.id, made["app_key"], token, flow, link_id(LinkKind.CONVERSION, keys), balance, finding)


@pytest.fixture(scope="module")
def filled(module_store: LedgerStore) -> Iterator[tuple[Api, Known]]:
    ledger = new_ledger(module_store, "a", HIDDEN)
    known = fill(ledger)
    with open_api(ledger) as api:
        yield api, known
    ledger.close()


FOR_ALL_ACCOUNTS = frozenset({("POST", "/accounts/{account}/rename")})
"""Routes that need rights for all accounts: names are unique among all."""

ROUTES = [
    ("GET", "/"),
    ("GET", "/accounts"),
    ("POST", "/accounts"),
    ("GET", "/accounts/{account}"),
    ("POST", "/accounts/{account}/rename"),
    ("GET", "/flows"),
    ("POST", "/flows"),
    ("GET", "/flows/{key}"),
    ("GET", "/export/{format_name}"),
    ("POST", "/export/{format_name}"),
    ("GET", "/balances"),
    ("GET", "/summary"),
    ("GET", "/fees"),
    ("GET", "/daily-balances"),
    ("GET", "/coverage"),
    ("GET", "/breaks"),
    ("GET", "/heads"),
    ("GET", "/stated-balances"),
    ("POST", "/stated-balances"),
    ("POST", "/stated-balances/{balance}/withdraw"),
    ("GET", "/feed"),
    ("GET", "/findings"),
    ("GET", "/findings/list"),
    ("GET", "/findings/{finding}"),
    ("POST", "/findings/{finding}/explain"),
    ("POST", "/findings/{finding}/withdraw"),
    ("GET", "/quarantine"),
    ("GET", "/metrics"),
    ("GET", "/reconciliation"),
    ("GET", "/reconciliation/months"),
    ("GET", "/closed-months"),
    ("GET", "/closed-months/changes"),
    ("POST", "/closed-months"),
    ("POST", "/closed-months/reopen"),
    ("GET", "/links"),
    ("GET", "/links/{link}"),
    ("POST", "/links/{link}/decision"),
    ("GET", "/runs"),
    ("GET", "/sources"),
    ("GET", "/sources/{account}"),
    ("PATCH", "/sources/{account}"),
    ("POST", "/sources/{account}/sync"),
    ("GET", "/sources/{account}/sync/{id}"),
    ("GET", "/notification-rules"),
    ("POST", "/notification-rules"),
    ("POST", "/notification-rules/{name}/test"),
    ("DELETE", "/notification-rules/{name}"),
    ("GET", "/views"),
    ("GET", "/views/{name}"),
    ("PUT", "/views/{name}"),
    ("DELETE", "/views/{name}"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("DELETE", "/keys/{key}"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/{id}"),
]
NEEDS = {
    Scope.RECORD: {
        ("POST", "/flows"),
        ("POST", "/links/{link}/decision"),
        ("POST", "/findings/{finding}/explain"),
        ("POST", "/findings/{finding}/withdraw"),
        ("POST", "/closed-months"),
        ("POST", "/closed-months/reopen"),
        ("POST", "/stated-balances"),
        ("POST", "/stated-balances/{balance}/withdraw"),
    },
    Scope.MANAGE: {
        ("POST", "/accounts"),
        ("POST", "/accounts/{account}/rename"),
        ("PATCH", "/sources/{account}"),
        ("POST", "/sources/{account}/sync"),
        *(route for route in ROUTES if route[1].startswith(("/keys", "/tokens", "/notification-rules"))),
    },
}


def scope_of(route: tuple[str, str]) -> Scope | None:
    if route[1] == "/":
        return None
    return next((scope for scope, routes in NEEDS.items() if route in routes), Scope.READ)


def body_of(route: tuple[str, str], account: str) -> dict[str, Any] | None:
    flow = {"account": account, "reference": "r", "at": "2024-01-01T00:00:00Z", "amount": "1", "currency": "USD"}
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("POST", "/accounts"): {"account": account},
        ("POST", "/accounts/{account}/rename"): {"name": account},
        ("POST", "/flows"): flow,
        ("PATCH", "/sources/{account}"): {"paused": False},
        ("POST", "/sources/{account}/sync"): {},
        ("POST", "/links/{link}/decision"): {"decision": "rejected"},
        ("POST", "/findings/{finding}/explain"): {"reason": "why"},
        ("POST", "/findings/{finding}/withdraw"): {"reason": "why"},
        ("POST", "/closed-months"): {"period": "2024-02", "accounts": [account]},
        ("POST", "/closed-months/reopen"): {"period": "2024-02", "accounts": [account], "reason": "why"},
        ("POST", "/stated-balances"): {"account": account, "currency": "USD", "amount": "1.00", "at": "2024-03-02"},
        ("POST", "/stated-balances/{balance}/withdraw"): {"reason": "wrong"},
        ("POST", "/export/{format_name}"): {"map": ""},
        ("POST", "/notification-rules"): {
            "name": f"of-{account}",
            "webhook": "https://hooks.example/x",
            "accounts": [account],
        },
        ("PUT", "/views/{name}"): {"accounts": [account], "filter": {"kind": "fee"}},
        ("POST", "/keys"): {"dialect": "longbridge", "accounts": [account]},
        ("POST", "/tokens"): {"scopes": ["manage"], "accounts": [account]},
    }
    return bodies.get(route)


def ask(
    caller: Caller, route: tuple[str, str], known: Known, name: str, params: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    method, path = route
    path = path.replace("{account}", name)
    if "{id}" in path:
        path = path.replace("{id}", known.token if path.startswith("/tokens") else known.request)
    if "{key}" in path:
        path = path.replace("{key}", known.flow if path.startswith("/flows") else known.key)
    path = path.replace("{format_name}", "csv" if method == "GET" else "beancount")
    path = path.replace("{link}", known.link).replace("{balance}", known.balance)
    path = path.replace("{finding}", known.finding).replace("{name}", RULE)
    body = body_of(route, name)
    return caller.ask(method, path, params=dict(params), **({} if body is None else {"json": body}))


def test_every_route_is_tested_here(filled: tuple[Api, Known]) -> None:
    api, _ = filled
    there = {
        (method, route.path_format.removeprefix("/api/v1") or "/")
        for route in api.client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if route.path.startswith("/api/") and handler.resolve_include_in_schema()
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
    }
    assert there == {*ROUTES, ("GET", "/events")}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_refuses_callers_without_its_scope(filled: tuple[Api, Known], route: tuple[str, str]) -> None:
    api, known = filled
    needed = scope_of(route)
    assert ask(api.stranger(), route, known, "a").status_code == 401
    for scope in Scope:
        names = () if route in FOR_ALL_ACCOUNTS else ("a",)
        caller = api.caller(*names, scopes=[scope])
        answer = ask(caller, route, known, "a", {"account": "a"} if route[1] == "/runs" else {})
        also = (
            {Scope.READ} if route in (("POST", "/keys"), ("POST", "/notification-rules")) else set()
        )  # a key reads: its creator must be allowed to
        assert (answer.status_code == 403) is (needed not in (None, scope) or not also <= {scope}), answer.text


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_hidden_account_is_answered_as_if_it_did_not_exist(filled: tuple[Api, Known], route: tuple[str, str]) -> None:
    """Requests for the hidden account are answered as for one that does not exist, and change nothing."""
    api, known = filled
    caller = api.caller("a")
    before = tables(api.ledger)
    params: list[dict[str, str]] = [{}, {"account": HIDDEN}] if route[0] == "GET" else [{}]
    for given in params:
        hidden = ask(caller, route, known, HIDDEN, given)
        nowhere = ask(caller, route, NOTHING, "nobody", dict.fromkeys(given, "nobody"))
        assert hidden.status_code == nowhere.status_code, (hidden.text, nowhere.text)
        for secret in SECRETS:
            text = hidden.text.replace(f"'{HIDDEN}'", "")  # the caller's own word may be told back
            assert secret not in text, hidden.text
        if hidden.status_code == 200 and not given:
            assert "{" not in route[1].replace("{format_name}", "")  # a format belongs to no account
    after = tables(api.ledger)
    for name in (
        "accounts",
        "flows",
        "sources",
        "keys",
        "sync_requests",
        "recordings",
        "link_decisions",
        "stated_balances",
        "period_decisions",
        "finding_decisions",
        "saved_views",
    ):
        assert after[name] == before[name], name


def test_a_token_of_the_hidden_account_sees_everything_of_it(filled: tuple[Api, Known]) -> None:
    """The other tests would pass on empty lists: with a token for all accounts every list has the hidden account."""
    api, known = filled
    everyone = api.caller()
    for route in ROUTES:
        if route[0] == "GET":
            params = {"account": HIDDEN} if route[1] == "/runs" else {}
            answer = ask(everyone, route, known, HIDDEN, params)
            assert answer.status_code == 200, answer.text
            assert route[1] == "/" or any(secret in answer.text for secret in SECRETS), (route, answer.text)
    assert SIDE in everyone.ask("GET", "/findings").text


def test_a_token_cannot_create_one_that_can_do_more(api: Api) -> None:
    caller = api.caller("a", scopes=[Scope.MANAGE, Scope.READ], calls_per_minute=100)
    for wanted in (
        {"scopes": ["record"], "accounts": ["a"]},
        {"scopes": ["read"]},
        {"scopes": ["read"], "accounts": ["a"], "calls_per_minute": 101},
    ):
        answer = caller.ask("POST", "/tokens", json=wanted)
        assert answer.status_code == 403, answer.text
    made = caller.ask("POST", "/tokens", json={"scopes": ["read"], "accounts": ["a"], "calls_per_minute": 50})
    assert made.status_code == 201, made.text
    id_ = made.json()["about"]["id"]
    assert api.stranger(made.json()["token"]).ask("GET", "/flows").status_code == 200
    assert id_ in caller.ask("GET", "/tokens").text
    assert caller.ask("DELETE", f"/tokens/{id_}").status_code == 204
    assert caller.ask("DELETE", f"/tokens/{id_}").status_code == 404
    assert api.stranger(made.json()["token"]).ask("GET", "/flows").status_code == 401


def test_the_secrets_of_a_key_are_shown_once(api: Api) -> None:
    caller = api.caller("a")
    made = caller.ask("POST", "/keys", json={"dialect": "longbridge", "accounts": ["a"]})
    assert made.status_code == 201, made.text
    secret = made.json()["credentials"]["app_secret"]
    listed = caller.ask("GET", "/keys")
    assert made.json()["key"] in listed.text
    assert secret not in listed.text
    assert caller.ask("DELETE", f"/keys/{made.json()['key']}").status_code == 204
    assert caller.get("/keys")["keys"][0]["revoked_at"]
