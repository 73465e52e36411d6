"""The pages of sources: their status, and adding, testing, syncing, pausing and removing one."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from litestar import get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath
from litestar.response import Response

from liushui.errors import (
    AlreadyExists,
    AuthError,
    ConfigError,
    InvalidField,
    LiushuiError,
    RateLimited,
    Refused,
    SourceNotFound,
    Unavailable,
    WireError,
)
from liushui.ledger.access.tokens import Scope
from liushui.ledger.jobs import sources
from liushui.ledger.jobs.sources import Source
from liushui.ledger.jobs.sync_requests import request_sync
from liushui.provider import Provider
from liushui.rules import first_day
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect
from liushui.server.web.providers import get_provider
from liushui.server.web.source_status import read_statuses
from liushui.services import sources as services

RUNS_SHOWN: Final = 10
REQUESTED_BY: Final = "page"


@get("/sources", sync_to_thread=True)
def list_sources(page: CurrentPage) -> Response[str]:
    """Every source and its status."""
    template = "sources/rows.html" if page.is_part else "sources/index.html"
    return page.render(template, statuses=read_statuses(page), now=page.ledger.clock())


@get("/sources/{name:str}", sync_to_thread=True)
def show_source(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """One source: its status, its settings and its last syncs. For htmx: the part that a sync changes."""
    source = _source(page, name)
    (status,) = read_statuses(page, [source])
    return page.render(
        "sources/live.html" if page.is_part else "sources/one.html",
        source_status=status,
        provider=get_provider(page, source.provider),
        public=services.public_credentials(source),
        runs=sources.list_runs(page.ledger, source.account, limit=RUNS_SHOWN),
        now=page.ledger.clock(),
    )


@get("/sources/{name:str}/progress", sync_to_thread=True)
def show_progress(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """The progress of a source's sync, without the rest of the page."""
    return _progress(page, _source(page, name))


@post("/sources/{name:str}/sync", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def sync_source(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Request a sync."""
    source = _source(page, name)
    everything = page.form.get("everything") == "yes"
    request_sync(page.ledger, source.account, by=REQUESTED_BY, everything=everything)
    return _progress(page, source) if page.is_part else redirect(_address(name))


@post("/sources/{name:str}/pause", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def pause_source(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Pause a source, or resume it."""
    sources.pause_source(page.ledger, _source(page, name).account, paused=page.form.get("paused") == "yes")
    return redirect(_address(name))


@post("/sources/{name:str}/remove", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def remove_source(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Remove a source and its credentials."""
    sources.remove_source(page.ledger, _source(page, name).account)
    return redirect("/sources")


def _source(page: Page, name: str) -> Source:
    try:
        if not page.sees(name):
            raise SourceNotFound(name)
        return services.get_source(page.ledger, name)
    except SourceNotFound as error:
        raise NotFoundException(str(error)) from error


def _progress(page: Page, source: Source) -> Response[str]:
    (status,) = read_statuses(page, [source])
    return page.render("sources/progress.html", source_status=status, now=page.ledger.clock())


def _address(name: str) -> str:
    return f"/sources/{quote(name, safe='')}"


# ---------------------------------------------------------------- a new source


def _check_may_add(page: Page) -> None:
    """Raise PermissionDeniedException if the reader could not see the account of a new source."""
    if page.principal.accounts is not None:
        raise PermissionDeniedException("a new source needs a role for all accounts; yours is for some")


@get("/sources/~new", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def new_source(page: CurrentPage) -> Response[str]:
    """The choice of a provider. With a provider in the address, the form for its source."""
    _check_may_add(page)
    name = page.request.query_params.get("provider")
    if name is None:
        return page.render("sources/choose.html", providers=list(page.providers.values()))
    provider = get_provider(page, name)
    values = {
        "name": _free_name(provider.name, {source.account for source in sources.list_sources(page.ledger)}),
        "base_url": provider.base_url,
        "since": first_day(provider.rules).isoformat(),
        "zone": provider.rules.zone,
        "paced": "yes",
        "sync": "yes",
    }
    return _source_form(page, provider, values, {})


@post("/sources", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def add_source(page: CurrentPage) -> Response[str]:
    """Add a source and, if the form asks for it, request its first sync."""
    _check_may_add(page)
    provider, form = get_provider(page, page.form.get("provider", "")), Form(page)
    source = _read_source(form, provider)
    if source is not None:
        try:
            requested_by = REQUESTED_BY if form.ticked("sync") else None
            services.add_source(page.ledger, source, sync_requested_by=requested_by)
        except AlreadyExists:
            form.wrong("name", page.say("A source with this name already exists."))
        except ConfigError as error:
            form.wrong("name", str(error))
        else:
            return redirect(_address(source.account))
    return _source_form(page, provider, _without_secrets(page, provider), form.errors)


@post("/sources/~test", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def test_new_source(page: CurrentPage) -> Response[str]:
    """Test the source that a form describes, before it is added."""
    _check_may_add(page)
    provider, form = get_provider(page, page.form.get("provider", "")), Form(page)
    source = _read_source(form, provider)
    if source is None:
        errors = _with_labels(page, provider, form.errors)
        return page.render("sources/tested.html", outcome=None, errors=errors)
    return _test_result(page, source)


@post("/sources/{name:str}/test", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def test_source(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Test a source."""
    return _test_result(page, _source(page, name))


def _test_result(page: Page, source: Source) -> Response[str]:
    try:
        rows = services.probe_source(page.ledger, source)
    except LiushuiError as error:
        outcome = (False, in_plain_words(page, error), str(error))
    else:
        text = page.say_many(
            "The provider answered with %(number)s row for the newest day.",
            "The provider answered with %(number)s rows for the newest day.",
            rows,
        )
        outcome = (True, text, "")
    return page.render("sources/tested.html", outcome=outcome, errors={})


def in_plain_words(page: Page, error: LiushuiError) -> str:
    """Return a description of the fault at a provider, and what to do about it."""
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


def _source_form(page: Page, provider: Provider, values: Mapping[str, str], errors: Mapping[str, str]) -> Response[str]:
    return page.render(
        "sources/new.html",
        status=422 if errors else 200,
        provider=provider,
        opening=first_day(provider.rules).isoformat(),
        values=values,
        errors=errors,
    )


def _read_source(form: Form, provider: Provider) -> Source | None:
    """The source that a form describes. None: the form's errors describe the faults."""
    name, base_url, zone = form.source_name("name"), form.address("base_url"), form.zone("zone")
    since = form.instant("since", zone)
    credentials = _read_credentials(form, provider)
    if name is None or base_url is None or zone is None or since is None or credentials is None:
        return None
    source = Source(name, provider.name, zone.key, base_url, credentials, since, form.ticked("paced"))
    try:
        services.check_source(source)
    except InvalidField as error:
        form.wrong(f"credential-{error.field}", str(error))
        return None
    except ConfigError as error:
        form.wrong("base_url", str(error))
        return None
    return source


def _with_labels(page: Page, provider: Provider, errors: Mapping[str, str]) -> dict[str, str]:
    """Return errors by their labels for readers, for a part of the page that is not next to the fields."""
    labels = {
        "name": page.say("Name"),
        "base_url": page.say("API address"),
        "zone": page.say("Time zone"),
        "since": page.say("Start date"),
    } | {f"credential-{field.name}": page.say(field.title) for field in provider.credentials}
    return {labels.get(name, name): error for name, error in errors.items()}


def _free_name(provider: str, taken: set[str]) -> str:
    number = 1
    while f"{provider}-{number}" in taken:
        number += 1
    return f"{provider}-{number}"


# ---------------------------------------------------------------- credentials


@get("/sources/{name:str}/credentials", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def new_credentials(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """The form for new credentials of a source."""
    source = _source(page, name)
    return _credentials_form(page, source, get_provider(page, source.provider), {})


@post("/sources/{name:str}/credentials", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def replace_credentials(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Replace the credentials of a source, and request a sync with the new ones."""
    source = _source(page, name)
    provider, form = get_provider(page, source.provider), Form(page)
    credentials = _read_credentials(form, provider)
    if credentials is not None:
        try:
            services.replace_credentials(page.ledger, name, credentials, sync_requested_by=REQUESTED_BY)
        except InvalidField as error:
            form.wrong(f"credential-{error.field}", str(error))
        except ConfigError as error:
            form.wrong(f"credential-{provider.credentials[0].name}", str(error))
        else:
            return redirect(_address(name))
    return _credentials_form(page, source, provider, form.errors)


def _credentials_form(page: Page, source: Source, provider: Provider, errors: Mapping[str, str]) -> Response[Any]:
    values = {f"credential-{name}": value for name, value in services.public_credentials(source).items()}
    return page.render(
        "sources/credentials.html",
        status=422 if errors else 200,
        source=source,
        provider=provider,
        values=values | _without_secrets(page, provider),
        errors=errors,
    )


def _read_credentials(form: Form, provider: Provider) -> dict[str, str] | None:
    """The credentials in a form. None: the form's errors say which are missing."""
    typed = {field.name: form.text(f"credential-{field.name}") for field in provider.credentials}
    credentials = {name: value for name, value in typed.items() if value is not None}
    return credentials if len(credentials) == len(typed) else None


def _without_secrets(page: Page, provider: Provider) -> dict[str, str]:
    """Return the typed fields of a form, without those that are never sent back."""
    secrets = {f"credential-{field.name}" for field in provider.credentials if field.secret}
    return {name: value for name, value in page.form.items() if name not in secrets}
