"""Credentials that liushui issues: keys for provider APIs, tokens for its own API, and browser sessions."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from litestar import get, post
from litestar.response import Response

from liushui.errors import ConfigError, NotFound
from liushui.ledger.access import sessions
from liushui.ledger.access.sessions import Session
from liushui.ledger.access.tokens import CALLS_PER_MINUTE, NAME_MAX, Scope
from liushui.ledger.engine import account_names
from liushui.provider import Dialect
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import OWNER, CurrentPage, Page, redirect
from liushui.services import access
from liushui.services.access import ExceedsPrincipal
from liushui.services.dialects import give_out, with_served

EXCEEDED: Final = {"expires_at": "days", "paced": "accounts"}
"""The form's field for a right that exceeds the principal's, if its name differs."""
LIFETIME_DAYS: Final = {"": None, "1": 1, "7": 7, "30": 30, "90": 90, "365": 365}
"""How long a key or a token may be valid, by the value of the form's field. None: until it is revoked."""


@get("/keys", sync_to_thread=True)
def list_keys(page: CurrentPage) -> Response[str]:
    """The keys, tokens and sessions."""
    return page.render(
        "keys/index.html",
        keys=list(reversed(access.visible_keys(page.ledger, page.principal))),
        tokens=list(reversed(access.visible_tokens(page.ledger, page.principal))),
        sessions=_visible_sessions(page),
        dialects=with_served(page.providers),
        now=page.ledger.clock(),
    )


# ---------------------------------------------------------------- keys


@get("/keys/new", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def new_key(page: CurrentPage) -> Response[str]:
    """The empty form for a key."""
    query = page.request.query_params
    values: dict[str, object] = {
        "dialect": query.get("dialect", ""),
        "accounts": [query.get("account", "")],
        "days": "90",
        "paced": "yes",
    }
    return _key_form(page, values, {})


@post("/keys", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def create_key(page: CurrentPage) -> Response[str]:
    """Create a key, and show its credentials this once."""
    form, dialects = Form(page), with_served(page.providers)
    name = form.one_of("dialect", dialects)
    accounts, days = form.some_of("accounts", _account_names(page)), form.one_of("days", LIFETIME_DAYS)
    dialect = dialects[name] if name else None
    if dialect is not None and days is not None and not form.is_wrong:
        try:
            credentials = access.create_key(
                page.ledger,
                page.principal,
                dialect,
                accounts,
                expires_at=_expiry(page, days),
                paced=form.ticked("paced"),
                restrictions=_restrictions(form, dialect),
            )
        except ExceedsPrincipal as error:
            form.wrong(EXCEEDED.get(error.field, error.field), str(error))
        except ConfigError as error:
            form.wrong("accounts", str(error))
        else:
            urls = {"base_url": page.app_context.url, "socket_url": page.app_context.socket_url}
            secrets = give_out(dialect, credentials, page.app_context.url)
            return page.render(
                "keys/created.html",
                dialect=dialect,
                credentials=secrets,
                accounts=accounts,
                snippet=dialect.snippet.format(**urls, **secrets),
            )
    return _key_form(page, {**page.form, "accounts": accounts}, form.errors)


@post("/keys/revoke", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def revoke_key(page: CurrentPage) -> Response[str]:
    """Revoke a key."""
    return _revoke(lambda: access.revoke_key(page.ledger, page.principal, page.form.get("key", "")))


def _key_form(page: Page, values: dict[str, object], errors: dict[str, str]) -> Response[str]:
    return page.render(
        "keys/new.html",
        status=422 if errors else 200,
        dialects=list(with_served(page.providers).values()),
        accounts=_account_names(page),
        lives=_lifetimes(page),
        values=values,
        errors=errors,
    )


def _restrictions(form: Form, dialect: Dialect) -> dict[str, str]:
    given = {one.name: form.typed(f"restrict-{dialect.name}-{one.name}") for one in dialect.restrictions}
    return {name: value for name, value in given.items() if value}


# ---------------------------------------------------------------- tokens


@get("/keys/tokens/new", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def new_token(page: CurrentPage) -> Response[str]:
    """The empty form for a token."""
    values: dict[str, object] = {"scopes": [Scope.READ.value], "accounts": [], "days": "90", "all": "", "name": ""}
    return _token_form(page, values, {})


@post("/keys/tokens", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def create_token(page: CurrentPage) -> Response[str]:
    """Create a token, and show it this once."""
    form, for_all_accounts = Form(page), page.form.get("all") == "yes"
    name, scopes = form.typed("name"), form.some_of("scopes", list(Scope))
    accounts = [] if for_all_accounts else form.some_of("accounts", _account_names(page))
    days = form.one_of("days", LIFETIME_DAYS)
    if len(name) > NAME_MAX or not name.isprintable():
        form.wrong("name", page.say("At most %(most)s characters.", most=NAME_MAX))
    if days is not None and not form.is_wrong:
        try:
            created = access.create_token(
                page.ledger,
                page.principal,
                name=name,
                accounts=None if for_all_accounts else accounts,
                scopes=[Scope(scope) for scope in scopes],
                expires_at=_expiry(page, days),
                calls_per_minute=min(CALLS_PER_MINUTE, page.principal.calls_per_minute),
            )
        except ExceedsPrincipal as error:
            form.wrong(EXCEEDED.get(error.field, error.field), str(error))
        except ConfigError as error:
            form.wrong("name", str(error))
        else:
            return page.render("keys/created_token.html", made=created, url=page.app_context.url)
    return _token_form(page, {**page.form, "accounts": accounts, "scopes": scopes}, form.errors)


@post("/keys/tokens/revoke", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def revoke_token(page: CurrentPage) -> Response[str]:
    """Revoke a token."""
    return _revoke(lambda: access.revoke_token(page.ledger, page.principal, page.form.get("token", "")))


def _token_form(page: Page, values: dict[str, object], errors: dict[str, str]) -> Response[str]:
    return page.render(
        "keys/new_token.html",
        status=422 if errors else 200,
        accounts=_account_names(page),
        scopes=_scope_choices(page),
        lives=_lifetimes(page),
        values=values,
        errors=errors,
    )


def _scope_choices(page: Page) -> list[tuple[str, str, str]]:
    """The choices for the scopes of a token: the field's value, its name, what it permits."""
    say = page.say
    return [
        (Scope.READ, say("Read"), say("flows, balances, summaries, coverage, flows to review")),
        (Scope.RECORD, say("Record"), say("write flows of your own accounts")),
        (Scope.MANAGE, say("Manage"), say("sources, syncs, keys and tokens")),
    ]


# ---------------------------------------------------------------- sessions


@post("/keys/sessions/end", sync_to_thread=True, opt={NEEDS: Scope.READ})
def end_sessions(page: CurrentPage) -> Response[str]:
    """Log out the browser that the form names; without a name, every browser but this one."""
    chosen = page.form.get("session")
    for session in _visible_sessions(page):
        if session.id == chosen or (not chosen and page.session is not None and session.id != page.session.id):
            sessions.end_session(page.ledger, session.id)
    return redirect("/keys#sessions")


def _visible_sessions(page: Page) -> list[Session]:
    """The reader's own sessions; an owner's are all."""
    every = sessions.list_sessions(page.ledger)
    return every if page.may(OWNER) else [session for session in every if session.token == page.principal.token]


# ---------------------------------------------------------------- common to keys and tokens


def _account_names(page: Page) -> list[str]:
    with page.ledger.reading() as connection:
        return [name for name in account_names(connection) if page.sees(name)]


def _lifetimes(page: Page) -> list[tuple[str, str]]:
    """The choices for the lifetime of a key or token: the field's value and its text."""
    names = [
        (text, page.say_many("%(number)s day", "%(number)s days", days)) for text, days in LIFETIME_DAYS.items() if days
    ]
    return [*names, ("", page.say("Until revoked"))]


def _expiry(page: Page, days: str) -> datetime | None:
    lifetime = LIFETIME_DAYS[days]
    return None if lifetime is None else page.ledger.clock() + timedelta(days=lifetime)


def _revoke(revoke: Callable[[], object]) -> Response[str]:
    with suppress(NotFound):  # sending a form twice is not an error
        revoke()
    return redirect("/keys")
