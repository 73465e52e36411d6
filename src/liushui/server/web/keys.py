"""Credentials that we give out: keys of the providers' wire APIs, tokens of our own, and browsers that came in."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from litestar import get, post
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.errors import ConfigError
from liushui.ledger.access.keys import create_key, list_keys, revoke_key
from liushui.ledger.access.sessions import end_session, end_sessions, list_sessions
from liushui.ledger.access.tokens import NAME_MAX, Scope, create_token, list_tokens, revoke_token
from liushui.ledger.engine import account_names
from liushui.provider import Provider
from liushui.server.web.forms import Form
from liushui.server.web.page import AnyRequest, Page, Web, redirect

LIVES: Final = {"": None, "1": 1, "7": 7, "30": 30, "90": 90, "365": 365}
"""For how many days a key may be valid, by what its form sends. None: until it is revoked."""


def routes(web: Web) -> list[ControllerRouterHandler]:
    """The list, the forms that make one, and the ends of them."""
    app_context, ledger = web.app_context, web.app_context.ledger

    def known_accounts() -> list[str]:
        with ledger.reading() as connection:
            return account_names(connection)

    def key_form(page: Page, values: dict[str, object], errors: dict[str, str]) -> Response[str]:
        return page.render(
            "keys/new.html",
            status=422 if errors else 200,
            providers=list(app_context.providers.values()),
            accounts=known_accounts(),
            lives=lives(page),
            values=values,
            errors=errors,
        )

    def token_form(page: Page, values: dict[str, object], errors: dict[str, str]) -> Response[str]:
        return page.render(
            "keys/new_token.html",
            status=422 if errors else 200,
            accounts=known_accounts(),
            scopes=scopes(page),
            lives=lives(page),
            values=values,
            errors=errors,
        )

    @get("/keys", sync_to_thread=True)
    def every(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        return page.render(
            "keys/index.html",
            keys=list(reversed(list_keys(ledger))),
            tokens=list(reversed(list_tokens(ledger))),
            sessions=list_sessions(ledger),
            providers=app_context.providers,
            now=ledger.clock(),
        )

    @get("/keys/new", sync_to_thread=True)
    def new(request: AnyRequest) -> Response[str]:
        values: dict[str, object] = {
            "dialect": request.query_params.get("dialect", ""),
            "accounts": [request.query_params.get("account", "")],
            "days": "90",
            "paced": "yes",
        }
        return key_form(web.page(request), values, {})

    @post("/keys", sync_to_thread=True)
    def create(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        form = Form(page)
        dialect = form.one_of("dialect", app_context.providers)
        accounts, days = form.some_of("accounts", known_accounts()), form.one_of("days", LIVES)
        provider = app_context.providers[dialect] if dialect else None
        denied = _restrictions(form, provider) if provider else {}
        if provider is not None and days is not None and not form.is_wrong:
            try:
                credentials = create_key(
                    ledger,
                    provider,
                    accounts,
                    expires_at=_expiry(web, days),
                    paced=form.ticked("paced"),
                    restrictions=denied,
                )
            except ConfigError as error:
                form.wrong("accounts", str(error))
            else:
                code = provider.snippet.format(
                    base_url=app_context.url, socket_url=app_context.socket_url, **credentials
                )
                return page.render(
                    "keys/created.html", provider=provider, credentials=credentials, accounts=accounts, snippet=code
                )
        return key_form(page, {**page.form, "accounts": accounts}, form.errors)

    @post("/keys/revoke", sync_to_thread=True)
    def revoke(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        return _ended(lambda: revoke_key(ledger, page.form.get("key", "")))

    @get("/keys/tokens/new", sync_to_thread=True)
    def new_token(request: AnyRequest) -> Response[str]:
        values: dict[str, object] = {"scopes": [Scope.READ.value], "accounts": [], "days": "90", "all": "", "name": ""}
        return token_form(web.page(request), values, {})

    @post("/keys/tokens", sync_to_thread=True)
    def make_token(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        form, every_account = Form(page), page.form.get("all") == "yes"
        name, granted = form.typed("name"), form.some_of("scopes", list(Scope))
        accounts = [] if every_account else form.some_of("accounts", known_accounts())
        days = form.one_of("days", LIVES)
        if len(name) > NAME_MAX or not name.isprintable():
            form.wrong("name", page.say("At most %(most)s characters.", most=NAME_MAX))
        if days is not None and not form.is_wrong:
            try:
                made = create_token(
                    ledger,
                    name=name,
                    names=None if every_account else accounts,
                    scopes=[Scope(scope) for scope in granted],
                    expires_at=_expiry(web, days),
                )
            except ConfigError as error:
                form.wrong("name", str(error))
            else:
                return page.render("keys/created_token.html", made=made, url=app_context.url)
        return token_form(page, {**page.form, "accounts": accounts, "scopes": granted}, form.errors)

    @post("/keys/tokens/revoke", sync_to_thread=True)
    def end_token(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        return _ended(lambda: revoke_token(ledger, page.form.get("token", "")))

    @post("/keys/sessions/end", sync_to_thread=True)
    def end(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        if page.form.get("session"):
            end_session(ledger, page.form["session"])
        elif page.session is not None:
            end_sessions(ledger, except_id=page.session.session.id)
        return redirect("/keys#sessions")

    return [every, new, create, revoke, new_token, make_token, end_token, end]


def lives(page: Page) -> list[tuple[str, str]]:
    """For how long a key may be valid, to choose from."""
    names = [(text, page.say_many("%(number)s day", "%(number)s days", days)) for text, days in LIVES.items() if days]
    return [*names, ("", page.say("Until revoked"))]


def scopes(page: Page) -> list[tuple[str, str, str]]:
    """What a token may be allowed: its word, its name, what it is good for."""
    say = page.say
    return [
        (Scope.READ, say("Read"), say("flows, balances, summaries, coverage, flows to review")),
        (Scope.RECORD, say("Record"), say("write flows of your own accounts")),
        (Scope.MANAGE, say("Manage"), say("sources, syncs, keys and tokens")),
    ]


def _expiry(web: Web, days: str) -> datetime | None:
    life = LIVES[days]
    return None if life is None else web.app_context.ledger.clock() + timedelta(days=life)


def _ended(end: Callable[[], None]) -> Response[str]:
    """End something; what is over already is not ended twice, and nobody minds."""
    with suppress(ConfigError):
        end()
    return redirect("/keys")


def _restrictions(form: Form, provider: Provider) -> dict[str, str]:
    given = {one.name: form.typed(f"restrict-{provider.name}-{one.name}") for one in provider.restrictions}
    return {name: value for name, value in given.items() if value}
