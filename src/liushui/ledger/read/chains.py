"""The balance chains of an account: their opening and closing balances, and where they break.

Rows are checked in segments of about a day. The results are stored at the end of a sync or an import. A commit outdates
the segments that it touches, and the next reader of the chain checks them again. So an answer depends only on the rows,
and costs time only for changed rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy.engine import Connection

from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.chain_check import check_changes
from liushui.ledger.read.chain_segments import Key, Segment, StoredSegments
from liushui.money import EXACT, ZERO
from liushui.reconcile.chain import Break, BreakCause, RowKey, explain
from liushui.rules import BalanceRules


@dataclass
class ChainState:
    """The state of a whole chain. `opening` is the balance before its first row, and `closing` the balance after its
    last row. Both are None if no row states a balance."""

    opening: Decimal | None = None
    closing: Decimal | None = None
    stated: int = 0
    """The number of rows that state a balance."""
    reordered: int = 0
    """The number of rows whose order by balances differs from their order by time."""
    breaks: list[Break] = field(default_factory=list)


@dataclass
class ChainCache:
    """Caches chains by account and newest batch. They are read again only after another batch of the account."""

    chains: dict[str, tuple[int, dict[Key, ChainState]]] = field(default_factory=dict)

    def load(
        self, connection: Connection, account: AccountName, head: int, rules: BalanceRules
    ) -> dict[Key, ChainState]:
        """Return the chains of an account whose newest batch is `head`."""
        cached = self.chains.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        chains = read_chains(connection, account, rules)
        self.chains[account.account] = head, chains
        return chains


def read_chains(connection: Connection, account: AccountName, rules: BalanceRules) -> dict[Key, ChainState]:
    """The chains of an account, by subaccount and currency."""
    return join_segments(check_segments(connection, account, rules))


def check_segments(
    connection: Connection, account: AccountName, rules: BalanceRules, *, again: bool = False
) -> list[Segment]:
    """Return the current segments of an account by time: stored ones, and those that had to be checked.

    `again`: check all rows and ignore stored results.
    """
    checked = check_changes(connection, account, rules, again=again)
    if again:
        return checked.fresh
    stored = StoredSegments(connection, account.account).all()
    if not checked.outdated:
        return stored
    kept = [
        segment
        for segment in stored
        if not any(since_us <= segment.since_us < until_us for since_us, until_us in checked.outdated)
    ]
    return sorted([*kept, *checked.fresh], key=lambda segment: (segment.since_us, segment.key))


def join_segments(segments: Sequence[Segment]) -> dict[Key, ChainState]:
    """Join segments, which are sorted by time, into whole chains."""
    states: dict[Key, ChainState] = {}
    before_first: dict[Key, Decimal] = {}
    lasts: dict[Key, RowKey | None] = {}
    for segment in segments:
        key = segment.key
        state = states.setdefault(key, ChainState())
        state.stated += segment.stated
        state.reordered += segment.reordered
        if segment.opening is None:
            if state.closing is None:
                before_first[key] = EXACT.add(before_first.get(key, ZERO), segment.unstated)
            else:
                state.closing = EXACT.add(state.closing, segment.unstated)
        else:
            if state.closing is None:
                state.opening = EXACT.subtract(segment.opening, before_first.get(key, ZERO))
            elif state.closing != segment.opening and segment.first is not None:
                rows = (segment.first,)
                state.breaks.append(
                    Break(lasts[key], segment.first, state.closing, segment.opening, BreakCause.MISSING, rows)
                )
            state.breaks += segment.breaks
            state.closing = segment.closing
        lasts[key] = segment.last
    for state in states.values():
        state.breaks = explain(state.breaks)
    return states
