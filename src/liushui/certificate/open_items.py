"""Outstanding items of a period: transfers and refunds whose other side no certain or confirmed link names."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy.engine import Connection

from liushui.certificate.document import Section
from liushui.certificate.rows import AT, ID, CertifiedRow
from liushui.flow import Kind
from liushui.instant import parse_instant, to_us
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.links import LinkReader
from liushui.reconcile.links import HELD, FlowKey
from liushui.rules import Paging, Rules

KINDS: Final = frozenset({Kind.TRANSFER.value, Kind.REFUND.value})
"""The kinds of flows that have another side. A deposit or a withdrawal may come from outside of the ledger."""
ROWS_MAX: Final = 2_000
"""With more rows of these kinds in a period, nothing is said: each refund needs a search of its own."""
_SHOWN: Final = (ID, AT, "kind", "subaccount", "currency", "amount")


class OpenItems:
    """Finds the outstanding items among the rows of an account. Rows pass through it."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._rows: dict[FlowKey, CertifiedRow] = {}
        self._count = 0

    def watch(self, rows: Iterable[CertifiedRow]) -> Iterator[CertifiedRow]:
        """The same rows; those that have another side are remembered."""
        for row in rows:
            if row["kind"] in KINDS:
                self._count += 1
                if self._count <= ROWS_MAX:
                    self._rows[FlowKey(self._account, to_us(parse_instant(AT, row[AT])), row[ID])] = row
            yield row

    def section(
        self, connection: Connection, rules: Mapping[str, Rules[Paging]], now: datetime, completeness: Verdict
    ) -> Section:
        """The outstanding items, with their age in days, as of the state of the ledger that the rows are of.

        Of a period that is not complete nobody can say that there are none.
        """
        if self._count > ROWS_MAX:
            return Section("could_not_check", f"{self._count} transfers and refunds: more than {ROWS_MAX:,}", [])
        linked = self._linked(LinkReader(connection, find_accounts(queries_of(connection)), rules))
        items = [
            {name: row[name] for name in _SHOWN} | {"age_days": str((now - parse_instant(AT, row[AT])).days)}
            for key, row in self._rows.items()
            if key not in linked
        ]
        if not items and not completeness.is_complete:
            return Section("could_not_check", f"the period is not complete: {completeness.reason}", [])
        if not items:
            return Section("pass", "", [])
        return Section("fail", "transfers and refunds whose other side is not known", items)

    def _linked(self, links: LinkReader) -> set[FlowKey]:
        """The flows that a certain or confirmed link names, and perhaps others."""
        times = [key.at_us for key in self._rows]
        if not times:
            return set()
        since_us, until_us = min(times) - links.window_us, max(times) + links.window_us + 1
        linked = {key for link in links.transfers(since_us, until_us) if link.state in HELD for key in link.keys}
        for key, row in self._rows.items():
            # The receipt of a refund may be far away: it is looked for from each refund.
            if row["kind"] == Kind.REFUND.value and key not in linked:
                linked.update(key for link in links.links_of(key) if link.state in HELD)
        return linked
