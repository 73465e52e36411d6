"""Where flows are collected from: how each source stands, and adding, testing, syncing, pausing, removing one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.errors import (
    AuthError,
    ConfigError,
    LiushuiError,
    RateLimited,
    Refused,
    Unavailable,
    WireError,
    short_repr,
)
from liushui.ledger.jobs.sources import (
    Source,
    add_source,
    change_credentials,
    list_sources,
    pause_source,
    remove_source,
)
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.rules import first_day
from liushui.server.web.forms import Form
from liushui.server.web.page import AnyRequest, Page, Web, redirect
from liushui.server.web.source_status import ask_for_sync, standing_of, standings, tried
from liushui.sync.runner import check_credentials

TEST_MAX_S: Final = 20
"""How long a test of a source may take."""


def routes(web: Web) -> list[ControllerRouterHandler]:
    """The list, a source's own page, and what can be done with one."""
    app_context = web.app_context
    ledger = app_context.ledger

    def named(name: str) -> Source:
        for source in list_sources(ledger):
            if source.account == name:
                return source
        raise NotFoundException(f"source: there is none named {short_repr(name)}")

    def provider_of(name: str) -> Provider:
        if name not in app_context.providers:
            raise NotFoundException(
                f"provider: expected one of {', '.join(app_context.providers)}, got {short_repr(name)}"
            )
        return app_context.providers[name]

    def form_of(page: Page, provider: Provider, values: Mapping[str, str], errors: Mapping[str, str]) -> Response[str]:
        return page.render(
            "sources/new.html",
            status=422 if errors else 200,
            provider=provider,
            opening=first_day(provider.rules).isoformat(),
            values=values,
            errors=errors,
        )

    def blank(page: Page, provider: Provider) -> Response[str]:
        values = {
            "name": _free_name(provider.name, {source.account for source in list_sources(ledger)}),
            "base_url": provider.base_url,
            "since": first_day(provider.rules).isoformat(),
            "zone": provider.rules.zone,
            "paced": "yes",
            "sync": "yes",
        }
        return form_of(page, provider, values, {})

    @get("/sources", sync_to_thread=True)
    def every(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        template = "sources/rows.html" if page.is_part else "sources/index.html"
        return page.render(template, standings=standings(app_context), now=ledger.clock())

    @get("/sources/~new", sync_to_thread=True)
    def new(request: AnyRequest) -> Response[str]:
        page, name = web.page(request), request.query_params.get("provider")
        if name is None:
            return page.render("sources/choose.html", providers=list(app_context.providers.values()))
        return blank(page, provider_of(name))

    @post("/sources", sync_to_thread=True)
    def add(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        provider, form = provider_of(page.form.get("provider", "")), Form(page)
        source = _source_in(form, provider)
        if source is not None and any(known.account == source.account for known in list_sources(ledger)):
            form.wrong("name", page.say("A source with this name already exists."))
        if source is not None and not form.is_wrong:
            try:
                make_account(ledger, source.account, provider.name, source.zone)
                add_source(
                    ledger,
                    account=source.account,
                    base_url=source.base_url,
                    credentials=source.credentials,
                    since=source.since,
                    paced=source.paced,
                )
            except ConfigError as error:
                form.wrong("name", str(error))
        if source is None or form.is_wrong:
            kept = {name: value for name, value in page.form.items() if name not in _secrets(provider)}
            return form_of(page, provider, kept, form.errors)
        if form.ticked("sync"):
            ask_for_sync(app_context, source.account)
        return redirect(_address(source.account))

    @post("/sources/~test", sync_to_thread=True)
    def try_new(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        provider, form = provider_of(page.form.get("provider", "")), Form(page)
        source = _source_in(form, provider)
        if source is None:
            return page.render("sources/tested.html", outcome=None, errors=_by_label(page, provider, form.errors))
        return _tested(page, source)

    @get("/sources/{name:str}", sync_to_thread=True)
    def one(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page, source = web.page(request), named(name)
        shows = {field.name for field in provider_of(source.provider).credentials if not field.secret}
        return page.render(
            "sources/one.html",
            standing=standing_of(app_context, source),
            provider=app_context.providers[source.provider],
            public={name: source.credentials[name] for name in sorted(shows)},
            tried=tried(ledger, source.account),
            now=ledger.clock(),
        )

    @get("/sources/{name:str}/progress", sync_to_thread=True)
    def progress(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page = web.page(request)
        return page.render("sources/progress.html", standing=standing_of(app_context, named(name)), now=ledger.clock())

    @post("/sources/{name:str}/test", sync_to_thread=True)
    def try_one(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        return _tested(web.page(request), named(name))

    @post("/sources/{name:str}/sync", sync_to_thread=True)
    def sync_now(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page, source = web.page(request), named(name)
        ask_for_sync(app_context, source.account, everything=page.form.get("everything") == "yes")
        if page.is_part:
            return page.render("sources/progress.html", standing=standing_of(app_context, source), now=ledger.clock())
        return redirect(_address(name))

    @post("/sources/{name:str}/pause", sync_to_thread=True)
    def pause(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page = web.page(request)
        pause_source(ledger, named(name).account, paused=page.form.get("paused") == "yes")
        return redirect(_address(name))

    @get("/sources/{name:str}/credentials", sync_to_thread=True)
    def credentials(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        source = named(name)
        return _credentials_form(web.page(request), source, provider_of(source.provider), {})

    @post("/sources/{name:str}/credentials", sync_to_thread=True)
    def give_credentials(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page, source = web.page(request), named(name)
        provider, form = provider_of(source.provider), Form(page)
        given = _credentials_in(form, provider)
        if given is None:
            return _credentials_form(page, source, provider, form.errors)
        change_credentials(ledger, name, given)
        ask_for_sync(app_context, name)
        return redirect(_address(name))

    @post("/sources/{name:str}/remove", sync_to_thread=True)
    def remove(name: FromPath[str]) -> Response[str]:
        named(name)
        remove_source(ledger, name)
        return redirect("/sources")

    def _tested(page: Page, source: Source) -> Response[str]:
        try:
            rows = asyncio.run(check_credentials(source, now=ledger.clock(), timeout_s=TEST_MAX_S))
        except LiushuiError as error:
            outcome = (False, in_plain_words(page, error), str(error))
        else:
            outcome = (
                True,
                page.say_many(
                    "The provider answered with %(number)s row for the newest day.",
                    "The provider answered with %(number)s rows for the newest day.",
                    rows,
                ),
                "",
            )
        return page.render("sources/tested.html", outcome=outcome, errors={})

    return [
        every, new, add, try_new, one, progress, try_one, sync_now, pause, credentials, give_credentials, remove,
    ]  # fmt: skip


def in_plain_words(page: Page, error: LiushuiError) -> str:
    """What went wrong at a provider, and what to do about it."""
    match error:
        case AuthError():
            return page.say("The provider refuses these credentials. Check them, or ask the provider for new ones.")
        case RateLimited():
            return page.say("The provider's rate limit is reached. Wait a moment and try again.")
        case Unavailable():
            return page.say("The provider cannot be reached or is out of order. Check the address, or try again later.")
        case Refused():
            return page.say("The provider rejected the request.")
        case WireError():
            return page.say("This address does not answer like the provider's API. Check the address.")
        case _:
            return page.say("That did not work.")


def _source_in(form: Form, provider: Provider) -> Source | None:
    """The source that a form describes. None: the form says what is wrong with it."""
    name, where, zone = form.source_name("name"), form.address("base_url"), form.zone("zone")
    since = form.instant("since", zone)
    credentials = _credentials_in(form, provider)
    if name is None or where is None or zone is None or since is None or credentials is None:
        return None
    source = Source(name, provider.name, zone.key, where, credentials, since, form.ticked("paced"))
    try:
        provider.connect(base_url=where, credentials=credentials, rate=None, timeout_s=TEST_MAX_S)
    except ConfigError as error:  # an address that the provider's keys must not be sent to, a key that no header holds
        form.wrong("base_url", str(error))
        return None
    return source


def _credentials_in(form: Form, provider: Provider) -> dict[str, str] | None:
    given = {field.name: form.text(f"credential-{field.name}") for field in provider.credentials}
    found = {name: value for name, value in given.items() if value is not None}
    return found if len(found) == len(given) else None


def _secrets(provider: Provider) -> set[str]:
    """The fields of a form whose values are never sent back."""
    return {f"credential-{field.name}" for field in provider.credentials if field.secret}


def _credentials_form(page: Page, source: Source, provider: Provider, errors: Mapping[str, str]) -> Response[Any]:
    kept = {name: value for name, value in page.form.items() if name not in _secrets(provider)}
    for field in provider.credentials:
        if not field.secret:
            kept.setdefault(f"credential-{field.name}", source.credentials.get(field.name, ""))
    status = 422 if errors else 200
    return page.render(
        "sources/credentials.html", status=status, source=source, provider=provider, values=kept, errors=errors
    )


def _by_label(page: Page, provider: Provider, errors: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a form, by the names that its reader sees."""
    labels = {
        "name": page.say("Name"),
        "base_url": page.say("API address"),
        "zone": page.say("Time zone"),
        "since": page.say("Start date"),
    } | {f"credential-{field.name}": page.say(field.title) for field in provider.credentials}
    return {labels.get(name, name): said for name, said in errors.items()}


def _free_name(name: str, taken: set[str]) -> str:
    """A name to begin with that no source has."""
    number = 1
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _address(name: str) -> str:
    return f"/sources/{quote(name, safe='')}"
