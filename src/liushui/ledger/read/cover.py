"""Whether a total is covered: what is proven of each account's days, what is missing, and up to when. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from liushui.instant import BusinessDays, load_zone, to_us
from liushui.ledger.coverage import State, missing, unbroken_until
from liushui.ledger.read.account_snapshot import AccountFacts
from liushui.rules import Paging, Rules

DAY = timedelta(days=1)


class Covered(StrEnum):
    """How far a total can be relied on."""

    PROVEN = "proven"
    """Everything that its providers have is in it."""
    RUNNING = "running"
    """Everything up to an instant is in it; what came later has not been read."""
    OPEN = "open"
    """Something may be missing."""
    UNCLAIMED = "unclaimed"
    """Nothing is claimed: no source says what should be there."""


class Hole(NamedTuple):
    """[since, until) of an account, in microseconds since the epoch: what is not proven and should be."""

    account: str
    since_us: int
    until_us: int


class Mark(NamedTuple):
    """What a total's coverage is. `until_us`: up to when it is whole; None: from its beginning on it is not.

    Of a total that is not claimed: from when on something is. None: nothing ever is.
    """

    state: Covered
    until_us: int | None
    holes: tuple[Hole, ...] = ()


class Cover(NamedTuple):
    """What is proven of an account. It should be from `begin_us` on; `end_us` is the end of the last proof."""

    account: str
    zone: str
    claimed: bool
    begin_us: int
    end_us: int
    is_from_the_first: bool
    """Whether there is nothing before that: the provider has nothing older."""
    until_us: int | None
    """The end of the first unbroken proof."""
    holes: tuple[Hole, ...]

    def between(self, first: date, last: date) -> Mark:
        """The mark of the days from `first` to `last`, both included, of the account's own zone."""
        days = BusinessDays(load_zone(self.zone))
        return self.within(days.begin_us(first), days.begin_us(last + DAY))

    def within(self, since_us: int, until_us: int) -> Mark:
        """The mark of a range [since, until)."""
        if not self.claimed:
            return Mark(Covered.UNCLAIMED, None)
        holes = tuple(hole for hole in self.holes if hole.since_us < until_us and hole.until_us > since_us)
        if holes:
            return Mark(Covered.OPEN, holes[0].since_us, holes)
        if since_us < self.begin_us and not self.is_from_the_first:
            return Mark(Covered.UNCLAIMED, self.begin_us)
        if until_us > self.end_us:
            return Mark(Covered.RUNNING, self.until_us)
        return Mark(Covered.PROVEN, until_us)

    def whole(self) -> Mark:
        """The mark of everything there is of the account."""
        if not self.claimed:
            return Mark(Covered.UNCLAIMED, None)
        return Mark(Covered.OPEN if self.holes else Covered.PROVEN, self.until_us, self.holes)


def cover_of(account: AccountFacts, rules: Rules[Paging] | None, now: datetime) -> Cover:
    """What is proven of an account, of what its provider has to offer. `rules` None: nobody knows that."""
    proven = [known for known in account.ranges if known.state is State.PROVEN]
    until_us = unbroken_until(account.ranges)
    if account.since is None or rules is None:
        return Cover(
            account.account,
            account.zone,
            claimed=False,
            begin_us=0,
            end_us=0,
            is_from_the_first=False,
            until_us=until_us,
            holes=(),
        )
    first_us = to_us(rules.floor or rules.history_start)
    begin_us = max(to_us(account.since), first_us) if rules.floor else to_us(account.since)
    # After the last proof nothing was read: a total is whole up to there. Where there is none, all of it is missing.
    end_us = proven[-1].until_us if proven else to_us(rules.provable(now)[1])
    gaps = missing(proven, (begin_us, end_us)) if end_us > begin_us else []
    gaps += [
        (known.since_us, known.until_us)
        for known in account.ranges
        if known.state is State.OPEN and known.since_us >= end_us
    ]
    holes = tuple(Hole(account.account, since_us, until_us) for since_us, until_us in gaps)
    return Cover(
        account.account,
        account.zone,
        claimed=True,
        begin_us=begin_us,
        end_us=end_us,
        is_from_the_first=begin_us <= first_us,
        until_us=until_us,
        holes=holes,
    )


def covers_of(accounts: Sequence[AccountFacts], rules: Mapping[str, Rules[Paging]], now: datetime) -> dict[str, Cover]:
    """The covers of accounts, by account; `rules` by provider."""
    return {account.account: cover_of(account, rules.get(account.provider), now) for account in accounts}


_WORST = (Covered.OPEN, Covered.UNCLAIMED, Covered.RUNNING, Covered.PROVEN)


def together(marks: Sequence[Mark]) -> Mark:
    """The mark of a total of several accounts: the worst of theirs, up to the earliest instant."""
    if not marks:
        return Mark(Covered.UNCLAIMED, None)
    state = min((mark.state for mark in marks), key=_WORST.index)
    untils = [mark.until_us for mark in marks]
    until_us = None if None in untils else min(until for until in untils if until is not None)
    return Mark(state, until_us, tuple(hole for mark in marks for hole in mark.holes))


def between(covers: Sequence[Cover], first: date, last: date) -> Mark:
    """The mark of a total over accounts and days, both ends included, each account by its own days."""
    return together([cover.between(first, last) for cover in covers])
