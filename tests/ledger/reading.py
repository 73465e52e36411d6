"""Questions to the read model, as tests ask them: with the rules of all installed providers."""

from datetime import date, datetime

from liushui.ledger.coverage import Range, merge_adjacent
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import find_accounts, read_ranges
from liushui.ledger.read.balances import Balance, read_balances
from liushui.ledger.read.filters import Bound, FlowFilter
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.status import AccountStatus, read_statuses
from liushui.ledger.read.summaries import SummaryQuery, SummaryRow, Unit, read_summary
from liushui.ledger.read.totals import FilteredTotals, read_totals
from liushui.providers import load_providers


def model_of(ledger: Ledger) -> ReadModel:
    """The read model of a ledger."""
    return ReadModel(ledger, {name: provider.rules for name, provider in load_providers().items()})


def balances(
    ledger: Ledger, names: tuple[str, ...] = (), at: Bound | None = None, as_of: datetime | None = None
) -> list[Balance]:
    """The balances of accounts."""
    return read_balances(model_of(ledger), names, at=at, as_of=as_of).rows


def summary(
    ledger: Ledger,
    names: tuple[str, ...] = (),
    *,
    unit: Unit = Unit.MONTH,
    first: date | None = None,
    last: date | None = None,
    as_of: datetime | None = None,
) -> list[SummaryRow]:
    """What moved, by period, account, currency and kind."""
    return read_summary(model_of(ledger), SummaryQuery(names, unit, first=first, last=last), as_of).rows


def totals(ledger: Ledger, wanted: FlowFilter, rows_max: int | None = None) -> FilteredTotals:
    """What the flows of a filter come to."""
    return read_totals(model_of(ledger), wanted, rows_max)


def statuses(ledger: Ledger, names: tuple[str, ...] = ()) -> list[AccountStatus]:
    """The status of accounts."""
    return read_statuses(model_of(ledger), names)


def coverage_of(ledger: Ledger, names: tuple[str, ...] = ()) -> dict[str, list[Range]]:
    """The committed coverage of accounts, neighbours of one state as one."""
    with ledger.querying() as queries:
        return {
            account.account: merge_adjacent(read_ranges(queries, account.account))
            for account in find_accounts(queries, names)
        }
