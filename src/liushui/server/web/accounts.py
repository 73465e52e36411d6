"""The page of an account: its balances with the stated ones, its balance chains, its coverage."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath
from litestar.response import Response

from liushui.errors import (
    AccountNotFound,
    AlreadyExists,
    ConfigError,
    InvalidField,
    LedgerError,
    PermissionDenied,
)
from liushui.instant import from_us, to_local, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.balances import Balance, BalanceCheck, check_statements, read_balances
from liushui.ledger.read.breaks import breaks_with_flows
from liushui.ledger.read.chain_segments import Key
from liushui.ledger.read.chains import ChainState
from liushui.ledger.read.completeness import is_open_end
from liushui.ledger.read.coverage import CoverageRange, coverage_ranges
from liushui.ledger.read.filters import DAY, equals_currency
from liushui.ledger.read.model import Account
from liushui.ledger.read.month_calendar import month_at, previous_month
from liushui.ledger.read.overview import read_calendar
from liushui.ledger.read.stated_balances import StatedBalance
from liushui.ledger.read.status import open_breaks
from liushui.ledger.write.stated_balances import Statement, state_balance, withdraw_balance
from liushui.server.web.account_addresses import account_address, flows_beside, month_address, row_address
from liushui.server.web.charts import draw_calendar, script_json, state_looks
from liushui.server.web.check_labels import break_text, chain_label, check_label
from liushui.server.web.download_choices import download_choices
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.labels import (
    basis_label,
    cause_text,
    coverage_label,
)
from liushui.server.web.page import CurrentPage, Page, decimal_places, redirect
from liushui.services import accounts

BREAKS_SHOWN: Final = 100
RANGES_SHOWN: Final = 200
MONTHS_LISTED: Final = 120
"""The number of months from which a download can be chosen. Others are downloaded from the page of flows."""


@get("/accounts/{name:str}", sync_to_thread=True)
def show_account(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Show the account."""
    return _render(page, name)


@get("/page/accounts/{name:str}/calendar", sync_to_thread=True)
def load_calendar(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """A calendar for each year of the account's history, the newest first."""
    account = _account(page, name)
    days = read_calendar(account, page.read_model.rules.get(account.name.provider), now=page.ledger.clock())
    years = [(year, list(of_year)) for year, of_year in groupby(days, key=lambda day: day.day.year)]
    calendars = [
        (year, draw_calendar(name, of_year, date(year, 1, 1), page.language)) for year, of_year in reversed(years)
    ]
    return page.render("accounts/calendar.html", years=calendars, script_json=script_json)


@post("/accounts/{name:str}/rename", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def rename_account(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Give the account another name."""
    account, form = _account(page, name).name.account, Form(page)
    new_name = form.source_name("new_name")
    if form.typed("confirm") != account:
        form.wrong("confirm", page.say("Type %(name)s.", name=account))
    if not form.is_wrong and new_name is not None:
        try:
            accounts.rename_account(page.ledger, page.principal, account, new_name)
        except AlreadyExists:
            form.wrong("new_name", page.say("This name is taken, or belonged to another account before."))
        except InvalidField:
            form.wrong("new_name", page.say("The account has this name already."))
        except LedgerError as error:
            form.wrong("new_name", str(error))
        except PermissionDenied as error:  # the page shows no form to such a reader
            raise PermissionDeniedException(str(error)) from error
        else:
            return redirect(account_address(new_name))
    return _render(page, name, form)


@post("/accounts/{name:str}/balances", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def add_stated_balance(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """State the account's balance at the end of a day."""
    account, form = _account(page, name), Form(page)
    statement = _read_statement(form, account)
    if statement is not None:
        try:
            state_balance(page.ledger, statement, page.read_model.rules.get(account.name.provider))
        except ConfigError as error:
            field, _, text = str(error).partition(": ")
            fields = {"at": "day", "amount": "amount", "currency": "currency", "subaccount": "subaccount"}
            form.wrong(fields.get(field, "note"), text or field)
        else:
            return redirect(account_address(name, "stated"))
    return _render(page, name, form)


@post("/accounts/{name:str}/balances/withdraw", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def withdraw_stated_balance(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Withdraw a balance that a person stated."""
    account, form = _account(page, name), Form(page)
    id_, reason = form.typed("id"), form.text("reason")
    if reason is not None:
        try:
            if id_.rpartition(":")[0] != account.name.account:
                raise ConfigError(page.say("This balance does not exist."))
            withdraw_balance(page.ledger, id_, reason)
        except ConfigError as error:
            form.wrong("reason", str(error).removeprefix("reason: ").removeprefix("id: "))
        else:
            return redirect(account_address(name, "stated"))
    form.errors["withdraw"] = form.errors.pop("reason")
    return _render(page, name, form)


def _account(page: Page, name: str) -> Account:
    try:
        return page.read_model.accounts((name,))[name]
    except AccountNotFound as error:
        raise NotFoundException(str(error)) from error


def _read_statement(form: Form, account: Account) -> Statement | None:
    """Return the balance in a form. None: the form's errors say what is wrong."""
    day, amount, currency = form.day("day"), form.amount("amount"), form.text("currency")
    subaccount, note = form.typed("subaccount"), form.typed("note")
    if day is None or amount is None or currency is None:
        return None
    if day == date.max:
        form.wrong("day", form.page.say("This day is not over yet."))
        return None
    at = datetime.combine(day + DAY, time(), account.name.tz)
    if at > form.page.ledger.clock():
        form.wrong("day", form.page.say("This day is not over yet."))
        return None
    for stated, _check in check_statements(form.page.read_model, (account.name.account,)):
        is_same = stated.at == at and stated.subaccount == subaccount and equals_currency(stated.currency, currency)
        if is_same and stated.amount != amount:
            text = form.page.say(
                "%(id)s states %(amount)s for the same moment. Withdraw it first if it is wrong.",
                id=stated.id,
                amount=form.page.language.amount(stated.amount),
            )
            form.wrong("amount", text)
            return None
    return Statement(account.name.account, at, currency, amount, subaccount, note)


# ---------------------------------------------------------------- what is shown


class ChainView(NamedTuple):
    """One balance chain: its subaccount and currency, and its state. None: no row states a balance."""

    key: Key
    flows: int
    state: ChainState | None


def _render(page: Page, name: str, form: Form | None = None) -> Response[str]:
    """Render the page. `form`: a form that was sent and refused."""
    account = _account(page, name)
    model, zone, language = page.read_model, page.view_zone(account.name.zone), page.language
    with model.reading((name,)) as reading:
        account = reading.accounts[name]
        chains = {key: chain for key, chain in reading.chains(account).items() if chain.stated}
        found = sorted(
            ((key, one) for key, chain in chains.items() for one in chain.breaks), key=lambda pair: pair[1].after
        )
        breaks = breaks_with_flows(reading, account, found[:BREAKS_SHOWN])
        explained = reading.explained(account)
        open_breaks_number = len(open_breaks(reading, account))
        sums = account.snapshot.sums
    balances = read_balances(model, (name,)).rows
    statements = check_statements(model, (name,), withdrawn=True)
    provider = page.providers.get(account.name.provider)
    keys = sorted({*sums, *((one.subaccount, one.currency) for one in balances)})
    rules = account.balance_rules
    has_chains = bool(chains) or (rules is not None and rules.advisory)
    return page.render(
        "accounts/account.html",
        status=422 if form is not None and form.is_wrong else 200,
        account=account,
        address=account_address(name),
        month_address=month_address(name, _last_month(page, account)),
        provider=provider,
        downloads=download_choices(language),
        download_periods=_periods(page, account),
        zone=zone,
        balances=balances,
        decimals=decimal_places(_balance_amounts(balances)),
        chains=[ChainView(key, sums[key].flows, chains.get(key)) for key in keys if key in sums and has_chains],
        chain=lambda state: chain_label(state, rules, language, is_explained=not open_breaks_number),
        chain_decimals=decimal_places(_chain_amounts(chains.values())),
        breaks=breaks,
        breaks_number=len(found),
        explained=explained,
        review_address=f"/review?{urlencode({'account': name})}",
        break_decimals=decimal_places([amount for one in breaks for amount in (one.expected, one.stated)]),
        explain=lambda one: break_text(one, language),
        row_address=row_address,
        beside=flows_beside,
        statements=statements,
        stated_decimals=decimal_places(_stated_amounts(statements)),
        ranges=_newest_first(coverage_ranges(account)),
        states=state_looks(language),
        state=coverage_label(account.verdict(), zone, language),
        coverage=lambda verdict: coverage_label(verdict, zone, language),
        basis=lambda basis: basis_label(basis, language),
        check=lambda check: check_label(check, zone, language),
        cause=lambda gap: cause_text(gap, language),
        flows_address=_flows_address,
        instant=lambda at_us: None if at_us is None or is_open_end(at_us) else from_us(at_us),
        end_of_day=lambda at: _end_of_day(at, account.name.tz),
        may_state=page.may(Scope.RECORD),
        may_rename=page.may(Scope.MANAGE) and page.principal.accounts is None,
        subaccount_choices=[(name, name) for name in sorted({subaccount for subaccount, _ in keys})],
        currency_choices=[(code, code) for code in sorted({code for _, code in keys} | (account.currencies or set()))],
        values={} if form is None else page.form,
        errors={} if form is None else form.errors,
    )


def _last_month(page: Page, account: Account) -> str:
    """The last month that has ended in the account's zone."""
    return previous_month(month_at(to_us(page.ledger.clock()), account.name)).isoformat()[:7]


def _periods(page: Page, account: Account) -> list[str]:
    """The years and the months since the account's first flow, the newest first."""
    first_us, periods = account.snapshot.first_flow_us, list[str]()
    if first_us is None:
        return periods
    first, month = month_at(first_us, account.name), month_at(to_us(page.ledger.clock()), account.name)
    years = [str(year) for year in range(month.year, first.year - 1, -1)]
    while month >= first and len(periods) < MONTHS_LISTED:
        periods.append(month.isoformat()[:7])
        month = previous_month(month)
    return [*years, *periods]


def _newest_first(ranges: Sequence[CoverageRange]) -> list[CoverageRange]:
    return list(reversed(ranges))[:RANGES_SHOWN]


def _flows_address(account: str, key: Key) -> str:
    fields = {"account": account, "subaccount": key[0], "currency": key[1]}
    return f"/flows?{urlencode({name: value for name, value in fields.items() if value})}"


def _end_of_day(at: datetime, zone: ZoneInfo) -> date | None:
    """Return the day that ends at a moment. None: the moment is within a day."""
    local = to_local(at, zone)
    return local.date() - DAY if local.time() == time() and local.date() > date.min else None


def _balance_amounts(balances: Sequence[Balance]) -> list[Decimal]:
    amounts = [amount for one in balances for amount in (one.opening, one.amount, one.check.stated)]
    return [amount for amount in amounts if amount is not None]


def _chain_amounts(chains: Iterable[ChainState]) -> list[Decimal]:
    return [amount for one in chains for amount in (one.opening, one.closing) if amount is not None]


def _stated_amounts(statements: Sequence[tuple[StatedBalance, BalanceCheck | None]]) -> list[Decimal]:
    expected = [check.expected for _, check in statements if check is not None and check.expected is not None]
    return [stated.amount for stated, _ in statements] + expected
