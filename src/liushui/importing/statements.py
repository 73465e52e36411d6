"""Reads statement files for an import: opens them, recognises their format, checks what they state about themselves."""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import WireError
from liushui.files.cells import misfit_cells
from liushui.files.content import AskPassword, Content, unpack
from liushui.files.contract import Claims, FileFormat, NumberedRow, Statement
from liushui.files.errors import FileError
from liushui.files.recognise import check_is, recognise
from liushui.files.tables import TableFormat
from liushui.flow import Direction, Flow
from liushui.importing.closing_balances import Closing
from liushui.importing.files import UnusableFile
from liushui.importing.read_rows import CHUNK_ROWS, Advance, Chunk, Document
from liushui.importing.run import ImportFile
from liushui.ledger.flow_row import read_batch
from liushui.money import EXACT, ZERO, to_plain_string

UNIT: Final = "line"

Key = tuple[str, str]
"""A subaccount and a currency."""


class StatementFile(NamedTuple):
    """A file that the user named, or one that was packed in it, and its format."""

    path: Path
    """The file that the user named."""
    content: Content
    format: FileFormat


def open_statements(
    path: Path,
    name: str,
    folder: Path,
    ask: AskPassword,
    formats: Mapping[str, FileFormat],
    chosen: FileFormat | None,
    pass_over: Callable[[str], None],
) -> list[StatementFile]:
    """The statement files in a file, with their formats: the chosen one, or what each is recognised as.

    They are unpacked into `folder`. Where no format is chosen, files of an archive that no format recognises are
    skipped if there is a statement beside them, because they are often summaries. `pass_over` is called with the
    reason. Raises UnusableFile naming the file.
    """
    with naming(path, name):
        opened = list(unpack(path, name, folder, ask))
    files: list[StatementFile] = []
    problems: list[UnusableFile] = []
    for content in opened:
        try:
            with naming(path, content.name):
                if chosen is not None:
                    check_is(content, chosen, formats)
                files.append(StatementFile(path, content, chosen or recognise(content, formats)))
        except UnusableFile as problem:
            problems.append(problem)
    if problems and (chosen is not None or not files):
        raise problems[0]
    for reason in problems:
        pass_over(f"passed over: {reason.problem}")
    return files


def check_statements(files: Sequence[StatementFile], zone: str, formats: Mapping[str, FileFormat]) -> list[Closing]:
    """Read files to the end before anything is written, so that no file is imported by half.

    Returns the closing balances that they state, of statements with rows. Raises UnusableFile where a file cannot be
    read, or where its rows do not add up to what it states.
    """
    closings: list[Closing] = []
    for file in files:
        with naming(file.path, file.content.name):
            for statement in file.format.statements(file.content, zone):
                statement.rows = _of_one_table(statement.rows, formats)
                if file.format.states_totals:
                    keys = check_claims(statement, file.format)
                    stated = [one for one in statement.claims.closing if (one.subaccount, one.currency) in keys]
                    closings += (Closing(one, Path(file.content.name).name) for one in stated)
                else:
                    deque(statement.rows, maxlen=0)
    return closings


def _of_one_table(rows: Iterable[NumberedRow], formats: Mapping[str, FileFormat]) -> Iterator[NumberedRow]:
    """The rows. Raises FileError where one that does not fit its table is the header of another format's."""
    tables = [format_ for format_ in formats.values() if isinstance(format_, TableFormat)]
    for row in rows:
        if (cells := misfit_cells(row.row)) is not None:
            for format_ in tables:
                if any(not header.missing(cells) for header in format_.headers):
                    raise FileError(
                        f"line {row.number}: expected one table, got the header of another one, {format_.title} "
                        f"({format_.name}): split the file before this line"
                    )
        yield row


def import_file(file: StatementFile, zone: str, advance: Advance) -> ImportFile:
    """A statement file, for an import."""
    return ImportFile(file.path, partial(_documents, file, zone, advance), UNIT)


def _documents(file: StatementFile, zone: str, advance: Advance) -> Iterator[Document]:
    with naming(file.path, file.content.name):
        for statement in file.format.statements(file.content, zone):
            yield Document(_chunks(file, statement))
    advance(file.path.stat().st_size)


def _chunks(file: StatementFile, statement: Statement) -> Iterator[Chunk]:
    rows = iter(statement.rows)
    with naming(file.path, file.content.name):
        while part := list(islice(rows, CHUNK_ROWS)):
            wire = [row.row for row in part]
            yield Chunk(wire, read_batch(file.format.codec, wire), of_lines=[row.number for row in part])


@contextmanager
def naming(path: Path, name: str) -> Iterator[None]:
    """Name the file in errors. `name` is what the user calls it, with the path in its archive."""
    try:
        yield
    except FileError as error:
        _, _, inner = name.partition(": ")
        raise UnusableFile(path, f"{inner}: {error}" if inner else str(error)) from error
    except OSError as error:
        raise UnusableFile(path, error.strerror or str(error)) from error


# ---------------------------------------------------------------- what a statement states of itself


def check_claims(statement: Statement, format_: FileFormat) -> Collection[Key]:
    """Compare the rows of a statement with the totals and balances that it states. Raises FileError.

    If a row cannot be read, nothing can be compared. Returns the subaccounts and currencies of the rows.
    """
    sums: dict[Key, Decimal] = defaultdict(lambda: ZERO)
    sides: dict[tuple[Direction, str], list[Decimal]] = defaultdict(list)
    can_compare, read = True, format_.codec.read
    for row in statement.rows:
        try:
            flow = read(row.row).flow
        except WireError:
            can_compare = False
            continue
        key = flow.subaccount, flow.currency
        sums[key] = EXACT.add(sums[key], flow.amount)
        sides[_side(flow), flow.currency].append(flow.amount)
    if can_compare and statement.claims.prove_something:
        _compare(statement, sums, sides)
    return sums.keys()


def _side(flow: Flow) -> Direction:
    if flow.direction is not Direction.NONE:
        return flow.direction
    return Direction.OUT if flow.amount < 0 else Direction.IN


def _compare(
    statement: Statement, sums: Mapping[Key, Decimal], sides: Mapping[tuple[Direction, str], Sequence[Decimal]]
) -> None:
    claims, label = statement.claims, f"{statement.label}: " if statement.label else ""
    for total in claims.totals:
        counted = {
            (side, currency): listed
            for (side, currency), listed in sides.items()
            if total.direction in (Direction.NONE, side) and total.currency in (None, currency)
        }
        amounts = [amount for listed in counted.values() for amount in listed]
        is_one_currency = len({currency for _, currency in counted}) <= 1
        what = {Direction.IN: "rows of money in", Direction.OUT: "rows of money out"}.get(total.direction, "rows")
        if total.rows is not None and total.rows != len(amounts):
            raise FileError(f"{label}the file states {total.rows} {what}, and has {len(amounts)}")
        if total.amount is not None and is_one_currency:
            has = abs(sum_of(amounts)) if total.direction is not Direction.NONE else sum_of(amounts)
            if has != total.amount:
                raise FileError(
                    f"{label}the file states that its {what} add up to {to_plain_string(total.amount)}, and they add "
                    f"up to {to_plain_string(has)}"
                )
    for difference in differences(claims, sums):
        raise FileError(f"{label}{difference}")


def differences(claims: Claims, sums: Mapping[Key, Decimal]) -> Iterator[str]:
    """Where the opening balance and the rows do not give the closing balance, in words."""
    closing = {(balance.subaccount, balance.currency): balance.amount for balance in claims.closing}
    for opening in claims.opening:
        key = opening.subaccount, opening.currency
        if key in closing:
            has = EXACT.add(opening.amount, sums.get(key, ZERO))
            if has != closing[key]:
                yield (
                    f"the opening balance {to_plain_string(opening.amount)} {opening.currency} and the rows give "
                    f"{to_plain_string(has)}, and the file states {to_plain_string(closing[key])}: rows are missing"
                )


def sum_of(amounts: Sequence[Decimal]) -> Decimal:
    """The exact sum."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
