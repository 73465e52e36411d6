"""liushui import: bring in statement files, and rows that were saved as JSON."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import emit_one, messages
from liushui.errors import ConfigError, short_repr
from liushui.instant import from_us, to_iso
from liushui.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from liushui.importing.run import Imported
    from liushui.importing.same_record import Difference
    from liushui.ledger.engine import Ledger
    from liushui.provider import Provider

STANDARD_INPUT: Final = Path("-")
DIFFERENCES_SHOWN: Final = 20
COUNTS: Final = ("files", "rows", "added", "known", "differs", "restated", "withdrawn", "rejected", "quarantined")


@click.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE...",
    help="Statement files, or saved API answers; plain, zip or gzip; - is standard input.",
)
@options.provider_option(
    "--provider", "The provider whose saved API answers or rows the files have, as JSON.", required=False
)
@click.option(
    "--as",
    "format_name",
    metavar="FORMAT",
    cls=options.LazyHelpOption,
    more_help=lambda: _format_names(),
    help="The format of the statement files. (default: recognised by their content)",
)
@click.option(
    "--map", "map_file", type=click.Path(path_type=Path), metavar="FILE", help="Read tables by this mapping file."
)
@click.option(
    "--propose", is_flag=True, help="Write a first mapping for a table to FILE.toml, and show ten rows that it reads."
)
@click.option("--account", metavar="ACCOUNT", help="The account they belong to; created if it is new.")
@click.option(
    "--zone", metavar="ZONE", help="The IANA time zone of a new account's days. (default: the provider's or format's)"
)
@click.option("--restate", is_flag=True, help="Make the file's version the current one if the ledger has other values.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@options.ledger_and_format
def import_(
    settings: Settings,
    files: tuple[Path, ...],
    provider: "Provider | None",
    format_name: str | None,
    map_file: Path | None,
    propose: bool,
    account: str | None,
    zone: str | None,
    restate: bool,
    dry_run: bool,
) -> None:
    """Import statement files of banks, exchanges and payment services, or rows saved as JSON.

    The command recognises the format of a statement file by its content; docs/files.md lists the formats. Any other
    table needs a mapping file, and --propose writes a first one. Saved answers and rows of a provider's API need
    --provider. Such a file may contain several answers, arrays and lines, one after another.

    Importing a file twice changes nothing, because rows that were imported before are recognised. A row that cannot be
    read goes to the quarantine with its bytes and the reason. The other rows are imported, and the exit code is 3.

    If a record has other values in the ledger than in the file, the command prints both, and the exit code is 3. If the
    ledger has the record from files only, the later import becomes the current version, and the earlier one moves to
    the history. A version that a sync has read stays the current one, unless --restate is given.

    \b
    Example: liushui import statement.zip --account bank
    Example: liushui import --propose statement.csv
    Example: liushui import statement.csv --map statement.csv.toml --account bank --dry-run
    Example: liushui import flows-2025.json --provider longbridge --account broker
    Example: ssh archive cat flows.jsonl.gz | liushui import - --provider longbridge --account broker
    """
    if sum(map(bool, (provider, format_name, map_file, propose))) > 1:
        raise ConfigError("options: expected one of --provider, --as, --map and --propose, got several")
    if propose:
        from liushui.cli.import_statements import propose_mapping

        propose_mapping(settings, files)
        return
    if account is None:
        for path in files:
            _check_exists(path)  # first: without the file, no option helps
        raise ConfigError("account: expected --account, which names the account that the rows belong to")
    request = ImportRequest(settings, account, zone, restate=restate, dry_run=dry_run)
    if provider is None:
        from liushui.cli.import_statements import import_statements

        import_statements(request, files, format_name, map_file)
    else:
        _import_answers(request, files, provider)


@dataclass(frozen=True)
class ImportRequest:
    """The options of an import that do not depend on the files."""

    settings: Settings
    account: str
    zone: str | None
    restate: bool
    dry_run: bool


def _import_answers(request: ImportRequest, files: Sequence[Path], provider: "Provider") -> None:
    """Import saved answers and rows of a provider's API."""
    from liushui.cli.progress import file_bar
    from liushui.importing.prepare import prepare_answers, run_import
    from liushui.providers import load_providers

    account_zone = options.account_zone(request.settings, request.account, request.zone, provider.rules.zone)
    check_name(request.settings, request.account)
    with regular_files(files) as (paths, names), naming(names):
        others = [other for other in load_providers().values() if other is not provider]
        prepared = prepare_answers(paths, provider, others)

        def run(ledger: "Ledger") -> "Imported":
            with file_bar(paths) as advance:
                return run_import(ledger, request.account, prepared, advance, restate=request.restate)[0]

        write_and_print(request, provider.name, account_zone.key, names, run)


def write_and_print(
    request: ImportRequest, provider: str, zone: str, names: "Names", run: "Callable[[Ledger], Imported]"
) -> None:
    """Create the account, run or rehearse an import, and print the result. Exits with 3 if rows were rejected."""
    from liushui.ledger.maintenance.heads_file import try_record_heads
    from liushui.ledger.write.commit import make_account

    settings, dry_run = request.settings, request.dry_run
    with _rehearsed(settings, request.account) if dry_run else nullcontext(settings.open_ledger(create=True)) as ledger:
        make_account(ledger, request.account, provider, zone)
        imported = run(ledger)
        for warning in () if dry_run else try_record_heads(ledger):
            messages.warn(warning)
    _print(imported, request.account, names, settings.format, dry_run=dry_run)
    if imported.rejected or (imported.differs and not request.restate):
        sys.exit(EXIT_INCOMPLETE)


def _format_names() -> str:
    from liushui.formats import load_formats

    return f"One of {', '.join(name for name, known in load_formats().items() if known.is_recognised)}."


@contextmanager
def _rehearsed(settings: Settings, account: str) -> Iterator["Ledger"]:
    """Open the ledger, or an empty one if there is none; everything written to it is undone at the end."""
    from liushui.errors import LedgerNotFound
    from liushui.ledger.engine import open_ledger

    try:
        ledger = settings.open_ledger()
    except LedgerNotFound:
        with temporary_folder("import") as folder:
            ledger = open_ledger(str(folder / "ledger.db"), create=True)
            try:
                yield ledger
            finally:
                ledger.close()
    else:
        with ledger.rehearsing(account) as rehearsed:
            yield rehearsed


# ---------------------------------------------------------------- what is printed


def _print(imported: "Imported", account: str, names: "Names", form: Format, *, dry_run: bool) -> None:
    """Print the counts, and messages about what needs attention."""
    record: dict[str, object] = {"account": account, **{name: getattr(imported, name) for name in COUNTS}}
    if form in (Format.JSON, Format.JSONL):
        id_ = None if dry_run else imported.id
        record |= {"id": id_, "dry_run": dry_run, "differences": list(_differences(imported, names))}
    emit_one(record, form)
    if dry_run:
        messages.print("This was a dry run: nothing was changed.")
    else:
        messages.print(f"[dim]this is import {imported.id}: `liushui import undo {imported.id}` undoes it[/]")
    for path, difference in imported.differences[:DIFFERENCES_SHOWN]:
        messages.warn(f"{names[path]}, row {difference.row} (id {difference.ref}) differs: {_in_words(difference)}")
    if imported.differs > DIFFERENCES_SHOWN:
        messages.warn(f"and {imported.differs - DIFFERENCES_SHOWN:,} more rows")
    kept = imported.differs - imported.restated
    if imported.restated:
        messages.print(
            f"{imported.restated:,} rows: the file's version counts, and the earlier one goes to the history "
            "(`liushui flows --versions`)."
        )
    if kept:
        messages.print(
            f"{kept:,} rows: the ledger's version stays, because a sync has read it, or because the row may be another "
            "record. With --restate the file's version counts."
        )
    if imported.joined:
        messages.print(
            f"{imported.joined} rows end one page and begin another: they are counted as equal flows. "
            "If the files were saved with overlapping ranges, a sync of the account corrects that."
        )
    if imported.resolved:
        rows = "row is" if imported.resolved == 1 else "rows are"
        messages.print(f"{imported.resolved:,} rejected {rows} resolved: what they stand for is in the ledger now.")
    for path in imported.empty:
        messages.warn(f"{names[path]} has no rows")
    for reason in sorted(imported.discarded):
        messages.warn(f"rejected, and not kept, because the same bytes were {reason}")
    for reason in imported.reasons:
        messages.warn(f"in quarantine: {reason}")


def _differences(imported: "Imported", names: "Names") -> Iterator[dict[str, object]]:
    """A record for each field that differs."""
    for path, difference in imported.differences:
        for field, held, in_file in difference.fields:
            yield {
                "file": names[path],
                "row": difference.row,
                "id": difference.ref,
                "at": to_iso(from_us(difference.at_us)),
                "field": field,
                "held": held,
                "in_file": in_file,
                "restated": difference.is_restated,
            }


def _in_words(difference: "Difference") -> str:
    """What differs, for a person."""
    fields = (
        f"{name} {_text(held)} in the ledger, {_text(in_file)} in the file" for name, held, in_file in difference.fields
    )
    version = "file" if difference.is_restated else "ledger"
    return f"{'; '.join(fields)} (the {version}'s version counts)"


def _text(value: str | None) -> str:
    return "nothing" if value is None else short_repr(value)


# ---------------------------------------------------------------- files


def check_name(settings: Settings, account: str) -> None:
    """Check the name of a new account. Raises ConfigError. Older versions accepted any name."""
    from liushui.errors import LedgerNotFound
    from liushui.ledger.engine import account_names
    from liushui.ledger.jobs.sources import check_source_name

    try:
        with settings.open_ledger().reading() as connection:
            if account in account_names(connection):
                return
    except LedgerNotFound:
        pass
    check_source_name(account)


Names = Mapping[Path, str]
"""What the user calls each file."""


@contextmanager
def regular_files(files: Sequence[Path]) -> Iterator[tuple[list[Path], Names]]:
    """Return the files and their names. Standard input and the shell's pipes are copied first, because they can be read
    only once.

    Raises ConfigError for anything that is not a file.
    """
    with temporary_folder("import") as folder:
        paths = [_regular_file(path, folder, number) for number, path in enumerate(files, 1)]
        called = ["standard input" if path == STANDARD_INPUT else str(path) for path in files]
        yield paths, dict(zip(paths, called, strict=True))


@contextmanager
def naming(names: Names) -> Iterator[None]:
    """Let errors name files as the user does."""
    from liushui.importing.prepare import naming_files

    with naming_files(names):
        yield


def _check_exists(path: Path) -> None:
    if path != STANDARD_INPUT and not path.exists():
        raise ConfigError(f"{path}: expected a file, but there is none")


_OPEN_FILES: Final = (Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders of the files that this process has already open, such as the shell's pipe in `import <(command)`."""


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
    _check_exists(path)
    if path.is_file():
        return path
    if not (path.is_fifo() and path.absolute().parent in _OPEN_FILES):
        # A named pipe without a writer would block the import for ever, and some devices have no end.
        raise ConfigError(f"{path}: expected a file, got a pipe or device: read it with `liushui import - < FILE`")
    copy = folder / f"pipe {number}"
    with path.open("rb") as pipe, copy.open("wb") as out:
        shutil.copyfileobj(pipe, out)
    return copy
