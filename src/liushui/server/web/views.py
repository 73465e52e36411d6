"""The pages of saved views: the form that saves one, and the list in which they are renamed, shared and removed."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from litestar import get, post
from litestar.response import Response

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, PermissionDenied
from liushui.ledger.access.saved_views import NAME_MAX
from liushui.ledger.access.tokens import Scope
from liushui.server.web.filter_params import FlowsRequest, view_address
from liushui.server.web.flows import read_request
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect
from liushui.server.web.view_menu import view_links, view_words
from liushui.services import views

VIEWS = "/flows/views"


@get(VIEWS, sync_to_thread=True)
def show_views(page: CurrentPage) -> Response[str]:
    """The views that the reader sees."""
    return _render_views(page, {}, {})


@get(f"{VIEWS}/new", sync_to_thread=True)
def new_view(page: CurrentPage) -> Response[str]:
    """The form that saves the filter in the address as a view."""
    request = read_request(page, page.query)
    return redirect(request.address()) if request.errors else _render_form(page, request, {}, {})


@post(VIEWS, sync_to_thread=True, opt={NEEDS: Scope.READ})
def save_view(page: CurrentPage) -> Response[str]:
    """Save the filter in the form as a view."""
    form, request = Form(page), _posted_request(page)
    name = form.text("name")
    if request.errors:
        return redirect(request.address())  # the page shows each error next to its field
    if name is not None:
        try:
            view, _ = views.save_view(
                page.ledger,
                page.principal,
                name,
                request.to_view(),
                is_shared=form.ticked("shared"),
                is_default=form.ticked("default") or None,
                overwrite=form.ticked("replace"),
            )
        except ConfigError as error:
            _add_error(form, error)
        else:
            return redirect(view_address(view.name, view.query))
    return _render_form(page, request, page.form, form.errors)


@post(f"{VIEWS}/overwrite", sync_to_thread=True, opt={NEEDS: Scope.READ})
def overwrite_view(page: CurrentPage) -> Response[str]:
    """Save the filter in the form as a view that there is already. It stays shared or private."""
    form, request = Form(page), _posted_request(page)
    if request.errors:
        return redirect(request.address())
    name = form.typed("name")
    try:
        shared = views.find_view(page.ledger, page.principal, name).is_shared
        view, _ = views.save_view(page.ledger, page.principal, name, request.to_view(), is_shared=shared)
    except ConfigError as error:
        _add_error(form, error)
        return _render_form(page, request, page.form, form.errors)
    return redirect(view_address(view.name, view.query))


@post(f"{VIEWS}/change", sync_to_thread=True, opt={NEEDS: Scope.READ})
def change_view(page: CurrentPage) -> Response[str]:
    """Rename a view, share it, or keep it private again."""
    form = Form(page)
    old, name = form.typed("view"), form.text("name")
    if name is not None:
        try:
            views.change_view(page.ledger, page.principal, old, name, is_shared=form.ticked("shared"))
        except NotFound:  # a form that is sent twice, or about a view that was removed elsewhere, is not an error
            return redirect(VIEWS)
        except ConfigError as error:
            _add_error(form, error)
        else:
            return redirect(VIEWS)
    return _render_views(page, page.form, form.errors)


@post(f"{VIEWS}/default", sync_to_thread=True, opt={NEEDS: Scope.READ})
def choose_default(page: CurrentPage) -> Response[str]:
    """Have the reader's list begin with a view; without a name, with all flows."""
    try:
        views.set_default(page.ledger, page.principal, page.form.get("view") or None)
    except NotFound:
        return redirect(VIEWS)
    return redirect(VIEWS)


@post(f"{VIEWS}/remove", sync_to_thread=True, opt={NEEDS: Scope.READ})
def remove_view(page: CurrentPage) -> Response[str]:
    """Remove a view."""
    form = Form(page)
    try:
        views.remove_view(page.ledger, page.principal, form.typed("view"))
    except NotFound:
        return redirect(VIEWS)
    except ConfigError as error:
        _add_error(form, error)
        return _render_views(page, page.form, form.errors)
    return redirect(VIEWS)


def _posted_request(page: Page) -> FlowsRequest:
    """The filter that a form carries: the query of the list's address."""
    return read_request(page, parse_qs(page.form.get("query", "")))


def _add_error(form: Form, error: ConfigError) -> None:
    """Add the fault to the form, in the reader's language."""
    say = form.page.say
    match error:
        case AlreadyExists():
            form.wrong("name", say("There is a view with this name already."))
        case PermissionDenied():
            form.wrong("name", say("This view is another's. Save yours under another name."))
        case InvalidField(field="name"):
            form.wrong("name", say("Use 1 to %(most)s characters, without / and \\.", most=NAME_MAX))
        case _:
            form.wrong("name", str(error))


def _render_form(
    page: Page, request: FlowsRequest, values: Mapping[str, str], errors: Mapping[str, str]
) -> Response[str]:
    links = view_links(page, views.visible_views(page.ledger, page.principal))
    taken = next((link for link in links if link.name == values.get("name", "").strip()), None)
    return page.render(
        "flows/view_form.html",
        status=422 if errors else 200,
        asked=request,
        words=view_words(page, request.to_view()),
        values=values,
        errors=errors,
        may_share=views.may_share(page.principal),
        may_replace=taken is not None and taken.may_change,
        name_max=NAME_MAX,
    )


def _render_views(page: Page, values: Mapping[str, str], errors: Mapping[str, str]) -> Response[str]:
    links = view_links(page, views.visible_views(page.ledger, page.principal))
    return page.render(
        "flows/views.html",
        status=422 if errors else 200,
        views=links,
        words={link.name: view_words(page, link.query) for link in links},
        values=values,
        errors=errors,
        may_share=views.may_share(page.principal),
        name_max=NAME_MAX,
    )
