"""liushui import of statement files: their format is recognised, named, or described by a mapping."""

import getpass
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from liushui.cli import options
from liushui.cli.import_files import (
    STANDARD_INPUT,
    ImportRequest,
    Names,
    check_name,
    naming,
    regular_files,
    write_and_print,
)
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError, WireError
from liushui.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from liushui.files.content import Content
    from liushui.files.contract import FileFormat
    from liushui.files.propose import Proposal
    from liushui.importing.run import Imported
    from liushui.importing.statements import StatementFile
    from liushui.ledger.engine import Ledger

ARCHIVE_VARIABLE: Final = "LIUSHUI_ARCHIVE_PASSWORD"
ROWS_SHOWN: Final = 10
ROW_COLUMNS: Final = ("line", "at", "amount", "currency", "balance_after", "label", "name", "note", "problem")


def import_statements(
    request: ImportRequest, files: Sequence[Path], format_name: str | None, map_file: Path | None
) -> None:
    """Import statement files. All of them have one format, because an account holds flows of one."""
    from liushui.cli.progress import file_bar
    from liushui.formats import load_formats
    from liushui.importing.prepare import accounts_of_provider, common_format, prepare_statements, run_import

    check_name(request.settings, request.account)
    with temporary_folder("import") as folder, regular_files(files) as (paths, names), naming(names):
        chosen = _chosen_format(format_name, map_file)
        statements = _open(paths, names, folder, chosen)
        default = common_format(statements).rules.zone
        zone = options.account_zone(request.settings, request.account, request.zone, default).key
        prepared = prepare_statements(statements, zone, load_formats())
        _tell(statements, recognised=chosen is None)

        def run(ledger: "Ledger") -> "Imported":
            others = accounts_of_provider(ledger, prepared.provider)
            if others:
                messages.warn(_maybe_double(others, request.account, prepared.provider))
            with file_bar(paths) as advance:
                imported, problems = run_import(ledger, request.account, prepared, advance, restate=request.restate)
            for reason in problems:
                messages.warn(reason)
            return imported

        write_and_print(request, prepared.source, zone, names, run)


def _maybe_double(others: Sequence[str], account: str, provider: str) -> str:
    """Warn that accounts collected from the provider's API may have the same money."""
    return (
        f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} collected from {provider}: if the file "
        f"is of the same account, its money is in totals twice. Then leave {account} out of them"
    )


def _chosen_format(format_name: str | None, map_file: Path | None) -> "FileFormat | None":
    """Return the format that the user named or described. None: recognise it."""
    from liushui.files.mapping import load_mapping
    from liushui.formats import get_format
    from liushui.formats.mapped import FORMAT

    if map_file is not None:
        return FORMAT.with_mapping(load_mapping(map_file))
    return None if format_name is None else get_format(format_name)


def _open(paths: Sequence[Path], names: Names, folder: Path, chosen: "FileFormat | None") -> "list[StatementFile]":
    """Yield the named files, and the files packed in them."""
    from liushui.formats import load_formats
    from liushui.importing.statements import open_statements

    return [
        file
        for path in paths
        for file in open_statements(path, names[path], folder, _ask_password, load_formats(), chosen, messages.warn)
    ]


def _tell(statements: "Sequence[StatementFile]", *, recognised: bool) -> None:
    """Print the recognised format of each file, and which files may have been cut off."""
    for file in statements:
        if recognised:
            messages.plain(f"{file.content.name}: {file.format.title} ({file.format.name})")
        if not file.content.ends_with_line:
            messages.warn(f"{file.content.name}: no line end at the end: if it was cut off, its last row is wrong")


def _ask_password(name: str) -> str | None:
    """The password of an archive: from the environment, or asked for at a terminal."""
    from liushui.environment import read_secret

    given = read_secret(ARCHIVE_VARIABLE)
    if given is None and sys.stdin.isatty():
        return getpass.getpass(f"Password of {name}: ")
    return given


# ---------------------------------------------------------------- a first mapping


def propose_mapping(settings: Settings, files: Sequence[Path]) -> None:
    """Write a first mapping for a table beside it, and show the first rows as they would be read.

    Raises ConfigError if the mapping's file exists.
    """
    from liushui.files.content import unpack
    from liushui.files.propose import propose
    from liushui.importing import statements

    if len(files) != 1:
        raise ConfigError(f"files: expected one file with --propose, got {len(files)}")
    (file,) = files
    target = Path("mapping.toml") if file == STANDARD_INPUT else file.with_name(f"{file.name}.toml")
    if target.exists():
        raise ConfigError(f"{target}: expected no file of this name, because the mapping is written there: move it")
    with temporary_folder("import") as folder, regular_files(files) as (paths, names), naming(names):
        (path,) = paths
        with statements.naming(path, names[path]):
            contents = list(unpack(path, names[path], folder, _ask_password))
            if len(contents) != 1:
                raise ConfigError(f"{file}: expected one file in the archive, got {len(contents)}: unpack it first")
            proposal = propose(contents[0])
            records = list(_first_rows(contents[0], proposal))
        target.write_text(proposal.text, encoding="utf-8")
    emit(records, ROW_COLUMNS, settings.format)
    if proposal.doubt:
        messages.warn(proposal.doubt)
    messages.plain(f"the mapping is in {target}: check each of its lines, then run")
    messages.plain(f"liushui import {file} --map {target} --account ACCOUNT --dry-run")


def _first_rows(content: "Content", proposal: "Proposal") -> Iterator[Record]:
    """The first rows of a table as the proposed mapping reads them, or why it cannot."""
    from liushui.formats.mapped import FORMAT

    format_ = FORMAT.with_mapping(proposal.mapping)
    statements = format_.statements(content, proposal.mapping.zone)
    rows = chain.from_iterable(statement.rows for statement in statements)
    for number, row in islice(rows, ROWS_SHOWN):
        record: dict[str, object] = dict.fromkeys(ROW_COLUMNS)
        record["line"] = number
        try:
            flow = format_.codec.read(row).flow
        except WireError as error:
            record["problem"] = str(error)
        else:
            record |= {name: getattr(flow, name) for name in ROW_COLUMNS[1:-1]}
        yield record
