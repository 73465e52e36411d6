"""The contract between liushui and a format of statement files.

A format is one folder of liushui.formats, or an installed package, that exports FORMAT. It has a codec and no client:
it recognises its files by their content, and turns rows into flows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from liushui.errors import NotRepresentable, WireError
from liushui.files.cells import Cells, encode_cells
from liushui.files.content import Content
from liushui.flow import Direction, Flow
from liushui.instant import EPOCH, to_us
from liushui.money import to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.rules import (
    BALANCE_RULES,
    LINK_RULES,
    BalanceRules,
    FeeLeg,
    LinkRules,
    Paging,
    RangeOnly,
    Rate,
    RecordId,
    Rules,
    Uniqueness,
)

T = TypeVar("T")
_json = msgspec.json.Encoder().encode


class NumberedRow(NamedTuple):
    """A row in the ledger's form, and the number of its line or entry in the file."""

    number: int
    row: bytes


class StatedAmount(NamedTuple):
    """A balance that a file states: the one before the flows of `at`."""

    at: datetime
    currency: str
    amount: Decimal
    subaccount: str = ""


class ControlTotal(NamedTuple):
    """A total that a file states about its rows of one direction (NONE: of all rows). A field is None if not stated."""

    rows: int | None
    amount: Decimal | None
    direction: Direction = Direction.NONE
    currency: str | None = None


@dataclass
class Claims:
    """What a statement claims about itself. It is known once all rows have been read.

    `opening` and `closing` are balances at both ends of [since, until).
    """

    since: datetime | None = None
    until: datetime | None = None
    opening: list[StatedAmount] = field(default_factory=list)
    closing: list[StatedAmount] = field(default_factory=list)
    totals: list[ControlTotal] = field(default_factory=list)
    trailer: list[str] = field(default_factory=list)
    """The header of the control totals, if their line comes next."""

    @property
    def prove_something(self) -> bool:
        """Whether there is anything to compare with the rows."""
        return bool((self.opening and self.closing) or self.totals)


@dataclass
class Statement:
    """One statement of a file: its rows, which can be read once, and its claims about them."""

    rows: Iterable[NumberedRow]
    claims: Claims = field(default_factory=Claims)
    label: str = ""
    """A text that distinguishes it from other statements of its file, such as the number of its account."""


class FileFormat(Protocol):
    """A format of statement files."""

    @property
    def name(self) -> str:
        """Its name in `--as`. Accounts imported from its files have this name instead of a provider."""
        ...

    @property
    def title(self) -> str:
        """The users' name for the file."""
        ...

    @property
    def rules(self) -> Rules[Paging]:
        """The rules of its rows: zone, record ids, balances."""
        ...

    @property
    def codec(self) -> "RowCodec":
        """Reads rows as they are kept in the ledger."""
        ...

    @property
    def is_recognised(self) -> bool:
        """Whether its files can be recognised by their content."""
        ...

    @property
    def states_totals(self) -> bool:
        """Whether files state control totals, or balances at both ends, with which their rows are compared."""
        ...

    @property
    def provider(self) -> str:
        """The provider whose API has the same flows. Empty: no known provider has them."""
        ...

    def recognise(self, content: Content) -> bool:
        """Whether the content of a file has this format."""
        ...

    def explain(self, content: Content) -> str:
        """Return what a file lacks for this format. Empty: the file does not resemble the format at all."""
        ...

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:
        """The statements of a file. `zone` is the account's zone, for times without an offset. Raises FileError."""
        ...


class RowCodec:
    """The codec of a format: rows are JSON objects of texts, and are only read."""

    def __init__(self, read: Callable[[Cells], Flow]) -> None:
        self._read = read

    def extract_rows(self, document: bytes) -> Sequence[bytes]:
        """No format has JSON answers. Raises WireError."""
        raise WireError("file", f"expected a statement file, got {document[:20]!r}")

    def read(self, row: bytes) -> DecodedRow:
        """Read one row. Raises WireError naming the column that does not fit."""
        return DecodedRow(self._read(Cells.decode(row)), row, None)

    def read_many(self, rows: Sequence[bytes]) -> FlowColumns | None:
        """Read rows together, which is faster than one by one. None: one of them cannot be read."""
        try:
            flows = [self._read(Cells.decode(row)) for row in rows]
        except WireError:
            return None
        return _columns_of(flows)

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Files are not written. Raises NotRepresentable."""
        del flow, language
        raise NotRepresentable("format", "expected a provider's API, got a format of files")


def _columns_of(flows: Sequence[Flow]) -> FlowColumns | None:
    """The columns of flows. None: one of them has a field that only other codecs fill."""
    if any(flow.fx is not None for flow in flows):
        return None
    field = dict(zip(Flow._fields, zip(*flows, strict=True), strict=True))
    return FlowColumns(
        identity=field["identity"],
        at_us=list(map(to_us, field["at"])),
        subaccount=field["subaccount"],
        amount=list(map(to_plain_string, field["amount"])),
        currency=field["currency"],
        direction=[direction.value for direction in field["direction"]],
        kind=[kind.value for kind in field["kind"]],
        category=[category.value for category in field["category"]],
        label=field["label"],
        balance_after=_decimals(field["balance_after"]),
        settled_at_us=_filled([None if at is None else to_us(at) for at in field["settled_at"]]),
        ref=_filled(field["ref"]),
        order_ref=_filled(field["order_ref"]),
        symbol=_filled(field["symbol"]),
        name=_filled(field["name"]),
        price=_decimals(field["price"]),
        quantity=_decimals(field["quantity"]),
        note=_filled(field["note"]),
        detail=_filled([_json(detail).decode() if detail else None for detail in field["detail"]]),
    )


def _filled(column: Sequence[T]) -> Sequence[T] | None:
    """A column. None: no row has a value."""
    return None if column.count(None) == len(column) else column


def _decimals(column: Sequence[Decimal | None]) -> Sequence[str | None] | None:
    return _filled([None if value is None else to_plain_string(value) for value in column])


NO_RATE: Final = Rate(1, timedelta(seconds=1))
SECOND: Final = timedelta(seconds=1)
STATEMENT_ROWS: Final = RecordId(Uniqueness.STATEMENT)


def file_rules(
    zone: str,
    *,
    resolution: timedelta = SECOND,
    id_columns: Sequence[str] = (),
    balances: BalanceRules | None = BALANCE_RULES,
    links: LinkRules = LINK_RULES,
    currencies: Iterable[str] | None = None,
    fee_legs: Sequence[FeeLeg] = (),
) -> Rules[Paging]:
    """The rules of a format. `id_columns` are the columns that form a record's id, which is the identity.

    Without them, rows with the same identity are counted, and the file with the most of them decides. `balances` None:
    rows state none. `fee_legs`: the fees within rows.
    """
    return Rules(
        paging=RangeOnly(1, 1),
        rate=NO_RATE,
        resolution=resolution,
        history_start=EPOCH,
        lookback=timedelta(0),
        zone=zone,
        record_id=RecordId(Uniqueness.RECORD, fields=tuple(id_columns)) if id_columns else STATEMENT_ROWS,
        currencies=None if currencies is None else frozenset(currencies),
        links=links,
        balances=balances,
        fee_legs=tuple(fee_legs),
    )


def numbered(rows: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[NumberedRow]:
    """Rows as they are kept in the ledger."""
    for number, values in rows:
        yield NumberedRow(number, encode_cells(values))
