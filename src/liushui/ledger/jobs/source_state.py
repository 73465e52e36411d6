"""The state that syncs of a source store for the next ones: a requested wait, the provider's clock, doubted reads.

All of it is stored as observations: the observed behaviour of a source's service, apart from its documentation. Other
observations are the largest page, the longest range that it answers, and a parameter that it ignores. A sync starts
with them instead of finding them again. They prove nothing: if one no longer holds, a sync notices it and stores the
new value. Only one sync of an account writes them at a time.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from liushui.instant import from_us, to_us
from liushui.ledger.engines.base import Ledger, Queries

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class Observation(NamedTuple):
    """One thing that was observed of the service of an account's source. `name` says how to read the `value`."""

    account: str
    name: str
    value: str
    observed_at: datetime


def list_observations(ledger: Ledger, account: str | None = None) -> list[Observation]:
    """The observations of an account, or of all, by account and name."""
    with ledger.querying() as queries:
        return read_observations(queries, account)


def read_observations(queries: Queries, account: str | None = None) -> list[Observation]:
    """`list_observations` in the caller's transaction."""
    only, values = ("", ()) if account is None else ("WHERE account = ?", (account,))
    rows = queries.rows(f"{_SELECT} {only} ORDER BY account, name", *values)
    return [Observation(of, name, value, from_us(at_us)) for of, name, value, at_us in rows]


def find_observation(ledger: Ledger, account: str, name: str) -> Observation | None:
    """One observation of an account. None: nothing of that name was observed."""
    return next((known for known in list_observations(ledger, account) if known.name == name), None)


_SELECT: Final = "SELECT account, name, value, observed_at_us FROM observations"


def record_observations(ledger: Ledger, observed: Iterable[Observation]) -> None:
    """Store observations. Each replaces the one of the same account and name. One transaction."""
    with ledger.writing() as connection:
        store_observations(connection, observed)


def store_observations(connection: "Connection", observed: Iterable[Observation]) -> None:
    """`record_observations` in the caller's transaction."""
    from liushui.ledger.schema import observations, to_columns, upsert  # imported here: readers need no SQLAlchemy

    # In one order, so that two transactions with the same keys cannot each wait for the other.
    for observation in sorted(observed):
        upsert(connection, observations, to_columns(observations, observation))


def forget_observations(ledger: Ledger, account: str, *names: str) -> None:
    """Delete observations of an account: those of these names, or all. Does nothing if there are none."""
    with ledger.writing() as connection:
        delete_observations(connection, account, *names)


def delete_observations(connection: "Connection", account: str, *names: str) -> None:
    """`forget_observations` in the caller's transaction."""
    from liushui.ledger.schema import observations

    query = observations.delete().where(observations.c.account == account)
    connection.execute(query.where(observations.c.name.in_(names)) if names else query)


# ---------------------------------------------------------------- what the next sync must know


WAIT: Final = "wait"
CLOCK_OFFSET: Final = "clock_offset"
UNPROVEN: Final = "unproven_credentials"
REPEATED_ROWS: Final = "repeated_rows"
DOUBT: Final = "doubt:"
"""Names of observations. That of a doubt ends with the beginning of its range."""

_HASH_BYTES: Final = 4
_MICROSECOND: Final = timedelta(microseconds=1)


class Wait(NamedTuple):
    """The provider wants no calls before an instant."""

    until: datetime
    reason: str


class Doubt(NamedTuple):
    """A range whose read lacked many known rows, so that it was not believed. Times are in microseconds.

    `missing` has a short hash of each missing row. `believed`: a later read agreed, so the rows were withdrawn; the
    range is still read again for some time.
    """

    since_us: int
    until_us: int
    first_read_us: int
    rows: int
    missing: frozenset[bytes] = frozenset()
    believed: bool = False

    def overlaps(self, since_us: int, until_us: int) -> bool:
        """Whether the range shares an instant with [since, until)."""
        return self.since_us < until_us and since_us < self.until_us


class SourceState(NamedTuple):
    """The known facts about a source's service, apart from its coverage."""

    wait: Wait | None = None
    clock_offset: timedelta | None = None
    """The offset from this machine's time to the provider's, if the last sync found a difference."""
    doubts: tuple[Doubt, ...] = ()
    has_ended_wait: bool = False
    """Whether the ledger still stores a wait that has ended."""
    is_unproven: bool = False
    """Whether it is still unchecked that the credentials read the ledger's account."""
    clock_checked_at: datetime | None = None
    """When `clock_offset` was measured, by this machine's clock. None: there is no difference."""
    repeated_rows: int = 0
    """How often the answers of a sync listed a record a second time."""
    repeated_at: datetime | None = None
    """When the last sync that saw such answers ended."""


class _StoredWait(msgspec.Struct):
    until_us: int
    reason: str


class _StoredDoubt(msgspec.Struct):
    since_us: int
    until_us: int
    first_read_us: int
    rows: int
    missing: str
    believed: bool


def row_hash(at_us: object, id_: object) -> bytes:
    """The short hash of a flow's key."""
    return blake2b(f"{at_us} {id_}".encode(), digest_size=_HASH_BYTES).digest()


def read_state(observed: Iterable[Observation], now: datetime) -> SourceState:
    """The state in the observations of one account. A wait that has ended or is implausible is left out."""
    state = SourceState()
    doubts: list[Doubt] = []
    for observation in observed:
        if observation.name == WAIT:
            wait = _read_wait(observation, now)
            state = state._replace(wait=wait, has_ended_wait=wait is None)
        elif observation.name == UNPROVEN:
            state = state._replace(is_unproven=True)
        elif observation.name == CLOCK_OFFSET:
            offset = int(observation.value) * _MICROSECOND
            state = state._replace(clock_offset=offset, clock_checked_at=observation.observed_at)
        elif observation.name == REPEATED_ROWS:
            state = state._replace(repeated_rows=int(observation.value), repeated_at=observation.observed_at)
        elif observation.name.startswith(DOUBT):
            stored = msgspec.json.decode(observation.value, type=_StoredDoubt)
            packed = b64decode(stored.missing)
            hashes = (packed[at : at + _HASH_BYTES] for at in range(0, len(packed), _HASH_BYTES))
            doubts.append(
                Doubt(
                    stored.since_us,
                    stored.until_us,
                    stored.first_read_us,
                    stored.rows,
                    frozenset(hashes),
                    stored.believed,
                )
            )
    return state._replace(doubts=tuple(doubts))


def load_state(ledger: Ledger, account: str, now: datetime) -> SourceState:
    """The state of an account's source."""
    return read_state(list_observations(ledger, account), now)


def read_states(queries: Queries, now: datetime) -> dict[str, SourceState]:
    """The stored states of all sources, by account, in the caller's transaction."""
    by_account = groupby(read_observations(queries), key=lambda observation: observation.account)
    return {account: read_state(observed, now) for account, observed in by_account}


def _read_wait(observation: Observation, now: datetime) -> Wait | None:
    stored = msgspec.json.decode(observation.value, type=_StoredWait)
    # If a clock was set back since, the wait must not become longer than the provider asked for.
    until = min(from_us(stored.until_us), now + (from_us(stored.until_us) - observation.observed_at))
    return Wait(until, stored.reason) if until > now else None


def record_wait(ledger: Ledger, account: str, wait: Wait | None, now: datetime) -> None:
    """Store the wait that the provider asked for. None: calls are allowed again."""
    if wait is None:
        forget_observations(ledger, account, WAIT)
        return
    value = msgspec.json.encode(_StoredWait(to_us(wait.until), wait.reason)).decode()
    record_observations(ledger, [Observation(account, WAIT, value, now)])


def delete_wait(connection: "Connection", account: str) -> None:
    """Forget the wait that the provider asked for, in the caller's transaction."""
    delete_observations(connection, account, WAIT)


def record_unproven(ledger: Ledger, account: str, *, is_unproven: bool) -> None:
    """Store whether the credentials still have to be proven."""
    with ledger.writing() as connection:
        store_unproven(connection, account, ledger.clock(), is_unproven=is_unproven)


def store_unproven(connection: "Connection", account: str, now: datetime, *, is_unproven: bool) -> None:
    """`record_unproven` in the caller's transaction."""
    if is_unproven:
        store_observations(connection, [Observation(account, UNPROVEN, "", now)])
    else:
        delete_observations(connection, account, UNPROVEN)


def record_clock(ledger: Ledger, account: str, offset: timedelta, now: datetime) -> None:
    """Store how far this machine's clock is off. None: it is right."""
    if not offset:
        forget_observations(ledger, account, CLOCK_OFFSET)
        return
    record_observations(ledger, [Observation(account, CLOCK_OFFSET, str(offset // _MICROSECOND), now)])


def replace_doubts(
    ledger: Ledger, account: str, before: Sequence[Doubt], after: Sequence[Doubt], now: datetime
) -> None:
    """Store the doubts of an account. They replace the earlier ones."""
    names = {_name(doubt) for doubt in before} - {_name(doubt) for doubt in after}
    if names:
        forget_observations(ledger, account, *names)
    record_observations(ledger, [Observation(account, _name(doubt), _stored(doubt), now) for doubt in after])


def _name(doubt: Doubt) -> str:
    return f"{DOUBT}{doubt.since_us}"


def _stored(doubt: Doubt) -> str:
    packed = b64encode(b"".join(sorted(doubt.missing))).decode()
    return msgspec.json.encode(
        _StoredDoubt(doubt.since_us, doubt.until_us, doubt.first_read_us, doubt.rows, packed, doubt.believed)
    ).decode()
