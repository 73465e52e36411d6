"""Outstanding items among the rows of a certificate: transfers, refunds and fees whose other side is not known."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy.engine import Connection

from liushui.certificate.document import Section
from liushui.certificate.rows import AT, ID, CertifiedRow
from liushui.instant import parse_instant, to_us
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read import open_items
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.links import LinkReader
from liushui.ledger.read.open_items import FEE, KINDS, find_linked
from liushui.reconcile.links import FlowKey
from liushui.rules import Paging, Rules

_SHOWN: Final = (ID, AT, "kind", "subaccount", "currency", "amount")


class OpenItems:
    """Finds the outstanding items among the rows of an account as they pass through. Rows pass through it."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._rows: dict[FlowKey, CertifiedRow] = {}
        self._count = self._fees = 0

    def watch(self, rows: Iterable[CertifiedRow]) -> Iterator[CertifiedRow]:
        """Yield the same rows, and remember those that have another side."""
        for row in rows:
            is_fee = row["kind"] == FEE
            self._fees += is_fee
            self._count += row["kind"] in KINDS
            counts = row["order_ref"] if is_fee else row["kind"] in KINDS
            if counts and not open_items.why_not(self._count, self._fees):
                self._rows[FlowKey(self._account, to_us(parse_instant(AT, row[AT])), row[ID])] = row
            yield row

    def section(
        self,
        connection: Connection,
        rules: Mapping[str, Rules[Paging]],
        now: datetime,
        completeness: Verdict,
        visible: Collection[str] | None = None,
    ) -> Section:
        """Return the outstanding items, with their age in days, in the ledger state of the rows.

        `visible`: the accounts in which other sides may be searched, because the maker of the certificate may see them;
        None: all. If a period is not complete, an empty list does not mean that nothing is outstanding.
        """
        if reason := open_items.why_not(self._count, self._fees):
            return Section("could_not_check", reason, [])
        links = LinkReader(connection, find_accounts(queries_of(connection)), rules)
        linked = find_linked(links, {key: row["kind"] for key, row in self._rows.items()}, visible)
        items = [
            {name: row[name] for name in _SHOWN} | {"age_days": str((now - parse_instant(AT, row[AT])).days)}
            for key, row in self._rows.items()
            if key not in linked
        ]
        if not items and not completeness.is_complete:
            return Section("could_not_check", f"the period is not complete: {completeness.reason}", [])
        if not items:
            return Section("pass", "", [])
        where = "" if visible is None else ", as far as the maker of this certificate may see accounts"
        return Section("fail", f"transfers, refunds and fees whose other side is not known{where}", items)
