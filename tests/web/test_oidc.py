"""Logging in through an OpenID Connect provider: a real one (npm's oidc-provider), and one that lies."""

import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from liushui.instant import system_clock
from liushui.ledger.access.audit import list_actions
from liushui.ledger.access.identities import (
    IdentityProvider,
    RoleGrant,
    find_identity_provider,
    remove_identity_provider,
    set_identity,
    set_identity_provider,
)
from liushui.ledger.access.sessions import list_sessions
from liushui.ledger.access.users import (
    Role,
    User,
    add_user,
    change_role,
    get_user,
    list_users,
    remove_user,
    set_user_password,
)
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.write.commit import make_account
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits
from tests.cli.commands import result, run
from tests.web.oidc.running import Provider, path_of, running_provider
from tests.web.visitor import HOST, Answer, Visitor, visiting

REDIRECT_URI: Final = f"{HOST}/login/oidc/callback"
SECRET: Final = "a secret of the client"
CLIENT: Final = {
    "client_id": "liushui",
    "client_secret": SECRET,
    "redirect_uris": [REDIRECT_URI],
    "post_logout_redirect_uris": [f"{HOST}/login"],
}
ADDRESS: Final = "wang@example.com"
GRANTS: Final = (RoleGrant("lead", Role.OWNER), RoleGrant("finance", Role.ACCOUNTANT))


class AdjustableClock:
    """The system's clock, which may be wrong."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return system_clock() + self.offset


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with running_provider(CLIENT) as provider:
        yield provider


@pytest.fixture
def provider(server: Provider) -> Provider:
    """The provider, which knows nobody yet and answers as it should."""
    server.people.clear()
    server.tamper("")
    return server


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: AdjustableClock, provider: Provider) -> Iterator[Ledger]:
    """A ledger whose users log in through the provider."""
    ledger = open_ledger(str(tmp_path / "ledger.db"), create=True, clock=clock)
    make_account(ledger, "a", "longbridge", "Asia/Hong_Kong")
    configure(ledger, provider)
    yield ledger
    ledger.close()


def configure(ledger: Ledger, provider: Provider, **changes: Any) -> None:  # noqa: ANN401 - fields of several types
    configured = IdentityProvider(provider.url, "liushui", SECRET, "Example ID")
    set_identity_provider(ledger, configured._replace(**changes))


@pytest.fixture
def attempts() -> MovableClock:
    """The clock of the limit for attempts to log in."""
    return MovableClock()


@pytest.fixture
def visitor(ledger: Ledger, attempts: MovableClock) -> Iterator[Visitor]:
    """A browser that is not logged in."""
    with visiting(ledger, limits=MemoryLimits(attempts)) as visitor:
        yield visitor


@pytest.fixture
def other(ledger: Ledger, attempts: MovableClock) -> Iterator[Visitor]:
    """A second browser, at another process of the server."""
    with visiting(ledger, limits=MemoryLimits(attempts)) as visitor:
        yield visitor


def begun(visitor: Visitor, path: str = "/login/oidc") -> str:
    """Begin a login. Returns the address at the provider."""
    answer = visitor.get(path)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def log_in(visitor: Visitor, provider: Provider, login: str = "wang", path: str = "/login/oidc") -> Answer:
    """Log in through the provider. Returns the answer to the callback."""
    return visitor.get(path_of(provider.log_in(begun(visitor, path), login, REDIRECT_URI)))


def assert_refused(visitor: Visitor, answer: Answer, text: str, status: int = 403) -> None:
    assert answer.status_code == status
    assert text in re.sub(r"\s+", " ", answer.text).replace("&#39;", "'")
    assert list_sessions(visitor.ledger) == []
    assert visitor.get("/").status_code == 303


def who(ledger: Ledger) -> list[str]:
    return [user.name for user in list_users(ledger)]


# ---------------------------------------------------------------- the login


def test_a_user_logs_in_by_the_verified_address_that_an_owner_gave(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.ACCOUNTANT, ["a"], email="Wang@Example.com")
    provider.add("wang", email=ADDRESS, email_verified=True)
    assert "Log in with Example ID" in visitor.get("/login?next=/flows").text
    answer = log_in(visitor, provider, path="/login/oidc?next=/flows?account=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/flows?account=a")
    assert visitor.get("/").status_code == 200
    assert "wang" in visitor.get("/keys").text
    assert [session.method for session in list_sessions(visitor.ledger)] == ["oidc"]
    (entry,) = list_actions(visitor.ledger)
    assert (entry.who, entry.action, entry.outcome) == ("user wang", "log in", "done")
    assert visitor.post("/sources/~test", {}).status_code == 403, "an accountant runs no sources"


def test_the_request_has_pkce_a_state_a_nonce_and_a_fixed_redirect_uri(visitor: Visitor, provider: Provider) -> None:
    queries = []
    for headers in ({}, {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil"}):
        answer = visitor.client.get("/login/oidc?redirect_uri=https://evil.example", headers=headers)
        address = urlsplit(answer.headers["location"])
        assert f"{address.scheme}://{address.netloc}" == provider.url
        queries.append({name: values[0] for name, values in parse_qs(address.query).items()})
    for query in queries:
        assert query["redirect_uri"] == REDIRECT_URI
        assert (query["response_type"], query["scope"]) == ("code", "openid email profile")
        assert query["code_challenge_method"] == "S256"
        assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 40
    for name in ("state", "nonce", "code_challenge"):
        assert queries[0][name] != queries[1][name]


def test_the_first_login_binds_the_subject_and_then_it_alone_counts(
    visitor: Visitor, other: Visitor, provider: Provider
) -> None:
    add_user(visitor.ledger, "wang", Role.VIEWER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    assert log_in(visitor, provider).status_code == 303
    provider.add("wang", email="new@example.com", email_verified=False)
    provider.add("successor", email=ADDRESS, email_verified=True)
    assert log_in(visitor, provider).status_code == 303, "the address may change"
    refused = log_in(other, provider, "successor")
    assert "is that of a user who has another identity" in refused.text
    set_identity(visitor.ledger, "wang", email=ADDRESS)
    assert visitor.get("/").status_code == 303, "whoever was logged in as the user may be somebody else"
    assert log_in(other, provider, "successor").status_code == 303


def test_a_subject_can_be_given_before_the_first_login(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.VIEWER, password="correct horse battery")
    set_identity(visitor.ledger, "wang", issuer=provider.url, subject="7f3a")
    provider.add("7f3a")
    assert log_in(visitor, provider, "7f3a").status_code == 303


def test_local_accounts_still_log_in(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.VIEWER, email=ADDRESS)
    form = {"user": "wang", "secret": ""}
    assert visitor.post("/login", form, token=False).status_code == 403, "a user without a password"
    set_user_password(visitor.ledger, "wang", "correct horse battery")
    assert visitor.post("/login", form | {"secret": "correct horse battery"}, token=False).status_code == 303
    visitor.post("/logout")
    visitor.log_in()


def test_logging_out_ends_the_session_and_offers_to_end_the_providers(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.VIEWER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    log_in(visitor, provider)
    answer = visitor.post("/logout")
    assert answer.headers["location"] == "/login?left=oidc"
    assert list_sessions(visitor.ledger) == []
    assert 'href="/login/oidc/logout"' in visitor.get("/login?left=oidc").text
    address = visitor.get("/login/oidc/logout").headers["location"]
    assert address.startswith(f"{provider.url}/session/end?client_id=liushui&post_logout_redirect_uri=")


def test_removing_the_provider_or_the_user_logs_out(visitor: Visitor, other: Visitor, provider: Provider) -> None:
    for name, browser in (("wang", visitor), ("li", other)):
        add_user(visitor.ledger, name, Role.VIEWER, email=f"{name}@example.com")
        provider.add(name, email=f"{name}@example.com", email_verified=True)
        assert log_in(browser, provider, name).status_code == 303
    remove_user(visitor.ledger, "wang")
    assert visitor.get("/").status_code == 303
    assert "Nobody has added you" in log_in(visitor, provider).text
    remove_identity_provider(visitor.ledger)
    assert other.get("/").status_code == 303
    assert visitor.get("/login/oidc").headers["location"] == "/login"
    assert "Example ID" not in visitor.get("/login").text


def test_the_secret_is_encrypted_in_the_ledger(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        row = connection.exec_driver_sql("SELECT * FROM identity_providers").one()
    assert SECRET not in str(row)
    known = find_identity_provider(ledger)
    assert known is not None and known.client_secret == SECRET


def test_an_owner_adds_a_user_by_an_address_and_changes_it(visitor: Visitor) -> None:
    visitor.log_in()
    form = {"name": "wang", "role": "viewer", "all": "yes", "email": ADDRESS, "password": ""}
    assert visitor.post("/users", form).status_code == 303
    assert ADDRESS in visitor.get("/users").text
    for change, error in (
        ({"name": "li"}, "Another user has this address."),
        ({"name": "li", "email": "li"}, "Expected an address such as wang@example.com."),
        ({"name": "li", "email": ""}, "Use at least 10 characters."),
    ):
        answer = visitor.post("/users", form | change)
        assert (answer.status_code, error in answer.text) == (422, True)
    wrong = visitor.post("/users/identity", {"user": "wang", "email": "nothing"})
    assert (wrong.status_code, "Expected an address" in wrong.text) == (422, True)
    assert visitor.post("/users/identity", {"user": "wang", "email": "new@example.com"}).status_code == 303
    assert [(user.name, user.email) for user in list_users(visitor.ledger)] == [("wang", "new@example.com")]


def test_the_commands_set_show_test_and_remove_a_provider(tmp_path: Path, provider: Provider) -> None:
    ledger, secret = tmp_path / "new.db", tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    grants = ("--role-claim", "groups", "--grant", "lead=owner", "--grant", "a=b=viewer")
    done = run(ledger, "oidc", "set", provider.url, "--client-id", "liushui", "--secret", str(secret), *grants)
    assert done.returncode == 0, done.stderr
    shown = result(ledger, "oidc", "show")
    assert (shown["issuer"], shown["grants"]) == (provider.url, ["lead=owner", "a=b=viewer"])
    assert SECRET not in done.stdout + done.stderr + str(shown)
    opened = open_ledger(str(ledger))
    known = find_identity_provider(opened)
    opened.close()
    assert known is not None and known.client_secret == SECRET
    assert "answers as 127.0.0.1" in run(ledger, "oidc", "test").stderr
    provider.tamper("discovered-issuer")
    refused = run(ledger, "oidc", "test")
    assert (refused.returncode, "issuer: expected" in refused.stderr) == (1, True)
    assert run(ledger, "oidc", "remove").returncode == 0
    assert run(ledger, "oidc", "show").returncode == 2


# ---------------------------------------------------------------- roles from claims


def claims_of(*groups: str) -> dict[str, object]:
    return {"preferred_username": "wang", "groups": [*groups], "email": ADDRESS, "email_verified": True}


def test_a_claim_adds_a_user_and_its_role_follows_the_claim(visitor: Visitor, provider: Provider) -> None:
    configure(visitor.ledger, provider, role_claim="groups", grants=GRANTS)
    provider.add("w", **claims_of("staff", "finance"))
    assert log_in(visitor, provider, "w").status_code == 303
    user: User = get_user(visitor.ledger, "wang")
    assert (user.role, user.accounts, user.has_password) == (Role.ACCOUNTANT, None, False)
    added = [(entry.who, entry.action, entry.subject) for entry in list_actions(visitor.ledger)]
    assert ("oidc", "user add", "wang") in added
    provider.add("w", **claims_of("finance", "lead"))
    assert log_in(visitor, provider, "w").status_code == 303
    assert get_user(visitor.ledger, "wang").role is Role.OWNER, "the first grant that applies"
    provider.add("w", **claims_of("staff"))
    assert "gives you no role any more" in log_in(visitor, provider, "w").text
    change_role(visitor.ledger, "wang", Role.VIEWER)
    assert log_in(visitor, provider, "w").status_code == 303, "an owner has given the role"
    assert get_user(visitor.ledger, "wang").role is Role.VIEWER


def test_a_claim_does_not_change_a_user_whom_an_owner_added(visitor: Visitor, provider: Provider) -> None:
    configure(visitor.ledger, provider, role_claim="groups", grants=GRANTS)
    add_user(visitor.ledger, "wang", Role.VIEWER, ["a"], email=ADDRESS)
    provider.add("w", **claims_of("lead"))
    assert log_in(visitor, provider, "w").status_code == 303
    assert [(user.role, user.accounts) for user in list_users(visitor.ledger)] == [(Role.VIEWER, frozenset("a"))]


def test_a_name_at_the_provider_is_not_proof_of_being_that_user(visitor: Visitor, provider: Provider) -> None:
    configure(visitor.ledger, provider, role_claim="groups", grants=GRANTS)
    add_user(visitor.ledger, "wang", Role.OWNER, password="correct horse battery")
    provider.add("w", **claims_of("finance"))
    assert log_in(visitor, provider, "w").status_code == 303
    roles = {user.name: user.role for user in list_users(visitor.ledger)}
    assert roles == {"wang": Role.OWNER, ADDRESS: Role.ACCOUNTANT}
    add_user(visitor.ledger, "x", Role.VIEWER, password="correct horse battery")
    provider.add("x", groups=["finance"], preferred_username="wang")
    assert "Another user has your name" in log_in(visitor, provider, "x").text


# ---------------------------------------------------------------- what is refused


def test_a_person_who_was_not_added_is_refused(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    unknown, unverified = "Nobody has added you as a user.", "Example ID has not verified your e-mail address."
    for claims, text in (
        ({}, unknown),
        ({"email": "li@example.com", "email_verified": True}, unknown),
        ({"email": ADDRESS, "email_verified": False}, unverified),
        ({"email": ADDRESS}, unverified),
        ({"preferred_username": "wang", "groups": ["lead"]}, unknown),
    ):
        provider.add("somebody", **claims)
        assert_refused(visitor, log_in(visitor, provider, "somebody"), text)
    assert who(visitor.ledger) == ["wang"]
    entries = {(entry.who, entry.action, entry.outcome) for entry in list_actions(visitor.ledger)}
    assert entries == {("oidc", "log in", "refused")}


INVALID: Final = "The answer of Example ID is not valid for this login."
CLOCKS: Final = "The clocks of this server and of Example ID differ too much."


LIES: Final = {
    "alg-none": (INVALID, "alg"),
    "alg-hmac": (INVALID, "alg"),
    "alg-hmac-public-key": (INVALID, "alg"),
    "foreign-key": (INVALID, "signature"),
    "changed": (INVALID, "signature"),
    "expired": (CLOCKS, "expired"),
    "from-the-future": (CLOCKS, "future"),
    "nonce": (INVALID, "nonce"),
    "no-nonce": (INVALID, "nonce"),
    "issuer": (INVALID, "iss"),
    "audience": (INVALID, "aud"),
    "second-audience": (INVALID, "azp"),
    "no-subject": (INVALID, "sub"),
    "no-id-token": (INVALID, "id_token: there is none"),
    "userinfo-subject": (INVALID, "userinfo: expected sub 'wang', got 'another'"),
}
"""A change of the provider's answers, the message to the person, and the entry in the log."""


def test_an_id_token_that_is_not_for_this_login_is_refused(
    visitor: Visitor, provider: Provider, attempts: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    for how, (text, reason) in LIES.items():
        provider.tamper(how)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert_refused(visitor, log_in(visitor, provider), text)
        assert reason in caplog.text, how
        assert SECRET not in caplog.text
        attempts.move(timedelta(minutes=1))
    provider.tamper("")
    assert log_in(visitor, provider).status_code == 303, "the same login without a lie"


def test_none_is_refused_even_if_the_provider_announces_it(visitor: Visitor, provider: Provider) -> None:
    provider.tamper("announces-none")
    visitor.get("/login/oidc")  # reads what the provider announces
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    for how in ("alg-none", "alg-hmac"):
        provider.tamper(how)
        assert_refused(visitor, log_in(visitor, provider), INVALID)


def test_a_small_difference_of_the_clocks_is_allowed(
    visitor: Visitor, provider: Provider, clock: AdjustableClock
) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    provider.tamper("just-expired")
    assert log_in(visitor, provider).status_code == 303
    visitor.post("/logout")
    provider.tamper("")
    clock.offset = timedelta(seconds=-600)
    assert_refused(visitor, log_in(visitor, provider), CLOCKS)
    clock.offset = timedelta(seconds=-30)
    assert log_in(visitor, provider).status_code == 303


def test_a_callback_that_belongs_to_no_login_is_refused(
    visitor: Visitor, other: Visitor, provider: Provider, clock: AdjustableClock, attempts: MovableClock
) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    address = path_of(provider.log_in(begun(visitor), "wang", REDIRECT_URI))
    expired = "This login has expired, or it was begun in another browser."
    assert_refused(other, other.get(address), expired)  # login CSRF: an attacker's code in another browser
    begun(other)
    assert_refused(other, other.get(address), INVALID)  # that browser's own login has another state
    assert_refused(visitor, visitor.get(re.sub(r"state=[^&]+", "state=another", address)), INVALID)
    assert_refused(visitor, visitor.get(address), expired)  # the failure has ended the login
    address = path_of(provider.log_in(begun(visitor), "wang", REDIRECT_URI))
    mixed = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fanother.example", address)
    assert mixed != address
    assert_refused(visitor, visitor.get(mixed), INVALID)
    attempts.move(timedelta(minutes=1))
    address = path_of(provider.log_in(begun(visitor), "wang", REDIRECT_URI))
    clock.offset = timedelta(minutes=12)
    assert_refused(visitor, visitor.get(address), expired)


def test_a_code_is_redeemed_once(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    address = path_of(provider.log_in(begun(visitor), "wang", REDIRECT_URI))
    cookie = visitor.client.cookies["liushui_oidc"]
    assert visitor.get(address).status_code == 303
    visitor.post("/logout")
    visitor.client.cookies["liushui_oidc"] = cookie
    assert_refused(visitor, visitor.get(address), INVALID)


def test_a_person_who_cancels_is_told_so(visitor: Visitor, provider: Provider) -> None:
    state = parse_qs(urlsplit(begun(visitor)).query)["state"][0]
    answer = visitor.get(f"/login/oidc/callback?error=access_denied&state={state}&iss={provider.url}")
    assert_refused(visitor, answer, "Example ID did not let you log in.")


def test_a_wrong_secret_is_refused_by_the_provider(visitor: Visitor, provider: Provider) -> None:
    configure(visitor.ledger, provider, client_secret="wrong")
    provider.add("wang", email=ADDRESS, email_verified=True)
    assert_refused(visitor, log_in(visitor, provider), INVALID)


def test_another_issuer_than_the_configured_one_is_refused(visitor: Visitor, provider: Provider) -> None:
    provider.tamper("discovered-issuer")
    assert_refused(visitor, visitor.get("/login/oidc"), INVALID)


def test_a_provider_that_does_not_answer_leaves_the_other_ways_to_log_in(visitor: Visitor, provider: Provider) -> None:
    configure(visitor.ledger, provider, issuer=f"{provider.url}/nowhere")
    text = "Example ID does not answer as it should. Try again later."
    assert_refused(visitor, visitor.get("/login/oidc"), text, 502)
    visitor.log_in()


def test_the_login_leads_to_this_server_only(visitor: Visitor, provider: Provider) -> None:
    add_user(visitor.ledger, "wang", Role.OWNER, email=ADDRESS)
    provider.add("wang", email=ADDRESS, email_verified=True)
    for next_address in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        answer = log_in(visitor, provider, path=f"/login/oidc?next={next_address}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_attempts_are_limited(visitor: Visitor, provider: Provider) -> None:
    statuses = [visitor.get("/login/oidc").status_code for _ in range(11)]
    assert statuses == [303] * 10 + [429]
