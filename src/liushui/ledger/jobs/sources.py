"""Sources: which account is collected from where, with which credentials. And the runs of their syncs."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from liushui.errors import ConfigError, short_repr
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.sql_dialects import insert_new, upsert
from liushui.ledger.schema import accounts, runs, sources

NAME_MAX: Final = 64


class Source(NamedTuple):
    """Where an account's flows come from."""

    account: str
    provider: str
    zone: str
    base_url: str
    credentials: dict[str, str]
    since: datetime
    paced: bool
    paused: bool = False
    """Whether the scheduler passes it over. A sync that somebody asks for is made all the same."""


class Run(NamedTuple):
    """One sync of one account. `error` is empty where all went well."""

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
    """Record a source for an account that is there. Raises ConfigError where it has one."""
    sealed = ledger.vault.seal(credentials)
    values = {
        "account": account,
        "base_url": base_url,
        "credentials": sealed,
        "since_us": to_us(since),
        "paced": paced,
        "created_at_us": to_us(ledger.clock()),
    }
    with ledger.writing() as connection:
        if not insert_new(connection, sources, values):
            raise ConfigError(f"source: there is one named {short_repr(account)} already")


def change_credentials(ledger: Ledger, account: str, credentials: dict[str, str]) -> None:
    """Give a source other credentials. A sync that runs ends with those it began with. Raises ConfigError where there
    is no such source."""
    sealed = ledger.vault.seal(credentials)
    with ledger.writing() as connection:
        changed = connection.execute(
            sources.update().where(sources.c.account == account).values(credentials=sealed)
        ).rowcount
    if not changed:
        raise ConfigError(f"source: there is none named {short_repr(account)}")


def check_name(name: str) -> None:
    """Raises ConfigError for what cannot be the name of a source: 1 to 64 letters, digits or - _ . @"""
    if not 1 <= len(name) <= NAME_MAX or not all(letter.isalnum() or letter in "-_.@" for letter in name):
        raise ConfigError(f"name: expected 1 to {NAME_MAX} letters, digits or - _ . @, got {short_repr(name)}")


def remove_source(ledger: Ledger, account: str) -> None:
    """Forget a source and its credentials. Its flows stay. Raises ConfigError where there is none."""
    with ledger.writing() as connection:
        if not connection.execute(sources.delete().where(sources.c.account == account)).rowcount:
            raise ConfigError(f"source: there is none named {short_repr(account)}")


def pause_source(ledger: Ledger, account: str, *, paused: bool) -> None:
    """Have the scheduler pass a source over, or not any more. Raises ConfigError where there is none."""
    with ledger.writing() as connection:
        if not connection.execute(sources.update().where(sources.c.account == account).values(paused=paused)).rowcount:
            raise ConfigError(f"source: there is none named {short_repr(account)}")


def list_sources(ledger: Ledger) -> list[Source]:
    """Every source, by account, its credentials decrypted."""
    vault = ledger.vault
    with ledger.reading() as connection:
        found = connection.execute(
            sa.select(sources, accounts.c.provider, accounts.c.zone)
            .join(accounts, accounts.c.account == sources.c.account)
            .order_by(sources.c.account)
        ).all()
    return [
        Source(
            account=row.account,
            provider=row.provider,
            zone=row.zone,
            base_url=row.base_url,
            credentials=vault.open(row.credentials),
            since=from_us(row.since_us),
            paced=bool(row.paced),
            paused=bool(row.paused),
        )
        for row in found
    ]


def sources_named(ledger: Ledger, names: list[str]) -> list[Source]:
    """The sources of those names, all of them where there are no names. Raises ConfigError."""
    every = list_sources(ledger)
    if not names:
        if not every:
            raise ConfigError("there is no source yet: `liushui source add` makes one")
        return every
    by_name = {source.account: source for source in every}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"source: expected one of {', '.join(by_name) or 'none'}, got {short_repr(name)}")
    return [by_name[name] for name in names]


def record_run(ledger: Ledger, run: Run) -> None:
    """Keep what is known of a run; a later call for the same account and start replaces it."""
    values = {
        "account": run.account,
        "started_at_us": to_us(run.started_at),
        "ended_at_us": to_us(run.ended_at) if run.ended_at else None,
        "slices": run.slices,
        "rows_in": run.rows_in,
        "added": run.added,
        "gaps": run.gaps,
        "error": run.error,
    }
    with ledger.writing() as connection:
        upsert(connection, runs, values)


def list_runs(ledger: Ledger, account: str, *, limit: int, before: datetime | None = None) -> list[Run]:
    """The runs of an account that began before an instant, the newest first."""
    query = sa.select(runs).where(runs.c.account == account).order_by(runs.c.started_at_us.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.started_at_us < to_us(before))
    with ledger.reading() as connection:
        return [_run(row) for row in connection.execute(query)]


def last_runs(ledger: Ledger) -> dict[str, Run]:
    """The latest run of each account."""
    latest = sa.select(runs.c.account, sa.func.max(runs.c.started_at_us).label("started")).group_by(runs.c.account)
    last = latest.subquery()
    with ledger.reading() as connection:
        found = connection.execute(
            sa.select(runs).join(
                last, sa.and_(runs.c.account == last.c.account, runs.c.started_at_us == last.c.started)
            )
        ).all()
    return {row.account: _run(row) for row in found}


def _run(row: sa.Row[Any]) -> Run:
    return Run(
        account=row.account,
        started_at=from_us(row.started_at_us),
        ended_at=None if row.ended_at_us is None else from_us(row.ended_at_us),
        slices=row.slices,
        rows_in=row.rows_in,
        added=row.added,
        gaps=row.gaps,
        error=row.error,
    )
