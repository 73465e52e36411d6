"""The events of a soak, counted: sessions, kills, faults, rows, versions, gaps."""

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
"""How often each event occurred, by name. Names of one group begin with the group and a colon: `fault: reset`."""

CROWD: Final = "rows: more at one instant than a page holds"
_RATE_FAULTS: Final = (FaultKind.TOO_MANY, FaultKind.BANNED)

FAULTS: Final = (
    "fault: latency",
    *(f"fault: {kind.value}" for kind in FaultKind if kind not in _RATE_FAULTS),
    *(f"fault: {kind.value}, {whether} Retry-After" for kind in _RATE_FAULTS for whether in ("with", "without")),
    "fault: over a rate",
    "fault: total lies",
    "fault: pages shift",
    "fault: short page",
    "fault: empty page on the way",
    "fault: twins across a page's edge",
    *(f"rows: {change.value}" for change in RowChange),
    CROWD,
)
"""Every fault that a provider can cause. A soak that is long enough contains each of them."""


def count_row_changes(versions: Sequence[RowVersion], provider: Provider) -> Tally:
    """Count the rows of an account that change, by the kind of change."""
    tally = Tally()
    by_row = sorted(versions, key=lambda version: (version.number, version.from_us))
    for _, row in groupby(by_row, key=lambda version: version.number):
        tally["rows"] += 1
        change = _change(list(row))
        if change is not None:
            tally[f"rows: {change.value}"] += 1
    for one, other in pairwise(versions):
        tally[f"rows: {RowChange.TWIN.value}"] += one.flow == other.flow and one.number != other.number
    size_max = provider.rules.paging.size_max
    instants = Counter(version.at_us for version in versions)
    tally[CROWD] += sum(rows > size_max for rows in instants.values())
    return tally


def _change(versions: list[RowVersion]) -> RowChange | None:
    """Return how a row changes. Returns None if it does not change, or if another row equals it."""
    first, last = versions[0], versions[-1]
    if len(versions) > 1:
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


def count_ledger_contents(ledger: Ledger) -> Tally:
    """Count the contents of a ledger at the end of a run."""
    tally = Tally()
    with ledger.reading() as connection:
        for name, statement in _COUNTS.items():
            tally[name] += connection.exec_driver_sql(statement).scalar() or 0
        for ended_as, versions in connection.exec_driver_sql(_ENDED_VERSIONS):
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
_ENDED_VERSIONS: Final = "SELECT ended_as, count(*) FROM history GROUP BY ended_as"


def faults_never_met(tally: Tally) -> list[str]:
    """Return the faults that did not occur at all."""
    return [name for name in FAULTS if not tally[name]]
