"""A mapping: a TOML file that describes how rows of any table become flows."""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from liushui.errors import ConfigError, WireError, short_repr
from liushui.files.cells import CONTEXT, Cells, parse_amount, parse_time, states_side
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import load_zone
from liushui.money import EXACT
from liushui.wire.decoding import parse_currency

MAPPING: Final = f"{CONTEXT}mapping"
"""The cell of each row with its mapping, as JSON, so that a row can be read again without the file."""


class Columns(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Which column holds which value, by the names in the table's header. `amount` is signed; or it is unsigned, with
    the direction in `side`; or `money_in` and `money_out` are used instead. `fee` is subtracted from the amount. `time`
    may be several columns, whose texts are joined by a blank."""

    time: str | list[str]
    amount: str = ""
    side: str = ""
    money_in: str = ""
    money_out: str = ""
    fee: str = ""
    currency: str = ""
    balance: str = ""
    id: str = ""
    kind: str = ""
    label: str = ""
    subaccount: str = ""
    order_ref: str = ""
    symbol: str = ""
    name: str = ""
    note: str = ""

    @property
    def times(self) -> Sequence[str]:
        """The columns of the time."""
        return [self.time] if isinstance(self.time, str) else self.time

    @property
    def named(self) -> list[str]:
        """All columns that the table must have."""
        others = (getattr(self, name) for name in self.__struct_fields__ if name != "time")
        return list(dict.fromkeys([*self.times, *filter(None, others)]))


class Mapping(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """How the rows of a table become flows."""

    columns: Columns
    date_format: str | list[str] = ""
    """A format of strptime. Empty: ISO 8601."""
    zone: str = "UTC"
    decimal_mark: str = "."
    currency: str = ""
    negate: bool = False
    """Whether amounts above zero are money out."""
    in_words: list[str] = []
    out_words: list[str] = []
    """The words in the column `side` for money in and money out."""
    kinds: dict[str, Kind] = {}
    """The kind of a flow, by the text in the column `kind`."""
    skip_lines: int = 0
    delimiter: str = ""
    encoding: str = ""
    """Empty: detected from the bytes."""

    def read(self, cells: Cells) -> Flow:
        """The flow in a row. Raises WireError naming the column that does not fit."""
        columns = self.columns
        amount, direction = self._amount(cells)
        named = columns.currency
        currency = cells.currency(named) if named else parse_currency("currency", self.currency)
        if fee := self._number(cells, columns.fee):
            amount = EXACT.subtract(amount, fee)
        at = self._time(cells)
        return Flow(
            identity=cells.record_id(columns.id) if cells.text(columns.id) else self._identity(cells, at),
            at=at,
            amount=amount,
            currency=currency,
            direction=direction,
            kind=self.kinds.get(cells.text(columns.kind), Kind.OTHER),
            category=Category.CASH,
            label=cells.text(columns.label),
            subaccount=cells.text(columns.subaccount),
            balance_after=self._number(cells, columns.balance),
            ref=cells.text_or_none(columns.id),
            order_ref=cells.text_or_none(columns.order_ref),
            symbol=cells.text_or_none(columns.symbol),
            name=cells.text_or_none(columns.name),
            note=cells.text_or_none(columns.note),
        )

    def _identity(self, cells: Cells, at: datetime) -> str:
        columns = self.columns
        amounts = columns.amount, columns.money_in, columns.money_out, columns.fee, columns.balance
        times = dict.fromkeys(columns.times, at)
        return cells.identity(*columns.named, amounts=amounts, times=times, mark=self.decimal_mark)

    def _time(self, cells: Cells) -> datetime:
        names = self.columns.times
        text = " ".join(cells.required(name) if number == 0 else cells.text(name) for number, name in enumerate(names))
        return parse_time(names[0], text.strip(), self.zone, self.patterns)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The formats of a time, those of strptime."""
        given = [self.date_format] if isinstance(self.date_format, str) else self.date_format
        return tuple(filter(None, given))

    def _number(self, cells: Cells, name: str) -> Decimal | None:
        return cells.amount_or_none(name, self.decimal_mark)

    def _amount(self, cells: Cells) -> tuple[Decimal, Direction]:
        """The signed amount, and the direction as the file states it."""
        columns = self.columns
        if columns.amount:
            text = cells.required(columns.amount)
            amount = parse_amount(columns.amount, text, self.decimal_mark)
            if columns.side:
                return self._by_side(amount, cells)
            is_negated = self.negate and amount and not states_side(text)
            return (-amount if is_negated else amount), Direction.NONE
        coming, going = (self._number(cells, name) for name in (columns.money_in, columns.money_out))
        if coming and going:
            raise WireError(
                columns.money_in, f"expected an amount in it or in {columns.money_out}, got {coming} and {going}"
            )
        if coming is None and going is None:
            raise WireError(columns.money_in, f"expected an amount in it or in {columns.money_out}, got none")
        if going:
            return -abs(going), Direction.OUT
        return coming or Decimal(0), Direction.IN if coming else Direction.NONE

    def _by_side(self, amount: Decimal, cells: Cells) -> tuple[Decimal, Direction]:
        name, side = self.columns.side, cells.required(self.columns.side)
        if side not in (*self.in_words, *self.out_words):
            expected = " or ".join((*self.in_words, *self.out_words)) or "words in in_words and out_words"
            raise WireError(name, f"expected {expected}, got {short_repr(side)}")
        is_out = side in self.out_words
        if amount < 0 and not is_out:
            raise WireError(self.columns.amount, f"expected 0 or more where {name} is {side}, got {amount}")
        return (-abs(amount) if amount and is_out else amount), Direction.OUT if is_out else Direction.IN


def load_mapping(path: Path) -> Mapping:
    """The mapping in a TOML file. Raises ConfigError naming the file and the key."""
    try:
        return parse_mapping(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a mapping in UTF-8, got other bytes") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_mapping(text: str) -> Mapping:
    """The mapping in a TOML text. Raises ConfigError naming the key."""
    try:
        mapping = msgspec.convert(tomllib.loads(text), Mapping)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"this is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(_in_words(str(error))) from error
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: Mapping) -> None:
    """Raise ConfigError for a mapping with which no row could be read."""
    columns = mapping.columns
    has_two = bool(columns.money_in and columns.money_out)
    if bool(columns.amount) == has_two or bool(columns.money_in) != bool(columns.money_out):
        raise ConfigError("columns: expected amount, or money_in and money_out, to name where the amount is")
    if columns.side and not (columns.amount and mapping.in_words and mapping.out_words):
        raise ConfigError("columns.side: expected in_words and out_words too, and columns.amount")
    if not columns.currency and mapping.currency in ("", "?"):
        raise ConfigError('currency: expected a code such as currency = "CNY", or columns.currency')
    if mapping.decimal_mark not in (".", ","):
        raise ConfigError(f'decimal_mark: expected "." or ",", got {short_repr(mapping.decimal_mark)}')
    if len(mapping.delimiter) > 1:
        raise ConfigError(f"delimiter: expected one character, got {short_repr(mapping.delimiter)}")
    if not columns.times or mapping.skip_lines < 0:
        raise ConfigError("columns.time: expected a column" if not columns.times else "skip_lines: expected 0 or more")
    if mapping.encoding:
        try:
            "".encode(mapping.encoding)
        except LookupError:
            got = short_repr(mapping.encoding)
            raise ConfigError(f"encoding: expected a name such as gb18030, got {got}") from None
    load_zone(mapping.zone)


def _in_words(problem: str) -> str:
    """Return msgspec's message, with the key first."""
    text, _, path = problem.partition(" - at `$")
    key = path.strip("`.")
    return f"{key}: {text}" if key else text


_decode = msgspec.json.Decoder(Mapping).decode


@lru_cache(64)
def _mapping_of(text: str) -> Mapping:
    return _decode(text.encode())


def read_mapped(cells: Cells) -> Flow:
    """The flow in a row that carries its mapping. Raises WireError."""
    try:
        mapping = _mapping_of(cells.required(MAPPING))
    except msgspec.MsgspecError as error:
        raise WireError(MAPPING, f"expected a mapping: {error}") from error
    return mapping.read(cells)
