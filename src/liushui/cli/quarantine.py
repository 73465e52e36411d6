"""liushui quarantine, rebuild: rejected rows, and flows derived again from received rows."""

import sys
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import ConfigError, short_repr
from liushui.instant import from_us, us_to_iso

if TYPE_CHECKING:
    from liushui.files.contract import FileFormat
    from liushui.ledger.engine import Ledger
    from liushui.ledger.read.quarantine import Quarantined
    from liushui.ledger.write.reprocess import RebuildReport
    from liushui.provider import Provider

# ---------------------------------------------------------------- the quarantine

QUARANTINE_COLUMNS: Final = (
    *("account", "id", "field", "reason", "since", "until", "batch", "recorded_at", "resolved_batch", "resolved_as"),
    "resolved_by",
)
RETRY_COLUMNS: Final = ("account", "tried", "corrected", "read", "unreadable", "outside")


row_account_option = click.option(
    "--account", metavar="ACCOUNT", help="The account the row came for, if several have a row of this id."
)


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def quarantine() -> None:
    """Review rejected rows: rows that could not be read.

    They are stored byte for byte, and a later version of liushui may be able to read them.
    """


@quarantine.command("list")
@options.accounts
@click.option("--all", "resolved", is_flag=True, help="Also list rows that were resolved.")
@options.ledger_and_format
def list_(settings: Settings, accounts: tuple[str, ...], resolved: bool) -> None:
    """List rejected rows, the reasons, and the time ranges they were seen in.

    The exit code is 3 if a row still cannot be read.
    """
    from liushui.ledger.read.quarantine import list_quarantined

    has_open = False

    def record(entry: "Quarantined") -> Record:
        nonlocal has_open
        has_open = has_open or entry.resolved_batch is None
        return entry_record(entry)

    entries = list_quarantined(settings.open_ledger(), accounts, resolved=resolved)
    emit(map(record, entries), QUARANTINE_COLUMNS, settings.format)
    if has_open:
        sys.exit(EXIT_INCOMPLETE)


@quarantine.command()
@click.argument("words", nargs=-1, required=True, metavar="ID", help="The row's id, as `quarantine list` prints it.")
@row_account_option
@click.option("--raw", is_flag=True, help="Write the row's bytes as they came, and nothing else.")
@options.ledger_and_format
def show(settings: Settings, words: tuple[str, ...], account: str | None, raw: bool) -> None:
    """Print one rejected row and everything known about it.

    Characters that a terminal cannot show are escaped. `show ACCOUNT ID` works as well.

    \b
    Example: liushui quarantine show 5d41402abc4b2a76b9719d911017c592
    """
    from liushui.ledger.read.quarantine import quarantined_named
    from liushui.services.quarantine import account_of_row

    *named, id_ = words
    if len(named) > (account is None):
        raise ConfigError(f"id: expected one, got {' '.join(words)}")
    ledger = settings.open_ledger()
    entry = quarantined_named(ledger, account or (named[0] if named else account_of_row(ledger, id_)), id_)
    if raw:
        sys.stdout.buffer.write(entry.wire)
        sys.stdout.flush()
        return
    seen = None if entry.span is None else [f"{us_to_iso(since)} to {us_to_iso(until)}" for since, until in entry.span]
    record = entry_record(entry) | {"seen": seen, "row": escaped(entry.wire)}
    emit_one({name: record[name] for name in (*QUARANTINE_COLUMNS, "seen", "row")}, settings.format)


@quarantine.command()
@options.accounts
@options.ledger_and_format
def retry(settings: Settings, accounts: tuple[str, ...]) -> None:
    """Try to read every rejected row again.

    Rows that can be read now become flows. A row is resolved too if its record has since come in with a corrected row.
    The exit code is 3 if some are still open.
    """
    from liushui.ledger.write.reprocess import retry as retry_account
    from liushui.ledger.write.resolve_rejected import resolve_corrected

    ledger = settings.open_ledger()
    results = []
    for account, provider in _providers(ledger, accounts).items():
        corrected = resolve_corrected(ledger, account, provider.rules)
        results.append(retry_account(ledger, account, provider.codec))
        results[-1].corrected = corrected
    emit(map(vars, results), RETRY_COLUMNS, settings.format)
    if any(result.unreadable or result.outside for result in results):
        sys.exit(EXIT_INCOMPLETE)


@quarantine.command()
@click.argument("id_", metavar="ID", help="The row's id, as `quarantine list` prints it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why. It stays in the ledger, so do not quote the row.")
@row_account_option
@options.ledger_and_format
def discard(settings: Settings, id_: str, reason: str, account: str | None) -> None:
    """Erase a rejected row that should never have come in, such as a secret imported by mistake.

    The command erases the bytes of the row, and of all equal rows of the account, for good. Their digest, the reason
    and the time stay, and the ledger refuses the same bytes from now on. Then the command rewrites the ledger, so that
    its free space does not contain the bytes either. That takes a while for a large ledger. Earlier backups and copies
    still contain the bytes.

    If a sync had read the row, its range is not complete until it is read again (`sync --verify`). If the row came with
    an import, it leaves no gap.

    \b
    Example: liushui quarantine discard 5d41402abc4b2a76b9719d911017c592 --reason "the wrong file"
    """
    from liushui.services.quarantine import discard_row

    result, remains = discard_row(settings.open_ledger(), id_, reason, account)
    emit_one(result._asdict(), settings.format)
    if not result.copies:
        messages.print("its bytes were erased before; free space was overwritten again")
    if result.open:
        messages.warn("the row is still missing: its range is not complete until it is read again (sync --verify)")
    if remains:
        messages.warn(f"its bytes may still be in {remains}")


def entry_record(entry: "Quarantined") -> dict[str, object]:
    """A rejected row by its columns."""
    span = entry.span
    return entry._asdict() | {
        "since": from_us(span[0].since_us) if span else None,
        "until": from_us(span[-1].until_us) if span else None,
    }


def escaped(row: bytes) -> str:
    """Bytes as text for a terminal: invalid UTF-8 and unprintable characters as escapes, backslashes doubled."""
    text = row.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def _providers(ledger: "Ledger", accounts: tuple[str, ...]) -> "dict[str, Provider | FileFormat]":
    """Return the provider of each account, or the format of its statement files. The user's own accounts have neither,
    and no received rows."""
    from liushui.ledger.read.accounts import find_accounts
    from liushui.ledger.write.record import OWN

    with ledger.querying() as queries:
        named = find_accounts(queries, accounts)
    return {account.account: _provider(account.provider) for account in named if account.provider != OWN}


def _provider(name: str) -> "Provider | FileFormat":
    from liushui.formats import load_formats
    from liushui.providers import get_provider, load_providers

    formats = {} if name in load_providers() else load_formats()
    return formats[name] if name in formats else get_provider(name)


# ---------------------------------------------------------------- rebuild

REBUILD_COLUMNS: Final = ("account", "flows", "changed", "unreadable", "identities", "fields")


@click.command()
@options.accounts
@click.option("--yes", is_flag=True, help="Commit without asking.")
@click.option("--dry-run", is_flag=True, help="Print the difference and change nothing.")
@options.ledger_and_format
def rebuild(settings: Settings, accounts: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Derive the flows again from the received rows.

    A newer version of liushui may read a provider's rows better. The command prints what would change and commits it
    once you agree. Replaced versions stay in the ledger, marked `rederived`; the received rows and the coverage do not
    change. The exit code is 3 if something differs and was not committed, or if rows went to the quarantine.

    \b
    Example: liushui rebuild broker --dry-run
    """
    from liushui.cli.progress import work_bar
    from liushui.ledger.write.reprocess import preview_rebuild
    from liushui.ledger.write.reprocess import rebuild as rebuild_account

    ledger = settings.open_ledger()
    codecs = {name: provider.codec for name, provider in _providers(ledger, accounts).items()}
    with work_bar() as bar:
        differences = [
            preview_rebuild(ledger, name, codec, bar.counter("reading rows")) for name, codec in codecs.items()
        ]
    _print_differences(differences, settings.format)
    differing = [found for found in differences if found.changed]
    if not differing:
        return
    if dry_run or not (yes or _is_agreed()):
        sys.exit(EXIT_INCOMPLETE)
    with work_bar() as bar:
        rebuilt = [rebuild_account(ledger, d.account, codecs[d.account], bar.counter("rebuilding")) for d in differing]
    messages.print(f"rebuilt {sum(found.changed for found in differing):,} flows")
    if any(found.unreadable for found in rebuilt):
        sys.exit(EXIT_INCOMPLETE)


def _is_agreed() -> bool:
    return sys.stdin.isatty() and click.confirm("Commit this?", err=True)


def _print_differences(differences: "list[RebuildReport]", form: Format) -> None:
    """Print a row for each account. JSON includes the examples; with a table or CSV they are messages."""
    from rich.markup import escape

    from liushui.ledger.write.reprocess import EXAMPLES_MAX

    is_json = form in (Format.JSON, Format.JSONL)
    emit(map(_difference_record, differences), (*REBUILD_COLUMNS, "examples") if is_json else REBUILD_COLUMNS, form)
    if not is_json:
        examples = [example for found in differences for example in found.examples]
        for example in examples[:EXAMPLES_MAX]:
            about = f"{example.account} {us_to_iso(example.at_us)} {example.id}: {example.field}"
            messages.print(escape(f"{about}: {short_repr(example.old)} -> {short_repr(example.new)}"))


def _difference_record(found: "RebuildReport") -> Record:
    return vars(found) | {
        "fields": [f"{name} {count}" for name, count in found.fields.most_common()],
        "examples": [
            {"at": us_to_iso(at_us), "id": id_, "field": field, "old": old, "new": new}
            for _, at_us, id_, field, old, new in found.examples
        ],
    }
