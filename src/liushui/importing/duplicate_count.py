"""How many equal flows there are, from the pages that a user saved. Pure.

Rows of one identity within a page, at a time that is neither the page's oldest nor its newest, are all there are: the
page closes that time. At a page's end the page may have been cut between equal rows. A page that ends with `n` of them
as its oldest and one that begins with `m` of them as its newest hold n + m together. A page of one single time is the
whole of it, or, where another page has more, the rest of it. Each count is kept once, whatever the order and however
often the pages come, so the answer depends only on which pages were seen.
"""

from collections.abc import Collection
from enum import StrEnum


class Side(StrEnum):
    """Where in its page a row's time stood."""

    WITHIN = "within"
    OLDEST = "oldest"
    NEWEST = "newest"
    ALONE = "alone"
    """The page has no other time."""


def side_of(at_us: int, ends: tuple[int, int]) -> Side:
    """Where a time stands in a page from ends[0] to ends[1]."""
    oldest, newest = ends
    if oldest == newest:
        return Side.ALONE
    if oldest < at_us < newest:
        return Side.WITHIN
    return Side.OLDEST if at_us == oldest else Side.NEWEST


def copies(seen: Collection[tuple[Side, int]]) -> int:
    """The number of equal flows that fits the counts seen, each with where it was seen."""
    within = [count for side, count in seen if side is Side.WITHIN]
    if within:
        return max(within)
    oldest = {count for side, count in seen if side is Side.OLDEST}
    newest = {count for side, count in seen if side is Side.NEWEST}
    alone = {count for side, count in seen if side is Side.ALONE}
    least = max(oldest | newest, default=0)
    if alone and max(alone) >= least:
        return max(alone)
    oldest, newest = oldest or alone, newest or alone
    if not oldest or not newest:
        return least
    sums = {least} | {n + m for n in oldest for m in newest if n + m >= least}
    return min(sums, key=lambda total: (_unmatched(total, oldest, newest), total))


def _unmatched(total: int, oldest: set[int], newest: set[int]) -> int:
    """How many of the counts have no counterpart that makes up the total."""
    return sum(total - n not in newest for n in oldest) + sum(total - m not in oldest for m in newest)
