"""Observations: what a source's service was seen to do, beside what its documents say.

The most rows that it gives in one page, the longest range that it answers, a parameter that it ignores. A sync starts
from them, so that it does not have to find them again. Nothing is proven by them: a sync finds out by itself where one
is not true any more, and stores what it sees then.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.engine import Ledger
from liushui.ledger.record_columns import from_row, to_columns, upsert
from liushui.ledger.schema import observations


class Observation(NamedTuple):
    """One thing that was observed of the service of an account's source. `name` says how to read the `value`."""

    account: str
    name: str
    value: str
    observed_at: datetime


def list_observations(ledger: Ledger, account: str | None = None) -> list[Observation]:
    """The observations of an account, or of all, by account and name."""
    query = sa.select(observations).order_by(observations.c.account, observations.c.name)
    if account is not None:
        query = query.where(observations.c.account == account)
    with ledger.reading() as connection:
        return [from_row(Observation, row) for row in connection.execute(query)]


def find_observation(ledger: Ledger, account: str, name: str) -> Observation | None:
    """One observation of an account. None: nothing of that name was observed."""
    c = observations.c
    with ledger.reading() as connection:
        row = connection.execute(sa.select(observations).where(c.account == account, c.name == name)).first()
    return None if row is None else from_row(Observation, row)


def record_observations(ledger: Ledger, observed: Iterable[Observation]) -> None:
    """Store observations. Each replaces the one of the same account and name. One transaction."""
    with ledger.writing() as connection:
        store_observations(connection, observed)


def store_observations(connection: Connection, observed: Iterable[Observation]) -> None:
    """`record_observations` in the caller's transaction."""
    # In one order, so that two transactions with the same keys cannot each wait for the other.
    for observation in sorted(observed):
        upsert(connection, observations, to_columns(observations, observation))


def forget_observations(ledger: Ledger, account: str, *names: str) -> None:
    """Delete observations of an account: those of these names, or all. Does nothing where there are none."""
    with ledger.writing() as connection:
        delete_observations(connection, account, *names)


def delete_observations(connection: Connection, account: str, *names: str) -> None:
    """`forget_observations` in the caller's transaction."""
    query = observations.delete().where(observations.c.account == account)
    connection.execute(query.where(observations.c.name.in_(names)) if names else query)
