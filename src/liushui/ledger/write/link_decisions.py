"""People confirm and reject links. A decision is a fact: the chain seals it, and it is never changed or deleted."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, short_repr
from liushui.instant import to_iso, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.jobs.notifications import DecidedLink, record_decided_link
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.link_decisions import DECISIONS, LinkDecision, decision_row, decisions_on, what_changed
from liushui.ledger.read.links import LinkReader
from liushui.ledger.write.change import DECIDED, Change
from liushui.ledger.write.commit import PlanChange, commit_changes
from liushui.reconcile.links import Link, LinkState, taken_flows
from liushui.rules import Paging, Rules

TEXT_MAX: Final = 1_000
"""The most characters of a name or a reason."""


def find_link(connection: Connection, rules: Mapping[str, Rules[Paging]], id_: str) -> Link:
    """Return the link with this id. Raises NotFound, which says so if one of its flows has changed or was withdrawn."""
    reader = LinkReader(connection, find_accounts(queries_of(connection)), rules)
    link = reader.find(id_)
    if link is None:
        raise NotFound(f"link: {reader.why_missing(id_)}")
    return link


def decide_link(
    ledger: Ledger,
    rules: Mapping[str, Rules[Paging]],
    id_: str,
    decision: LinkState,
    *,
    decided_by: str,
    reason: str = "",
    replace: bool = False,
    visible: Collection[str] | None = None,
) -> LinkDecision:
    """Confirm or reject a link, and create the messages about it, in one transaction. Returns the recorded decision.

    `visible`: the accounts that the person may see, None: all. Messages name no other account and none of its links.

    Raises NotFound for an unknown link or withdrawn flows; AlreadyExists if the link was decided before (unless
    `replace`), or if another link of one of its flows was confirmed; ConfigError.
    """
    if decision not in DECISIONS:
        raise InvalidField("decision", "confirmed or rejected", short_repr(decision))
    for field, text in (("by", decided_by), ("reason", reason)):
        if len(text) > TEXT_MAX or "\0" in text:
            raise InvalidField(field, f"at most {TEXT_MAX} characters, without U+0000", short_repr(text))
    if not decided_by.strip():
        raise InvalidField("by", "who decides", short_repr(decided_by))
    with ledger.reading() as connection:
        link = find_link(connection, rules, id_)

    def plan(connection: Connection, batch: int) -> Change:
        # Looked up again: its accounts are now locked, so its flows cannot change before the commit.
        current = find_link(connection, rules, id_)
        _check(connection, rules, current, decision, replace=replace, visible=visible)
        now, by, why = ledger.clock(), decided_by.strip(), reason.strip()
        decided = DecidedLink(current.id, current.kind.value, decision.value, by, why, now, tuple(accounts))
        record_decided_link(connection, decided, now)
        return Change(decided=[decision_row(current, decision, by, why, to_us(now), batch)])

    accounts = list(dict.fromkeys(flow.account for flow in link.flows))
    plans: dict[str, PlanChange] = {account: lambda _connection, _batch: Change() for account in accounts[1:]}
    commit_changes(ledger, {accounts[0]: plan, **plans}, DECIDED)
    with ledger.reading() as connection:
        return decisions_on(connection, id_)[-1]


def _check(
    connection: Connection,
    rules: Mapping[str, Rules[Paging]],
    link: Link,
    decision: LinkState,
    *,
    replace: bool,
    visible: Collection[str] | None,
) -> None:
    """Raises AlreadyExists or ConfigError if a link cannot be decided in this way."""
    before = decisions_on(connection, link.id)
    if before and not replace:
        raise AlreadyExists(f"link: {describe_decision(before[-1])}: replace that decision if it is wrong")
    if decision is LinkState.REJECTED:
        return
    if link.state is LinkState.OUTDATED:
        raise ConfigError(f"link: {what_changed(connection, link.keys) or 'a flow of it has changed'}")
    taken = taken_flows(link.kind, link.keys)
    reader = LinkReader(connection, find_accounts(queries_of(connection)), rules)
    for key in link.keys:
        for other in reader.links_of(key):
            is_rival = other.state is LinkState.CONFIRMED and other.id != link.id
            if is_rival and not taken.isdisjoint(taken_flows(other.kind, other.keys)):
                if visible is not None and any(flow.account not in visible for flow in other.flows):
                    raise AlreadyExists(
                        f"link: flow {key.id} of {key.account} is in a link that somebody else has confirmed, with an "
                        "account that you may not see"
                    )
                raise AlreadyExists(
                    f"link: {other.id} with flow {key.id} of {key.account} is confirmed: reject it first"
                )


def describe_decision(decision: LinkDecision) -> str:
    """Return a decision as a sentence without its full stop."""
    reason = f" ({decision.reason})" if decision.reason else ""
    at = to_iso(decision.decided_at)
    return f"{decision.link} was {decision.decision.value} by {decision.decided_by} at {at}{reason}"
