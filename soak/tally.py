"""What a soak has met, counted: sessions, kills, faults, rows, versions, gaps."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Final

from liushui.ledger.engine import Ledger
from liushui.provider import Provider
from liushui.simulate.faults.fault import FaultKind
from liushui.simulate.faults.profiles import RowChange
from liushui.simulate.faults.row_lifecycle import FOREVER_US, UNKNOWN_CURRENCY, UNKNOWN_LABEL, RowVersion

Tally = Counter[str]
"""How often each thing was met. Names of a kind stand before a colon: `fault: reset`."""

CROWD: Final = "rows: more at one instant than a page holds"
_LIMITS: Final = (FaultKind.TOO_MANY, FaultKind.BANNED)

FAULTS: Final = (
    "fault: latency",
    *(f"fault: {kind.value}" for kind in FaultKind if kind not in _LIMITS),
    *(f"fault: {kind.value}, {told} Retry-After" for kind in _LIMITS for told in ("with", "without")),
    "fault: over a rate",
    "fault: total lies",
    "fault: pages shift",
    "fault: short page",
    "fault: empty page on the way",
    "fault: twins across a page's edge",
    *(f"rows: {change.value}" for change in RowChange),
    CROWD,
)
"""All that a provider can do to a reader: a soak that is long enough meets every one of them."""


def rows_of(versions: Sequence[RowVersion], provider: Provider) -> Tally:
    """What befalls the rows of an account."""
    tally = Tally()
    by_row = sorted(versions, key=lambda version: (version.number, version.from_us))
    for _, shown in groupby(by_row, key=lambda version: version.number):
        tally["rows"] += 1
        change = _change(list(shown))
        if change is not None:
            tally[f"rows: {change.value}"] += 1
    for one, other in pairwise(versions):
        tally[f"rows: {RowChange.TWIN.value}"] += one.flow == other.flow and one.number != other.number
    size_max = provider.rules.paging.size_max
    instants = Counter(version.at_us for version in versions)
    tally[CROWD] += sum(rows > size_max for rows in instants.values())
    return tally


def _change(shown: list[RowVersion]) -> RowChange | None:
    """What befalls one row. None: nothing, or only that there is another one like it."""
    first, last = shown[0], shown[-1]
    if len(shown) > 1:
        if first.corruption is not None:
            return RowChange.MENDED
        if first.at_us != last.at_us:
            return RowChange.TIME
        return RowChange.AMOUNT if first.flow.amount != last.flow.amount else RowChange.WORDS
    if first.corruption is not None:
        return RowChange.MALFORMED
    if first.until_us < FOREVER_US:
        return RowChange.WITHDRAWN
    if first.flow.currency == UNKNOWN_CURRENCY or first.flow.label == UNKNOWN_LABEL:
        return RowChange.UNKNOWN
    return RowChange.LATE if first.from_us > first.at_us else None


def kept_in(ledger: Ledger) -> Tally:
    """What a ledger has of it all."""
    tally = Tally()
    with ledger.reading() as connection:
        for name, statement in _COUNTS.items():
            tally[name] += connection.exec_driver_sql(statement).scalar() or 0
        for ended_as, versions in connection.exec_driver_sql(_ENDED):
            tally[f"versions ended: {ended_as}"] += versions
    return tally


_COUNTS: Final = {
    "batches": "SELECT count(*) FROM batches",
    "flows kept": "SELECT count(*) FROM flows",
    "quarantined, ever": "SELECT count(DISTINCT account || id) FROM quarantine",
    "quarantined, at the end": "SELECT count(*) FROM quarantine WHERE ended_batch IS NULL",
    "gaps opened": "SELECT count(*) FROM batches WHERE state = 'open'",
    "gaps left": "SELECT count(*) FROM coverage WHERE state = 'open'",
}
_ENDED: Final = "SELECT ended_as, count(*) FROM history GROUP BY ended_as"


def never_met(tally: Tally) -> list[str]:
    """The faults that did not happen at all."""
    return [name for name in FAULTS if not tally[name]]
