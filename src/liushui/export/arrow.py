"""Parquet and Arrow: columns have the same declared types in every file, so several files are one data set.

Money is decimal128(38, 18). Values that do not fit are refused, because readers would silently round them or turn them
into null.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import chain, islice
from typing import Any, Final

from liushui.export.formats import CannotExport, ExportOptions, Refusal
from liushui.export.rows import COLUMNS, PICKED
from liushui.export.selection import Selection, StoredRow, coverage_lines
from liushui.export.statement import digits_of, listed, unfit_flows
from liushui.ledger.read.flows import COLUMNS as FLOW_COLUMNS

PRECISION: Final = 38
SCALE: Final = 18
BATCH_ROWS: Final = 32_768
"""Rows of a row group. Only one row group is in memory at a time."""
CHUNK_ROWS: Final = 1_000
MONEY: Final = ("amount", "balance_after", "fx_amount")
EXACT_TEXT: Final = "amount_text"
"""An additional column: the amount with its original digits. 1.230 is 1.230000000000000000 as a decimal."""
_TIMES: Final = ("at", "settled_at")
_AMOUNT: Final = FLOW_COLUMNS.index("amount")


def parquet_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """A Parquet file. Raises ConfigError if pyarrow is missing, or an amount does not fit."""
    pyarrow = _pyarrow()
    parquet = import_module("pyarrow.parquet")
    _check(selection)
    sink = _Sink()
    schema = _schema(pyarrow, selection)
    with parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for batch in _batches(pyarrow, schema, selection):
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def arrow_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """An Arrow IPC stream. Raises ConfigError as `parquet_parts` does."""
    pyarrow = _pyarrow()
    _check(selection)
    sink = _Sink()
    schema = _schema(pyarrow, selection)
    with pyarrow.ipc.new_stream(pyarrow.PythonFile(sink, mode="w"), schema) as writer:
        for batch in _batches(pyarrow, schema, selection):
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def _pyarrow() -> Any:  # noqa: ANN401 - an optional package, without types
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise CannotExport(
            Refusal.PACKAGE, "format: expected the package pyarrow: pip install 'liushui[parquet]'"
        ) from error


class _Sink:
    """A file in memory. Written bytes can be taken out of it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:  # noqa: ANN401 - pyarrow's buffers
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Does nothing: `take` still returns the rest."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _schema(pyarrow: Any, selection: Selection) -> Any:  # noqa: ANN401 - pyarrow's
    types = {
        **dict.fromkeys(_TIMES, pyarrow.timestamp("us", tz="UTC")),
        **dict.fromkeys(MONEY, pyarrow.decimal128(PRECISION, SCALE)),
        "batch": pyarrow.int64(),
    }
    names = (*COLUMNS, EXACT_TEXT)
    required = {"account", "at", "amount", "currency", "direction", "kind", "id"}
    fields = [pyarrow.field(name, types.get(name, pyarrow.string()), nullable=name not in required) for name in names]
    return pyarrow.schema(fields, metadata={"liushui:coverage": "\n".join(coverage_lines(selection))})


def _batches(pyarrow: Any, schema: Any, selection: Selection) -> Iterator[Any]:  # noqa: ANN401 - pyarrow's
    rows, verdict = chain.from_iterable(selection.chunks(CHUNK_ROWS)), selection.verdict.status.value
    while pieces := list(_group(rows)):
        columns = [*zip(*pieces, strict=True), [[verdict] * len(piece[0]) for piece in pieces]]
        columns.append(columns[_AMOUNT])
        arrays = [_array(pyarrow, field, column) for field, column in zip(schema, columns, strict=True)]
        yield pyarrow.record_batch(arrays, schema=schema)


def _group(rows: Iterator[StoredRow]) -> Iterator[Sequence[Sequence[Any]]]:
    """The columns of the next row group, in pieces that stay in the processor's cache."""
    left = BATCH_ROWS
    while left and (piece := list(islice(rows, min(left, CHUNK_ROWS)))):
        left -= len(piece)
        stored = list(zip(*piece, strict=True))
        yield [stored[index] for index in PICKED]


def _array(pyarrow: Any, field: Any, pieces: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401 - pyarrow's
    """The values of a column in a row group."""
    first, is_money = pieces[0][0], field.name in MONEY
    stored = pyarrow.string() if is_money else field.type
    if all(piece[-1] == first and piece.count(first) == len(piece) for piece in pieces):  # most columns have one value
        rows = sum(map(len, pieces))
        if first is None:
            return pyarrow.nulls(rows, field.type)
        return pyarrow.repeat(pyarrow.array([first], stored).cast(field.type)[0], rows)
    together = pyarrow.concat_arrays([pyarrow.array(piece, stored) for piece in pieces])
    return together.cast(field.type) if is_money else together  # exact: a value that does not fit is an error


def _check(selection: Selection) -> None:
    """Raise ConfigError for money that decimal128(38, 18) cannot hold."""
    faults = [
        fault
        for name in MONEY
        for fault in unfit_flows(selection, longer_than=SCALE + 1, fits=fits_decimal128, column=name)
    ]
    if faults:
        raise CannotExport(
            Refusal.DIGITS,
            f"amount: expected at most {PRECISION - SCALE} digits before the point and {SCALE} after it, got more in "
            f"{listed(faults)}",
        )


def fits_decimal128(amount: str) -> bool:
    """Whether an amount's text fits decimal128(38, 18)."""
    whole, _, fraction = amount.partition(".")
    return digits_of(whole) <= PRECISION - SCALE and len(fraction.rstrip("0")) <= SCALE
