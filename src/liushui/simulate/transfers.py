"""Transfers between one person's accounts. The money that leaves one account arrives in the other. Pure.

A main account has transfers with the person's other accounts. Exchanges also have some among themselves.

The days of both accounts are generated from the same list of transfers. The list depends only on a seed and on the row
counts of the accounts' days.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.provider import Role
from liushui.simulate.balanced_spans import SpanPlan
from liushui.simulate.people import Account
from liushui.simulate.random_draw import Draw, decimal_of
from liushui.simulate.role_profile import Wallet

ONE_DAY_IN: Final = 6
"""Two accounts have a transfer on one in this number of the days on which both have rows."""

SAME_MONEY: Final[Mapping[str, str]] = {"USDT": "USD", "CNY": "CNH"}
"""Currencies that arrive as another currency, at a rate of one."""

TRANSFERRING: Final = (Role.BROKER, Role.FUTURES)
"""The roles of the accounts that have transfers of round sums with the main account."""

EXCHANGES_ONE_DAY_IN: Final = 3
"""A trader moves money between two exchanges on one in this number of the days on which both have rows."""
COIN_PLACES: Final = 6
"""Decimal places of the coin that exchanges send each other."""

LEAVES_S: Final = (600, 80_000)
"""When a transfer leaves: the earliest second of the day, and the number of possible seconds."""
TAKES_S: Final = (5, 600)
"""How long a transfer takes: the least number of seconds, and the number of possible durations."""


class Transfer(NamedTuple):
    """Money on its way from one wallet to another."""

    source: str
    out_of: Wallet
    left_at: datetime
    target: str
    into: Wallet
    arrived_at: datetime
    amount: Decimal | None
    """Positive. None: the amount that the closing row of the source takes out of its wallet."""
    note: str = ""


def transfers(draw: Draw, plans: Mapping[Account, SpanPlan], day: int) -> Sequence[Transfer]:
    """A person's transfers of one day, all of them from or to the main account. Empty if the person has no main
    account.

    There are at most as many as the main account has room for. A trader's other accounts have at most one transfer
    each.
    """
    main = next((one for one in plans if one.institution.is_main and one.institution.role is Role.BROKER), None)
    if main is None:
        return ()
    candidates: list[Transfer] = []
    for account, plan in plans.items():
        has_transfers = account is not main and account.institution.role in TRANSFERRING
        if account.institution.role is Role.SHOP:
            candidates += _withdrawals(draw, account, plan, main, plans[main], day)
        elif has_transfers and draw.one_in(ONE_DAY_IN) and plan.room(day):
            candidates += _round_sum(draw, account, plan, main, plans[main])
    return [
        transfer._replace(note=f"Transfer {day}{main.person:05}{number}")
        for number, transfer in enumerate(candidates[: plans[main].room(day)])
    ]


def exchange_transfers(draw: Draw, plans: Mapping[Account, SpanPlan], day: int) -> Sequence[Transfer]:
    """Return at most one transfer of a person's day from one exchange to another. Its amount is not round."""
    able = [one for one, plan in plans.items() if one.institution.role is Role.EXCHANGE and plan.room(day)]
    if len(able) < 2 or not draw.one_in(EXCHANGES_ONE_DAY_IN):
        return ()
    source = draw.one_of(able)
    target = draw.one_of([one for one in able if one is not source])
    wallet = plans[source].wallets[0]
    into = next((known for known in plans[target].wallets if known.currency == wallet.currency), None)
    if into is None:
        return ()
    left_at = draw.at(LEAVES_S[0] + draw.below(LEAVES_S[1]))
    amount = decimal_of(100 * 10**COIN_PLACES + draw.below(2_000 * 10**COIN_PLACES), COIN_PLACES)
    note = f"Withdrawal {day}{source.person:05}"
    return [Transfer(source.name, wallet, left_at, target.name, into, left_at + _duration(draw), amount, note)]


def _withdrawals(
    draw: Draw, shop: Account, plan: SpanPlan, main: Account, main_plan: SpanPlan, day: int
) -> Iterator[Transfer]:
    """Return a shop's withdrawals of a day. They arrive in its owner's main account."""
    for wallet in plan.closed_on(day):
        into = _matching_wallet(wallet, main_plan)
        if into is not None:
            left_at = shop.profile.closed_at(draw.midnight, plan.wallets.index(wallet))
            yield Transfer(shop.name, wallet, left_at, main.name, into, left_at + _duration(draw), None)


def _round_sum(draw: Draw, account: Account, plan: SpanPlan, main: Account, main_plan: SpanPlan) -> Iterator[Transfer]:
    """A transfer of a round sum, in either direction."""
    wallet = draw.one_of(plan.wallets)
    main_wallet = _matching_wallet(wallet, main_plan)
    left_at = draw.at(LEAVES_S[0] + draw.below(LEAVES_S[1]))
    arrived_at = left_at + _duration(draw)
    amount = decimal_of(10_000 * (1 + draw.below(200)), 2)
    to_main = draw.one_in(2)
    if main_wallet is None:
        return
    if to_main:
        yield Transfer(account.name, wallet, left_at, main.name, main_wallet, arrived_at, amount)
    else:
        yield Transfer(main.name, main_wallet, left_at, account.name, wallet, arrived_at, amount)


def _duration(draw: Draw) -> timedelta:
    return timedelta(0, TAKES_S[0] + draw.below(TAKES_S[1]))


def _matching_wallet(wallet: Wallet, plan: SpanPlan) -> Wallet | None:
    """The wallet of a plan that can receive the money of another wallet."""
    currency = SAME_MONEY.get(wallet.currency, wallet.currency)
    return next((known for known in plan.wallets if known.currency == currency), None)
