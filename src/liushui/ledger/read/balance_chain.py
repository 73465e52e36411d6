"""One flow among those around it: its neighbours in its balance, and whether each balance follows from the one before.

The providers state balances; they do not say in which order flows of one instant came.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.flows import LedgerFlow, ledger_flow
from liushui.ledger.schema import flows
from liushui.money import EXACT

NEIGHBOURS: Final = 3
"""How many flows are shown before and after the one in question."""

ROWS_MAX: Final = 2_000
"""Flows of other subaccounts and currencies that are skipped in the search for neighbours. Then it stops."""


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


def neighbours(ledger: Ledger, it: LedgerFlow, many: int = NEIGHBOURS) -> list[Neighbour]:
    """The flow `it` with those before and after it in the same running balance, oldest first."""
    with ledger.reading() as connection:
        older = _nearest(connection, it, many + 1, newer=False)
        newer = _nearest(connection, it, many, newer=True)
    row = [*reversed(older), it, *newer]
    shown = len(older) > many
    found = [_chained(row[at - 1] if at else None, one, is_it=one is it) for at, one in enumerate(row)]
    return found[1:] if shown else found


def _chained(before: LedgerFlow | None, one: LedgerFlow, *, is_it: bool) -> Neighbour:
    stated = one.flow.balance_after
    if before is None or before.flow.balance_after is None or stated is None:
        return Neighbour(one, Chained.UNTOLD, None, is_it)
    off = EXACT.subtract(stated, EXACT.add(before.flow.balance_after, one.flow.amount))
    return Neighbour(one, Chained.DIFFERS if off else Chained.FOLLOWS, off or None, is_it)


def _nearest(connection: Connection, it: LedgerFlow, many: int, *, newer: bool) -> Sequence[LedgerFlow]:
    """The nearest flows of the same subaccount and currency, before or after `it`, the nearest first."""
    f = flows.c
    at_us, key = to_us(it.flow.at), sa.tuple_(f.at_us, f.id)
    place = sa.tuple_(sa.literal(at_us), sa.literal(it.id))
    query = sa.select(*flows.columns).where(f.account == it.account)
    query = query.where(f.at_us >= at_us if newer else f.at_us <= at_us, key > place if newer else key < place)
    order = (f.at_us, f.id) if newer else (f.at_us.desc(), f.id.desc())
    near = query.order_by(*order).limit(ROWS_MAX).subquery("near")
    n = near.c
    mine = sa.select(near).where(n.subaccount == it.flow.subaccount, n.currency == it.flow.currency)
    mine = mine.order_by(n.at_us, n.id) if newer else mine.order_by(n.at_us.desc(), n.id.desc())
    found = connection.execute(mine.limit(many)).all()
    return [ledger_flow(row) for row in found]
