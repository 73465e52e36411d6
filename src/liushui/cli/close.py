"""liushui close: closing months, opening them again, and what has changed in closed ones."""

import sys
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.audited import system_user
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.ledger.read.closed_months import ChangeAfterClose, MonthChanges, PeriodDecision

COLUMNS: Final = (
    *("account", "period", "state", "decided_by", "decided_at", "reason", "batch", "certificate", "lines"),
    "changed_after_close",
)
TABLE_COLUMNS: Final = ("account", "period", "state", "decided_by", "decided_at", "changed_after_close", "reason")
CHANGE_COLUMNS: Final = (
    *(
        "account",
        "period",
        "change",
        "recorded_at",
        "batch",
        "ended_as",
        "id",
        "at",
        "subaccount",
        "currency",
        "amount",
    ),
    "amount_before",
)


@click.command()
@click.argument("words", nargs=-1, metavar="[MONTH] [ACCOUNT]...", help="A month such as 2026-10, and the accounts.")
@click.option(
    "--explain",
    "explained",
    multiple=True,
    metavar="LINE[=WHY]",
    help="Accept a line that does not pass: ACCOUNT:CURRENCY or ACCOUNT:SUBACCOUNT:CURRENCY, or ACCOUNT for an account "
    "without lines; repeatable. Without =WHY, the reason is that of --reason.",
)
@click.option(
    "--by",
    "by",
    metavar="NAME",
    help="Who decides. (default: the name of the user of this computer)",
    default=system_user,
)
@click.option("--reason", metavar="TEXT", default="", help="Why lines are accepted, or why the month is opened again.")
@click.option("--sign-with", metavar="NAME", help="The key that signs the certificate. (default: the newest)")
@click.option("--reopen", "is_reopened", is_flag=True, help="Open a closed month again. It needs a reason.")
@click.option("--list", "is_listed", is_flag=True, help="List the months that were closed or opened again.")
@click.option("--changes", "is_changes", is_flag=True, help="List flows of closed months that have changed since.")
@options.ledger_and_format
def close(
    settings: Settings,
    /,
    words: tuple[str, ...],
    explained: tuple[str, ...],
    by: str,
    reason: str,
    sign_with: str | None,
    is_reopened: bool,
    is_listed: bool,
    is_changes: bool,
) -> None:
    """Close a month whose proof of cash passes or is explained.

    Every line of `liushui reconcile` must pass, or be explained by a named person with a reason. Then a certificate of
    the month is written into the ledger, and the close is sealed in the chain that `verify` checks. Otherwise the
    command names each line that does not pass, and changes nothing. Without ACCOUNT, it closes the month for all
    accounts in which it is still open.

    A closed month is not locked. Later changes are recorded as always. --changes lists them, and then the exit code is
    3. They also raise an alarm in `liushui status`, until --reopen opens the month again.

    \b
    Example: liushui close 2026-10 shop --explain shop:CNY --by "Li Na" --reason "refund that our key may not see"
    """
    if sum((is_reopened, is_listed, is_changes)) > 1:
        raise ConfigError("expected one of --reopen, --list and --changes")
    is_close = not (is_reopened or is_listed or is_changes)
    if not is_close and (explained or sign_with is not None):
        raise ConfigError("expected --explain and --sign-with only where a month is closed")
    if reason and not (is_reopened or (is_close and explained)):
        raise ConfigError("reason: expected only with --explain or --reopen")
    if is_listed:
        _list(settings, words)
    elif is_changes:
        _list_changes(settings, words)
    elif not words:
        raise ConfigError("period: expected a month such as 2026-10, or --list or --changes, got nothing")
    elif is_reopened:
        _reopen(settings, words, by, reason)
    else:
        _close(settings, words, explained, by, reason, sign_with)


def _close(
    settings: Settings,
    words: tuple[str, ...],
    explained: tuple[str, ...],
    by: str,
    reason: str,
    sign_with: str | None,
) -> None:
    from liushui.providers import load_providers
    from liushui.services.periods import Explanations, close_month

    texts = {}
    for text in explained:
        line, equals, why = text.partition("=")
        if line in texts:
            raise ConfigError(f"explain: expected each line once, got {line!r} twice")
        texts[line] = why if equals else reason
    period, *accounts = words
    model = settings.open_read_model()
    decisions = close_month(
        model,
        period,
        accounts,
        Explanations(by, texts),
        load_providers(),
        sign_with=sign_with,
        skip_closed=not accounts,
    )
    _emit(decisions, settings.format)


def _reopen(settings: Settings, words: tuple[str, ...], by: str, reason: str) -> None:
    from liushui.services.periods import reopen_month

    period, *accounts = words
    _emit(reopen_month(settings.open_ledger(), period, accounts, by=by, reason=reason), settings.format)


def _emit(decisions: "list[PeriodDecision]", form: Format) -> None:
    if form is Format.TABLE:
        from rich.markup import escape

        from liushui.services.periods import describe_decision

        for decision in decisions:
            messages.print(escape(describe_decision(decision)))
    else:
        emit((decision_record(decision, 0) for decision in decisions), COLUMNS, form)


def _list(settings: Settings, accounts: tuple[str, ...]) -> None:
    from liushui.ledger.read.closed_months import list_decisions

    with settings.open_read_model().reading(accounts) as reading:
        decisions = list_decisions(reading.queries, accounts)
        changed = {
            (change.closed.account, change.closed.batch): len(change.changes)
            for account in reading.accounts.values()
            for change in reading.month_changes(account)
        }
    form = settings.format
    records = (decision_record(one, changed.get((one.account, one.batch), 0)) for one in decisions)
    emit(records, TABLE_COLUMNS if form is Format.TABLE else COLUMNS, form)


def decision_record(decision: "PeriodDecision", changes: int) -> Record:
    """A decision by its columns. `changes`: the number of flows that have changed since the month was closed."""
    record = {name: getattr(decision, name) for name in ("account", "period", "decided_by", "decided_at", "batch")}
    return {
        **record,
        "state": decision.state.value,
        "reason": decision.reason or None,
        "certificate": decision.certificate or None,
        "lines": [line._asdict() for line in decision.lines],
        "changed_after_close": changes,
    }


def _list_changes(settings: Settings, accounts: tuple[str, ...]) -> None:
    with settings.open_read_model().reading(accounts) as reading:
        months: list[MonthChanges] = []
        for account in reading.accounts.values():
            months += reading.month_changes(account)
    changes = [change for month in months for change in month.changes]
    emit(map(_change_record, changes), CHANGE_COLUMNS, settings.format)
    if changes:
        sys.exit(EXIT_INCOMPLETE)


def _change_record(change: "ChangeAfterClose") -> Record:
    found = change.flow
    return {
        "account": change.account,
        "period": change.period,
        "change": change.kind.value,
        "recorded_at": change.recorded_at,
        "batch": change.batch,
        "ended_as": change.ended_as,
        "id": found.id,
        "at": found.flow.at,
        "subaccount": found.flow.subaccount,
        "currency": found.flow.currency,
        "amount": None if change.now is None else change.now.flow.amount,
        "amount_before": None if change.before is None else change.before.flow.amount,
    }
