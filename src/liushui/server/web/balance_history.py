"""The balance over time on the page of an account: a chart of end-of-day balances, and its incomplete parts."""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from liushui.errors import AccountNotFound
from liushui.ledger.read.completeness import Cause
from liushui.ledger.read.daily_balances import (
    DAYS_MAX,
    BalanceSeries,
    DayBalance,
    DayRun,
    day_stretches,
    keys_of,
    read_daily_balances,
)
from liushui.ledger.read.stated_balances import Key
from liushui.money import to_plain_string
from liushui.server.web.charts import Figure, script_json
from liushui.server.web.labels import basis_label, cause_text
from liushui.server.web.page import CurrentPage, Page, decimal_places

SPANS: Final = {"quarter": 91, "year": 365, "all": DAYS_MAX}
"""The most days of a span."""
STRETCHES_SHOWN: Final = 12


class BalanceChart(msgspec.Struct, frozen=True):
    """The data of the chart. `states` has one digit for each day: 0 complete, 1 not complete, 2 flows of the day itself
    may be missing. `runs`: the index of the first day of each stretch, and its description."""

    first: str
    figures: Sequence[Figure]
    states: str
    runs: Sequence[tuple[int, str]]


class Stretch(NamedTuple):
    """Consecutive days in the same state, in words. `look`: the look of its tag."""

    first: date
    last: date
    name: str
    look: str
    reason: str


@get("/page/accounts/{name:str}/balance-history", sync_to_thread=True)
def load_balance_history(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Return the chart of one subaccount and currency of the account, and its stretches in words."""
    try:
        with page.read_model.reading((name,)) as reading:
            account = reading.accounts[name]
    except AccountNotFound as error:
        raise NotFoundException(str(error)) from error
    keys, chosen, span = keys_of(account), _chosen_key(page), _chosen_span(page)
    key = chosen if chosen in keys else next(iter(keys), None)
    series = None if key is None else _read(page, name, key, span)
    address = f"/page/accounts/{quote(name, safe='')}/balance-history"

    def address_of(key: Key | None, span: str) -> str:
        fields = {"span": span} if key is None else {"subaccount": key[0], "currency": key[1], "span": span}
        return f"{address}?{urlencode(fields)}"

    say = page.say
    return page.render(
        "accounts/balance_history.html",
        account=account,
        key=key,
        keys=keys,
        span=span,
        spans={"quarter": say("3 months"), "year": say("Year"), "all": say("All days")},
        address_of=address_of,
        series=series,
        chart=None if series is None else script_json(_chart(series, page)),
        stretches=[] if series is None else list(reversed(_stretches(series.days, page)))[:STRETCHES_SHOWN],
        month_ends=[] if series is None else _month_ends(series.days),
        basis="" if series is None else basis_label(series.basis, page.language),
        decimals=decimal_places([] if series is None else [day.amount for day in _month_ends(series.days)]),
    )


def _chosen_key(page: Page) -> Key:
    return page.query.get("subaccount", [""])[-1], page.query.get("currency", [""])[-1]


def _chosen_span(page: Page) -> str:
    asked = page.query.get("span", [""])[-1]
    return asked if asked in SPANS else "year"


def _read(page: Page, name: str, key: Key, span: str) -> BalanceSeries | None:
    """The series of a span, up to the newest day that has ended. None: no day has ended yet."""
    subaccount, currency = key
    found = read_daily_balances(
        page.read_model, (name,), currency=currency, subaccount=subaccount, days_max=SPANS[span]
    )
    return next((one for one in found if one.currency == currency), None)


def _chart(series: BalanceSeries, page: Page) -> BalanceChart:
    language, days = page.language, series.days
    stretches = _stretches(days, page)
    first = days[0].day
    return BalanceChart(
        first=first.isoformat(),
        figures=[
            Figure(to_plain_string(day.amount), language.short_amount(day.amount, series.currency)) for day in days
        ],
        states="".join("0" if day.verdict.is_complete else "1" if day.gap is None else "2" for day in days),
        runs=[((one.first - first).days, f"{one.name}: {one.reason}" if one.reason else one.name) for one in stretches],
    )


def _stretches(days: Sequence[DayBalance], page: Page) -> list[Stretch]:
    """Return the stretches of days in the same state, in the reader's words, oldest first."""
    return [_stretch(run, page) for run in day_stretches(days)]


def _stretch(run: DayRun, page: Page) -> Stretch:
    say = page.say
    if run.is_complete:
        return Stretch(run.first, run.last, say("Complete"), "good", "")
    if run.has_gap and run.gap is not None and run.gap.cause is Cause.NOT_PUBLISHED:
        return Stretch(run.first, run.last, say("Not published yet"), "", "")
    why = "" if run.gap is None else cause_text(run.gap, page.language)
    if run.has_gap:
        return Stretch(run.first, run.last, say("Gap"), "warn", why)
    return Stretch(run.first, run.last, say("Not complete"), "warn", why)


def _month_ends(days: Sequence[DayBalance]) -> list[DayBalance]:
    """The last day of each month, the newest first."""
    ends: dict[tuple[int, int], DayBalance] = {(one.day.year, one.day.month): one for one in days}
    return list(reversed(ends.values()))
