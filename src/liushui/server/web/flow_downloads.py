"""Downloads: the flows of a filter as a file of any export format, and why a format cannot hold them."""

import asyncio
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from liushui.errors import AccountNotFound, ConfigError, InvalidField
from liushui.export.account_map import MissingTargets, propose_map, read_account_map
from liushui.export.formats import FORMATS, CannotExport, ExportOptions, Format, Refusal, export_parts
from liushui.export.selection import ExportQuery, read_period, selecting
from liushui.ledger.access.tokens import Scope
from liushui.server.audit import NOT_AUDITED
from liushui.server.downloads import download
from liushui.server.web.account_addresses import account_address, month_address
from liushui.server.web.download_choices import download_name
from liushui.server.web.flows import FlowsView, read_view
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect

DOWNLOADS: Final = {form.address: form for form in FORMATS.values()}
"""The formats by the end of their addresses."""

PACK: Final = "pack"
"""The choice of the month-end pack among the downloads; it is not a format."""


@get([f"/flows/download.{address}" for address in DOWNLOADS])
async def download_flows(page: CurrentPage) -> Response[Any]:
    """All flows of the filter as a file. A format of double entry asks for an account map first."""
    # Litestar runs only one of a handler's paths in a thread, so this is done here.
    view = await asyncio.to_thread(read_view, page)
    form = _form(page)
    if view.first_error is not None:
        return _refuse(view, form, view.first_error, status=HTTPStatus.BAD_REQUEST)
    if form.needs_map and not _wants_json(page):
        return await asyncio.to_thread(_ask_for_map, view, form)
    return await _answer(view, form, ExportOptions(bom=form.name == "csv"))


@post(
    [f"/flows/download.{form.address}" for form in FORMATS.values() if form.needs_map],
    status_code=200,
    opt={NEEDS: Scope.READ, NOT_AUDITED: True},
)
async def download_journal(page: CurrentPage) -> Response[Any]:
    """The flows of the filter in a format of double entry, by the account map in the form. It changes nothing."""
    view = await asyncio.to_thread(read_view, page)
    form = _form(page)
    if view.first_error is not None:
        return _refuse(view, form, view.first_error, status=HTTPStatus.BAD_REQUEST)
    text = page.form.get("map", "")
    try:
        options = ExportOptions(read_account_map(text), opening=bool(page.form.get("opening")))
    except ConfigError as error:
        return await asyncio.to_thread(_ask_for_map, view, form, text, error)
    return await _answer(view, form, options, text)


def _form(page: Page) -> Format:
    return DOWNLOADS[page.request.scope["path"].rpartition(".")[2]]


async def _answer(view: FlowsView, form: Format, options: ExportOptions, account_map: str = "") -> Response[Any]:
    page, wanted = view.page, view.request.filter
    others = [name for name in _selecting_fields(view) if name != "currency"]
    if others and not form.takes_filter:
        text = page.say(
            "%(format)s holds whole statements. Remove the filters other than accounts, days and currency.",
            format=form.title,
        )
        return _refuse(view, form, text)
    query = ExportQuery(wanted if form.takes_filter else wanted._replace(newest_first=False), by_time=form.takes_filter)
    name = download_name(wanted, [account.name.account for account in view.accounts])
    try:
        return await download(export_parts(page.read_model, form, query, options), form, name)
    except ConfigError as error:
        if options.account_map is not None:
            return await asyncio.to_thread(_ask_for_map, view, form, account_map, error)
        return _refuse(view, form, *_in_words(page, form, error))


def _selecting_fields(view: FlowsView) -> list[str]:
    return [name for name in view.request.typed if name not in ("since", "until")]


def _wants_json(page: Page) -> bool:
    return "text/html" not in page.request.headers.get("accept", "")


def _refuse(
    view: FlowsView, form: Format, text: str, detail: str = "", *, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY
) -> Response[Any]:
    """Say why there is no file: as a page for readers, as JSON for programs."""
    page = view.page
    if _wants_json(page):
        return Response({"detail": detail or text}, status_code=status)
    return page.render(
        "flows/refused.html",
        status=status,
        title=page.say("This cannot be downloaded as %(format)s.", format=form.title),
        text=text,
        detail=detail,
        back=view.request.address(),
    )


def _in_words(page: Page, form: Format, error: ConfigError) -> tuple[str, str]:
    """Return why a format cannot hold the flows, in the reader's language, and the details."""
    say, title = page.say, form.title
    texts = {
        Refusal.CURRENCY: say("%(format)s cannot name some of the currencies. Choose another currency.", format=title),
        Refusal.BALANCE: say(
            "%(format)s needs opening balances, and one is not known. State a balance on the page of the account.",
            format=title,
        ),
        Refusal.MAP: say("%(format)s needs an account map.", format=title),
        Refusal.EMPTY: say("There are no flows and no balance in this range."),
        Refusal.DIGITS: say("Some amounts have more digits than %(format)s holds.", format=title),
        Refusal.PACKAGE: say("The server lacks a package for this format."),
    }
    if isinstance(error, CannotExport):
        return texts[error.refusal], str(error)
    return say("The flows cannot be written in this format."), str(error)


def _ask_for_map(
    view: FlowsView, form: Format, text: str | None = None, error: ConfigError | None = None
) -> Response[Any]:
    """The form for an account map. `text` is the map that was sent; `error` is its fault."""
    page, wanted = view.page, view.request.filter
    if text is None:
        with selecting(page.read_model, ExportQuery(wanted)) as selection:
            keys = [(part.account.name.account, *key) for part in selection.parts for key in selection.sums(part)]
            providers = {part.account.name.account: part.account.name.provider for part in selection.parts}
        text = propose_map(keys, providers, has_codes=form.has_codes)
    missing = error.missing if isinstance(error, MissingTargets) else ()
    words, detail = ("", "") if error is None or missing else _in_words(page, form, error)
    return page.render(
        "flows/journal.html",
        status=200 if error is None else 422,
        form=form,
        map_text=text,
        missing=missing,
        words=words,
        detail=detail,
        opening=error is None or bool(page.form.get("opening")),
        address=view.request.address(page.request.scope["path"]),
        back=view.request.address(),
    )


# ---------------------------------------------------------------- the choice on the page of an account


@get("/accounts/{name:str}/download", sync_to_thread=True)
def choose_download(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Redirect to the download that a form chooses: a format, and a month, a year or all."""
    try:
        page.read_model.accounts((name,))
        period = page.query.get("period", [""])[-1]
        days = read_period(period) if period else None
    except (AccountNotFound, InvalidField) as error:
        raise NotFoundException(str(error)) from error
    chosen = page.query.get("format", [""])[-1]
    if chosen == PACK:
        if days is None or len(period) != len("2026-10"):
            title, text = page.say("Month-end pack"), page.say("A month-end pack is of one month. Choose a month.")
            back = account_address(name)
            return page.render("flows/refused.html", status=422, title=title, text=text, detail="", back=back)
        return redirect(f"{month_address(name, period)}/pack.zip")
    if chosen not in FORMATS:
        raise NotFoundException(f"format: expected one of {', '.join(FORMATS)}")
    fields = {"account": name} | ({} if days is None else {"since": str(days[0]), "until": str(days[1])})
    return redirect(f"/flows/download.{FORMATS[chosen].address}?{urlencode(fields)}")
