"""Users of the page: the actions of each role, the accounts that each sees, and the entries in the audit log."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from liushui.cli.audited import AUDITED
from liushui.errors import PermissionDenied
from liushui.ledger.access.audit import Face, list_actions
from liushui.ledger.access.keys import create_key, list_keys
from liushui.ledger.access.sessions import list_sessions
from liushui.ledger.access.tokens import Scope, create_token, list_tokens
from liushui.ledger.access.users import (
    SCOPES,
    Role,
    add_user,
    change_role,
    find_user_of,
    list_users,
    remove_user,
    set_user_password,
)
from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.remove import remove_account
from liushui.providers import get_provider, load_providers
from liushui.server.audit import ACTIONS as LOGGED
from liushui.server.audit import NOT_AUDITED, handler_of
from liushui.server.web.audit_labels import ACTIONS as NAMES
from liushui.server.web.guard import NEEDS, OPEN
from liushui.server.web.page import OWNER
from liushui.services import access
from liushui.services.access import user_principal
from tests.ledger.ledgers import commit_read, hours, make_row
from tests.web.visitor import Visitor, visiting

PASSWORD = "correct horse battery"
HIDDEN = "an-account-of-others"


@pytest.fixture
def other(ledger: Ledger) -> Iterator[Visitor]:
    """A visitor who is not logged in, beside the first."""
    with visiting(ledger) as visitor:
        yield visitor


def log_in(visitor: Visitor, name: str, password: str = PASSWORD) -> int:
    """Log in as a user, and return the answer's status."""
    return int(visitor.post("/login", {"user": name, "secret": password}, token=False).status_code)


def logged_in(visitor: Visitor, role: Role, *accounts: str, name: str = "wang") -> Visitor:
    """The visitor, logged in as a new user."""
    add_user(visitor.ledger, name, role, accounts or None, password=PASSWORD)
    assert log_in(visitor, name) == 303
    return visitor


def handlers(visitor: Visitor, method: str) -> Iterator[tuple[str, Any]]:
    """The path and handler of each page that needs a login, with the account `a` where a path takes a name."""
    for route in visitor.client.app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith("/api/") and method in route.methods:
            handler = route.route_handler_map[method][0]  # type: ignore[index]
            if not handler.opt.get(OPEN) and not handler.opt.get("static"):
                yield "/".join("a" if part.startswith("{") else part for part in route.path_format.split("/")), handler


# ---------------------------------------------------------------- roles


def test_every_page_that_changes_something_says_what_it_needs(visitor: Visitor) -> None:
    needs = {path: handler.opt.get(NEEDS) for path, handler in handlers(visitor, "POST")}
    assert len(needs) > 15
    assert set(needs.values()) <= {*Scope, OWNER}, needs


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_do_what_its_scopes_allow_and_nothing_else(visitor: Visitor, role: Role) -> None:
    user = logged_in(visitor, role)
    allowed = {*SCOPES[role], *([OWNER] if role is Role.OWNER else [])}
    csrf = user.token()
    for path, handler in handlers(visitor, "POST"):
        answer = user.post(path, {"csrf_token": csrf}, token=False)
        is_refused = "this needs a role that may" in answer.text
        assert is_refused == (handler.opt[NEEDS] not in allowed), (path, answer.text)
        assert answer.status_code == 403 or not is_refused
    for path, handler in handlers(visitor, "GET"):
        is_refused = "this needs a role that may" in user.get(path, accept="text/html").text
        assert is_refused == (handler.opt.get(NEEDS, Scope.READ) not in allowed), path


def test_a_viewer_sees_no_button_that_refuses(visitor: Visitor) -> None:
    viewer = logged_in(visitor, Role.VIEWER)
    refused = {path for path, handler in handlers(visitor, "POST") if handler.opt[NEEDS] is not Scope.READ}
    for path, handler in handlers(visitor, "GET"):
        if handler.opt.get(NEEDS, Scope.READ) is Scope.READ:
            text = viewer.get(path, accept="text/html").text
            forms = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', text))
            assert not forms & refused, path
            links = set(re.findall(r'href="(/keys/new|/keys/tokens/new|/sources/~new|/users)"', text))
            assert not links, path


def test_a_user_without_the_role_cannot_make_themselves_an_owner(visitor: Visitor) -> None:
    operator = logged_in(visitor, Role.OPERATOR)
    answer = operator.post("/users", {"name": "me", "password": PASSWORD, "role": "owner", "all": "yes"})
    assert answer.status_code == 403
    assert operator.post("/users/role", {"user": "wang", "role": "owner", "all": "yes"}).status_code == 403
    assert [(user.name, user.role) for user in list_users(visitor.ledger)] == [("wang", Role.OPERATOR)]


# ---------------------------------------------------------------- accounts


@pytest.fixture
def hidden(ledger: Ledger) -> str:
    """An account that the user does not see. Its name is on no page by chance."""
    make_account(ledger, HIDDEN, "longbridge", "Asia/Hong_Kong")
    commit_read(ledger, hours(0, 24), make_row("hidden", 1, "7.00", currency="SGD"), account=HIDDEN)
    return HIDDEN


def test_no_page_names_an_account_that_the_user_does_not_see(visitor: Visitor, other: Visitor, hidden: str) -> None:
    user = logged_in(visitor, Role.OPERATOR, "a")
    other.log_in()
    shown = []
    for path, _ in handlers(visitor, "GET"):
        if hidden in other.get(path, accept="text/html").text:
            shown.append(path)
        assert hidden not in user.get(path, accept="text/html").text, path
    assert {"/", "/flows"} <= set(shown), "the owner sees it"
    for path in (f"/?account={hidden}", f"/flows?account={hidden}", f"/flows/download.csv?account={hidden}"):
        answer = user.get(path)
        assert answer.status_code in (400, 422)
        assert "SGD" not in answer.text
    for route in visitor.client.app.routes:
        if isinstance(route, HTTPRoute) and "{name" in route.path and "GET" in route.methods:
            path = re.sub(r"\{name[^}]*\}", hidden, route.path)
            if not path.startswith(("/api/", "/static/", "/providers/")):
                answer = user.get(path, accept="text/html")
                assert answer.status_code == 404, path
                assert "SGD" not in answer.text


def test_what_a_user_creates_is_of_their_accounts_and_ends_with_them(visitor: Visitor, hidden: str) -> None:
    operator = logged_in(visitor, Role.OPERATOR, "a")
    form = {"dialect": "longbridge", "accounts": hidden, "days": "30", "paced": "yes"}
    assert operator.post("/keys", form).status_code == 422
    assert operator.post("/keys", form | {"accounts": "a"}).status_code == 200
    made = operator.post("/keys/tokens", {"name": "t", "scopes": ["read"], "accounts": ["a"], "days": "30"})
    assert made.status_code == 200
    assert (
        operator.post("/keys/tokens", {"name": "t", "scopes": ["record"], "accounts": ["a"], "days": "30"}).status_code
        == 422
    )
    assert remove_user(visitor.ledger, "wang") == (1, 1, 0)
    assert all(key.revoked_at for key in list_keys(visitor.ledger))
    assert all(token.revoked_at for token in list_tokens(visitor.ledger))
    assert operator.get("/").status_code == 303, "the browser is logged out"


def test_nothing_is_created_with_a_token_that_was_revoked_meanwhile(ledger: Ledger) -> None:
    user = add_user(ledger, "wang", Role.OPERATOR, password=PASSWORD)
    found = find_user_of(ledger, user.token)
    assert found is not None
    principal = user_principal(*found)  # a request has begun
    remove_user(ledger, "wang")
    with pytest.raises(PermissionDenied, match="revoked"):
        access.create_token(ledger, principal, accounts=None, scopes=[Scope.READ])
    with pytest.raises(PermissionDenied, match="revoked"):
        access.create_key(ledger, principal, get_provider("longbridge"), ["a"])
    assert (list_tokens(ledger), list_keys(ledger)) == ([], [])


def test_an_operator_of_some_accounts_tests_no_new_source(visitor: Visitor) -> None:
    user = logged_in(visitor, Role.OPERATOR, "a")
    answer = user.post("/sources/~test", {"provider": "longbridge", "name": "b", "base_url": "http://127.0.0.1:1"})
    assert answer.status_code == 403
    assert "a new source needs a role for all accounts" in answer.text


def test_a_key_of_an_account_that_was_removed_is_not_shown(visitor: Visitor, other: Visitor, hidden: str) -> None:
    provider = load_providers()["longbridge"]
    create_key(visitor.ledger, provider, [hidden])
    remove_account(visitor.ledger, hidden)
    (key,) = list_keys(visitor.ledger)
    operator = logged_in(visitor, Role.OPERATOR, "a")
    assert key.public not in operator.get("/keys").text
    other.log_in()
    assert key.public in other.get("/keys").text


def test_a_user_whose_accounts_are_gone_cannot_log_in(visitor: Visitor) -> None:
    logged_in(visitor, Role.VIEWER, "b")
    remove_account(visitor.ledger, "b")
    assert visitor.get("/").status_code == 303
    assert log_in(visitor, "wang") == 403


# ---------------------------------------------------------------- logging in


def test_a_wrong_password_and_an_unknown_name_are_refused_alike(visitor: Visitor) -> None:
    add_user(visitor.ledger, "wang", Role.VIEWER, password=PASSWORD)
    wrong, unknown = (
        visitor.post("/login", {"user": name, "secret": "wrong" * 3}, token=False) for name in ("wang", "li")
    )
    assert wrong.status_code == unknown.status_code == 403
    assert "Wrong user name or password." in wrong.text
    assert "Wrong user name or password." in unknown.text


def test_another_password_or_role_logs_the_user_out_and_nobody_else(visitor: Visitor, other: Visitor) -> None:
    logged_in(visitor, Role.VIEWER)
    logged_in(other, Role.VIEWER, name="li")
    set_user_password(visitor.ledger, "wang", "another long password")
    assert visitor.get("/").status_code == 303
    assert other.get("/").status_code == 200
    assert log_in(visitor, "wang") == 403
    assert log_in(visitor, "wang", "another long password") == 303
    change_role(visitor.ledger, "wang", Role.OPERATOR)
    assert visitor.get("/").status_code == 303


def test_a_user_sees_and_ends_their_own_sessions_only(visitor: Visitor, other: Visitor) -> None:
    logged_in(visitor, Role.VIEWER)
    other.log_in()
    (of_owner,) = [session for session in list_sessions(visitor.ledger) if session.method == "link"]
    assert of_owner.id not in visitor.get("/keys").text
    visitor.post("/keys/sessions/end", {"session": of_owner.id})
    visitor.post("/keys/sessions/end")
    assert len(list_sessions(visitor.ledger)) == 2
    other.post("/keys/sessions/end")
    assert [session.method for session in list_sessions(visitor.ledger)] == ["link"]


# ---------------------------------------------------------------- the pages of users


def test_an_owner_adds_changes_and_removes_users(guest: Visitor) -> None:
    form = {"name": "wang", "password": PASSWORD, "role": "accountant", "accounts": ["a"]}
    assert guest.post("/users", form).status_code == 303
    (user,) = list_users(guest.ledger)
    assert (user.name, user.role, user.accounts) == ("wang", Role.ACCOUNTANT, frozenset({"a"}))
    assert "wang" in guest.get("/users").text
    assert guest.post("/users/role", {"user": "wang", "role": "viewer", "all": "yes"}).status_code == 303
    assert [(one.role, one.accounts) for one in list_users(guest.ledger)] == [(Role.VIEWER, None)]
    assert guest.post("/users/password", {"user": "wang", "password": "another long password"}).status_code == 303
    assert guest.post("/users/remove", {"user": "wang"}).status_code == 303
    assert list_users(guest.ledger) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "Fill this in."),
        ({"password": "short"}, "Use at least 10 characters."),
        ({"role": "boss"}, "Choose one of"),
        ({"accounts": []}, "Choose at least one."),
        ({"accounts": ["nothing"]}, "Choose from the list"),
        ({"role": "owner"}, "an owner has all accounts"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_added(guest: Visitor, change: dict[str, Any], error: str) -> None:
    form = {"name": "wang", "password": PASSWORD, "role": "viewer", "accounts": ["a"]}
    answer = guest.post("/users", form | change)
    assert answer.status_code in (400, 422)
    assert error in answer.text
    assert PASSWORD not in answer.text
    assert list_users(guest.ledger) == []


# ---------------------------------------------------------------- the audit log


def test_what_is_done_on_the_page_is_in_the_log_with_its_author(visitor: Visitor, other: Visitor) -> None:
    user = logged_in(visitor, Role.VIEWER)
    user.post("/keys", {"dialect": "longbridge", "accounts": "a", "days": "30"})
    log_in(other, "wang", "wrong password")
    entries = [(entry.who, entry.action, entry.outcome) for entry in list_actions(visitor.ledger)]
    assert sorted(entries) == sorted(
        [
            ("user wang", "log in", "done"),
            ("user wang", "key create", "refused (403)"),
            ("user wang", "log in", "refused"),
        ]
    )
    assert {entry.through for entry in list_actions(visitor.ledger)} == {Face.PAGE}


def test_what_a_browser_does_that_logged_in_with_a_token_has_the_tokens_name(visitor: Visitor, other: Visitor) -> None:
    made = create_token(visitor.ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    assert visitor.post("/login", {"secret": made.text}, token=False).status_code == 303
    visitor.post("/keys/revoke", {"key": "nothing"})
    other.get("/login?code=guessed")
    entries = {(entry.who, entry.action, entry.outcome) for entry in list_actions(visitor.ledger)}
    who = f"token {made.token.id}"
    assert entries == {(who, "log in", "done"), (who, "key revoke", "done"), ("owner", "log in", "refused")}


def test_each_action_has_the_name_of_the_command_that_does_the_same(visitor: Visitor) -> None:
    audited = {
        handler_of(handler)
        for route in visitor.client.app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods & {"POST", "PATCH", "PUT", "DELETE"}
        if not (handler := route.route_handler_map[method][0]).opt.get(OPEN) and not handler.opt.get(NOT_AUDITED)
    }
    assert audited >= LOGGED.keys()
    without_command = {
        "account add",
        "finding decide",
        "import check",
        "import drop",
        "link decide",
        "logout",
        "notify test",
        "sample data add",
        "sample data remove",
        "source pause or resume",
        "source test",
        "sync",
    }
    assert {action.removesuffix(" --reopen") for action in LOGGED.values()} <= AUDITED | without_command


def test_every_action_of_the_log_has_a_name_on_the_page(visitor: Visitor) -> None:
    of_handlers = {
        LOGGED.get(handler_of(handler), handler.handler_name.replace("_", " "))
        for method in ("POST", "PATCH", "PUT", "DELETE")
        for _, handler in handlers(visitor, method)
        if not handler.opt.get(NOT_AUDITED)
    }
    assert {*of_handlers, *AUDITED, *LOGGED.values()} <= NAMES.keys()


@pytest.mark.parametrize(("tag", "text"), [("en", "Add a user"), ("zh-Hans", "添加用户"), ("zh-Hant", "新增使用者")])
def test_the_log_is_in_the_readers_language(guest: Visitor, tag: str, text: str) -> None:
    guest.post("/users", {"name": "wang", "password": PASSWORD, "role": "viewer", "all": "yes"})
    guest.post("/users/remove", {"user": "nobody"})
    log = guest.get("/users", accept_language=tag).text
    log = log[log.index('id="audit"') :]
    assert text in log
    assert "user add" not in log and (tag == "en" or ">Page<" not in log)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("wang\x1b[2J", "wang\\x1b[2J"), ("wang\u202eli", "wang\\u202eli"), ("wa\nng", "wa\\nng")],
)
def test_control_characters_in_a_typed_name_are_shown_as_escapes(
    guest: Visitor, other: Visitor, typed: str, shown: str
) -> None:
    assert log_in(other, typed) == 403
    page = guest.get("/users").text
    assert typed not in page
    assert f"user {shown}" in page[page.index('id="audit"') :]


def test_reading_is_not_in_the_log(guest: Visitor) -> None:
    before = len(list_actions(guest.ledger))
    for path in ("/", "/flows", "/sources", "/users"):
        assert guest.get(path).status_code == 200
    assert len(list_actions(guest.ledger)) == before
