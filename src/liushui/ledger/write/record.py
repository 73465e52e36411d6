"""Own accounts: a program records the flows itself, each under a reference that it chose.

A reference identifies one flow of an account, independent of its time. Recording it again with the same content changes
nothing. With other content it is a conflict, unless the program asks to restate it. One call is one transaction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AccountNotFound, AlreadyExists, ConfigError, short_repr
from liushui.flow import Flow
from liushui.instant import load_zone, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import BATCH, COLUMNS, ID, WIRE, Row, to_row
from liushui.ledger.schema import accounts, recordings
from liushui.ledger.write.change import RECORDED, RESTATED, Change
from liushui.ledger.write.commit import commit_changes, insert_account
from liushui.provider import DecodedRow

OWN: Final = "own"
"""The provider of own accounts."""

_FACTS_END: Final = WIRE
_REFERENCES_PER_SELECT: Final = 100


class NotOwnAccount(ConfigError):
    """The account is collected from a provider, so nothing can be recorded in it."""


class Outcome(StrEnum):
    """The result of recording a flow."""

    ADDED = "added"
    KNOWN = "known"
    """Nothing was done, because the flow was already recorded with the same content."""
    RESTATED = "restated"


class Difference(NamedTuple):
    """A flow whose reference was recorded before with other content. `position` is the index of the flow in the call,
    from 0."""

    position: int
    reference: str
    field: str
    recorded: object
    given: object


class Conflict(Exception):
    """Flows differ from those recorded under the same references. Nothing was changed."""

    def __init__(self, differences: list[Difference]) -> None:
        super().__init__(f"{len(differences)} references have other content")
        self.differences = differences
        self.account = ""


class KeyReused(Exception):
    """The idempotency key was used before for another request. Nothing was changed."""


@dataclass(frozen=True)
class IdempotencyKey:
    """Makes a call repeatable: the owner of the key, and the digest of the whole request."""

    writer: str
    key: str
    digest: str


@dataclass
class RecordResult:
    """The outcome for each flow, in the order of the call."""

    outcomes: list[Outcome] = field(default_factory=list)
    repeated: bool = False
    """Whether the same key was used before: then these are the outcomes of that call, and this call did nothing."""


def make_own_account(ledger: Ledger, name: str, zone: str) -> None:
    """Create an own account. An existing account with the same zone is not changed. One transaction.

    Raises AlreadyExists if it exists with another provider or zone.
    """
    load_zone(zone)
    query = sa.select(accounts.c.provider, accounts.c.zone).where(accounts.c.account == name)
    with ledger.writing() as connection:
        insert_account(connection, name, OWN, zone, ledger.clock())
        existing = connection.execute(query).one()
        if existing.zone != zone:
            raise AlreadyExists(
                f"account {short_repr(name)} is there already, of {OWN} in {existing.zone}: choose another name"
            )


def record(
    ledger: Ledger, account: str, flows: Sequence[Flow], *, restate: bool = False, key: IdempotencyKey | None = None
) -> RecordResult:
    """Record flows under their identities, all or none of them, in one transaction.

    Raises Conflict, KeyReused, AccountNotFound, NotOwnAccount.
    """
    return record_all(ledger, {account: flows}, restate=restate, key=key)[account]


def record_all(
    ledger: Ledger, flows: Mapping[str, Sequence[Flow]], *, restate: bool = False, key: IdempotencyKey | None = None
) -> dict[str, RecordResult]:
    """Record flows of several accounts, all or none of them, in one transaction. Raises as `record`.

    On a ledger distributed by Citus, each account is its own transaction, because there is no commit over two nodes. If
    one account fails, the accounts before it stay recorded.
    """
    results = {account: RecordResult() for account in flows}

    def plan(account: str, connection: Connection, batch: int) -> Change:
        result = results[account]
        result.outcomes.clear()
        _check_own(connection, account)
        if key is not None and (previous := _previous_outcomes(connection, account, key)) is not None:
            result.outcomes, result.repeated = previous, True
            return Change()
        try:
            change = _compare(connection, account, flows[account], batch, restate=restate, outcomes=result.outcomes)
        except Conflict as conflict:
            conflict.account = account
            raise
        if key is not None:
            _remember(connection, ledger, account, key, result.outcomes)
        return change

    plans = {account: partial(plan, account) for account in flows}
    for group in _transactions(ledger, list(plans)):
        commit_changes(ledger, {account: plans[account] for account in group}, RECORDED)
    return results


def _transactions(ledger: Ledger, names: list[str]) -> list[list[str]]:
    """Return the accounts, grouped by transaction."""
    if len(names) > 1:
        with ledger.reading() as connection:
            if ledger.is_distributed(connection):
                return [[name] for name in names]
    return [names]


def find_differences(
    ledger: Ledger, account: str, flows: Sequence[Flow], *, key: IdempotencyKey | None = None
) -> list[Difference]:
    """Return the flows that differ from those recorded under the same references. Empty if a call with `key` was made
    before.

    Reads only. Raises the same errors as `record`, except Conflict.
    """
    with ledger.reading() as connection:
        _check_own(connection, account)
        if key is not None and _previous_outcomes(connection, account, key) is not None:
            return []
        try:
            _compare(connection, account, flows, 0, restate=False, outcomes=[])
        except Conflict as conflict:
            return conflict.differences
    return []


def request_digest(*parts: bytes) -> str:
    """Return the digest of a request under an idempotency key."""
    digest = sha256()
    for part in parts:
        # lengths are included, so that different parts never give the same bytes
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def _compare(
    connection: Connection,
    account: str,
    flows: Sequence[Flow],
    batch: int,
    *,
    restate: bool,
    outcomes: list[Outcome],
) -> Change:
    recorded = {row[ID]: row for row in _recorded_flows(connection, account, (flow.identity for flow in flows))}
    change, differences = Change(), []
    for index, flow in enumerate(flows):
        row = _row(account, flow, batch)
        old = recorded.get(flow.identity)
        if old is None:
            outcomes.append(Outcome.ADDED)
        elif old[:_FACTS_END] == row[:_FACTS_END]:
            outcomes.append(Outcome.KNOWN)
            continue
        elif restate:
            outcomes.append(Outcome.RESTATED)
            change.ended.append((old, RESTATED))
        else:
            differences.append(_difference(index, old, row))
            continue
        change.added.append(row)
    if differences:
        raise Conflict(differences)
    change.rows_in = len(change.added)
    return change


def _row(account: str, flow: Flow, batch: int) -> Row:
    """Return the columns of a flow that has no row of a provider."""
    row = to_row(account, flow.identity, DecodedRow(flow, b"", None), batch)
    return (*row[:WIRE], None, *row[WIRE + 1 : BATCH], batch)


def _difference(index: int, old: Row, new: Row) -> Difference:
    columns = zip(COLUMNS[:_FACTS_END], old, new, strict=False)
    name, before, after = next((name, before, after) for name, before, after in columns if before != after)
    return Difference(index, str(new[ID]), name, before, after)


def _recorded_flows(connection: Connection, account: str, references: Iterable[str]) -> Iterator[Row]:
    remaining = iter(references)
    while chunk := list(islice(remaining, _REFERENCES_PER_SELECT)):
        # The last chunk is padded with repetitions, so that all chunks use the same statement.
        padded = [*chunk, *([chunk[-1]] * (_REFERENCES_PER_SELECT - len(chunk)))]
        for row in connection.exec_driver_sql(_SELECT_RECORDED, (account, *padded)):
            yield tuple(row)


def _check_own(connection: Connection, account: str) -> None:
    provider = connection.scalar(sa.select(accounts.c.provider).where(accounts.c.account == account))
    if provider is None:
        raise AccountNotFound(account)
    if provider != OWN:
        raise NotOwnAccount(
            f"account {short_repr(account)} is collected from {provider}: flows of own accounts are recorded"
        )


_OUTCOME_OF_LETTER: Final = {"a": Outcome.ADDED, "k": Outcome.KNOWN, "r": Outcome.RESTATED}


def _previous_outcomes(connection: Connection, account: str, key: IdempotencyKey) -> list[Outcome] | None:
    """Return the outcomes of an earlier call with the key. Raises KeyReused if that was another request."""
    r = recordings.c
    query = sa.select(r.digest, r.answer).where(r.account == account, r.writer == key.writer, r.key == key.key)
    previous = connection.execute(query).first()
    if previous is None:
        return None
    if previous.digest != key.digest:
        raise KeyReused(f"the key {short_repr(key.key)} was used for something else")
    return [_OUTCOME_OF_LETTER[letter] for letter in previous.answer]


def _remember(
    connection: Connection, ledger: Ledger, account: str, key: IdempotencyKey, outcomes: list[Outcome]
) -> None:
    connection.execute(
        recordings.insert().values(
            account=account,
            writer=key.writer,
            key=key.key,
            digest=key.digest,
            answer="".join(outcome.value[0] for outcome in outcomes),
            recorded_at_us=to_us(ledger.clock()),
        )
    )


_SELECT_RECORDED: Final = f"""
SELECT {", ".join(COLUMNS)} FROM flows
WHERE account = ? AND wire IS NULL AND id IN ({", ".join("?" * _REFERENCES_PER_SELECT)})
"""
