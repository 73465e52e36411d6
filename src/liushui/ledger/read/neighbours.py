"""One flow among those around it in its balance chain, and whether each balance follows from the one before.

Providers state balances, and not in which order flows of one instant came: the balances tell.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.read.flows import LedgerFlow, ledger_flow
from liushui.ledger.read.model import Account, ReadModel
from liushui.ledger.schema import flows
from liushui.money import EXACT
from liushui.reconcile.chain import ChainRow, order_rows

NEIGHBOURS: Final = 3
"""How many flows are shown before and after the one in question."""

ROWS_MAX: Final = 2_000
"""Flows on either side that are looked at: of other chains, or of the same instant. Then the search stops."""


class Chained(StrEnum):
    """Whether the balance before plus the amount is the stated balance."""

    FOLLOWS = "follows"
    DIFFERS = "differs"
    UNTOLD = "untold"
    """Unknown: one of the two balances is not stated, or there is no flow before."""


class Neighbour(NamedTuple):
    """A flow of the same account, subaccount and currency. `off`: the stated balance minus the expected one."""

    found: LedgerFlow
    chained: Chained
    off: Decimal | None
    is_it: bool


def neighbours(model: ReadModel, it: LedgerFlow, many: int = NEIGHBOURS) -> list[Neighbour]:
    """The flow `it` with those before and after it in its balance chain, oldest first.

    Flows of one instant are in the order of their balances, where these tell one.
    """
    with model.reading((it.account,)) as reading:
        account = reading.accounts[it.account]
        older = _nearest(reading.connection, it, many + 1, newer=False)
        newer = _nearest(reading.connection, it, many + 1, newer=True)
    around = _in_order(account, [*reversed(older), it, *newer])
    position = around.index(it)
    shown = around[max(0, position - many) : position + many + 1]
    first = max(0, position - many)
    return [
        _chained(around[first + number - 1] if first + number else None, flow, is_it=flow is it)
        for number, flow in enumerate(shown)
    ]


def _in_order(account: Account, rows: Sequence[LedgerFlow]) -> list[LedgerFlow]:
    rules = account.balance_rules
    if rules is None or rules.advisory:
        return list(rows)
    by_key = {(to_us(row.flow.at), row.id): row for row in rows}
    chain = [ChainRow(*key, row.flow.amount, row.flow.balance_after) for key, row in by_key.items()]
    return [by_key[row.key] for row in order_rows(chain, rules)]


def _chained(before: LedgerFlow | None, flow: LedgerFlow, *, is_it: bool) -> Neighbour:
    stated = flow.flow.balance_after
    if before is None or before.flow.balance_after is None or stated is None:
        return Neighbour(flow, Chained.UNTOLD, None, is_it)
    off = EXACT.subtract(stated, EXACT.add(before.flow.balance_after, flow.flow.amount))
    return Neighbour(flow, Chained.DIFFERS if off else Chained.FOLLOWS, off or None, is_it)


def _nearest(connection: Connection, it: LedgerFlow, many: int, *, newer: bool) -> list[LedgerFlow]:
    """The nearest flows of the same chain before or after `it`, the nearest first, and all those of their instants."""
    f = flows.c
    at_us, key = to_us(it.flow.at), sa.tuple_(f.at_us, f.id)
    place = sa.tuple_(sa.literal(at_us), sa.literal(it.id))
    query = sa.select(*flows.columns).where(f.account == it.account)
    query = query.where(f.at_us >= at_us if newer else f.at_us <= at_us, key > place if newer else key < place)
    order: tuple[sa.ColumnElement[Any], ...] = (f.at_us, f.id) if newer else (f.at_us.desc(), f.id.desc())
    near = query.order_by(*order).limit(ROWS_MAX).subquery("near")
    n = near.c
    mine = sa.select(near).where(n.subaccount == it.flow.subaccount, n.currency == it.flow.currency)
    mine = mine.order_by(n.at_us, n.id) if newer else mine.order_by(n.at_us.desc(), n.id.desc())
    found: list[LedgerFlow] = []
    with connection.execute(mine) as rows:
        for row in rows:
            if len(found) >= many and row.at_us not in (at_us, to_us(found[-1].flow.at)):
                break
            found.append(ledger_flow(row))
    return found
