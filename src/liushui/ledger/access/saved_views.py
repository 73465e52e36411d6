"""Saved views: a filter of the list of flows with its columns, order and time zone, under a name.

A view belongs to one owner, and is private or shared with everyone who reads the ledger. An owner is named by a text:
`owner` for the owner of the ledger, `user NAME` for a user, `token ID` for a token. Views end with their owner.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, short_repr
from liushui.instant import load_zone, to_us
from liushui.ledger.schema import default_views, from_row, insert_new, saved_views, upsert

NAME_MAX: Final = 80
VIEWS_MAX: Final = 200
"""Views of one owner: their menu is meant to be read."""

LEDGER_OWNER: Final = "owner"
"""Whom the views belong to that are saved by the command line, or by whoever logs in by link or owner's password."""

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("at",),
    "account": ("account", "subaccount"),
    "kind": ("kind",),
    "description": ("label", "name", "note"),
    "symbol": ("symbol",),
    "amount": ("amount",),
    "currency": ("currency",),
    "balance": ("balance_after",),
    "direction": ("direction",),
    "category": ("category",),
    "reference": ("ref",),
    "order_reference": ("order_ref",),
}
"""The columns of a view, in their order, and the fields of a flow that each shows."""
DEFAULT_COLUMNS: Final = tuple(COLUMNS)[:8]

NEWEST, OLDEST = ORDERS = ("newest", "oldest")
"""Which flows come first."""

ACCOUNT_ZONE: Final = "account"
"""The zone of the account, or UTC if the accounts of a view have several zones."""


class ViewQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a view. `filter` has the texts of `read.filters.FIELDS` as they were typed."""

    filter: dict[str, str] = {}
    accounts: tuple[str, ...] = ()
    """Empty: all that the reader may see."""
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    order: str = NEWEST
    zone: str = ""
    """Of its times: the name of a zone, or ACCOUNT_ZONE. Empty: the reader's own setting."""


class SavedView(NamedTuple):
    """A view and whose it is."""

    owner: str
    name: str
    query: ViewQuery
    is_shared: bool
    created_at: datetime
    changed_at: datetime


class ViewKey(NamedTuple):
    """Names one view."""

    owner: str
    name: str


_decode = msgspec.json.Decoder(ViewQuery).decode


def check_name(name: str) -> None:
    """Check the name of a view. Raises InvalidField."""
    # A name is one part of an address of the API: clients would resolve dots and slashes.
    is_usable = name.isprintable() and name == name.strip() and "/" not in name and "\\" not in name and name.strip(".")
    if not is_usable or len(name) > NAME_MAX:
        expected = f"1 to {NAME_MAX} printable characters without / and \\, and not dots alone"
        raise InvalidField("name", expected, short_repr(name))


def check_display(query: ViewQuery) -> None:
    """Check the columns, the order and the zone of a query. Raises InvalidField."""
    if not query.columns:
        raise InvalidField("columns", f"some of {', '.join(COLUMNS)}", "none")
    for name in query.columns:
        if name not in COLUMNS:
            raise InvalidField("columns", f"some of {', '.join(COLUMNS)}", short_repr(name))
    if query.order not in ORDERS:
        raise InvalidField("order", " or ".join(ORDERS), short_repr(query.order))
    if query.zone not in ("", ACCOUNT_ZONE):
        try:
            load_zone(query.zone)
        except ConfigError as error:
            expected = f"{ACCOUNT_ZONE} or a time zone such as Asia/Hong_Kong"
            raise InvalidField("zone", expected, short_repr(query.zone)) from error


def in_order(columns: Collection[str]) -> tuple[str, ...]:
    """Columns in the order in which they are shown, each once."""
    return tuple(name for name in COLUMNS if name in columns)


# ---------------------------------------------------------------- reading


def list_views(connection: Connection, reader: str) -> list[SavedView]:
    """The views of a reader and all shared ones, by name. Of several views with one name, the reader's own comes first;
    the others are sorted by owner."""
    v = saved_views.c
    query = sa.select(saved_views).where(sa.or_(v.owner == reader, v.is_shared))
    views = [_view(row) for row in connection.execute(query).mappings()]
    return sorted(views, key=lambda view: (view.name.casefold(), view.name, view.owner != reader, view.owner))


def default_key(connection: Connection, reader: str) -> ViewKey | None:
    """Which view a reader's list of flows begins with. None: the list of all flows. The view may be gone."""
    row = connection.execute(sa.select(default_views).where(default_views.c.reader == reader)).mappings().first()
    return None if row is None else from_row(ViewKey, row)


def _view(row: Mapping[Any, Any]) -> SavedView:
    return from_row(SavedView, row)._replace(query=_decode(row["query"]))


# ---------------------------------------------------------------- writing, in the caller's transaction


def save_view(connection: Connection, now: datetime, view: SavedView) -> bool:
    """Store a view. If its owner has a view of that name, overwrite its query, and whether it is shared. Whether it is
    new. Raises InvalidField, ConfigError for too many views, and AlreadyExists for a shared one of another owner."""
    check_name(view.name)
    check_display(view.query)
    if view.is_shared:
        _check_shared_name(connection, view.name, view.owner)
    query = msgspec.json.encode(view.query).decode()
    values = {"query": query, "is_shared": view.is_shared, "changed_at_us": to_us(now)}
    v = saved_views.c
    is_this = sa.and_(v.owner == view.owner, v.name == view.name)
    many = connection.scalar(sa.select(sa.func.count()).where(v.owner == view.owner)) or 0
    new = {"owner": view.owner, "name": view.name, "created_at_us": to_us(now), **values}
    if insert_new(connection, saved_views, new):
        if many >= VIEWS_MAX:
            raise ConfigError(f"views: expected at most {VIEWS_MAX} of one owner: remove some first")
        return True
    connection.execute(saved_views.update().where(is_this).values(values))
    return False


def change_view(connection: Connection, now: datetime, key: ViewKey, name: str, *, is_shared: bool) -> None:
    """Give a view another name, and share it or keep it private. It stays the default of those who chose it, unless it
    is now hidden from them. Raises InvalidField, NotFound, and AlreadyExists if the name is in use."""
    check_name(name)
    v, d = saved_views.c, default_views.c
    if name != key.name:
        taken = sa.select(v.name).where(v.owner == key.owner, v.name == name)
        if connection.execute(taken).first() is not None:
            raise AlreadyExists(f"name: there is a view named {short_repr(name)} already")
    if is_shared:
        _check_shared_name(connection, name, key.owner)
    is_this = sa.and_(v.owner == key.owner, v.name == key.name)
    values = {"name": name, "is_shared": is_shared, "changed_at_us": to_us(now)}
    if not connection.execute(saved_views.update().where(is_this).values(values)).rowcount:
        raise not_found(key.name)
    is_default = sa.and_(d.owner == key.owner, d.name == key.name)
    if not is_shared:
        connection.execute(default_views.delete().where(is_default, d.reader != key.owner))
    connection.execute(default_views.update().where(is_default).values(name=name))


def remove_view(connection: Connection, key: ViewKey) -> None:
    """Delete a view. Raises NotFound."""
    v, d = saved_views.c, default_views.c
    if not connection.execute(saved_views.delete().where(v.owner == key.owner, v.name == key.name)).rowcount:
        raise not_found(key.name)
    connection.execute(default_views.delete().where(d.owner == key.owner, d.name == key.name))


def set_default(connection: Connection, reader: str, key: ViewKey | None) -> None:
    """Have a reader's list of flows begin with a view; None: with all flows."""
    if key is None:
        connection.execute(default_views.delete().where(default_views.c.reader == reader))
    else:
        upsert(connection, default_views, {"reader": reader, **key._asdict()})


def remove_views_of(connection: Connection, owners: Collection[str]) -> int:
    """Delete the views of owners who are removed, and their choices of a default view. Returns how many views there
    were."""
    d = default_views.c
    connection.execute(default_views.delete().where(sa.or_(d.owner.in_(owners), d.reader.in_(owners))))
    return connection.execute(saved_views.delete().where(saved_views.c.owner.in_(owners))).rowcount


def rename_account_in_views(connection: Connection, account: str, name: str) -> None:
    """Write an account's new name into the views that name it, in the caller's transaction."""
    v = saved_views.c
    for row in connection.execute(sa.select(v.owner, v.name, v.query).with_for_update()).all():
        query = _decode(row.query)
        if account in query.accounts:
            after = tuple(name if one == account else one for one in query.accounts)
            text = msgspec.json.encode(msgspec.structs.replace(query, accounts=after)).decode()
            is_this = sa.and_(v.owner == row.owner, v.name == row.name)
            connection.execute(saved_views.update().where(is_this).values(query=text))


def not_found(name: str) -> NotFound:
    """The error if the reader may see no view with that name."""
    return NotFound(f"view: there is none named {short_repr(name)}")


def _check_shared_name(connection: Connection, name: str, owner: str) -> None:
    """Raises AlreadyExists if another owner shares a view of that name. (If two owners share such a view at the same
    moment, both may. Readers then see both, each with its owner.)"""
    v = saved_views.c
    if connection.execute(sa.select(v.name).where(v.is_shared, v.name == name, v.owner != owner)).first() is not None:
        raise AlreadyExists(f"name: there is a shared view named {short_repr(name)} already")
