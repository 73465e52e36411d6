"""Flows that a program records in own accounts: all or none of them, or each independently."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liushui.errors import AccountNotFound, ConfigError, InvalidField, NotFound, PermissionDenied, short_repr
from liushui.flow import Flow
from liushui.instant import load_zone
from liushui.ledger.engine import Ledger
from liushui.ledger.write import record as ledger_record
from liushui.ledger.write.record import Conflict, Difference, IdempotencyKey, NotOwnAccount, Outcome
from liushui.services.access import Principal


class Entry(NamedTuple):
    """A flow to record, and its account."""

    account: str
    flow: Flow


class RecordedEntries(NamedTuple):
    """The outcome for each entry, in order. `again`: it had been recorded with the same idempotency key."""

    outcomes: Sequence[Outcome]
    again: bool


class DuplicateReference(ConfigError):
    """Two entries have the same reference. `index`: the second of them."""

    def __init__(self, index: int, reference: str) -> None:
        super().__init__(f"reference: expected each once, got {short_repr(reference)} twice")
        self.index = index
        self.reference = reference


def create_account(ledger: Ledger, principal: Principal, name: str, zone: str) -> None:
    """Create an account in which flows can be recorded. An existing account with the same time zone is not changed.

    Raises PermissionDenied if the principal would not see it, InvalidField for an unknown time zone, and AlreadyExists
    for an account with another time zone or of a provider.
    """
    if not principal.sees(name):
        raise PermissionDenied("this needs a token for all accounts, or for one of that name")
    try:
        load_zone(zone)
    except ConfigError as error:
        raise InvalidField("zone", "an IANA time zone such as Asia/Hong_Kong", short_repr(zone)) from error
    ledger_record.make_own_account(ledger, name, zone)


def record_all(
    ledger: Ledger,
    principal: Principal,
    entries: Sequence[Entry],
    *,
    restate: bool = False,
    key: IdempotencyKey | None = None,
) -> RecordedEntries:
    """Record entries of any accounts, all or none of them, in one transaction.

    On a ledger that is distributed over nodes, each account is one transaction; everything is checked before the first
    one. Raises NotFound, NotOwnAccount, DuplicateReference, Conflict (with the positions of the entries), KeyReused.
    """
    by_account = _grouped(entries)
    for account, indexes in sorted(by_account.items()):
        if not principal.sees(account):
            raise AccountNotFound(account)
        _check_references(entries, indexes)
    flows = {account: [entries[index].flow for index in indexes] for account, indexes in sorted(by_account.items())}
    if len(flows) > 1 and not restate:
        # Without this check, the caller would learn only of the first account's conflicts.
        differences = [
            _with_position(difference, by_account[account])
            for account, some in flows.items()
            for difference in ledger_record.find_differences(ledger, account, some, key=key)
        ]
        if differences:
            raise Conflict(differences)
    try:
        recorded = ledger_record.record_all(ledger, flows, restate=restate, key=key)
    except Conflict as error:
        indexes = by_account[error.account]
        raise Conflict([_with_position(difference, indexes) for difference in error.differences]) from error
    outcomes = {
        index: outcome
        for account, indexes in by_account.items()
        for index, outcome in zip(indexes, recorded[account].outcomes, strict=True)
    }
    again = bool(entries) and all(one.repeated for one in recorded.values())
    return RecordedEntries([outcomes[index] for index in range(len(entries))], again)


def record_each(
    ledger: Ledger, principal: Principal, entries: Sequence[Entry], *, restate: bool = False
) -> list[Outcome | Difference | ConfigError]:
    """Record entries independently. Returns the outcome for each, in order. A failed one does not stop the others.

    Returns a Difference for an entry that contradicts the ledger; NotFound and NotOwnAccount are returned too, not
    raised.
    """
    results: dict[int, Outcome | Difference | ConfigError] = {}
    for account, indexes in sorted(_grouped(entries).items()):
        if not principal.sees(account):
            results |= dict.fromkeys(indexes, AccountNotFound(account))
            continue
        for batch in _batches(entries, indexes):
            results |= _record_batch(ledger, account, {index: entries[index].flow for index in batch}, restate=restate)
    return [results[index] for index in range(len(entries))]


def _record_batch(
    ledger: Ledger, account: str, flows: Mapping[int, Flow], *, restate: bool
) -> dict[int, Outcome | Difference | ConfigError]:
    """Record flows with different references in one transaction, leaving out those that contradict the ledger."""
    results: dict[int, Outcome | Difference | ConfigError] = {}
    left = dict(flows)
    while left:
        indexes = list(left)
        try:
            recorded = ledger_record.record(ledger, account, list(left.values()), restate=restate)
        except Conflict as error:
            for difference in error.differences:
                results[indexes[difference.position]] = difference
                del left[indexes[difference.position]]
        except (NotFound, NotOwnAccount) as error:
            return results | dict.fromkeys(indexes, error)
        else:
            return results | dict(zip(indexes, recorded.outcomes, strict=True))
    return results


def _grouped(entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Return the indexes of each account's entries."""
    by_account: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        by_account[entry.account].append(index)
    return by_account


def _check_references(entries: Sequence[Entry], indexes: Sequence[int]) -> None:
    seen: set[str] = set()
    for index in indexes:
        reference = entries[index].flow.identity
        if reference in seen:
            raise DuplicateReference(index, reference)
        seen.add(reference)


def _with_position(difference: Difference, indexes: Sequence[int]) -> Difference:
    """Return the difference with its position among all entries instead of its account's entries."""
    return difference._replace(position=indexes[difference.position])


def _batches(entries: Sequence[Entry], indexes: Sequence[int]) -> list[list[int]]:
    """Split the entries into as few batches as possible. No batch has a reference twice, and each batch keeps the order
    of the entries."""
    batches: list[dict[str, int]] = [{}]
    for index in indexes:
        reference = entries[index].flow.identity
        if reference in batches[-1]:
            batches.append({})
        batches[-1][reference] = index
    return [list(batch.values()) for batch in batches]
