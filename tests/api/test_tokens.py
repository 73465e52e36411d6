"""Tokens: validity, accounts, scopes and rate limits."""

from datetime import timedelta

import pytest

from liushui.errors import ConfigError
from liushui.ledger.access.tokens import Scope, create_token, find_token, list_tokens, revoke_token
from liushui.ledger.engine import Ledger
from liushui.testing.clock import MovableClock
from tests.api.callers import Api, Caller
from tests.ledger.ledgers import column, commit_read, hours, make_row


def clock_of(ledger: Ledger) -> MovableClock:
    assert isinstance(ledger.clock, MovableClock)
    return ledger.clock


def test_a_request_without_a_token_is_refused(api: Api) -> None:
    answer = api.stranger().ask("GET", "/accounts")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="liushui"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize(
    "change", [lambda text: text[:-1], lambda text: text + "x", lambda text: f"{text[:17]}{'A' * 43}"]
)
def test_an_altered_token_is_refused(api: Api, ledger: Ledger, change: object) -> None:
    assert callable(change)
    text = create_token(ledger, names=None, scopes=[Scope.READ]).text
    assert api.stranger(text).ask("GET", "/accounts").status_code == 200
    assert api.stranger(change(text)).ask("GET", "/accounts").status_code == 401


def test_a_token_is_stored_as_a_digest(ledger: Ledger) -> None:
    made = create_token(ledger, names=["a"], scopes=[Scope.READ])
    kept = str(column(ledger, "tokens", "id", "name", "digest", "accounts", "scopes"))
    assert made.text not in kept
    assert made.text.rpartition("_")[2] not in kept
    assert made.text.startswith(f"lsk_{made.token.id}_")
    assert len(made.text.removeprefix(f"lsk_{made.token.id}_")) >= 43, "256 bits"


def test_an_expired_or_revoked_token_is_refused_at_once(api: Api, ledger: Ledger) -> None:
    over = create_token(ledger, names=None, scopes=[Scope.READ], expires_at=ledger.clock() + timedelta(hours=1))
    ended = create_token(ledger, names=None, scopes=[Scope.READ])
    assert find_token(ledger, over.text) is not None
    assert api.stranger(ended.text).ask("GET", "/accounts").status_code == 200
    revoke_token(ledger, ended.token.id)
    clock_of(ledger).move(timedelta(hours=1))
    assert api.stranger(ended.text).ask("GET", "/accounts").status_code == 401
    assert api.stranger(over.text).ask("GET", "/accounts").status_code == 401
    with pytest.raises(ConfigError, match="no valid one"):
        revoke_token(ledger, ended.token.id)


def test_calls_over_the_rate_limit_are_refused_for_a_minute(api: Api, ledger: Ledger) -> None:
    caller = api.caller(calls_per_minute=2)
    answers = [caller.ask("GET", "/accounts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["ratelimit-limit"] == "2"
    assert int(answers[2].headers["retry-after"]) == 60
    assert api.caller().ask("GET", "/accounts").status_code == 200, "another token has its own"
    clock_of(ledger).move(timedelta(minutes=1))
    assert caller.ask("GET", "/accounts").status_code == 200


def test_the_last_use_of_a_token_is_stored(api: Api, ledger: Ledger) -> None:
    made = create_token(ledger, names=None, scopes=[Scope.READ])
    assert list_tokens(ledger)[0].last_used_at is None
    for _ in range(1_000):  # nobody waits for it to be kept, so that it may take a few calls more
        assert api.stranger(made.text).ask("GET", "/accounts").status_code in (200, 429)
        if list_tokens(ledger)[0].last_used_at is not None:
            break
    assert list_tokens(ledger)[0].last_used_at == ledger.clock()


def test_an_account_of_others_is_answered_as_if_it_did_not_exist(api: Api, ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1), account="a")
    commit_read(ledger, hours(0, 24), make_row("two", 1), account="b")
    caller, everyone = api.caller("a"), api.caller()
    hidden, nowhere = (caller.ask("GET", "/flows", params={"account": name}) for name in ("b", "c"))
    assert hidden.status_code == nowhere.status_code == 404
    assert hidden.json()["detail"].replace("'b'", "'c'") == nowhere.json()["detail"]
    assert [flow["account"] for flow in caller.get("/flows")["flows"]] == ["a"]
    key = next(flow["key"] for flow in everyone.get("/flows")["flows"] if flow["account"] == "b")
    assert caller.ask("GET", f"/flows/{key}").status_code == 404
    assert everyone.ask("GET", f"/flows/{key}").status_code == 200


def test_a_missing_scope_is_named(api: Api) -> None:
    answer = api.caller(scopes=[Scope.MANAGE]).ask("GET", "/flows")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "this needs the scope read; yours: manage"


def test_a_caller_can_ask_for_its_permissions(caller: Caller, api: Api) -> None:
    assert caller.get("/")["accounts"] is None
    assert api.caller("a", scopes=[Scope.READ]).get("/")["accounts"] == ["a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ["x"], "scopes": [Scope.READ]}, "account: there is none named 'x'"),
        ({"names": [], "scopes": [Scope.READ]}, "account: expected at least one"),
        ({"names": None, "scopes": []}, "scope: expected one of read, record, manage"),
        ({"names": None, "scopes": [Scope.READ], "calls_per_minute": 0}, "calls_per_minute: expected 1 to"),
        ({"names": None, "scopes": [Scope.READ], "name": "a\nb"}, "name: expected at most 100 printable"),
    ],
)
def test_invalid_tokens_cannot_be_created(ledger: Ledger, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_token(ledger, **options)  # type: ignore[arg-type] # what each may be, the cases say
