"""Breaks of the balance chains of a period: rows whose stated balance does not follow from the one before."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from liushui.certificate.document import Section
from liushui.certificate.rows import AT, ID, CertifiedRow
from liushui.instant import parse_instant, to_us
from liushui.money import to_plain_string
from liushui.reconcile.chain import Break, ChainChecker, ChainRow
from liushui.rules import BalanceRules

BREAKS_MAX: Final = 100
"""The most breaks that are listed. A chain with more does not hold at all."""


class BalanceChains:
    """Checks the balance chains (one for each subaccount and currency) of an account's rows as they pass through."""

    def __init__(self, rules: BalanceRules) -> None:
        self._rules = rules
        self._chains: dict[tuple[str, str], ChainChecker] = {}
        self._instants: dict[tuple[str, str], list[ChainRow]] = {}
        """The rows of each chain's newest instant. Further rows may belong to this instant."""

    def watch(self, rows: Iterable[CertifiedRow]) -> Iterator[CertifiedRow]:
        """Yield the rows unchanged, and check them. They must be sorted by time and id."""
        for row in rows:
            self._add(row)
            yield row
        for key, instant in self._instants.items():
            self._chains[key].add(instant)
            self._chains[key].finish()

    def _add(self, row: CertifiedRow) -> None:
        key = row["subaccount"], row["currency"]
        chain_row = ChainRow(
            to_us(parse_instant(AT, row[AT])),
            row[ID],
            Decimal(row["amount"]),
            Decimal(row["balance_after"]) if row["balance_after"] else None,
        )
        if key not in self._chains:
            self._chains[key], self._instants[key] = ChainChecker(self._rules), []
        instant = self._instants[key]
        if instant and instant[-1].at_us != chain_row.at_us:
            self._chains[key].add(instant)
            self._instants[key] = instant = []
        instant.append(chain_row)

    def section(self) -> Section:
        """Return the breaks of the chains. Rows without balances and indicative balances cannot be checked."""
        if self._rules.advisory:
            return Section("could_not_check", "the provider calls its balances indicative", [])
        if not any(chain.stated for chain in self._chains.values()):
            return Section("could_not_check", "no row states a balance", [])
        breaks = [(key, one) for key, chain in sorted(self._chains.items()) for one in chain.breaks]
        if not breaks:
            silent = sorted(f"{subaccount} {currency}".strip() for (subaccount, currency) in self._silent())
            return Section("pass", f"no row of {', '.join(silent)} states a balance" if silent else "", [])
        items = [_item(*key, one) for key, one in breaks[:BREAKS_MAX]]
        reason = f"{len(breaks)} break{'' if len(breaks) == 1 else 's'} of the balance chain"
        return Section("fail", reason, items)

    def _silent(self) -> list[tuple[str, str]]:
        return [key for key, chain in self._chains.items() if not chain.stated]


def _item(subaccount: str, currency: str, found: Break) -> dict[str, str]:
    return {
        "subaccount": subaccount,
        "currency": currency,
        "before": found.before[1] if found.before else "",
        "after": found.after[1],
        "expected": to_plain_string(found.expected),
        "stated": to_plain_string(found.stated),
        "difference": to_plain_string(found.difference),
        "cause": found.cause.value,
    }
