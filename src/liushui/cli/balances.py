"""liushui balances, balance: what accounts hold, and the balances that people and providers state."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.flows import as_of_option, bound_of, day_of, exit_with_sums
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError, WireError

if TYPE_CHECKING:
    from liushui.ledger.read.balances import Balance, BalanceCheck
    from liushui.ledger.read.daily_balances import BalanceSeries
    from liushui.ledger.read.model import ReadModel

BALANCE_COLUMNS: Final = (
    *("account", "subaccount", "currency", "amount", "flows", "at", "measure", "since", "complete", "reason"),
    *("proven", "opening", "stated", "stated_at", "stated_by", "difference", "check", "check_reason"),
)
BALANCE_TABLE_COLUMNS: Final = (
    *("account", "subaccount", "currency", "amount", "flows", "at", "measure", "stated", "stated_at"),
    *("difference", "check", "complete", "reason"),
)
DAILY_COLUMNS: Final = (
    *("day", "account", "subaccount", "currency", "amount", "measure", "since", "complete", "day_complete", "reason"),
)
STATED_COLUMNS: Final = (
    *("id", "account", "subaccount", "currency", "at", "amount", "expected", "difference", "check", "check_reason"),
    *("note", "stated_at", "withdrawn_at", "withdrawn_reason"),
)
STATED_TABLE_COLUMNS: Final = (
    *("id", "subaccount", "currency", "at", "amount", "expected", "difference", "check", "note"),
)
FAILURES_MAX: Final = 6
"""The most differing balances that are explained below a result."""


@click.command()
@options.accounts
@click.option(
    "--at",
    metavar="WHEN",
    help="The balance before the flows of this time, or of this day of the account. (default: after all)",
)
@click.option("--daily", is_flag=True, help="The balance at the end of each day. (default: one balance)")
@click.option(
    "--since",
    metavar="DAY",
    help="With --daily: begin with this day of the account. (default: a year before the end)",
)
@click.option(
    "--until",
    metavar="DAY",
    help="With --daily: end before this day of the account. (default: today)",
)
@as_of_option
@options.ledger_and_format
def balances(
    settings: Settings,
    accounts: tuple[str, ...],
    at: str | None,
    daily: bool,
    since: str | None,
    until: str | None,
    as_of: str | None,
) -> None:
    """Print the balance of each account by currency, and whether it agrees with the stated balance.

    A balance is the exact sum of the opening balance and all flows. If the opening balance is not known, the sum of the
    flows is called the net change since the first day of the history.

    `stated` is the newest balance that the provider or a person stated, or the newest one that does not agree.
    `difference` is the stated balance minus the balance of the flows at that moment. `check` is the verdict: pass, fail
    or could not check.

    The exit code is 3 if the result is not complete or a check fails. The result of an account without a source is
    never complete. With --as-of the command adds up all versions of the flows, which takes longer.

    With --daily the command prints one row for each day. `complete` says whether the ledger has all flows up to the end
    of the day, and `day_complete` whether it has all flows of the day.

    \b
    Example: liushui balances broker --at 2026-01-01
    Example: liushui balances broker --daily --since 2026-10-01
    """
    from liushui.ledger.read.balances import read_balances

    if daily:
        _print_daily(settings, accounts, (since, until), {"at": at, "as-of": as_of})
        return
    for name, given in (("since", since), ("until", until)):
        if given is not None:
            raise ConfigError(f"{name}: expected with --daily only, got {given}")
    before, recorded_until = bound_of("at", at), bound_of("as-of", as_of)
    model = settings.open_read_model()
    result = read_balances(model, accounts, at=before, as_of=recorded_until)
    form = settings.format
    record_of = balance_row if form is Format.TABLE else _balance_record
    emit(map(record_of, result.rows), BALANCE_TABLE_COLUMNS if form is Format.TABLE else BALANCE_COLUMNS, form)
    for row in result.failures[:FAILURES_MAX]:
        about = " ".join(filter(None, (row.account, row.subaccount, row.currency)))
        messages.warn(f"{about}: {row.check.reason}")
    exit_with_sums(result.verdict)
    failures = result.failures
    if failures and before is None and recorded_until is None:
        from liushui.ledger.read.status import read_failed_balances  # imported here because most balances agree

        failures = read_failed_balances(model, accounts)
    if failures:
        sys.exit(EXIT_INCOMPLETE)


def _print_daily(
    settings: Settings, accounts: tuple[str, ...], range_: tuple[str | None, str | None], others: dict[str, str | None]
) -> None:
    """Print end-of-day balances. Raises ConfigError for options that do not apply to them."""
    from liushui.ledger.read.completeness import combine
    from liushui.ledger.read.daily_balances import read_daily_balances
    from liushui.ledger.read.filters import check_range

    for name, text in others.items():
        if text is not None:
            raise ConfigError(f"{name}: expected without --daily, got {text}")
    first, after = day_of("since", range_[0]), day_of("until", range_[1])
    check_range(first, after)
    last = None if after is None else after - timedelta(days=1)
    series = read_daily_balances(settings.open_read_model(), accounts, first=first, last=last)
    records = (record for one in series for record in _daily_records(one))
    emit(records, DAILY_COLUMNS, settings.format)
    exit_with_sums(combine([one.days[-1].verdict for one in series]))


def _daily_records(series: "BalanceSeries") -> Iterator[Record]:
    from liushui.instant import from_us

    since_us = series.basis.since_us
    for day in series.days:
        yield {
            "day": day.day.isoformat(),
            "account": series.account,
            "subaccount": series.subaccount,
            "currency": series.currency,
            "amount": day.amount,
            "measure": series.basis.measure,
            "since": None if since_us is None else from_us(since_us),
            "complete": day.verdict.is_complete,
            "day_complete": day.is_whole,
            "reason": day.verdict.reason or None,
        }


def _balance_record(row: "Balance") -> Record:
    from liushui.instant import from_us

    complete = row.verdict.is_complete
    return {
        "account": row.account,
        "subaccount": row.subaccount,
        "currency": row.currency,
        "amount": row.amount,
        "flows": row.flows,
        "at": row.at,
        "measure": row.basis.measure,
        "since": None if row.basis.since_us is None else from_us(row.basis.since_us),
        "complete": complete,
        "reason": row.verdict.reason or None,
        "proven": complete,
        "opening": row.opening,
        **check_record(row.check),
    }


def check_record(check: "BalanceCheck") -> Record:
    """A balance's check by its columns."""
    return {
        "stated": check.stated,
        "stated_at": check.at,
        "stated_by": None if check.origin is None else check.origin.value,
        "difference": check.difference,
        "check": check.status.value,
        "check_reason": check.reason or None,
    }


def balance_row(row: "Balance") -> Record:
    """Return a balance as a table shows it: a net change with its beginning, a verdict in words."""
    record = dict(_balance_record(row))
    if row.basis.since_day is not None:
        record["measure"] = f"net change since {row.basis.since_day}"
    record["check"] = row.check.status.value.replace("_", " ")
    return record


# ---------------------------------------------------------------- stated balances


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def balance() -> None:
    """State what an account holds, and compare it with the flows.

    If an account has no opening balance, it is computed from a stated balance. Stated balances also check the flows up
    to their moment. They are part of the hash chain, like every fact. A wrong one is withdrawn, not deleted.
    """


@balance.command()
@click.argument("account", metavar="ACCOUNT", help="The account.")
@click.option("--currency", metavar="CODE", required=True, help="The currency, such as USD.")
@click.option("--amount", metavar="AMOUNT", required=True, help="The balance, such as 1024.00 or -3.50.")
@click.option(
    "--at",
    metavar="WHEN",
    required=True,
    help="The moment: the balance before the flows of this time, or of this day of the account. The balance at the end "
    "of 31 October is the one before 1 November.",
)
@click.option("--subaccount", metavar="NAME", default="", help="The subaccount. (default: the one without a name)")
@click.option("--note", metavar="TEXT", default="", help="Where the figure is from.")
@options.ledger_and_format
def state(settings: Settings, account: str, currency: str, amount: str, at: str, subaccount: str, note: str) -> None:
    """State the balance of an account at a moment.

    Stating the same balance again changes nothing. The command prints the balance with its id and its check. The exit
    code is 3 if the balance is recorded, but differs from the balance of the flows.

    \b
    Example: liushui balance state shop --currency CNY --amount 1024.00 --at 2026-11-01 --note "bank statement"
    """
    from liushui.ledger.read.filters import read_bound
    from liushui.ledger.write.stated_balances import Statement, state_balance
    from liushui.money import parse_decimal

    try:
        value = parse_decimal("amount", amount)
    except WireError as error:
        raise ConfigError(str(error)) from error
    model = settings.open_read_model()
    with model.reading((account,)) as reading:
        rules = model.rules.get(reading.accounts[account].snapshot.provider)
    statement = Statement(account, read_bound("at", at), currency, value, subaccount, note)
    result = state_balance(model.ledger, statement, rules)
    if not result.is_new:
        messages.print(f"{result.id} states this balance already")
    records = [record for record in _stated_records(model, (account,), withdrawn=False) if record["id"] == result.id]
    _emit_stated(records, settings.format)
    _exit_with_checks(records)


@balance.command("list")
@options.accounts
@click.option("--all", "withdrawn", is_flag=True, help="Also list balances that were withdrawn.")
@options.ledger_and_format
def list_(settings: Settings, accounts: tuple[str, ...], withdrawn: bool) -> None:
    """List the balances that people stated, each beside the balance of the flows at the same moment.

    The exit code is 3 if one of them differs.
    """
    records = list(_stated_records(settings.open_read_model(), accounts, withdrawn=withdrawn))
    _emit_stated(records, settings.format)
    _exit_with_checks(records)


def _exit_with_checks(records: "list[Record]") -> None:
    """Say which stated balances differ from the flows, and exit with code 3. Return if none does."""
    failed = [record for record in records if record["check"] == "fail"]
    for record in failed[:FAILURES_MAX]:
        messages.warn(f"{record['account']} {record['currency']}: {record['check_reason']}")
    if failed:
        sys.exit(EXIT_INCOMPLETE)


@balance.command()
@click.argument("id_", metavar="ID", help="The balance's id, as `balance list` prints it.")
@click.option("--reason", metavar="TEXT", required=True, help="Why it is withdrawn.")
@options.ledger_only
def withdraw(settings: Settings, id_: str, reason: str) -> None:
    """Withdraw a stated balance that is wrong. It stays in the ledger, with the reason."""
    from rich.markup import escape

    from liushui.ledger.write.stated_balances import withdraw_balance

    withdraw_balance(settings.open_ledger(), id_, reason)
    messages.print(f"{escape(id_)} is withdrawn")


def _emit_stated(records: "list[Record]", form: Format) -> None:
    is_table = form is Format.TABLE
    rows = [{**record, "check": str(record["check"] or "withdrawn").replace("_", " ")} for record in records]
    emit(rows if is_table else records, STATED_TABLE_COLUMNS if is_table else STATED_COLUMNS, form)


def _stated_records(model: "ReadModel", accounts: tuple[str, ...], *, withdrawn: bool) -> Iterator[Record]:
    from liushui.ledger.read.balances import check_statements

    for stated, check in check_statements(model, accounts, withdrawn=withdrawn):
        yield {
            "id": stated.id,
            **{name: getattr(stated, name) for name in ("account", "subaccount", "currency", "at", "amount", "note")},
            "expected": None if check is None else check.expected,
            "difference": None if check is None else check.difference,
            "check": None if check is None else check.status.value,
            "check_reason": (check.reason or None) if check else None,
            "stated_at": stated.stated_at,
            "withdrawn_at": stated.withdrawn_at,
            "withdrawn_reason": stated.reason,
        }
