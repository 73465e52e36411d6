"""The menu of saved views above the list of flows, and descriptions of views in words."""

from collections.abc import Mapping
from typing import NamedTuple

from liushui.ledger.access.saved_views import LEDGER_OWNER, NEWEST, SavedView, ViewQuery
from liushui.server.web.filter_params import FlowsRequest, view_address
from liushui.server.web.page import Page
from liushui.services.access import USER_PREFIX
from liushui.services.views import ReadersViews, may_change, owner_of


class ViewLink(NamedTuple):
    """A view in the menu. `owner`: the name of an owner other than the reader, else empty."""

    name: str
    address: str
    owner: str
    is_shared: bool
    is_default: bool
    may_change: bool
    query: ViewQuery


def view_links(page: Page, readers: ReadersViews) -> list[ViewLink]:
    """The views that a reader sees, each with its address. One's own hides a shared one of the same name."""
    links: dict[str, ViewLink] = {}
    for view in readers.views:
        link = ViewLink(
            view.name,
            view_address(view.name, view.query),
            _owner_name(page, view),
            view.is_shared,
            view == readers.default,
            may_change(page.principal, view),
            view.query,
        )
        links.setdefault(view.name, link)
    return list(links.values())


def views_context(page: Page, request: FlowsRequest, readers: ReadersViews) -> Mapping[str, object]:
    """The data that the menu shows: the views, the open one, and whether the list differs from its saved state."""
    links = view_links(page, readers)
    opened = next((link for link in links if link.name == request.base_view), None)
    return {
        "views": links,
        "open_view": opened,
        "is_changed": opened is not None and opened.query != request.to_view(),
        "view_query": request.address().partition("?")[2],
    }


def view_words(page: Page, query: ViewQuery) -> list[str]:
    """Describe a view in words: its accounts, its filter, and its display if that differs from the default."""
    say, labels = page.say, page.labels
    known = {"kind": labels.kind, "category": labels.category, "direction": labels.direction}
    names = labels.filter_fields()
    words = (
        [say("%(name)s: %(value)s", name=say("Accounts"), value=", ".join(query.accounts))] if query.accounts else []
    )
    words += [
        say("%(name)s: %(value)s", name=names[field], value=known[field](text) if field in known else text)
        for field, text in query.filter.items()
        if field in names
    ]
    if query.order != NEWEST:
        words.append(say("Oldest first"))
    if query.zone:
        words.append(say("Times are in %(zone)s.", zone=query.zone).rstrip(".。"))
    return words or [say("All flows")]


def _owner_name(page: Page, view: SavedView) -> str:
    if view.owner == owner_of(page.principal):
        return ""
    if view.owner == LEDGER_OWNER:
        return page.say("Owner")
    is_user = view.owner.startswith(USER_PREFIX)
    return view.owner.removeprefix(USER_PREFIX) if is_user else page.say("a token")
