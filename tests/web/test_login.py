"""Logging in by link, password and token; sessions; requests from other sites; exposure to other machines."""

import asyncio
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlencode

import pytest
from litestar.routes import HTTPRoute

from liushui.errors import ConfigError, LiushuiError
from liushui.ledger.access.sessions import (
    begin_session,
    create_login_code,
    list_sessions,
    remove_password,
    set_password,
    verify_password,
)
from liushui.ledger.access.tokens import Scope, create_token, revoke_token
from liushui.ledger.engine import Ledger, open_ledger
from liushui.server.context import Connection
from liushui.server.rsgi_app import AsgiBridge
from liushui.server.web.sessions import COOKIE, CSRF_HEADER, BrowserSessions
from liushui.services.access import Principal, check_exposure
from liushui.testing.processes import run
from tests.ledger.ledgers import new_ledger
from tests.server.doubles import HttpDouble, ScopeDouble
from tests.web.visitor import HOST, SAME_SITE, Visitor, visiting

PASSWORD = "correct horse battery"


# ---------------------------------------------------------------- links


def test_a_link_logs_one_browser_in_once(visitor: Visitor) -> None:
    code = create_login_code(visitor.ledger)
    first = visitor.get(f"/login?code={code}&next=/keys")
    assert (first.status_code, first.headers["location"]) == (303, "/keys")
    assert visitor.get("/keys").status_code == 200
    visitor.client.cookies.clear()
    again = visitor.get(f"/login?code={code}")
    assert again.status_code == 403
    assert "This link has already been used or has expired." in again.text
    assert visitor.get("/keys").status_code == 303


def test_a_program_that_looks_at_a_link_does_not_use_it_up(visitor: Visitor) -> None:
    query = f"code={create_login_code(visitor.ledger)}"
    scope, http = ScopeDouble("/login", "HEAD", query, {"host": "127.0.0.1"}), HttpDouble()
    asyncio.run(AsgiBridge(visitor.client.app).answer(scope, http))
    assert (http.status, http.body) == (200, b"")
    assert "set-cookie" not in http.headers
    assert visitor.get(f"/login?{query}").status_code == 303


def test_scripts_and_other_sites_cannot_use_the_session_cookie(visitor: Visitor) -> None:
    said = visitor.log_in().headers["set-cookie"]
    assert "HttpOnly" in said and "SameSite=lax" in said and "Path=/" in said and "Secure" not in said
    code = create_login_code(visitor.ledger)
    said = visitor.get(f"/login?code={code}", x_forwarded_proto="https").headers["set-cookie"]
    assert "Secure" in said


def test_a_login_link_cannot_redirect_elsewhere(visitor: Visitor) -> None:
    for address in ("//evil.example/", "/\\evil.example", "https://evil.example/", "/a\nb", ""):
        answer = visitor.client.get("/login", params={"code": create_login_code(visitor.ledger), "next": address})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), address


@pytest.mark.parametrize("address", ["/flows?text=月费&account=a", "/sources/%E9%95%B7?x=%2F"])
def test_a_login_leads_to_addresses_of_any_script(visitor: Visitor, address: str) -> None:
    set_password(visitor.ledger, PASSWORD)
    query = urlencode({"code": create_login_code(visitor.ledger), "next": address})
    for answer in (
        visitor.get(f"/login?{query}"),
        visitor.post("/login", {"secret": PASSWORD, "next": address}),
    ):
        location = answer.headers["location"]
        assert (answer.status_code, location.isascii(), unquote(location)) == (303, True, unquote(address))


# ---------------------------------------------------------------- password and tokens


def test_the_password_logs_in_and_a_wrong_one_does_not(visitor: Visitor) -> None:
    set_password(visitor.ledger, PASSWORD)
    wrong = visitor.post("/login", {"secret": PASSWORD + "!"})
    assert wrong.status_code == 403
    assert "Wrong password or token." in wrong.text and PASSWORD not in wrong.text
    right = visitor.post("/login", {"secret": PASSWORD, "next": "/sources"})
    assert (right.status_code, right.headers["location"]) == (303, "/sources")
    assert visitor.get("/sources").status_code == 200


def test_a_new_password_ends_every_session(guest: Visitor) -> None:
    set_password(guest.ledger, PASSWORD)
    assert guest.get("/").status_code == 303
    assert verify_password(guest.ledger, PASSWORD) and not verify_password(guest.ledger, "")


def test_a_full_token_logs_in_until_it_is_revoked(visitor: Visitor) -> None:
    made = create_token(visitor.ledger, names=None, scopes=list(Scope))
    assert visitor.post("/login", {"secret": made.text}).status_code == 303
    assert visitor.get("/keys").status_code == 200
    revoke_token(visitor.ledger, made.token.id)
    assert visitor.get("/keys").status_code == 303


def test_a_limited_token_does_not_log_in(visitor: Visitor) -> None:
    for names, scopes in ((["a"], list(Scope)), (None, [Scope.READ]), (None, [Scope.RECORD])):
        made = create_token(visitor.ledger, names=names, scopes=scopes)
        answer = visitor.post("/login", {"secret": made.text})
        assert answer.status_code == 403
        assert "may read and manage all accounts" in answer.text and made.text not in answer.text


def test_login_attempts_are_limited(visitor: Visitor) -> None:
    tried = [visitor.post("/login", {"secret": f"guess {guess}"}, token=False) for guess in range(11)]
    set_password(visitor.ledger, PASSWORD)
    assert [answer.status_code for answer in tried] == [403] * 10 + [429]
    assert tried[-1].headers["retry-after"] == "60"
    assert visitor.post("/login", {"secret": PASSWORD}, token=False).status_code == 429  # the right one has to wait too


# ---------------------------------------------------------------- sessions


def test_every_page_needs_a_login(visitor: Visitor) -> None:
    """All routes but the few that are open: a new route is closed unless it says otherwise."""
    nothing_there = "/{rest:path}"
    open_paths = {"/login", "/logout", "/preferences", "/static/{version:str}/{name:path}", nothing_there}
    asked = 0
    for route in visitor.client.app.routes:
        if not isinstance(route, HTTPRoute) or route.path.startswith("/api/") or route.path in open_paths:
            continue
        path = re.sub(r"\{[^}]*\}", "a", route.path)
        for method in route.methods - {"OPTIONS"}:
            answer = visitor.client.request(method, path, headers=SAME_SITE)
            sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/login")
            assert sent_away or (path.startswith("/page/") and answer.status_code == 401), f"{method} {path}"
            assert "csrf_token" not in answer.text or answer.status_code == 401
            asked += 1
    assert asked > 15


def test_a_part_of_a_page_redirects_the_whole_page_to_the_login(visitor: Visitor) -> None:
    answer = visitor.get("/sources", hx_request="true")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


def test_a_forged_cookie_is_refused(guest: Visitor) -> None:
    (cookie,) = [value for name, value in guest.client.cookies.items() if name == "liushui_session"]
    name, _, signature = cookie.partition(".")
    for changed in (f"{name}.{'0' * len(signature)}", name, f"x{name}.{signature}", f"{name}.", "é.é", ".", ""):
        guest.client.cookies.clear()
        answer = guest.client.get("/keys", headers=[(b"cookie", f"liushui_session={changed}".encode())])
        assert answer.status_code == 303, changed


def test_logging_out_ends_the_session_everywhere(guest: Visitor) -> None:
    (cookie,) = [value for name, value in guest.client.cookies.items() if name == "liushui_session"]
    assert guest.post("/logout").headers["location"] == "/login"
    guest.client.cookies.set("liushui_session", cookie)
    assert guest.get("/keys").status_code == 303


def test_other_browsers_can_be_logged_out(guest: Visitor) -> None:
    begin_session(guest.ledger, "link", agent="another")
    assert "another" in guest.get("/keys").text
    guest.post("/keys/sessions/end")
    assert [session.agent for session in list_sessions(guest.ledger)] == ["testclient"]
    assert guest.get("/keys").status_code == 200


# ---------------------------------------------------------------- requests of others


def test_every_change_needs_the_csrf_token(guest: Visitor) -> None:
    """All routes that change something."""
    asked = 0
    for route in guest.client.app.routes:
        if isinstance(route, HTTPRoute) and "POST" in route.methods and not route.path.startswith("/api/"):
            path = re.sub(r"\{[^}]*\}", "a", route.path)
            handlers = [handler for handler, _ in route.route_handler_map.values()]
            takes_file = any(handler.opt.get("uploads") for handler in handlers)
            for form in ({}, {"csrf_token": ""}, {"csrf_token": "0" * 64}):
                answer = (
                    guest.upload(path, "a.csv", b"a", form, token=form.get("csrf_token", ""))
                    if takes_file
                    else guest.post(path, form, token=False)
                )
                assert answer.status_code == 403, path
            asked += 1
    assert asked > 10
    assert guest.get("/keys").status_code == 200, "nobody was logged out"


ELSEWHERE: Final[tuple[dict[str, str], ...]] = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "", "sec-fetch-site": "cross-site"},
    {"origin": "", "sec-fetch-site": "same-site"},
    {"origin": ""},
)
"""The headers of requests that no page of ours sent."""


def test_changes_from_other_sites_are_refused(guest: Visitor) -> None:
    for headers in ELSEWHERE:
        assert guest.post("/preferences", {"theme": "dark"}, headers=headers).status_code == 403, headers
    guest.client.cookies.clear()
    for headers in ELSEWHERE:
        assert guest.post("/login", {"secret": PASSWORD}, token=False, headers=headers).status_code == 403, headers


def test_the_csrf_token_may_be_a_header(guest: Visitor) -> None:
    token = guest.token()
    assert (
        guest.post("/preferences", {"theme": "dark"}, token=False, headers={"x-csrf-token": token}).status_code == 303
    )


def test_foreign_host_names_are_refused_on_loopback(guest: Visitor) -> None:
    for host in ("evil.example", "evil.example:8700", "127.0.0.1.evil.example", "[", ""):
        assert guest.get("/", host=host).status_code == 403, host
        assert guest.get("/api/v1/accounts", host=host).status_code == 403, host
    for known in ("localhost:8700", "127.0.0.1", "[::1]:8700"):
        assert guest.get("/login", host=known).status_code in (200, 303)
        assert guest.get("/api/v1/accounts", host=known).status_code == 200


def test_any_host_name_is_accepted_beyond_loopback(ledger: Ledger) -> None:
    with visiting(ledger, url="http://0.0.0.0:8700") as visitor:
        assert visitor.get("/login", host="books.example").status_code == 200


def test_the_api_accepts_the_session_with_its_csrf_token(guest: Visitor) -> None:
    assert guest.get("/api/v1/accounts").status_code == 200
    sessions, (cookie,) = BrowserSessions(guest.ledger), guest.client.cookies.values()

    def asked(method: str, **headers: str) -> Connection:
        sent = {"cookie": f"{COOKIE}={cookie}", **headers}
        pairs = [(name.encode(), said.encode()) for name, said in sent.items()]
        return Connection({"type": "http", "method": method, "headers": pairs})  # type: ignore[arg-type] # as much of a scope as is looked at

    assert sessions.principal(asked("GET")) == Principal("page", None, frozenset(Scope))
    assert sessions.principal(asked("POST")) is None
    assert sessions.principal(asked("POST", **{CSRF_HEADER: "0" * 64})) is None
    assert sessions.principal(asked("POST", **{CSRF_HEADER: guest.token()})) is not None
    guest.client.cookies.clear()
    assert guest.get("/api/v1/accounts").status_code == 401


# ---------------------------------------------------------------- beyond this machine


@pytest.mark.parametrize("url", ["http://0.0.0.0:8700", "http://192.0.2.1:8700", "http://[::]:8700"])
def test_serving_beyond_loopback_needs_a_password_or_a_token(ledger: Ledger, url: str) -> None:
    with pytest.raises(ConfigError, match=r"host: expected a loopback address, because the page has no password yet"):
        check_exposure(ledger, url)
    create_token(ledger, names=["a"], scopes=list(Scope))
    with pytest.raises(ConfigError):
        check_exposure(ledger, url)
    token = create_token(ledger, names=None, scopes=list(Scope)).token
    check_exposure(ledger, url)
    revoke_token(ledger, token.id)
    with pytest.raises(ConfigError):
        check_exposure(ledger, url)
    set_password(ledger, PASSWORD)
    check_exposure(ledger, url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://127.1.2.3:1", "http://[::1]:8700", HOST])
def test_on_loopback_the_link_is_enough(ledger: Ledger, url: str) -> None:
    check_exposure(ledger, url)


def test_the_commands(tmp_path: Path) -> None:
    new_ledger(tmp_path, "a").close()
    (path,) = tmp_path.glob("*.db")
    link = run("login", "--url", "http://127.0.0.1:1234/", ledger=path).strip()
    assert link.startswith("http://127.0.0.1:1234/login?code=")
    with pytest.raises(LiushuiError, match="host: expected a loopback address"):
        run("serve", "--host", "::", "--port", "0", ledger=path)
    with pytest.raises(LiushuiError, match="password: expected 10 to 1000 characters, got 5"):
        run("password", "set", ledger=path, given="short\n")
    run("password", "set", ledger=path, given=PASSWORD + "\n")
    ledger = open_ledger(str(path))
    assert verify_password(ledger, PASSWORD)
    remove_password(ledger)
    with pytest.raises(ConfigError, match="password: there is none"):
        remove_password(ledger)
    ledger.close()
