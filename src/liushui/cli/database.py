"""liushui db, liushui verify: the ledger as a whole: its schema, copies, backups, and whether it is intact."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_DAMAGED, options
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import CertificateError, ConfigError
from liushui.instant import to_iso

if TYPE_CHECKING:
    from liushui.ledger.maintenance.copy import CopiedAccount
    from liushui.ledger.maintenance.verify import Damage, Verified

COPY_COLUMNS: Final = ("account", "batches", "flows", "versions", "coverage", "quarantine", "link", "result")
VERIFY_COLUMNS: Final = ("account", "batch", "flows", "anchored", "link", "result")


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def db() -> None:
    """Upgrade, copy, back up, restore or compact the ledger."""


@db.command()
@click.option("--citus", is_flag=True, help="Distribute the tables over the nodes of Citus, by account.")
@options.ledger_and_format
def upgrade(settings: Settings, citus: bool) -> None:
    """Upgrade the ledger's schema to this version of liushui.

    Every other command does so too, silently; this one prints the schema before and after. In an empty PostgreSQL
    database it creates a ledger.

    \b
    Example: liushui db upgrade --ledger postgresql://liushui@db/ledger --citus
    """
    from liushui.ledger.engine import upgrade_ledger

    upgraded = upgrade_ledger(settings.ledger_url, citus=citus)
    record = {"path": upgraded.ledger, "before": upgraded.before, "after": upgraded.after}
    emit_one(record | ({"tables spread": upgraded.distributed_tables} if citus else {}), settings.format)


@db.command()
@click.argument("source", metavar="FROM", help="The ledger to copy.")
@click.argument("target", metavar="TO", help="The ledger to create: a new file or an empty database.")
@click.option(
    "--without-secrets", is_flag=True, help="Leave out sources and keys. Needed if the ledger's encryption key is lost."
)
@options.format_only
def copy(settings: Settings, source: str, target: str, without_secrets: bool) -> None:
    """Copy a ledger into an empty one, also from SQLite to PostgreSQL and back.

    FROM may be in use meanwhile: each account is copied as it was at one batch, without later batches. The copy has all
    flows and their versions, coverage, rejected rows, totals, chains, sources, keys and runs. Credentials are encrypted
    again with the new ledger's key. If the command is killed, run it again to continue; until it has finished, no other
    command opens the copy. At the end it computes every chain again and compares it. The exit code is 4 if one differs.

    \b
    Example: liushui db copy ledger.db postgresql://liushui@db/ledger
    """
    from liushui.cli.progress import work_bar
    from liushui.ledger.engine import open_ledger
    from liushui.ledger.maintenance.copy import copy_ledger

    ledger = open_ledger(source)
    try:
        with work_bar() as bar:
            copied = copy_ledger(ledger, target, secrets=not without_secrets, progress=bar.show)
    finally:
        ledger.close()
    emit(map(_copied_record, copied), COPY_COLUMNS, settings.format, title="copied")
    if any(account.differs for account in copied):
        messages.print("[red]the copy differs and stays unfinished:[/] run `liushui verify` on the original ledger")
        sys.exit(EXIT_DAMAGED)


@db.command()
@click.argument(
    "file", type=click.Path(path_type=Path), metavar="FILE", help="The file to write; with --keep or --every, a folder."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--with-secrets", is_flag=True, help="Also write the ledger's encryption key, to FILE.key.")
@click.option(
    "--every",
    metavar="DURATION",
    help="Keep running, and write a backup into the folder at this interval: 30min, 6h, 1d.",
)
@click.option(
    "--keep",
    metavar="COUNTS",
    help="How many hours (h), days (d), weeks (w), months (m) and years (y) keep their newest backup: 7d,4w,12m. "
    "Only those that have a backup count. The other backups are deleted. (default: keep all)",
)
@options.until_eof
@options.ledger_and_format
def backup(
    settings: Settings,
    file: Path,
    force: bool,
    with_secrets: bool,
    every: str | None,
    keep: str | None,
    until_eof: bool,
) -> None:
    """Write the ledger, as it is at one moment, to a file, or to a folder of backups.

    The ledger may be in use meanwhile. The file is itself a ledger. It is verified before it gets its name, so it is
    either complete or does not exist. It contains the encrypted credentials, but not their key. `liushui status` shows
    the age of the newest backup, and whether one is overdue.

    With --every or --keep, each backup in the folder is named after the ledger and the moment. Other files there are
    left alone. `liushui serve --backup-to FOLDER` does the same beside the server.

    \b
    Example: liushui db backup backups/2026-01-31.db
    Example: liushui db backup backups --every 6h --keep 7d,4w,12m
    """
    from liushui.cli.backups import back_up_to_file, back_up_to_folder, keep_backing_up
    from liushui.ledger.maintenance.backup_folder import BackupFolder
    from liushui.ledger.maintenance.kept_backups import parse_duration, parse_retention

    retention = None if keep is None else parse_retention("keep", keep)
    interval = None if every is None else parse_duration("every", every)
    is_folder = retention is not None or interval is not None
    if is_folder and force:
        raise ConfigError("force: expected without --every and --keep, because each backup is a new file")
    ledger = settings.open_ledger()
    try:
        if not is_folder:
            back_up_to_file(ledger, file, settings.format, force=force, with_secrets=with_secrets)
            return
        folder = file.expanduser().absolute()
        wanted = BackupFolder(ledger, folder, interval or timedelta(0), retention, with_secrets)
        if interval is None:
            back_up_to_folder(wanted, settings.format)
        else:
            if until_eof:
                options.end_with_input()
            keep_backing_up(wanted, settings.format)
    finally:
        ledger.close()


@db.command()
@click.option("--forget", metavar="FOLDER", help="Stop listing a folder that gets no more backups. Its files stay.")
@options.ledger_and_format
def backups(settings: Settings, forget: str | None) -> None:
    """List the folders with backups of this ledger: the newest backup in each, its age, and the last error."""
    from liushui.cli.backups import BACKUP_COLUMNS, backup_record
    from liushui.ledger.jobs.backups import forget_backups, list_backup_states

    ledger = settings.open_ledger()
    if forget is not None:
        forget_backups(ledger, str(Path(forget).expanduser().absolute()))
    states = list_backup_states(ledger)
    emit((backup_record(state, ledger.clock()) for state in states), BACKUP_COLUMNS, settings.format)


@db.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE", help="The backup to restore.")
@click.option("--to", metavar="URL", help="The ledger to restore to. (default: --ledger)")
@click.option("--force", is_flag=True, help="Replace the contents of that ledger.")
@options.ledger_and_format
def restore(settings: Settings, file: Path, to: str | None, force: bool) -> None:
    """Restore a ledger from a backup.

    The backup is verified first and does not change. If its key is beside it, as FILE.key, the credentials are
    encrypted again with the restored ledger's key.

    \b
    Example: liushui db restore backups/2026-01-31.db --to ledger.db
    """
    from liushui.cli.progress import work_bar
    from liushui.ledger.maintenance.restore import restore as restore_ledger

    with work_bar() as bar:
        restored = restore_ledger(file, to or settings.ledger_url, force=force, progress=bar.show)
    emit_one(restored._asdict(), settings.format, title="restored")


@db.command()
@options.ledger_and_format
def compact(settings: Settings) -> None:
    """Rewrite the ledger without free space, which may contain remains of deleted rows.

    A ledger file gets smaller, and others can read it meanwhile. The command takes minutes for a large ledger, and
    needs as much free disk space as the ledger occupies.
    """
    ledger = settings.open_ledger()
    remains = ledger.compact()
    emit_one({"ledger": ledger.name, "remains": remains or None}, settings.format)


@click.command()
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="ACCOUNT=LINK",
    help="The account must contain the batch with this link, which an earlier `verify` printed; repeatable.",
)
@click.option(
    "--against",
    "certificates",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="CERTIFICATE",
    help="The account must contain the batch that this certificate names; repeatable.",
)
@click.option(
    "--key",
    "trusted",
    multiple=True,
    metavar="VERIFIER_KEY",
    help="A signer of certificates that you trust in addition to the ledger's own keys; repeatable.",
)
@options.ledger_and_format
def verify(
    settings: Settings, expected: tuple[str, ...], certificates: tuple[Path, ...], trusted: tuple[str, ...]
) -> None:
    """Check that nothing in the ledger was changed or damaged.

    Every chain, fact, coverage and total is computed again from the rows. This compares the ledger only with itself. To
    find out whether the ledger was cut off at the end or replaced by an older copy, `verify` needs a record from
    elsewhere: a link (--expect), a certificate (--against), or the heads file beside the ledger, which it reads if
    there is one. `anchored` is the newest batch that one of these records confirms. The exit code is 4 if anything
    differs or a certificate is not valid; the rest is checked all the same.

    \b
    Example: liushui verify --expect broker=5a0c…
    Example: liushui verify --against broker-2026-10.certificate
    """
    from liushui.certificate.check import known_keys, open_certificate
    from liushui.cli.progress import work_bar
    from liushui.ledger.maintenance.anchors import parse_expected
    from liushui.ledger.maintenance.heads_file import read_heads_file
    from liushui.ledger.maintenance.verify import Damage
    from liushui.ledger.maintenance.verify import verify as verify_ledger

    anchors = [parse_expected(text) for text in expected]
    ledger = settings.open_ledger()
    invalid: list[Damage] = []
    keys = known_keys(ledger, trusted) if certificates else []
    for path in certificates:
        try:
            anchors.append(open_certificate(path, keys).anchor)
        except CertificateError as error:
            invalid.append(Damage("", None, f"certificate {error}"))
    recorded = read_heads_file(ledger)
    with work_bar() as bar:
        results = [
            *invalid,
            *(Damage("", None, error) for error in recorded.errors),
            *verify_ledger(
                ledger,
                lambda account, done, total: bar.show(f"verifying {account}", done, total),
                [*anchors, *recorded.anchors],
            ),
        ]
    emit(map(_verify_record, results), VERIFY_COLUMNS, settings.format)
    if recorded.restore is not None:
        restore = recorded.restore
        messages.warn(
            f"restored from {restore.backup} at {to_iso(restore.recorded_at)}: the heads that were recorded before "
            "are of the ledger that was replaced, and are not compared"
        )
    if any(isinstance(result, Damage) for result in results):
        sys.exit(EXIT_DAMAGED)


def _copied_record(copied: "CopiedAccount") -> Record:
    record = copied._asdict()
    differs = record.pop("differs")
    return {**record, "result": f"differs: {differs}" if differs else "equal"}


def _verify_record(result: "Damage | Verified") -> Record:
    from liushui.ledger.maintenance.verify import Damage

    if isinstance(result, Damage):
        known = {"account": result.account, "batch": result.batch, "result": f"damaged: {result.what}"}
        return {**dict.fromkeys(VERIFY_COLUMNS), **known}
    return {**result._asdict(), "batch": result.batches, "result": "intact"}
