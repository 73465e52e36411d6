"""Accounts of a program's own: flows that it records itself, each under a reference that it chose. Nobody proves them.

A reference names one flow of an account, whatever its time. Recording it again with the same content changes nothing;
with other content it is a conflict, unless the program says that it restates it. One call is one transaction.
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

from liushui.errors import ConfigError, short_repr
from liushui.flow import Flow
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import BATCH, COLUMNS, ID, WIRE, Row, to_row
from liushui.ledger.schema import accounts, recordings
from liushui.ledger.write.change import RECORDED, RESTATED, Change
from liushui.ledger.write.commit import commit_changes, make_account
from liushui.provider import DecodedRow

OWN: Final = "own"
"""The provider of such accounts."""

_FACTS_END: Final = WIRE
_ASKED_AT_ONCE: Final = 100


class Outcome(StrEnum):
    """What became of a flow that was recorded."""

    ADDED = "added"
    KNOWN = "known"
    """It was there already, with the same content."""
    RESTATED = "restated"


class Differs(NamedTuple):
    """A flow whose reference has other content. `place` is its place among those that were given."""

    place: int
    reference: str
    field: str
    kept: object
    given: object


class Conflict(Exception):
    """Flows of an account differ from what is kept under their references. Nothing was changed."""

    def __init__(self, differences: list[Differs]) -> None:
        super().__init__(f"{len(differences)} references have other content")
        self.differences = differences
        self.account = ""


class KeyReused(Exception):
    """The key was used for something else before. Nothing was changed."""


@dataclass(frozen=True)
class Keyed:
    """A key that makes a call repeatable: who uses it, and the digest of all that was asked under it."""

    writer: str
    key: str
    digest: str


@dataclass
class Recorded:
    """What became of each flow, in the order that they were given in."""

    outcomes: list[Outcome] = field(default_factory=list)
    again: bool = False
    """Whether it was done before, under the same key, and is only told again."""


def make_own_account(ledger: Ledger, name: str, zone: str) -> None:
    """Make an account of a program's own. Raises ConfigError where it is there and is otherwise."""
    query = sa.select(accounts.c.provider, accounts.c.zone).where(accounts.c.account == name)
    with ledger.reading() as connection:
        found = connection.execute(query).first()
    if found is None:
        make_account(ledger, name, OWN, zone)
    elif (found.provider, found.zone) != (OWN, zone):
        there = f"{found.provider} in {found.zone}"
        raise ConfigError(f"account {short_repr(name)} is there already, of {there}: choose another name")


def record(
    ledger: Ledger, account: str, flows: Sequence[Flow], *, restate: bool = False, keyed: Keyed | None = None
) -> Recorded:
    """Record flows under their identities, all of them or none, in one transaction.

    Raises Conflict, KeyReused, and ConfigError where the account is collected from a provider.
    """
    return record_all(ledger, {account: flows}, restate=restate, keyed=keyed)[account]


def record_all(
    ledger: Ledger, flows: Mapping[str, Sequence[Flow]], *, restate: bool = False, keyed: Keyed | None = None
) -> dict[str, Recorded]:
    """Record flows of several accounts, all of them or none, in one transaction; raises what `record` does.

    On a ledger whose accounts are spread over nodes it is one an account, for no commit there is of two: what stands in
    the way of one account then leaves those before it recorded.
    """
    done = {account: Recorded() for account in flows}

    def plan(account: str, connection: Connection, batch: int) -> Change:
        mine = done[account]
        mine.outcomes.clear()
        _check_own(connection, account)
        if keyed is not None and (told := _told(connection, account, keyed)) is not None:
            mine.outcomes, mine.again = told, True
            return Change()
        try:
            change = _compare(connection, account, flows[account], batch, restate=restate, outcomes=mine.outcomes)
        except Conflict as conflict:
            conflict.account = account
            raise
        if keyed is not None:
            _remember(connection, ledger, account, keyed, mine.outcomes)
        return change

    plans = {account: partial(plan, account) for account in flows}
    for together in _together(ledger, list(plans)):
        commit_changes(ledger, {account: plans[account] for account in together}, RECORDED)
    return done


def _together(ledger: Ledger, names: list[str]) -> list[list[str]]:
    """The accounts that one transaction may write to."""
    if len(names) > 1:
        with ledger.reading() as connection:
            if ledger.is_distributed(connection):
                return [[name] for name in names]
    return [names]


def conflicts(ledger: Ledger, account: str, flows: Sequence[Flow], *, keyed: Keyed | None = None) -> list[Differs]:
    """Which flows have other content than is kept under their references; none where that was done under the key.

    Reads only. Raises ConfigError and KeyReused, as `record` does.
    """
    with ledger.reading() as connection:
        _check_own(connection, account)
        if keyed is not None and _told(connection, account, keyed) is not None:
            return []
        try:
            _compare(connection, account, flows, 0, restate=False, outcomes=[])
        except Conflict as conflict:
            return conflict.differences
    return []


def digest_of(*parts: bytes) -> str:
    """The digest of all that is asked under a key."""
    digest = sha256()
    for part in parts:
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
    kept = {row[ID]: row for row in _kept(connection, account, (flow.identity for flow in flows))}
    change, differences = Change(), []
    for place, flow in enumerate(flows):
        row = _row(account, flow, batch)
        old = kept.get(flow.identity)
        if old is None:
            outcomes.append(Outcome.ADDED)
        elif old[:_FACTS_END] == row[:_FACTS_END]:
            outcomes.append(Outcome.KNOWN)
            continue
        elif restate:
            outcomes.append(Outcome.RESTATED)
            change.ended.append((old, RESTATED))
        else:
            differences.append(_difference(place, old, row))
            continue
        change.added.append(row)
    if differences:
        raise Conflict(differences)
    change.rows_in = len(change.added)
    return change


def _row(account: str, flow: Flow, batch: int) -> Row:
    """The columns of a flow that nobody sent a row of."""
    row = to_row(account, flow.identity, DecodedRow(flow, b"", None), batch)
    return (*row[:WIRE], None, *row[WIRE + 1 : BATCH], batch)


def _difference(place: int, old: Row, new: Row) -> Differs:
    name, kept, given = next(
        (name, was, is_) for name, was, is_ in zip(COLUMNS[:_FACTS_END], old, new, strict=False) if was != is_
    )
    return Differs(place, str(new[ID]), name, kept, given)


def _kept(connection: Connection, account: str, references: Iterable[str]) -> Iterator[Row]:
    """The flows that stand under references. Some may be asked for twice, so that one statement serves all."""
    left = iter(references)
    while some := list(islice(left, _ASKED_AT_ONCE)):
        asked = [*some, *([some[-1]] * (_ASKED_AT_ONCE - len(some)))]
        for row in connection.exec_driver_sql(_SELECT_KEPT, (account, *asked)):
            yield tuple(row)


def _check_own(connection: Connection, account: str) -> None:
    provider = connection.scalar(sa.select(accounts.c.provider).where(accounts.c.account == account))
    if provider is None:
        raise ConfigError(f"account: there is none named {short_repr(account)}")
    if provider != OWN:
        raise ConfigError(
            f"account {short_repr(account)} is collected from {provider}: flows of own accounts are recorded"
        )


_LETTERS: Final = {"a": Outcome.ADDED, "k": Outcome.KNOWN, "r": Outcome.RESTATED}


def _told(connection: Connection, account: str, keyed: Keyed) -> list[Outcome] | None:
    """What was answered under a key before. None: nothing was."""
    r = recordings.c
    query = sa.select(r.digest, r.answer).where(r.account == account, r.writer == keyed.writer, r.key == keyed.key)
    found = connection.execute(query).first()
    if found is None:
        return None
    if found.digest != keyed.digest:
        raise KeyReused(f"the key {short_repr(keyed.key)} was used for something else")
    return [_LETTERS[letter] for letter in found.answer]


def _remember(connection: Connection, ledger: Ledger, account: str, keyed: Keyed, outcomes: list[Outcome]) -> None:
    connection.execute(
        recordings.insert().values(
            account=account,
            writer=keyed.writer,
            key=keyed.key,
            digest=keyed.digest,
            answer="".join(outcome.value[0] for outcome in outcomes),
            recorded_at_us=to_us(ledger.clock()),
        )
    )


_SELECT_KEPT: Final = f"""
SELECT {", ".join(COLUMNS)} FROM flows
WHERE account = ? AND wire IS NULL AND id IN ({", ".join("?" * _ASKED_AT_ONCE)})
"""
