"""What totals of several accounts leave out: by account, day, currency and kind. Reads only.

A total of several accounts leaves out money that only moved between them. If two of them show the same money, it counts
it once. `LinkReader.own_transfers` and `LinkReader.seen_twice` define these flows. The overview, charts and summaries
use this module.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Lock
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import DAY_US, BusinessDays, load_zone, to_us
from liushui.ledger.day_totals import Total
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.read.links import LinkReader
from liushui.ledger.schema import accounts, day_totals
from liushui.money import ZERO
from liushui.reconcile.links import LinkFlow
from liushui.rules import Paging, Rules

_ANSWERS_CACHED: Final = 16


class OwnLeg(NamedTuple):
    """One end of a transfer, or a flow that shows the same money as another one. `day` is a day in the zone of its
    account. `amount` is signed."""

    account: str
    day: str
    subaccount: str
    currency: str
    kind: str
    amount: Decimal
    is_view: bool = False
    """Whether it is left out because another flow shows the same money."""


class OwnTransfer(NamedTuple):
    """A transfer between own accounts. The two legs may have different days and currencies.

    `arrived` None: the one leg is a view of a flow that counts.
    """

    left: OwnLeg
    arrived: OwnLeg | None

    @property
    def legs(self) -> Sequence[OwnLeg]:
        """The flows that a total leaves out."""
        return (self.left,) if self.arrived is None else (self.left, self.arrived)


class OwnTransferCache:
    """Caches own transfers by account and range, until any account of the ledger has a new batch."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[object, ...], Sequence[OwnTransfer]] = OrderedDict()
        self._lock = Lock()

    def read(
        self,
        connection: Connection,
        rules: Mapping[str, Rules[Paging]],
        names: Collection[str],
        first: date | None,
        last: date | None,
    ) -> Sequence[OwnTransfer]:
        """Return the transfers between accounts with these names that have a leg on a day from `first` to `last`, by
        time."""
        heads = tuple(connection.execute(sa.select(accounts.c.account, accounts.c.head)).all())
        question = (frozenset(map(tuple, heads)), frozenset(names), first, last)
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
                return self._answers[question]
        answer = read_own_transfers(connection, rules, names, first, last)
        with self._lock:
            self._answers[question] = answer
            while len(self._answers) > _ANSWERS_CACHED:
                self._answers.popitem(last=False)
        return answer


def read_own_transfers(
    connection: Connection,
    rules: Mapping[str, Rules[Paging]],
    names: Collection[str],
    first: date | None,
    last: date | None,
) -> list[OwnTransfer]:
    """Return what a total of accounts with these names leaves out and has a leg on a day from `first` to `last`: first
    the transfers between them by time, then views of the same money."""
    if not _have_wallets(connection, names):
        return []
    every = find_accounts(queries_of(connection))
    days = {account.account: BusinessDays(load_zone(account.zone)) for account in every if account.account in names}
    reader = LinkReader(connection, every, rules)
    around = _midnight_us(first, -1, BEFORE_ALL_US), _midnight_us(last, 2, AFTER_ALL_US)
    found = []
    for link in reader.own_transfers(names, *around):
        left, arrived = (_leg(flow, days[flow.account]) for flow in link.flows)
        found.append(OwnTransfer(left, arrived))
    for link in reader.seen_twice(names, *around):
        view = link.flows[0]
        found.append(OwnTransfer(_leg(view, days[view.account])._replace(is_view=True), None))
    return [one for one in found if any(is_within(leg.day, first, last) for leg in one.legs)]


def _have_wallets(connection: Connection, names: Collection[str]) -> bool:
    """Whether there is more than one account or subaccount, so that money can move between them."""
    if len(names) != 1:
        return len(names) > 1
    t = day_totals.c
    wallets = sa.select(t.subaccount).where(t.account.in_(names)).distinct().limit(2)
    return len(connection.execute(wallets).all()) > 1


def legs_in(
    transfers: Iterable[OwnTransfer], currency: str | None, first: date | None, last: date | None
) -> Iterator[OwnLeg]:
    """Return the legs in one currency on days from `first` to `last`."""
    for transfer in transfers:
        yield from (leg for leg in transfer.legs if leg.currency == currency and is_within(leg.day, first, last))


def leg_total(leg: OwnLeg) -> Total:
    """Return the total of one leg."""
    return Total(1, ZERO, leg.amount) if leg.amount < 0 else Total(1, leg.amount, ZERO)


def is_within(day: str, first: date | None, last: date | None) -> bool:
    """Whether a day is from `first` to `last`. None: no limit on that side."""
    return (first is None or day >= first.isoformat()) and (last is None or day <= last.isoformat())


def _leg(flow: LinkFlow, days: BusinessDays) -> OwnLeg:
    day = days.day_of(flow.at_us)
    return OwnLeg(flow.account, day, flow.subaccount, flow.currency, flow.kind, flow.amount)


def _midnight_us(day: date | None, days_later: int, default: int) -> int:
    """Return the beginning of a day in UTC, shifted by some days to cover every zone. None: `default`."""
    if day is None:
        return default
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) + days_later * DAY_US
