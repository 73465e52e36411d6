"""Saved views of the list of flows."""

from http import HTTPStatus

import msgspec
from litestar import Response
from litestar.params import JSONBody

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import InvalidField
from liushui.ledger.access.saved_views import DEFAULT_COLUMNS, SavedView, ViewQuery, not_found
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.filters import FilterError
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import ProblemError, invalid_body
from liushui.services import views
from liushui.services.views import ReadersViews

PATH = "/views"


@endpoint("GET", PATH, scope=Scope.READ, operation_id="views")
def list_views(context: Context) -> Response[models.SavedViews]:
    """The caller's own views, and the shared ones about accounts that the caller may see, by name."""
    readers = views.visible_views(context.ledger, context.principal)
    return context.answer(models.SavedViews(views=[_model(view, readers) for view in readers.views]))


@endpoint("GET", f"{PATH}/{{name:str}}", scope=Scope.READ, operation_id="view")
def show_view(context: Context, name: PathText) -> Response[models.SavedView]:
    """One view: the caller's own of that name, or else the shared one."""
    return context.answer(_read(context, name))


@endpoint("PUT", f"{PATH}/{{name:str}}", scope=Scope.READ, operation_id="save_view", created=models.SavedView)
def save_view(context: Context, name: PathText, data: JSONBody[models.SaveView]) -> Response[models.SavedView]:
    """Save a view, or overwrite the view of that name.

    Sharing a view needs the scope record or manage. A view that another caller shares cannot be overwritten: use
    another name.
    """
    texts = {field: str(value) for field, value in msgspec.structs.asdict(data.filter).items() if value is not None}
    query = ViewQuery(
        texts, tuple(dict.fromkeys(data.accounts)), tuple(data.columns or DEFAULT_COLUMNS), data.order, data.zone or ""
    )
    try:
        _, is_new = views.save_view(
            context.ledger, context.principal, name, query, is_shared=data.shared, is_default=data.default
        )
    except FilterError as error:
        faults = [Fault(pointer=f"/filter/{one.field}", expected=one.expected, got=one.got) for one in error.faults]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), faults) from error
    except InvalidField as error:
        raise invalid_body(f"/{error.field}", error.expected, error.got) from error
    return context.answer(_read(context, name), HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@endpoint(
    "DELETE",
    f"{PATH}/{{name:str}}",
    scope=Scope.READ,
    status=HTTPStatus.NO_CONTENT,
    operation_id="remove_view",
)
def remove_view(context: Context, name: PathText) -> None:
    """Remove a view."""
    views.remove_view(context.ledger, context.principal, name)


def _read(context: RequestContext, name: str) -> models.SavedView:
    readers = views.visible_views(context.ledger, context.principal)
    for view in readers.views:
        if view.name == name:
            return _model(view, readers)
    raise not_found(name)


def _model(view: SavedView, readers: ReadersViews) -> models.SavedView:
    query = view.query
    return models.SavedView(
        name=view.name,
        owner=view.owner,
        shared=view.is_shared,
        default=view == readers.default,
        filter=msgspec.convert(query.filter, models.ViewFilter),
        accounts=list(query.accounts),
        columns=[models.ViewColumn(name) for name in query.columns],
        order=models.Order(query.order),
        zone=query.zone or None,
        created_at=view.created_at,
        changed_at=view.changed_at,
    )
