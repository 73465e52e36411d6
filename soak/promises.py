"""What a sync that says it is done has promised: all is proven, and as lately as the provider's rules want it. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from liushui.instant import to_iso, to_us, us_to_iso
from liushui.ledger.coverage import Range, State, missing
from liushui.rules import Paging, Rules
from liushui.sync.plan import provable_range


def broken_promises(
    rules: Rules[Paging], ranges: Sequence[Range], *, since: datetime, began_at: datetime, ended_at: datetime
) -> Iterator[str]:
    """What of it is not so, in words, after a sync that began and ended at instants and left these ranges.

    It reads as far as was settled when it began, and owes nothing of what was too old when it ended.
    """
    first, last = provable_range(rules, since=since, now=began_at), provable_range(rules, since=since, now=ended_at)
    if first is None or last is None:
        return
    proven = [known for known in ranges if known.state is State.PROVEN]
    everything = last.until - last.since
    never, newest = ("is proven by nobody", everything, None), ("was not read again", rules.lookback, timedelta(0))
    older = [(f"was not read again within {look.every}", look.age, look.every) for look in rules.refresh]
    for what, age, every in (never, newest, *older):
        lately = [known for known in proven if every is None or known.checked_at_us >= to_us(began_at - every)]
        for since_us, until_us in missing(lately, (to_us(max(last.since, last.until - age)), to_us(first.until))):
            yield f"{us_to_iso(since_us)} to {us_to_iso(until_us)} {what}, and a sync of {to_iso(began_at)} is done"
