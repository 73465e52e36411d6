"""liushui db: the ledger as a whole: its schema, copies of it, backups."""

from pathlib import Path
from typing import Annotated

import typer

from liushui.cli import EXIT_DAMAGED
from liushui.cli.options import FormatOption, LedgerOption, format_of, ledger_url, opened
from liushui.cli.output import emit, emit_one, messages
from liushui.cli.progress import work_bar
from liushui.ledger.access.vault import ENVIRONMENT
from liushui.ledger.engine import open_ledger, upgrade_ledger
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import Copied, copy_ledger
from liushui.ledger.maintenance.restore import restore as restore_ledger

app = typer.Typer(help="The ledger as a whole: its schema, copies, backups.", no_args_is_help=True)

COPY_COLUMNS = ("account", "batches", "flows", "versions", "coverage", "quarantine", "link", "result")


@app.callback()
def db() -> None:
    """The ledger as a whole: its schema, copies, backups."""


@app.command()
def upgrade(
    ctx: typer.Context,
    citus: Annotated[
        bool, typer.Option("--citus", help="Spread the tables over the nodes of Citus, each account on one.")
    ] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Bring the ledger's schema up to this program's, and say from which. Every other command does so in silence.

    In an empty database on a server it makes a ledger.
    """
    upgraded = upgrade_ledger(ledger_url(ctx, ledger), citus=citus)
    record = {"path": upgraded.ledger, "before": upgraded.before, "after": upgraded.after}
    emit_one(record | ({"tables spread": upgraded.spread} if citus else {}), format_of(ctx, form))


@app.command()
def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="The ledger to copy.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Where to: an empty ledger, or none yet.")],
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave sources and keys behind: their key is lost.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Copy a ledger into an empty one, be it of another kind. FROM may be in use all the while.

    Each account is copied as it stood at one batch; what is committed to it later is not in the copy, not even in part.
    All flows and their versions, coverage, quarantine, totals, chains, sources, keys and runs are copied; secrets are
    sealed again for TO. A copy that was killed goes on when the same command is run again, and until it is complete no
    other command works on it. At the end every chain of it is computed again and compared; where anything differs the
    exit code is 4.
    """
    book = open_ledger(source)
    try:
        with work_bar() as told:
            copied = copy_ledger(book, target, secrets=not without_secrets, progress=told)
    finally:
        book.close()
    emit(map(_copied_record, copied), COPY_COLUMNS, format_of(ctx, form), title="copied")
    if any(one.differs for one in copied):
        messages.print("[red]the copy differs and stays unfinished:[/] `liushui verify` the ledger it was made from")
        raise typer.Exit(EXIT_DAMAGED)


@app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the key of the secrets beside it, as FILE.key.")
    ] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Write the ledger, as it stands at one moment, into a file. It may be in use all the while.

    The file is a ledger itself. It is verified before it gets its name, so it is there whole or not at all. The
    credentials in it are encrypted: without the key they cannot be opened, and the backup does not hold it.
    """
    book = opened(ctx, ledger)
    try:
        with work_bar() as told:
            saved = back_up(book, file, force=force, with_secrets=with_secrets, progress=told)
    finally:
        book.close()
    key = None if saved.key is None else str(saved.key)
    emit_one({**saved._asdict(), "path": str(saved.path), "key": key}, format_of(ctx, form), title="backed up")
    if saved.has_secrets and saved.key is None:
        messages.print(
            f"the key is not in it: without {ENVIRONMENT} or the ledger's key file the credentials of its sources and "
            "keys cannot be opened; keep that too, elsewhere (--with-secrets puts it beside the backup)"
        )


@app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="The ledger to make of it. (default: --ledger)")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what that ledger holds.")] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Make a ledger what a backup holds. The backup is verified first, and stays as it is.

    Where its key lies beside it the secrets are sealed again for the ledger that is made.
    """
    with work_bar() as told:
        restored = restore_ledger(file, to or ledger_url(ctx, ledger), force=force, progress=told)
    emit_one(restored._asdict(), format_of(ctx, form), title="restored")


def _copied_record(one: Copied) -> dict[str, object]:
    record = one._asdict()
    differs = record.pop("differs")
    return {**record, "result": f"differs: {differs}" if differs else "equal"}
