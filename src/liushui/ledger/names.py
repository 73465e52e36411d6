"""The earlier names of accounts. Reads only.

A renamed account has its new name everywhere. Its earlier names are kept for three reasons. The batches before the
rename are sealed with the earlier name. Certificates, heads files and expected links from outside may use it. And other
programs know its flows by identifiers that are derived from the first name. No other account ever gets an earlier name,
so each name refers to one chain for ever.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.errors import AccountNotFound, AccountRenamed, AlreadyExists, short_repr
from liushui.ledger.chain import RENAMED, Facts, describe_names
from liushui.ledger.engines.base import Queries, queries_of
from liushui.ledger.flow_row import Row, served_identity

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

IdentityOf = Callable[[str, str], str]
"""Gives the identity of a flow for other programs, by its account's current name and its id."""


class EarlierName(NamedTuple):
    """A name that an account had until a batch, that batch included."""

    until_batch: int
    name: str


class SealedNames(NamedTuple):
    """The names with which the batches of an account are sealed. `earlier` is ordered by batch."""

    account: str
    earlier: tuple[EarlierName, ...] = ()

    @property
    def first(self) -> str:
        """The name with which the chain begins."""
        return self.earlier[0].name if self.earlier else self.account

    def at(self, batch: int) -> str:
        """The name with which a batch is sealed."""
        return next((one.name for one in self.earlier if batch <= one.until_batch), self.account)

    def changes(self) -> Iterator[tuple[int, str, str]]:
        """Return the number, the state and the reason of each batch that must seal a change of the name."""
        for one in self.earlier:
            number = one.until_batch + 1
            yield number, RENAMED, describe_names(one.name, self.at(number))


def sealed_names(queries: Queries, account: str) -> SealedNames:
    """Return the names with which the batches of an account are sealed."""
    return SealedNames(account, tuple(EarlierName(*row) for row in queries.rows(_SELECT_NAMES, account)))


def named_facts(facts: Facts, names: SealedNames, batch: int) -> Facts:
    """Return the facts of a batch, read from the tables, with the name with which the batch is sealed."""
    name = names.at(batch)
    if name == names.account:
        return facts

    def renamed(rows: Iterable[Row]) -> Iterator[Row]:
        return ((name, *row[1:]) for row in rows)

    # The first column of these parts is the account. The other parts do not name it.
    return facts._replace(
        added=renamed(facts.added), quarantined=renamed(facts.quarantined), edges=renamed(facts.edges)
    )


def first_names(queries: Queries) -> dict[str, str]:
    """Return the name with which the chain of each renamed account begins, by its current name."""
    names: dict[str, str] = {}
    for account, _until_batch, name in queries.rows(_SELECT_ALL):
        names.setdefault(account, name)
    return names


def identities_of(queries: Queries) -> IdentityOf:
    """Return the function that gives the identity of a flow for other programs: see `served_identity`. It stays the
    same when the account is renamed, because it is derived from the account's first name."""
    first = first_names(queries)
    if not first:
        return served_identity
    return lambda account, id_: served_identity(first.get(account, account), id_)


def current_names(queries: Queries) -> dict[str, str]:
    """Return the current name of each renamed account, by each of its earlier names."""
    return {name: account for account, _until_batch, name in queries.rows(_SELECT_ALL) if name != account}


def current_name(connection: "Connection", name: str) -> str:
    """Return the current name of the account that has or had this name; the same name if no account was renamed."""
    return str(queries_of(connection).value(_SELECT_CURRENT, name) or name)


def count_renames(queries: Queries) -> int:
    """Return how often accounts were renamed. The number never decreases."""
    return int(queries.value("SELECT count(*) FROM account_names"))


def no_account(connection: "Connection", name: str) -> AccountNotFound:
    """Return the error for a name that no account has. It says so if the account was renamed."""
    current = current_name(connection, name)
    return AccountNotFound(name) if current == name else AccountRenamed(name, current)


def check_not_earlier(connection: "Connection", name: str, account: str | None = None) -> None:
    """Raises AlreadyExists if a name is an earlier name of an account, other than of `account`."""
    current = current_name(connection, name)
    if current not in (name, account):
        raise AlreadyExists(
            f"account: {short_repr(name)} is the earlier name of {short_repr(current)}, whose records outside of the "
            "ledger use it: choose another name"
        )


_SELECT_NAMES: Final = "SELECT until_batch, name FROM account_names WHERE account = ? ORDER BY until_batch"
_SELECT_ALL: Final = "SELECT account, until_batch, name FROM account_names ORDER BY account, until_batch"
_SELECT_CURRENT: Final = "SELECT account FROM account_names WHERE name = ? LIMIT 1"
