"""Breaks of balance chains: places where a stated balance does not follow from the one before."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.findings import BREAK, finding_id
from liushui.ledger.read.chain_segments import Key
from liushui.ledger.read.chains import check_segments, join_segments
from liushui.ledger.read.flows import LedgerFlow, flows_at, key_of
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.schema import history
from liushui.ledger.write.change import RESTATED
from liushui.money import EXACT, to_plain_string
from liushui.reconcile.chain import Break, BreakCause
from liushui.rules import BalanceRules


class LedgerBreak(NamedTuple):
    """A break of an account's chain. `before` None: the break is at the beginning of the chain. `rows`: the flows that
    may be wrong."""

    account: str
    subaccount: str
    currency: str
    before: LedgerFlow | None
    after: LedgerFlow
    difference: Decimal
    expected: Decimal
    stated: Decimal
    cause: BreakCause
    rows: tuple[LedgerFlow, ...]
    hides_rows: bool
    """Whether the provider leaves out rows that the credentials may not see."""

    @property
    def finding_id(self) -> str:
        """The id of the break's finding."""
        return finding_id(self.account, BREAK, *key_of(self.after))

    @property
    def is_ambiguous(self) -> bool:
        """Whether one of several equal flows is wrong, and it is impossible to tell which."""
        return len(self.rows) > 1

    @property
    def explanation(self) -> str:
        """The simplest explanation in English, for programs and terminals, with the equal flows that it may refer
        to."""
        if not self.is_ambiguous:
            return self._cause_text
        ids = ", ".join(row.id for row in self.rows)
        return f"{self._cause_text}; it may be any of these {len(self.rows)} flows, nothing tells which: {ids}"

    @property
    def _cause_text(self) -> str:
        difference = to_plain_string(self.difference)
        match self.cause:
            case BreakCause.MISSING:
                hidden = ", in rows that the provider does not show or that were not read" if self.hides_rows else ""
                return f"{difference} is missing before this flow{hidden}, or its amount is off by that"
            case BreakCause.TWICE:
                return "this flow is there once too often"
            case BreakCause.WRONG_BALANCE:
                return f"the balance that {self.rows[0].id} states is off, and no amount"
            case BreakCause.OUT_OF_PLACE:
                return f"{self.rows[0].id} does not belong here: without it the balances follow"
            case BreakCause.RESTATED:
                return f"the balances follow with an earlier version of {self.rows[0].id}, which the provider restated"


def list_breaks(model: ReadModel, names: Sequence[str] = (), *, again: bool = False) -> list[LedgerBreak]:
    """The breaks of all chains, by account and time. Raises AccountNotFound.

    `again`: check all rows again, and not only the rows that have changed since the last check.
    """
    found: list[LedgerBreak] = []
    with model.reading(names) as reading:
        for account in reading.accounts.values():
            rules = account.balance_rules
            if rules is None or rules.advisory:
                continue
            checked = check_segments(reading.connection, account.name, rules, again=True) if again else []
            chains = join_segments(checked) if again else reading.chains(account)
            breaks = [(key, one) for key, chain in chains.items() for one in chain.breaks]
            found += _with_flows(reading.connection, account, rules, sorted(breaks, key=lambda pair: pair[1].after))
    return found


def breaks_with_flows(reading: Reading, account: Account, breaks: Sequence[tuple[Key, Break]]) -> list[LedgerBreak]:
    """Return these breaks of an account's chains with their flows. A chain that does not hold at all has very many
    breaks."""
    rules = account.balance_rules
    return [] if rules is None else _with_flows(reading.connection, account, rules, breaks)


def _with_flows(
    connection: Connection, account: Account, rules: BalanceRules, breaks: Sequence[tuple[Key, Break]]
) -> list[LedgerBreak]:
    keys = {key for _, one in breaks for key in (one.before, one.after, *one.rows) if key is not None}
    by_key = flows_at(connection, account.name.account, keys)
    result = []
    for (subaccount, currency), one in breaks:
        after = by_key.get(one.after)
        if after is None:
            continue  # only in a ledger that somebody has changed by hand: `verify` says so
        before = None if one.before is None else by_key.get(one.before)
        cause, rows = one.cause, tuple(by_key[key] for key in one.rows if key in by_key)
        if cause is BreakCause.MISSING:
            restated = _restated(connection, one, [row for row in (after, before) if row is not None])
            if restated is not None:
                cause, rows = BreakCause.RESTATED, (restated,)
        result.append(
            LedgerBreak(
                account.name.account,
                subaccount,
                currency,
                before,
                after,
                one.difference,
                one.expected,
                one.stated,
                cause,
                rows,
                rules.hides_rows,
            )
        )
    return result


def _restated(connection: Connection, one: Break, around: Sequence[LedgerFlow]) -> LedgerFlow | None:
    """The flow next to a break whose earlier version would repair the break. None: no version repairs it."""
    h = history.c
    for flow in around:
        is_after = flow is around[0]
        now = flow.flow.balance_after
        at_us = one.after[0] if is_after or one.before is None else one.before[0]
        query = sa.select(h.amount, h.balance_after).where(h.account == flow.account, h.at_us == at_us)
        query = query.where(h.id == flow.id, h.ended_as == RESTATED, h.balance_after.is_not(None))
        for amount, balance in connection.execute(query):
            begin = EXACT.subtract(Decimal(balance), Decimal(amount))
            if is_after and begin == one.expected and Decimal(balance) == now:
                return flow
            current_begin = None if now is None else EXACT.subtract(now, flow.flow.amount)
            if not is_after and Decimal(balance) == one.stated and begin == current_begin:
                return flow
    return None
