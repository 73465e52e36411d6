"""Sources: where each account is collected from, with which credentials. And the runs of their syncs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, SourceNotFound, short_repr
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import accounts, from_row, insert_new, observations, runs, sources, to_columns, upsert

NAME_MAX: Final = 64


class Source(NamedTuple):
    """The provider, credentials and settings from which an account's flows come."""

    account: str
    provider: str
    zone: str
    base_url: str
    credentials: dict[str, str]
    since: datetime
    paced: bool
    paused: bool = False
    """Whether the scheduler skips it. A sync that is requested runs all the same."""


class Run(NamedTuple):
    """One sync of one account. `error` is empty if nothing went wrong."""

    account: str
    started_at: datetime
    ended_at: datetime | None
    slices: int
    rows_in: int
    added: int
    gaps: int
    error: str


def add_source(
    ledger: Ledger, *, account: str, base_url: str, credentials: dict[str, str], since: datetime, paced: bool
) -> None:
    """Add a source to an account that exists. Raises AlreadyExists if it has one."""
    encrypted, now = ledger.vault.encrypt(credentials), ledger.clock()
    with ledger.writing() as connection:
        insert_source(
            connection, account=account, base_url=base_url, encrypted=encrypted, since=since, paced=paced, now=now
        )


def insert_source(
    connection: Connection, *, account: str, base_url: str, encrypted: str, since: datetime, paced: bool, now: datetime
) -> None:
    """Add a source with encrypted credentials in the caller's transaction. Raises AlreadyExists as `add_source`."""
    values = {
        "account": account,
        "base_url": base_url,
        "credentials": encrypted,
        "since_us": to_us(since),
        "paced": paced,
        "created_at_us": to_us(now),
    }
    if not insert_new(connection, sources, values):
        raise AlreadyExists(f"source: there is one named {short_repr(account)} already")


def check_source_name(name: str) -> None:
    """Raises ConfigError unless a name has 1 to 64 letters, digits or - _ . @"""
    if not 1 <= len(name) <= NAME_MAX or not all(letter.isalnum() or letter in "-_.@" for letter in name):
        raise ConfigError(f"name: expected 1 to {NAME_MAX} letters, digits or - _ . @, got {short_repr(name)}")


def remove_source(ledger: Ledger, account: str) -> None:
    """Delete a source, its credentials and the observations of its service. Its flows stay. Raises SourceNotFound."""
    with ledger.writing() as connection:
        connection.execute(observations.delete().where(observations.c.account == account))
        if not connection.execute(sources.delete().where(sources.c.account == account)).rowcount:
            raise SourceNotFound(account)


def pause_source(ledger: Ledger, account: str, *, paused: bool) -> None:
    """Pause a source, so that the scheduler skips it, or resume it. Raises SourceNotFound."""
    with ledger.writing() as connection:
        update_source(connection, account, {"paused": paused})


def update_source(connection: Connection, account: str, values: Mapping[str, object]) -> None:
    """Change columns of a source in the caller's transaction. Raises SourceNotFound."""
    if not connection.execute(sources.update().where(sources.c.account == account).values(values)).rowcount:
        raise SourceNotFound(account)


def list_sources(ledger: Ledger) -> list[Source]:
    """Every source, by account, its credentials decrypted."""
    vault = ledger.vault
    with ledger.reading() as connection:
        rows = connection.execute(
            sa.select(sources, accounts.c.provider, accounts.c.zone)
            .join(accounts, accounts.c.account == sources.c.account)
            .order_by(sources.c.account)
        ).all()
    return [from_row(Source, row)._replace(credentials=vault.decrypt(row.credentials)) for row in rows]


def find_sources(ledger: Ledger, names: list[str]) -> list[Source]:
    """Return the sources with those names, or all sources if no names are given. Raises ConfigError. Raises
    ConfigError."""
    existing = list_sources(ledger)
    if not names:
        if not existing:
            raise ConfigError("there is no source yet: `liushui source add` makes one")
        return existing
    by_name = {source.account: source for source in existing}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"source: expected one of {', '.join(by_name) or 'none'}, got {short_repr(name)}")
    return [by_name[name] for name in names]


def record_run(ledger: Ledger, run: Run) -> None:
    """Store a run. A later call for the same account and start replaces it."""
    with ledger.writing() as connection:
        upsert(connection, runs, to_columns(runs, run))


def list_runs(ledger: Ledger, account: str, *, limit: int, before: datetime | None = None) -> list[Run]:
    """Return the runs of an account, newest first. If an instant is given, return only the runs that began before
    it."""
    query = sa.select(runs).where(runs.c.account == account).order_by(runs.c.started_at_us.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.started_at_us < to_us(before))
    with ledger.reading() as connection:
        return [from_row(Run, row) for row in connection.execute(query)]


def last_runs(ledger: Ledger) -> dict[str, Run]:
    """The latest run of each account."""
    started = sa.select(runs.c.account, sa.func.max(runs.c.started_at_us).label("at_us")).group_by(runs.c.account)
    last = started.subquery()
    is_last = sa.and_(runs.c.account == last.c.account, runs.c.started_at_us == last.c.at_us)
    with ledger.reading() as connection:
        return {row.account: from_row(Run, row) for row in connection.execute(sa.select(runs).join(last, is_last))}
