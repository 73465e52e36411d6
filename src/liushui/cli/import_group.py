"""liushui import: files come in, and imports are listed and undone."""

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from liushui.cli import import_files, options
from liushui.cli.options import Settings
from liushui.cli.output import emit, emit_one, messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.ledger.read.imports import Import

IMPORT_COLUMNS: Final = (
    *("account", "id", "files", "started_at", "ended_at", "rows", "added", "known", "differing", "rejected"),
    *("undone_at", "error"),
)
_HAS_COMMAND: Final = "liushui.cli.import_group.has_command"


class ImportGroup(click.Group):
    """A command that takes files and also has subcommands. The first word decides."""

    def __init__(self, files_command: click.Command) -> None:
        super().__init__(
            "import",
            invoke_without_command=True,
            params=files_command.params,
            help=files_command.help,
            epilog="If a file has the name of a command, write it as ./NAME.",
        )
        self._files_command = files_command
        self.callback = click.pass_context(self._import_files)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the name of a command, or files and their options in any order."""
        has_command = bool(args) and args[0] in self.commands
        ctx.meta[_HAS_COMMAND] = has_command
        ctx.allow_interspersed_args = not has_command
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, without those for files if a subcommand is named."""
        params = super().get_params(ctx)
        return [param for param in params if param not in self.params] if ctx.meta.get(_HAS_COMMAND) else params

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands, in the order of their use."""
        return list(self.commands)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the usage for files."""
        return click.Command.collect_usage_pieces(self, ctx)

    def _import_files(self, ctx: click.Context, /, **params: Any) -> None:  # noqa: ANN401 - click's
        if ctx.invoked_subcommand is None and self._files_command.callback is not None:
            ctx.invoke(self._files_command.callback, **params)


import_ = ImportGroup(import_files.import_)


@import_.command("list")
@options.accounts
@options.ledger_and_format
def list_(settings: Settings, accounts: tuple[str, ...]) -> None:
    """List the imports: files, times, number of rows by outcome, and whether each import was undone.

    Imports of liushui 0.1 are not recorded. An import without an end time is still running or was killed. Its counts
    cover the rows that it has committed.
    """
    from liushui.ledger.read.imports import list_imports

    records = (known._asdict() for known in list_imports(settings.open_ledger(), accounts))
    emit(records, IMPORT_COLUMNS, settings.format)


@import_.command()
@click.argument("import_id", metavar="ID", help="The import's id, as `import list` prints it.")
@click.option("--yes", is_flag=True, help="Undo it without asking.")
@options.ledger_and_format
def undo(settings: Settings, import_id: str, yes: bool) -> None:
    """Undo an import: withdraw its flows and its rejected rows.

    Rows that a sync or another import also brought stay. Versions that the import had replaced become current again.
    Closing balances from its statement files are withdrawn. Withdrawn flows stay in the history, marked `undone`. You
    can import the files again.

    \b
    Example: liushui import undo 1f7c09ab
    """
    from liushui.importing.closing_balances import withdraw_closings
    from liushui.ledger.read.imports import find_import
    from liushui.ledger.write.undo import AlreadyUndone, ImportNotFound, undo_import

    ledger = settings.open_ledger()
    known = find_import(ledger, import_id)
    if known is None:
        raise ImportNotFound(import_id)
    if known.undone_at is not None:
        raise AlreadyUndone(import_id, known.undone_at)
    if not yes:
        _confirm(known)
    withdraw_closings(ledger, known.account, import_id)
    result = undo_import(ledger, import_id)
    emit_one(vars(result), settings.format)


def _confirm(known: "Import") -> None:
    """Ask at the terminal. Raises ConfigError without one, and ends the command without agreement."""
    if not sys.stdin.isatty():
        raise ConfigError("yes: expected --yes, or a terminal to ask at")
    files = ", ".join(known.files[:3]) + (f" and {len(known.files) - 3} more" if len(known.files) > 3 else "")
    if not click.confirm(f"Withdraw the {known.added:,} flows that {files} added to {known.account}?", err=True):
        messages.print("nothing was changed")
        sys.exit(0)
