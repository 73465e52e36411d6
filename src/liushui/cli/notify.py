"""liushui notify: who is told about what needs attention, by webhooks, e-mail or ntfy."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_FAILED, options
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.ledger.jobs.notifications import Notification

RULE_COLUMNS: Final = ("name", "channel", "target", "kinds", "accounts", "gap_after_h", "pending", "sent", "dead")
GAP_AFTER_H: Final = 24
LETTER_COLUMNS: Final = ("id", "rule", "account", "kind", "reason", "created_at", "attempts", "error")
SECRET_MAX: Final = 10_000


def _kind_help() -> str:
    """Return what rules can report, default kinds first."""
    from liushui.ledger.jobs.notifications import DEFAULT_KINDS, RULE_KINDS

    others = [name for name, kind in RULE_KINDS.items() if kind not in DEFAULT_KINDS]
    return f"(default: {', '.join(sorted(DEFAULT_KINDS))}; others: {', '.join(others)})"


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def notify() -> None:
    """Send messages about what needs attention, by signed webhooks, e-mail or ntfy.

    Rules are kept in the ledger. `liushui serve` and `liushui sync --watch` send the messages. Each rule sends one
    message when an alarm begins, and one when it ends. A rule of the kind link_decided sends one message about each
    decision on a link.
    """


@notify.command()
@click.argument("name", metavar="NAME", help="The name of the rule.")
@click.option("--webhook", metavar="URL", help="Send signed webhooks (Standard Webhooks) to this URL.")
@click.option(
    "--ntfy", metavar="URL", help="Publish to this topic of an ntfy server, such as https://ntfy.sh/my-topic."
)
@click.option("--email", "emails", multiple=True, metavar="ADDRESS", help="Send e-mail to this address; repeatable.")
@click.option("--smtp", metavar="URL", help="For e-mail: the server, smtps://[USER@]HOST[:PORT] or smtp://…")
@click.option("--from", "sender", metavar="ADDRESS", help="For e-mail: the sender.")
@click.option(
    "--secret",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="A file (- for standard input) with the secret that signs webhooks, the SMTP password, or ntfy's token.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    cls=options.LazyHelpOption,
    more_help=_kind_help,
    help="Report only this kind; repeatable.",
)
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only this account; repeatable.")
@click.option(
    "--gap-after",
    type=click.IntRange(min=0),
    default=GAP_AFTER_H,
    metavar="HOURS",
    help="Report a gap only when it has been open for this long. Later syncs fill most gaps before that.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Allow an address that is not on the public internet, such as one of this machine or its network.",
)
@options.ledger_and_format
def add(
    settings: Settings,
    /,
    name: str,
    webhook: str | None,
    ntfy: str | None,
    emails: tuple[str, ...],
    smtp: str | None,
    sender: str | None,
    secret: Path | None,
    kinds: tuple[str, ...],
    accounts: tuple[str, ...],
    gap_after: int,
    allow_private: bool,
) -> None:
    """Add a rule: who is told, how, and about what.

    Alarms that hold already are reported at once. A webhook without --secret gets a new secret, which is printed this
    once. Secrets are encrypted in the ledger.

    \b
    Example: liushui notify add ops --webhook https://example.com/hooks/liushui
    Example: liushui notify add phone --ntfy https://ntfy.sh/my-topic --kind stale --kind backup_failed
    Example: liushui notify add mail --email a@b.example --from c@b.example --smtp smtps://c@b.example --secret FILE
    """
    from liushui.ledger.jobs.notifications import add_rule
    from liushui.notify.rules import Address, make_rule, parse_kind

    if sum(map(bool, (webhook, ntfy, emails))) != 1:
        raise ConfigError("channel: expected one of --webhook, --ntfy and --email")
    if bool(emails) != bool(smtp) or bool(emails) != bool(sender):
        raise ConfigError("email: expected together with --smtp and --from")
    given = "" if secret is None else _read_secret(secret)
    address = Address(webhook or "", ntfy or "", emails, smtp or "", sender or "", given, allow_private)
    ledger = settings.open_ledger()
    rule, new_secret = make_rule(
        name,
        address,
        kinds=[parse_kind(kind) for kind in kinds],
        accounts=accounts or None,
        gap_hours=gap_after,
        created_at=ledger.clock(),
    )
    add_rule(ledger, rule)
    record = {"name": name, "channel": rule.channel.value, "target": rule.target, "kinds": sorted(rule.kinds)}
    emit_one(record | ({"secret": new_secret} if new_secret else {}), settings.format)
    messages.print(f"try it: liushui notify test {name}")


@notify.command("list")
@options.ledger_and_format
def list_(settings: Settings) -> None:
    """List the rules, and how many of their messages are pending, were sent, or were given up."""
    from liushui.ledger.jobs.notifications import State, count_states, list_rules

    ledger = settings.open_ledger()
    counts = count_states(ledger)
    records: list[Record] = [
        {
            "name": rule.name,
            "channel": rule.channel.value,
            "target": rule.target,
            "kinds": sorted(rule.kinds),
            "accounts": None if rule.accounts is None else sorted(rule.accounts),
            "gap_after_h": rule.gap_hours,
            **{state.value: counts.get(rule.name, {}).get(state, 0) for state in State},
        }
        for rule in list_rules(ledger)
    ]
    ledger.close()
    emit(records, RULE_COLUMNS, settings.format)


_name = click.argument("name", metavar="NAME", help="The name of the rule.")


@notify.command()
@_name
@options.ledger_and_format
def test(settings: Settings, name: str) -> None:
    """Send a test message through a rule, and print the outcome. The exit code is 1 if it was not accepted."""
    from liushui.ledger.jobs.notifications import find_rule
    from liushui.notify.rules import send_test

    ledger = settings.open_ledger()
    try:
        id_, error = send_test(ledger, find_rule(ledger, name))
    finally:
        ledger.close()
    record = {"name": name, "id": id_, "result": "failed" if error else "accepted", "error": error or None}
    emit_one(record, settings.format)
    if error:
        sys.exit(EXIT_FAILED)


@notify.command()
@_name
@options.ledger_only
def remove(settings: Settings, name: str) -> None:
    """Remove a rule and its unsent messages."""
    from liushui.ledger.jobs.notifications import remove_rule

    ledger = settings.open_ledger()
    unsent = remove_rule(ledger, name)
    messages.print(f"removed {name}" + (f", and {unsent} messages that were not sent" if unsent else ""))


@notify.command("dead-letters")
@options.ledger_and_format
def dead_letters(settings: Settings) -> None:
    """List messages that could not be sent in ten attempts over three days, with the last error."""
    from liushui.ledger.jobs.notifications import State, list_notifications

    ledger = settings.open_ledger()
    letters = list_notifications(ledger, State.DEAD)
    ledger.close()
    emit(map(_letter_record, letters), LETTER_COLUMNS, settings.format)


@notify.command()
@click.argument("ids", nargs=-1, metavar="[ID]...", help="The messages to send again. (default: all dead letters)")
@click.option("--rule", metavar="NAME", help="Send all dead letters of this rule.")
@options.ledger_and_format
def replay(settings: Settings, ids: tuple[str, ...], rule: str | None) -> None:
    """Send dead letters again. They keep their ids.

    `liushui serve` or `liushui sync --watch` sends them.
    """
    from liushui.ledger.jobs import notifications

    if ids and rule is not None:
        raise ConfigError("rule: expected without ids")
    ledger = settings.open_ledger()
    if rule is not None:
        notifications.find_rule(ledger, rule)
    count = notifications.replay(ledger, ids, rule)
    emit_one({"replayed": count}, settings.format)


def _read_secret(path: Path) -> str:
    """Read a secret from a file or standard input, without white space around it. Raises ConfigError."""
    try:
        text = sys.stdin.read(SECRET_MAX) if str(path) == "-" else path.read_text(encoding="utf-8")[:SECRET_MAX]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"secret: {path} cannot be read: {error}") from error
    if not text.strip():
        raise ConfigError(f"secret: expected a secret in {path}, and it is empty")
    return text.strip()


def _letter_record(letter: "Notification") -> Record:
    message = letter.message
    return {
        "id": letter.id,
        "rule": letter.rule,
        "account": message.account or None,
        "kind": message.kind,
        "reason": message.reason,
        "created_at": letter.created_at,
        "attempts": letter.attempts,
        "error": letter.error or None,
    }
