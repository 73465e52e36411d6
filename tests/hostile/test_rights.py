"""Rights never grow. What a credential creates ends with it, and may do no more than the credential."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from litestar.routes import HTTPRoute

from liushui.instant import to_iso
from liushui.ledger.access.keys import list_keys
from liushui.ledger.access.sessions import list_sessions
from liushui.ledger.access.tokens import Scope, Token, create_token, list_tokens, revoke_token
from liushui.ledger.engine import Ledger
from liushui.provider import Slice
from liushui.testing.clock import NOON, MovableClock
from tests.api.callers import open_api
from tests.cli.commands import result
from tests.ledger.ledgers import commit_read, make_row, new_ledger
from tests.web.visitor import Visitor, visiting

HOUR: Final = timedelta(hours=1)
LATER: Final = to_iso(NOON + 400 * HOUR)
SCOPES: Final = [scope.value for scope in Scope]

API_BODIES: Final[Mapping[str, list[dict[str, Any]]]] = {
    "/api/v1/keys": [
        {"dialect": "longbridge", "accounts": ["a"], **more}
        for more in ({}, {"expires_at": LATER}, {"paced": False}, {"expires_at": to_iso(NOON + HOUR / 2)})
    ],
    "/api/v1/tokens": [
        {"name": "made", "accounts": accounts, "scopes": scopes, **more}
        for accounts in (None, ["a"])
        for scopes in ([SCOPES[0]], ["manage"], SCOPES)
        for more in ({}, {"expires_at": LATER}, {"calls_per_minute": 900_000})
    ],
}
"""Bodies for the routes that are known to create credentials. Every other route gets an empty one."""
FORMS: Final[Mapping[str, list[dict[str, str]]]] = {
    "/keys": [
        {"dialect": "longbridge", "accounts": "a", "days": days, "paced": paced}
        for days in ("", "365")
        for paced in ("", "1")
    ],
    "/keys/tokens": [
        {"name": "made", "all": all_, "accounts": "a", "scopes": scope, "days": days}
        for all_ in ("", "yes")
        for scope in SCOPES
        for days in ("", "365")
    ],
}
CREATORS: Final = {*API_BODIES, *FORMS}


class Credential(NamedTuple):
    """A key or a token, as far as rights are concerned."""

    id: str
    rights: frozenset[str]
    accounts: frozenset[str] | None
    ends_by: object
    is_revoked: bool


def credentials(ledger: Ledger) -> dict[str, Credential]:
    """Every key and token."""
    found = [
        Credential(key.public, frozenset({"read"}), frozenset(key.accounts), key.expires_at, key.revoked_at is not None)
        for key in list_keys(ledger)
    ]
    found += [
        Credential(token.id, frozenset(token.scopes), token.accounts, token.expires_at, token.revoked_at is not None)
        for token in list_tokens(ledger)
    ]
    return {credential.id: credential for credential in found}


def check(created: list[Credential], maker: Token) -> None:
    """None may do more than its maker, or live longer."""
    for credential in created:
        assert credential.rights <= maker.scopes
        assert maker.accounts is None or (credential.accounts is not None and credential.accounts <= maker.accounts)
        if maker.expires_at is not None:
            assert credential.ends_by is not None
            assert credential.ends_by <= maker.expires_at  # type: ignore[operator]


def post_paths(routes: list[Any]) -> list[str]:
    """The paths of a site's POST routes, with the account's name where they take a name."""
    return sorted(
        "/".join("a" if part.startswith("{") else part for part in route.path_format.split("/"))
        for route in routes
        if isinstance(route, HTTPRoute) and "POST" in route.methods and route.path not in ("/logout", "/login")
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Any:  # noqa: ANN401 - an iterator
    ledger = new_ledger(tmp_path, "a", "b")
    commit_read(ledger, Slice(NOON - HOUR, NOON), make_row("one", NOON - HOUR), read_at=NOON)
    yield ledger
    ledger.close()


@pytest.mark.parametrize("scopes", [("manage",), ("read", "manage"), tuple(SCOPES)], ids="+".join)
@pytest.mark.parametrize("accounts", [None, ["a"]], ids=["all", "one"])
def test_what_a_token_creates_over_the_api(ledger: Ledger, scopes: tuple[str, ...], accounts: list[str] | None) -> None:
    with open_api(ledger) as api:
        made = create_token(ledger, names=accounts, scopes=[Scope(scope) for scope in scopes], expires_at=NOON + HOUR)
        before = credentials(ledger)
        creators = set()
        for path in post_paths(api.client.app.routes):
            if not path.startswith("/api/"):
                continue
            for body in API_BODIES.get(path, [{}]):
                known = credentials(ledger)
                api.stranger(made.text).ask("POST", path, json=body)
                if created := [one for id_, one in credentials(ledger).items() if id_ not in known]:
                    creators.add(path)
                    check(created, made.token)
        assert creators <= CREATORS
        assert "/api/v1/tokens" in creators
        revoke_token(ledger, made.token.id)
        assert all(one.is_revoked for id_, one in credentials(ledger).items() if id_ not in before)


def log_in_with_token(visitor: Visitor, text: str) -> None:
    assert visitor.post("/login", {"secret": text}, token=False).status_code == 303


def test_what_a_tokens_session_creates_on_the_page(ledger: Ledger) -> None:
    made = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE], expires_at=NOON + HOUR)
    before = credentials(ledger)
    with visiting(ledger) as visitor:
        log_in_with_token(visitor, made.text)
        creators = set()
        for path in post_paths(visitor.client.app.routes):
            for body in FORMS.get(path, [{}]) if not path.startswith("/api/") else ():
                known = credentials(ledger)
                visitor.post(path, body)
                if created := [one for id_, one in credentials(ledger).items() if id_ not in known]:
                    creators.add(path)
                    check(created, made.token)
        assert creators == set(FORMS)
        revoke_token(ledger, made.token.id)
        assert all(one.is_revoked for id_, one in credentials(ledger).items() if id_ not in before)
        assert visitor.get("/keys").status_code == 303, "the session has ended with its token"


def test_a_session_calls_the_api_with_the_rights_of_its_token(ledger: Ledger) -> None:
    made = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    with visiting(ledger) as visitor:
        log_in_with_token(visitor, made.text)
        headers = {"x-csrf-token": visitor.token(), "origin": "http://127.0.0.1:8700"}
        body = {"name": "made", "accounts": None, "scopes": ["record"]}
        answer = visitor.client.post("/api/v1/tokens", json=body, headers=headers)
        assert answer.status_code == 403, answer.text
        answer = visitor.client.post("/api/v1/tokens", json=body | {"scopes": ["read"]}, headers=headers)
        assert answer.status_code == 201, answer.text
        assert [token.created_by for token in list_tokens(ledger) if token.name == "made"] == [made.token.id]


def test_a_session_ends_when_its_token_expires(ledger: Ledger) -> None:
    made = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE], expires_at=NOON + HOUR)
    with visiting(ledger) as visitor:
        log_in_with_token(visitor, made.text)
        assert visitor.get("/keys").status_code == 200
        assert isinstance(ledger.clock, MovableClock)
        ledger.clock.move(HOUR)
        assert visitor.get("/keys").status_code == 303
        assert list_sessions(ledger)


def test_tokens_of_tokens_end_with_the_first(ledger: Ledger) -> None:
    with open_api(ledger) as api:
        text = create_token(ledger, names=None, scopes=list(Scope)).text
        first = list_tokens(ledger)[0].id
        for _ in range(3):
            answer = api.stranger(text).ask("POST", "/tokens", json={"name": "", "accounts": None, "scopes": SCOPES})
            text = answer.json()["token"]
        assert api.stranger(text).ask("GET", "/accounts").status_code == 200
        other = create_token(ledger, names=None, scopes=list(Scope))
        assert api.caller(scopes=[Scope.MANAGE]).ask("DELETE", f"/tokens/{first}").status_code == 404, "it sees less"
        assert api.stranger(other.text).ask("DELETE", f"/tokens/{first}").status_code == 204
        assert api.stranger(text).ask("GET", "/accounts").status_code == 401
        assert api.stranger(other.text).ask("GET", "/accounts").status_code == 200


def test_the_owner_may_allow_more_calls_than_a_token_has_by_default(ledger: Ledger) -> None:
    words = ("token", "create", "--scope", "read", "--all-accounts", "--rate", "900000")
    assert result(ledger.path, *words)["token"]
    assert [token.calls_per_minute for token in list_tokens(ledger)] == [900_000]
