"""Saved views of one reader: the views that page, API and command line let them see, save, share and remove.

Every reader keeps their own views. To share one needs a role or a token that may do more than read. A shared view is
changed by its owner and by the owner of the ledger. Nobody sees a view that names an account which they may not see.
"""

from typing import Final, NamedTuple

from liushui.errors import AlreadyExists, PermissionDenied, short_repr
from liushui.ledger.access import saved_views
from liushui.ledger.access.saved_views import LEDGER_OWNER, SavedView, ViewKey, ViewQuery, in_order, not_found
from liushui.ledger.access.tokens import Scope, check_creator
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import read_filter
from liushui.services.access import Principal

SHARING: Final = frozenset((Scope.RECORD, Scope.MANAGE))
"""Who has one of these scopes may share views."""


class ReadersViews(NamedTuple):
    """The views that a reader sees, by name, and which of them their list of flows begins with."""

    views: list[SavedView]
    default: SavedView | None


def owner_of(principal: Principal) -> str:
    """How the views of a principal name their owner: see `ledger.access.saved_views`."""
    if principal.role is not None:
        return principal.name
    return LEDGER_OWNER if principal.token is None else f"token {principal.token}"


def may_share(principal: Principal) -> bool:
    """Whether a principal may share views."""
    return bool(principal.scopes & SHARING)


def may_change(principal: Principal, view: SavedView) -> bool:
    """Whether a principal may change or remove a view."""
    return view.owner == owner_of(principal) or (view.is_shared and principal.is_owner)


def visible_views(ledger: Ledger, principal: Principal) -> ReadersViews:
    """The views of a principal, and the shared ones about accounts that the principal may see."""
    reader = owner_of(principal)
    with ledger.reading() as connection:
        views = [
            view
            for view in saved_views.list_views(connection, reader)
            if view.owner == reader or all(map(principal.sees, view.query.accounts))
        ]
        key = saved_views.default_key(connection, reader)
    return ReadersViews(views, next((view for view in views if (view.owner, view.name) == key), None))


def find_view(ledger: Ledger, principal: Principal, name: str) -> SavedView:
    """The principal's own view of that name, or else the shared one. Raises NotFound."""
    for view in visible_views(ledger, principal).views:
        if view.name == name:
            return view
    raise not_found(name)


def save_view(
    ledger: Ledger,
    principal: Principal,
    name: str,
    query: ViewQuery,
    *,
    is_shared: bool,
    is_default: bool | None = None,
    overwrite: bool = True,
) -> tuple[SavedView, bool]:
    """Save a view under a name, in one transaction. Returns it, and whether it is new.

    If a view of that name exists, it is overwritten and keeps its owner. Without `overwrite`, AlreadyExists is raised.
    `is_default`: whether the principal's list of flows begins with it; None: unchanged. Raises FilterError,
    AccountNotFound and InvalidField for a query that cannot be used. Raises PermissionDenied if the principal may not
    share views, or if another owner shares the view of that name.
    """
    read_filter(query.filter)
    principal.check_accounts(ledger, query.accounts)
    saved_views.check_display(query)
    _check_sharing(principal, is_shared=is_shared)
    owner, existing = owner_of(principal), _existing(ledger, principal, name)
    if existing is not None and not overwrite:
        raise AlreadyExists(f"name: there is a view named {short_repr(name)} already")
    if existing is not None:
        _check_change(principal, existing)
        owner = existing.owner
    now = ledger.clock()
    query = ViewQuery(dict(query.filter), query.accounts, in_order(query.columns), query.order, query.zone)
    view = SavedView(owner, name, query, is_shared, existing.created_at if existing else now, now)
    with ledger.writing() as connection:
        check_creator(connection, principal.token)
        is_new = saved_views.save_view(connection, now, view)
        reader, key = owner_of(principal), ViewKey(owner, name)
        if is_default:
            saved_views.set_default(connection, reader, key)
        elif is_default is not None and saved_views.default_key(connection, reader) == key:
            saved_views.set_default(connection, reader, None)
    return view, is_new


def change_view(
    ledger: Ledger, principal: Principal, name: str, new_name: str | None = None, *, is_shared: bool | None = None
) -> SavedView:
    """Rename a view, share it, or keep it private again. None: unchanged. Returns the changed view.

    Raises NotFound, PermissionDenied, InvalidField, AlreadyExists.
    """
    view = find_view(ledger, principal, name)
    _check_change(principal, view)
    name = view.name if new_name is None else new_name
    if is_shared is None:
        is_shared = view.is_shared
    elif is_shared and not view.is_shared:
        _check_sharing(principal, is_shared=True)
    now = ledger.clock()
    with ledger.writing() as connection:
        check_creator(connection, principal.token)
        saved_views.change_view(connection, now, ViewKey(view.owner, view.name), name, is_shared=is_shared)
    return view._replace(name=name, is_shared=is_shared, changed_at=now)


def remove_view(ledger: Ledger, principal: Principal, name: str) -> None:
    """Delete a view. Raises NotFound, and PermissionDenied for another's."""
    view = find_view(ledger, principal, name)
    _check_change(principal, view)
    with ledger.writing() as connection:
        saved_views.remove_view(connection, ViewKey(view.owner, view.name))


def set_default(ledger: Ledger, principal: Principal, name: str | None) -> None:
    """Have the principal's list of flows begin with a view; None: with all flows. Raises NotFound."""
    view = None if name is None else find_view(ledger, principal, name)
    with ledger.writing() as connection:
        check_creator(connection, principal.token)
        key = None if view is None else ViewKey(view.owner, view.name)
        saved_views.set_default(connection, owner_of(principal), key)


def _existing(ledger: Ledger, principal: Principal, name: str) -> SavedView | None:
    return next((view for view in visible_views(ledger, principal).views if view.name == name), None)


def _check_sharing(principal: Principal, *, is_shared: bool) -> None:
    if is_shared and not may_share(principal):
        raise PermissionDenied("shared: a role that only reads keeps its views to itself")


def _check_change(principal: Principal, view: SavedView) -> None:
    if not may_change(principal, view):
        raise PermissionDenied(f"view: {short_repr(view.name)} is another's: save yours under another name")
