"""Reads statement files for an import: opens them, recognises their format, and checks their totals and balances."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import WireError
from liushui.files.cells import misfit_cells
from liushui.files.content import AskPassword, Content, unpack
from liushui.files.contract import Claims, FileFormat, NumberedRow, StatedAmount, Statement
from liushui.files.errors import FileError
from liushui.files.recognise import check_is, recognise
from liushui.files.tables import TableFormat
from liushui.flow import Direction, Flow
from liushui.importing.closing_balances import Closing, Period
from liushui.importing.files import UnusableFile
from liushui.importing.read_rows import CHUNK_ROWS, Advance, Chunk, Document
from liushui.importing.run import ImportFile
from liushui.ledger.flow_row import read_batch
from liushui.money import EXACT, ZERO, to_plain_string

UNIT: Final = "line"

LAST_SECOND: Final = 59

Key = tuple[str, str]
"""A subaccount and a currency."""


class StatementFile(NamedTuple):
    """A statement file, named by the user or inside an archive, and its format."""

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
    """Yield the statement files in a file, each with its format: the chosen one, or the recognised one.

    They are unpacked into `folder`. If no format is chosen, files of an archive that no format recognises are skipped,
    provided that the archive also has a statement: such files are often summaries. `pass_over` is called with the
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
    """Read files to the end before anything is written, so that no file is imported in part.

    Returns the closing balances of statements with rows or with a period. Raises UnusableFile if a file cannot be read,
    or if its rows do not add up to the stated totals.
    """
    closings: list[Closing] = []
    for file in files:
        with naming(file.path, file.content.name):
            for statement in file.format.statements(file.content, zone):
                statement.rows = _of_one_table(statement.rows, formats)
                if file.format.states_totals:
                    closings += check_claims(statement, file.format, Path(file.content.name).name)
                else:
                    deque(statement.rows, maxlen=0)
    return closings


def _of_one_table(rows: Iterable[NumberedRow], formats: Mapping[str, FileFormat]) -> Iterator[NumberedRow]:
    """Yield the rows of one table. Raises FileError if a row that does not fit the table is the header of another
    format."""
    tables = [format_ for format_ in formats.values() if isinstance(format_, TableFormat)]
    for row in rows:
        if (cells := misfit_cells(row.row)) is not None:
            for format_ in tables:
                if any(not header.missing(cells) for header in format_.headers):
                    raise FileError(
                        "line %(line)s: expected one table, got the header of another one, %(title)s (%(name)s): split "
                        "the file before this line",
                        line=row.number,
                        title=format_.title,
                        name=format_.name,
                    )
        yield row


def import_file(file: StatementFile, zone: str, advance: Advance) -> ImportFile:
    """Return a statement file as an ImportFile."""
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
    """Name the file in errors. `name` is the user's name for it, with the path in its archive."""
    try:
        yield
    except FileError as error:
        _, _, inner = name.partition(": ")
        raise UnusableFile(path, f"{inner}: {error}" if inner else str(error)) from error
    except OSError as error:
        raise UnusableFile(path, error.strerror or str(error)) from error


# ---------------------------------------------------------------- what a statement states of itself


def check_claims(statement: Statement, format_: FileFormat, file: str = "") -> list[Closing]:
    """Compare the rows of a statement with its stated totals and balances. Raises FileError.

    If a row cannot be read, nothing is compared and the statement proves nothing. Returns the closing balances of the
    subaccounts and currencies that have rows or a period. `file` is its name.
    """
    sums: dict[Key, Decimal] = defaultdict(lambda: ZERO)
    sides: dict[tuple[Direction, str], list[Decimal]] = defaultdict(list)
    can_compare, read, balances = True, format_.codec.read, RowBalances()
    for row in statement.rows:
        try:
            flow = read(row.row).flow
        except WireError:
            can_compare = False
            continue
        key = flow.subaccount, flow.currency
        sums[key] = EXACT.add(sums[key], flow.amount)
        sides[_side(flow), flow.currency].append(flow.amount)
        balances.add(flow)
    claims = statement.claims
    if can_compare and claims.prove_something:
        _compare(statement, sums, sides)
    periods = _periods(claims, balances) if can_compare else {}
    closings = [
        Closing(one, file, periods.get((one.subaccount, one.currency)), (one.subaccount, one.currency) in sums)
        for one in [*claims.closing, *balances.closings(claims)]
    ]
    return [one for one in closings if one.has_flows or one.period is not None]


class RowBalances:
    """Checks balances on the rows of a statement that states no balance at its ends: whether each row leads to the
    next, from oldest to newest or from newest to oldest."""

    def __init__(self) -> None:
        self._first: Flow | None = None
        self._last: Flow | None = None
        self._is_rising = self._is_falling = True

    def add(self, flow: Flow) -> None:
        """Add the next row."""
        before, self._last = self._last, flow
        if before is None:
            self._first = flow
        is_one = before is None or (before.subaccount, before.currency) == (flow.subaccount, flow.currency)
        if flow.balance_after is None or not is_one:
            self._is_rising = self._is_falling = False
        elif before is not None and before.balance_after is not None:
            self._is_rising &= EXACT.add(before.balance_after, flow.amount) == flow.balance_after
            self._is_falling &= EXACT.add(flow.balance_after, before.amount) == before.balance_after

    def ends(self) -> tuple[StatedAmount, Decimal] | None:
        """The closing balance, with the time of its row, and the opening balance. None if the rows fit in neither
        direction."""
        first, last = self._first, self._last
        if first is None or last is None or not (self._is_rising or self._is_falling):
            return None
        oldest, newest = (first, last) if self._is_rising else (last, first)
        if oldest.balance_after is None or newest.balance_after is None:
            return None
        closing = StatedAmount(newest.at, newest.currency, newest.balance_after, newest.subaccount)
        return closing, EXACT.subtract(oldest.balance_after, oldest.amount)

    def closings(self, claims: Claims) -> list[StatedAmount]:
        """Return the balance at the end of a period whose control totals show that all rows are there. Empty: not
        known."""
        ends = self.ends()
        sides = {total.direction for total in claims.totals}
        has_totals = {Direction.IN, Direction.OUT} <= sides
        if claims.closing or not has_totals or claims.since is None or claims.until is None or ends is None:
            return []
        return [ends[0]._replace(at=_end_of(claims.until))]


def _periods(claims: Claims, balances: RowBalances) -> dict[Key, Period]:
    """Return the periods that a statement proves. The statement has to state its period. It also needs one of two
    proofs: balances at both ends to which its rows add up, or control totals of all rows together with balances on the
    rows."""
    if claims.since is None or claims.until is None:
        return {}
    until, periods = _end_of(claims.until), {}
    openings = {(one.subaccount, one.currency): one for one in claims.opening}
    for closing in claims.closing:
        opening = openings.get((closing.subaccount, closing.currency))
        # A closing balance is the balance at the end of its day, and a period that ends earlier does not contain the
        # whole day.
        if opening is not None and closing.at <= until:
            since = max(opening.at, claims.since)
            if since < closing.at:
                periods[closing.subaccount, closing.currency] = Period(since, opening.amount)
    ends = balances.ends()
    if balances.closings(claims) and ends is not None and claims.since < until:
        closing, opening_amount = ends
        periods[closing.subaccount, closing.currency] = Period(claims.since, opening_amount)
    return periods


def _end_of(until: datetime) -> datetime:
    """Return the end of a period. Files state its last second: 23:59:59 means the end of the day."""
    return until + timedelta(seconds=1) if until.second == LAST_SECOND else until


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
        if total.rows is not None and total.rows != len(amounts):
            template = _COUNTS.get(total.direction, _COUNTS[Direction.NONE])
            raise FileError(template, label=label, stated=total.rows, has=len(amounts))
        if total.amount is not None and is_one_currency:
            has = abs(sum_of(amounts)) if total.direction is not Direction.NONE else sum_of(amounts)
            if has != total.amount:
                template = _SUMS.get(total.direction, _SUMS[Direction.NONE])
                stated = to_plain_string(total.amount)
                raise FileError(template, label=label, stated=stated, has=to_plain_string(has))
    for difference in differences(claims, sums):
        raise FileError(_DIFFERENCE, label=label, **difference)


def _(text: str) -> str:
    """Mark a text for the page's catalogues."""
    return text


_COUNTS: Final = {
    Direction.NONE: _("%(label)sthe file states %(stated)s rows, and has %(has)s"),
    Direction.IN: _("%(label)sthe file states %(stated)s rows of money in, and has %(has)s"),
    Direction.OUT: _("%(label)sthe file states %(stated)s rows of money out, and has %(has)s"),
}
_SUMS: Final = {
    Direction.NONE: _("%(label)sthe file states that its rows add up to %(stated)s, and they add up to %(has)s"),
    Direction.IN: _(
        "%(label)sthe file states that its rows of money in add up to %(stated)s, and they add up to %(has)s"
    ),
    Direction.OUT: _(
        "%(label)sthe file states that its rows of money out add up to %(stated)s, and they add up to %(has)s"
    ),
}
_DIFFERENCE: Final = _(
    "%(label)sthe opening balance %(opening)s %(currency)s and the rows give %(has)s, and the file states %(stated)s: "
    "rows are missing"
)


def differences(claims: Claims, sums: Mapping[Key, Decimal]) -> Iterator[dict[str, str]]:
    """The cases in which the opening balance and the rows do not give the closing balance: the values of
    _DIFFERENCE."""
    closing = {(balance.subaccount, balance.currency): balance.amount for balance in claims.closing}
    for opening in claims.opening:
        key = opening.subaccount, opening.currency
        if key in closing:
            has = EXACT.add(opening.amount, sums.get(key, ZERO))
            if has != closing[key]:
                yield {
                    "opening": to_plain_string(opening.amount),
                    "currency": opening.currency,
                    "has": to_plain_string(has),
                    "stated": to_plain_string(closing[key]),
                }


def sum_of(amounts: Sequence[Decimal]) -> Decimal:
    """Return the exact sum."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
