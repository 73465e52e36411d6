"""liushui view: filters of flows under names, with their columns, order and time zone."""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import options
from liushui.cli.flows import filter_options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.ledger.access.saved_views import SavedView
    from liushui.services.access import Principal

VIEW_COLUMNS: Final = ("name", "owner", "shared", "default", "filter", "accounts", "columns", "order", "zone")

_name = click.argument("name", metavar="NAME", help="The name of the view.")


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def view() -> None:
    """Save filters of flows under names, and list, change or remove them.

    The command line manages the views of the ledger's owner, who also sees them on the page. A shared view is visible
    to everyone who may see its accounts. `liushui flows --view NAME` prints the flows of a view.
    """


@view.command("list")
@options.ledger_and_format
def list_(settings: Settings) -> None:
    """List the views of the owner, and those that users share."""
    from liushui.services.views import visible_views

    readers = visible_views(settings.open_ledger(), _owner())
    is_table = settings.format is Format.TABLE
    records = [_record(view, is_default=view == readers.default, is_table=is_table) for view in readers.views]
    emit(records, VIEW_COLUMNS, settings.format)


@view.command()
@_name
@options.ledger_and_format
def show(settings: Settings, name: str) -> None:
    """Print one view."""
    from liushui.services.views import find_view, visible_views

    ledger = settings.open_ledger()
    view = find_view(ledger, _owner(), name)
    is_default = visible_views(ledger, _owner()).default == view
    is_table = settings.format is Format.TABLE
    record = {
        **_record(view, is_default=is_default, is_table=is_table),
        "created_at": view.created_at,
        "changed_at": view.changed_at,
    }
    emit_one(record, settings.format)


@view.command()
@_name
@options.accounts
@options.since
@options.until
@filter_options
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="COLUMN",
    cls=options.LazyHelpOption,
    more_help=lambda: _column_help(),
    help="Only these columns; repeatable.",
)
@click.option("--newest/--oldest", default=True, help="Which flows come first. (default: the newest)")
@click.option(
    "--zone", metavar="ZONE", default="", help="The time zone of its times, or `account`. (default: the reader's own)"
)
@click.option("--shared", is_flag=True, help="Share it with everyone who may see its accounts.")
@click.option("--default", "is_default", is_flag=True, help="Open the owner's list of flows with this view.")
@click.option("--replace", is_flag=True, help="Overwrite an existing view with this name.")
@options.ledger_and_format
def save(
    settings: Settings,
    /,
    name: str,
    accounts: tuple[str, ...],
    columns: tuple[str, ...],
    newest: bool,
    zone: str,
    shared: bool,
    is_default: bool,
    replace: bool,
    **filters: str | StrEnum | None,
) -> None:
    """Save a view: which flows it shows, and how.

    \b
    Example: liushui view save "Fees of the shop" shop --kind fee --since 2026-01-01
    Example: liushui view save Refunds --kind refund --column time --column amount --column currency --shared
    """
    from liushui.ledger.access.saved_views import DEFAULT_COLUMNS, NEWEST, OLDEST, ViewQuery
    from liushui.services.views import save_view

    texts = {field: str(value) for field, value in filters.items() if value is not None}
    order = NEWEST if newest else OLDEST
    query = ViewQuery(texts, tuple(dict.fromkeys(accounts)), columns or DEFAULT_COLUMNS, order, zone)
    view, _ = save_view(
        settings.open_ledger(),
        _owner(),
        name,
        query,
        is_shared=shared,
        is_default=is_default or None,
        overwrite=replace,
    )
    emit_one(_record(view, is_default=is_default, is_table=settings.format is Format.TABLE), settings.format)


@view.command()
@_name
@click.option("--name", "new_name", metavar="NEW", help="Another name.")
@click.option("--shared/--private", "is_shared", default=None, help="Share it, or show it to its owner only.")
@options.ledger_only
def change(settings: Settings, name: str, new_name: str | None, is_shared: bool | None) -> None:
    """Rename a view, share it, or keep it private again.

    \b
    Example: liushui view change Refunds --name "Refunds of the shop" --private
    """
    from liushui.services.views import change_view

    if new_name is None and is_shared is None:
        raise ConfigError("name: expected --name, --shared or --private")
    view = change_view(settings.open_ledger(), _owner(), name, new_name, is_shared=is_shared)
    messages.plain(f"{view.name} is {'shared' if view.is_shared else 'private'}")


@view.command()
@click.argument("name", required=False, metavar="[NAME]", help="The name of the view. (default: no view)")
@options.ledger_only
def default(settings: Settings, name: str | None) -> None:
    """Choose the view with which the owner's list of flows opens on the page. Without a name, it shows all flows."""
    from liushui.services.views import set_default

    set_default(settings.open_ledger(), _owner(), name)
    messages.plain(f"the list begins with {'all flows' if name is None else name}")


@view.command()
@_name
@options.ledger_only
def remove(settings: Settings, name: str) -> None:
    """Remove a view. Its flows stay."""
    from liushui.services.views import remove_view

    remove_view(settings.open_ledger(), _owner(), name)
    messages.plain(f"removed {name}")


def _owner() -> "Principal":
    from liushui.services.access import owner

    return owner("command line")


def _column_help() -> str:
    from liushui.ledger.access.saved_views import COLUMNS, DEFAULT_COLUMNS

    others = [name for name in COLUMNS if name not in DEFAULT_COLUMNS]
    return f"(default: {', '.join(DEFAULT_COLUMNS)}; others: {', '.join(others)})"


def _record(view: "SavedView", *, is_default: bool, is_table: bool) -> Record:
    query = view.query
    texts = [f"{name} {text}" for name, text in query.filter.items()] or None
    return {
        "name": view.name,
        "owner": view.owner,
        "shared": view.is_shared,
        "default": is_default,
        "filter": texts if is_table else query.filter,
        "accounts": list(query.accounts) or None,
        "columns": list(query.columns),
        "order": query.order,
        "zone": query.zone or None,
    }
