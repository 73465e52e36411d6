"""liushui import: bring in rows that were saved as files."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Settings
from liushui.cli.output import emit_one, messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.provider import Provider

STANDARD_INPUT: Final = Path("-")


@click.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE...",
    help="Saved API answers, JSON arrays of rows, or JSON lines, plain or packed by gzip; - is standard input.",
)
@options.provider_option("--provider", "The provider whose rows they are.")
@click.option("--account", required=True, metavar="ACCOUNT", help="The account they belong to; created if it is new.")
@click.option("--zone", metavar="ZONE", help="The IANA time zone of a new account's days. (default: the provider's)")
@options.ledger_and_format
def import_(settings: Settings, files: tuple[Path, ...], provider: "Provider", account: str, zone: str | None) -> None:
    """Import rows saved as JSON.

    Rows that were imported before are recognised: importing a file twice changes nothing. A row that cannot be read
    goes to the quarantine with its bytes and the reason; the other rows come in, and the exit code is 3. A file may
    have several answers, arrays and lines, one after another.

    \b
    Example: liushui import flows-2025.json --provider longbridge --account broker
    Example: ssh archive cat flows.jsonl.gz | liushui import - --provider longbridge --account broker
    """
    from liushui.cli.progress import file_bar
    from liushui.importing.run import import_files
    from liushui.ledger.maintenance.heads_file import try_record_heads
    from liushui.ledger.write.commit import make_account

    with _regular_files(files) as paths:
        ledger = settings.open_ledger(create=True)
        make_account(ledger, account, provider.name, zone or provider.rules.zone)
        with file_bar(paths) as advance:
            imported = import_files(ledger, account, provider, paths, advance=advance)
    for warning in try_record_heads(ledger):
        messages.warn(warning)
    counts = ("files", "rows", "added", "known", "withdrawn", "rejected", "quarantined")
    emit_one({"account": account, **{name: getattr(imported, name) for name in counts}}, settings.format)
    messages.print(f"[dim]this is import {imported.id}: `liushui import undo {imported.id}` undoes it[/]")
    if imported.joined:
        messages.print(
            f"{imported.joined} rows end one page and begin another: they are counted as equal flows. "
            "If the files were saved with overlapping ranges, a sync of the account corrects that."
        )
    for reason in imported.reasons:
        messages.warn(f"in quarantine: {reason}")
    if imported.rejected:
        sys.exit(EXIT_INCOMPLETE)


@contextmanager
def _regular_files(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The files, with copies in place of standard input and of pipes, which can be read only once.

    Raises ConfigError for what is no file.
    """
    with TemporaryDirectory(prefix="liushui-import-") as folder:
        yield [_regular_file(path, Path(folder), number) for number, path in enumerate(files, 1)]


def _regular_file(path: Path, folder: Path, number: int) -> Path:
    if path == STANDARD_INPUT:
        copy = folder / "standard input"
        if copy.exists():
            raise ConfigError("files: expected - once, because standard input can be read only once")
        with copy.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        return copy
    if path.is_dir():
        raise ConfigError(f"{path}: expected a file, got a folder: name the files in it")
    if not path.exists():
        raise ConfigError(f"{path}: expected a file, but there is none")
    if path.is_file():
        return path
    copy = folder / f"pipe {number}"
    with path.open("rb") as pipe, copy.open("wb") as out:
        shutil.copyfileobj(pipe, out)
    return copy
