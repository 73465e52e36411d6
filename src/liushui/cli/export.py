"""liushui export: the flows of a range as files of other programs."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

import click

from liushui.cli import options
from liushui.cli.flows import as_of_option, bound_of, exit_with
from liushui.cli.options import Settings
from liushui.cli.output import messages
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.export.account_map import AccountMap
    from liushui.export.changes import Position
    from liushui.export.formats import Format
    from liushui.export.selection import ExportQuery, Selection

PACKAGE_NAME = "datapackage.json"


class FormatArgument(click.Argument):
    """The argument FORMAT. Its help lists the formats only when it is shown, because listing imports them."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The argument's line in the help."""
        from liushui.export.formats import FORMATS

        left, text = super().get_help_record(ctx)
        return left, f"{text} {', '.join(FORMATS)}."


@click.command()
@click.argument("form", cls=FormatArgument, metavar="FORMAT", help="The format:")
@options.accounts
@click.option(
    "--period",
    metavar="PERIOD",
    help="Only this month (2026-10), year (2026) or range of days (2026-10-05..2026-10-20) of each account.",
)
@options.since
@options.until
@click.option("--currency", metavar="CODE", help="Only this currency, such as USD, in any case.")
@as_of_option
@click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The account map (TOML): which accounts of your books the flows belong to. Journals and vouchers need one.",
)
@click.option("--propose-map", is_flag=True, help="Write a first account map for the flows, and not the flows.")
@click.option(
    "--opening/--no-opening",
    default=True,
    help="Begin a journal with the opening balances. Leave them out if your books have them already.",
)
@click.option(
    "--incremental",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write only what changed since the last export with this state file, and record in it where this one ends. "
    "Flows that were exported before are corrected by reversals. (csv, jsonl, journals and vouchers)",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file. An existing file is replaced only when everything is written. (default: standard output)",
)
@click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, so that Excel reads it as UTF-8.")
@click.option(
    "--datapackage",
    is_flag=True,
    help=f"Describe CSV or JSON Lines, and what they cover, in {PACKAGE_NAME} beside the output (Frictionless).",
)
@options.ledger_only
def export(
    settings: Settings,
    form: str,
    accounts: tuple[str, ...],
    period: str | None,
    since: str | None,
    until: str | None,
    currency: str | None,
    as_of: str | None,
    map_file: Path | None,
    propose_map: bool,
    opening: bool,
    incremental: Path | None,
    output: Path | None,
    bom: bool,
    datapackage: bool,
) -> None:
    """Write flows to a file for another program.

    The file says what it covers: the range, the moment up to which its flows were recorded, and whether the range is
    complete. Each flow has its id, so that a program recognises flows that it has imported before. The exit code is 3
    if the ledger is known to lack flows of the range. The file is written all the same, and says that it is not
    complete. If the account map has no target for some flows, the command lists what is missing and writes nothing.

    \b
    Example: liushui export csv broker --period 2026-10 --output broker-2026-10.csv
    """
    from liushui.export.formats import ExportOptions, get_format
    from liushui.export.selection import selecting

    chosen = get_format(form)
    _check(chosen, output, bom=bom, datapackage=datapackage)
    query = _query(accounts, period, {"since": since, "until": until, "currency": currency}, as_of)
    account_map = None if map_file is None else _read_map(map_file)
    if account_map is not None and not chosen.needs_map:
        raise ConfigError(f"map: expected none for {form}, which has no accounts of other books")
    model = settings.open_read_model()
    if incremental is not None:
        if not chosen.takes_changes or query.as_of is not None:
            raise ConfigError("incremental: expected csv, jsonl or a journal (or vouchers), without --as-of")
        query = query._replace(after={})  # the reading knows the batches
    with selecting(model, query) as selection:
        if propose_map:
            _propose(selection, output, has_codes=chosen.has_codes)
            return
        state = None
        if incremental is not None:
            selection, state = _since_state(selection, incremental, {"format": form, **_texts(query)})
        parts = chosen.write(selection, ExportOptions(account_map, bom=bom, opening=opening))
        _write(selection, chosen, parts, output, datapackage=datapackage)
        verdict = selection.verdict
    if incremental is not None and state is not None:
        with opened_output(incremental) as out:  # last, so that flows that were not written now are written next time
            out.write(state)
    exit_with(verdict)


def _check(chosen: "Format", output: Path | None, *, bom: bool, datapackage: bool) -> None:
    if bom and chosen.name != "csv":
        raise ConfigError(f"bom: expected with csv only, got {chosen.name}")
    if datapackage and (output is None or chosen.name not in ("csv", "jsonl")):
        raise ConfigError("datapackage: expected with csv or jsonl, and with --output")
    if not chosen.is_text and output is None and sys.stdout.isatty():
        raise ConfigError(f"output: expected a file for {chosen.name}, which a terminal cannot show")


def _query(
    accounts: tuple[str, ...], period: str | None, fields: Mapping[str, str | None], as_of: str | None
) -> "ExportQuery":
    from liushui.export.selection import ExportQuery, read_period
    from liushui.ledger.read.filters import read_filter

    wanted = read_filter({name: text for name, text in fields.items() if text is not None}, accounts=accounts)
    if period is not None:
        if wanted.since is not None or wanted.until is not None:
            raise ConfigError("period: expected without --since and --until, which choose another range")
        first, after = read_period(period)
        wanted = wanted._replace(since=first, until=after)
    return ExportQuery(wanted, bound_of("as-of", as_of))


def _texts(query: "ExportQuery") -> dict[str, str]:
    """The options of an export that have to stay the same in later increments."""
    from liushui.export.selection import period_text

    wanted = query.filter
    return {
        "accounts": ",".join(sorted(wanted.accounts)),
        "period": period_text(wanted),
        "currency": wanted.currency or "",
    }


def _since_state(selection: "Selection", path: Path, texts: dict[str, str]) -> "tuple[Selection, bytes]":
    """Return the part of a selection that changed since the state in a file, and the state after it."""
    import msgspec

    from liushui.export.changes import ExportState, check_state, positions_of, read_state

    after: dict[str, int] = {}
    known: dict[str, Position] = {}
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"incremental: {path} cannot be read: {error.strerror}") from None
    else:
        state = read_state(content)
        after, known = check_state(selection.reading.connection, state, texts), state.accounts
    names = [part.account.name.account for part in selection.parts]
    ended = {**known, **positions_of(selection.reading.queries, names)}
    encoded = msgspec.json.format(msgspec.json.encode(ExportState(texts, ended))) + b"\n"
    return replace(selection, query=selection.query._replace(after=after)), encoded


def _read_map(path: Path) -> "AccountMap":
    from liushui.export.account_map import read_account_map

    try:
        return read_account_map(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"map: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"map: expected UTF-8, got other bytes in {path}") from None


def _propose(selection: "Selection", output: Path | None, *, has_codes: bool) -> None:
    from liushui.export.account_map import propose_map

    keys = [(part.account.name.account, *key) for part in selection.parts for key in selection.sums(part)]
    providers = {part.account.name.account: part.account.name.provider for part in selection.parts}
    with opened_output(output) as out:
        out.write(propose_map(keys, providers, has_codes=has_codes).encode())


def _write(
    selection: "Selection", chosen: "Format", parts: Iterator[bytes], output: Path | None, *, datapackage: bool
) -> None:
    """Write the file, and its data package if wanted."""
    from liushui.export.account_map import MissingTargets
    from liushui.export.rows import PackageBuilder

    package = PackageBuilder()
    try:
        first = next(parts, b"")  # before the file exists: this finds all faults of the input
    except MissingTargets as error:
        for line in error.missing:
            messages.plain(f"missing in the account map: {line}")
        raise ConfigError(error.summary) from None  # without the flows that were just listed
    with opened_output(output) as out:
        out.write(first)
        package.add(first)
        for part in parts:
            out.write(part)
            if datapackage:
                package.add(part)
    if datapackage and output is not None:
        with opened_output(output.with_name(PACKAGE_NAME)) as out:
            out.write(package.package(selection, chosen, output.name))


class _TextOutput:
    """Standard output that accepts only text, for example one that was redirected within a program."""

    def write(self, part: bytes) -> int:
        return sys.stdout.write(part.decode())


@contextmanager
def opened_output(output: Path | None) -> "Iterator[IO[bytes] | _TextOutput]":
    """Open standard output, or a new file that replaces `output` when everything is written."""
    if output is None:
        yield getattr(sys.stdout, "buffer", None) or _TextOutput()
        sys.stdout.flush()
        return
    try:
        with NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                yield file.file
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(output)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
    except OSError as error:
        raise ConfigError(f"output: {output} cannot be written: {error.strerror}") from error


def _umask() -> int:
    """Return the permissions that new files of this process do not get. They can only be read by setting them."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
