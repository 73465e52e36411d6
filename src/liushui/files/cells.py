"""The cells of one row of a statement, by the names of its columns, and their values: times, amounts, texts."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from liushui.errors import WireError, short_repr
from liushui.instant import NotOneInstant, instant_of, load_zone, to_iso
from liushui.money import DIGITS_MAX, parse_decimal, to_plain_string
from liushui.wire.decoding import identity_digest, parse_currency, record_identity

CONTEXT: Final = "#"
"""Prefix of names for values that a file states once for all rows, such as `#currency`."""
PROBLEM: Final = "#problem"
"""Why a row does not fit its table. Such a row has only this cell and TEXT."""
TEXT: Final = "#text"
SEPARATOR: Final = ", "
"""The text between the cells of a row that does not fit."""
ZONE: Final = "#zone"
"""The zone of times without an offset, if the file or the account decides it: a name, or an offset such as UTC+8."""

OFFSET: Final = re.compile(
    r"UTC(?:(?P<sign>[-+])(?P<hours>\d{1,2})(?::(?P<minutes>\d{2}))?)?", re.IGNORECASE | re.ASCII
)
"""A zone in the form of headers: `UTC`, `UTC+8`, `UTC+08:00`."""
_CURRENCY_SIGNS: Final = re.compile(r"^(?P<sign>[-+]?)(?:[¥$€£]|CN¥|HK\$|US\$)?(?P<rest>[-+]?.*)$")
_PLAIN: Final = re.compile(r"-?[1-9][0-9]*(?:\.[0-9]+)?|0(?:\.[0-9]+)?", re.ASCII)
"""An amount that money.parse_decimal accepts."""
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_SERIAL: Final = re.compile(r"[1-9][0-9]{4}(?:\.[0-9]+)?", re.ASCII)
"""A day as spreadsheets count it, such as 46027.385. It has two meanings: from 1900, or from 1904."""
_NUMBER: Final = re.compile(r"[0-9]*\.?[0-9]*", re.ASCII)
_EXPONENT: Final = re.compile(r"(?P<digits>[0-9]+(?:\.[0-9]+)?)[eE](?P<exponent>[-+]?[0-9]{1,2})", re.ASCII)
_SIDE: Final = re.compile(r"(?P<before>[CD]R)\.?(?=[0-9])|(?<=[0-9.])(?P<after>[CD]R)\.?", re.IGNORECASE | re.ASCII)
"""A side next to an amount: CR is money in, DR money out."""
_PLAIN_FORMS: Final = {
    **dict.fromkeys(map(ord, " \t\u00a0\u202f\u2009\u3000'’"), None),
    **{0xFEE0 + ascii_: ascii_ for ascii_ in range(0x21, 0x7F)},
    ord("−"): "-",
    ord("–"): "-",
    ord("￥"): "¥",
}
"""Full-width characters and other minus signs become plain ones. Blanks and digit separators are removed."""
SPREADSHEET_MAX: Final = 10**15
"""Spreadsheets keep 15 digits, so whole numbers from here on, such as ids, have lost digits. They are written as
1.2E+17."""
_INEXACT_ID: Final = re.compile(r"[0-9.]+E\+[0-9]+", re.ASCII)
_NOTHING: Final = frozenset({"", "—", "/", "N/A", "n/a", *("-" * length for length in range(1, 41))})
"""The content of a cell without a value. Bank of China fills such cells with dashes to the width of the column."""

CURRENCY_NAMES: Final = {
    **dict.fromkeys(("人民币", "人民币元", "人民幣", "RMB"), "CNY"),
    **dict.fromkeys(("港币", "港元", "港幣"), "HKD"),
    **dict.fromkeys(("美元", "美金"), "USD"),
    **dict.fromkeys(("欧元", "歐元"), "EUR"),
    **dict.fromkeys(("日元", "日圆", "日圓"), "JPY"),
    **dict.fromkeys(("英镑", "英鎊"), "GBP"),
    **dict.fromkeys(("澳元", "澳大利亚元", "澳洲元"), "AUD"),
    **dict.fromkeys(("加元", "加拿大元"), "CAD"),
    **dict.fromkeys(("新加坡元", "新币", "坡币"), "SGD"),
    **dict.fromkeys(("澳门元", "澳門元", "澳门币"), "MOP"),
    **dict.fromkeys(("新台币", "新臺幣", "新台幣", "台币"), "TWD"),
    **dict.fromkeys(("瑞士法郎", "瑞郎"), "CHF"),
    **dict.fromkeys(("新西兰元", "纽西兰元"), "NZD"),
    **dict.fromkeys(("韩元", "韓元"), "KRW"),
    **dict.fromkeys(("泰铢", "泰銖"), "THB"),
}
"""The names of currencies in Chinese statements."""

_decode = msgspec.json.Decoder(dict[str, str]).decode
_encode = msgspec.json.Encoder().encode
_MISFIT: Final = b'{"' + PROBLEM.encode()


class Cells:
    """The cells of one row. Names are those of the format; a missing column and an empty cell are the same."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def decode(cls, row: bytes) -> "Cells":
        """The cells of a row in the ledger's form. Raises WireError, also for a row that fits no table."""
        try:
            values = _decode(row)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            begin = short_repr(row[:60].decode(errors="replace"))
            raise WireError("row", f"expected a JSON object of texts, got {begin}") from error
        if PROBLEM in values:
            raise WireError("row", values[PROBLEM])
        return cls(values)

    @classmethod
    def decode_or_empty(cls, row: bytes) -> "Cells":
        """`decode`, with no cells in place of an error."""
        try:
            return cls.decode(row)
        except WireError:
            return cls({})

    def text(self, name: str) -> str:
        """Return the text of a cell; empty if it has none."""
        text = self._values.get(name, "")
        return "" if text in _NOTHING else text

    def text_or_none(self, name: str) -> str | None:
        """The text of a cell, or None."""
        return self.text(name) or None

    def required(self, name: str) -> str:
        """The text of a cell. Raises WireError if there is none."""
        text = self.text(name)
        if not text:
            raise WireError(name, "expected a value, got an empty cell")
        return text

    def amount(self, name: str, mark: str = ".") -> Decimal:
        """Return the number in a cell, with `mark` as its decimal mark. Raises WireError."""
        return parse_amount(name, self.required(name), mark)

    def amount_or_none(self, name: str, mark: str = ".") -> Decimal | None:
        """The number in a cell. None: it is empty. Raises WireError."""
        return self.amount(name, mark) if self.text(name) else None

    def currency(self, name: str) -> str:
        """The code of the currency in a cell, which may name it in Chinese. Raises WireError."""
        text = self.required(name)
        return CURRENCY_NAMES.get(text) or parse_currency(name, text)

    def time(self, name: str, zone: str, *patterns: str) -> datetime:
        """The time in a cell, in UTC. The file's own zone counts before `zone`. Raises WireError."""
        return parse_time(name, self.required(name), self._values.get(ZONE, zone), patterns)

    def record_id(self, *names: str) -> str:
        """The identity of a row that has the id of its record: the texts of these cells. Raises WireError."""
        for name in names:
            if _INEXACT_ID.fullmatch(self.text(name)):
                raise WireError(
                    name, f"expected an id as text, got the number {self.text(name)}, whose digits the spreadsheet lost"
                )
        return record_identity(" ".join(self.required(name) for name in names))

    def identity(
        self,
        *names: str,
        amounts: Collection[str] = (),
        times: Mapping[str, datetime] = MappingProxyType({}),
        mark: str = ".",
    ) -> str:
        """Return a digest of some cells, which identifies a row without an id.

        `amounts` are those of the names whose cells hold numbers, and `times` has the times in others. They count by
        their value, because files spell values differently: a CSV download has `¥4.50` and `2026/1/5`, and a workbook
        has 4.5 and 2026-01-05. An exchange also writes the times of a download in the zone that the user has chosen.
        """
        values = [self.text(name) for name in names]
        for index, name in enumerate(names):
            if name in amounts:
                values[index] = _by_value(values[index], mark)
            elif name in times:
                values[index] = to_iso(times[name])
        return identity_digest(values)

    def detail(self, provider: str, *names: str) -> dict[str, object] | None:
        """Flow.detail with some cells, under names that begin with the format's. None: all of them are empty."""
        values: dict[str, object] = {f"{provider}:{name}": self.text(name) for name in names if self.text(name)}
        return values or None


def _by_value(text: str, mark: str) -> str:
    """Return the same text for all spellings of a number. Other texts are returned unchanged."""
    try:
        plain = to_plain_string(parse_amount("amount", text, mark)) if text else text
    except WireError:
        return text
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def encode_cells(values: Mapping[str, str]) -> bytes:
    """Return a row in the ledger's form."""
    return _encode(values)


def misfit(problem: str, cells: Sequence[str]) -> bytes:
    """A row that does not fit its table, and the reason."""
    return _encode({PROBLEM: problem, TEXT: SEPARATOR.join(cells)})


def misfit_cells(row: bytes) -> list[str] | None:
    """The cells of a row that does not fit its table. None: it fits."""
    if not row.startswith(_MISFIT):
        return None
    return _decode(row)[TEXT].split(SEPARATOR)


# ---------------------------------------------------------------- values


@lru_cache(8_192)
def parse_amount(field: str, text: str, mark: str = ".") -> Decimal:
    """A number as people and programs write it: `1,234.50`, `¥88.00`, `(12.00)`, `12.00-`, `12.00 DR`, `-1.0E-7`, and
    with full-width digits.

    `mark` is the decimal mark; the other of `.` and `,` may group digits by threes. Raises WireError naming `field` for
    anything that is not a number, or could be two.
    """
    if mark == "." and _PLAIN.fullmatch(text):
        return parse_decimal(field, text)
    expected = f"expected an amount such as 1234{mark}50, got {short_repr(text)}"
    plain, is_negative = text.translate(_PLAIN_FORMS).removesuffix("元"), False
    if plain.startswith("(") and plain.endswith(")"):
        plain, is_negative = plain[1:-1], True
    elif plain[-1:] in ("-", "+"):
        plain, is_negative = plain[:-1], plain[-1] != "+"
    elif stated := _SIDE.search(plain):
        plain = plain[: stated.start()] + plain[stated.end() :]
        if not plain[:1].isdigit():
            raise WireError(field, expected)
        is_negative = (stated["before"] or stated["after"]).upper() == "DR"
    match = _CURRENCY_SIGNS.match(plain)
    if match is None or len(plain) > DIGITS_MAX:
        raise WireError(field, expected)
    sign, rest = match["sign"], match["rest"]
    if rest[:1] in ("-", "+"):
        sign, rest = sign + rest[0], rest[1:]
    if len(sign) > 1 or (sign and is_negative):
        raise WireError(field, expected)
    is_negative = is_negative or sign == "-"
    if mark == ",":
        rest = rest.translate({ord(","): ".", ord("."): ","})
    if exponent := _EXPONENT.fullmatch(rest):
        rest = format(Decimal(exponent["digits"]).scaleb(int(exponent["exponent"])), "f")
    whole, point, fraction = rest.partition(".")
    if "," in whole:
        if not _GROUPED.fullmatch(whole):
            raise WireError(field, expected)
        whole = whole.replace(",", "")
    rest = f"{whole.lstrip('0') or '0'}{point if fraction else ''}{fraction}"
    if not _NUMBER.fullmatch(rest) or not (whole or fraction):
        raise WireError(field, expected)
    amount = parse_decimal(field, rest)
    return -amount if is_negative and amount else amount


def states_side(text: str) -> bool:
    """Whether CR or DR is next to an amount, so that its sign is known."""
    return _SIDE.search(text.translate(_PLAIN_FORMS)) is not None


@lru_cache(8_192)
def parse_time(field: str, text: str, zone: str, patterns: tuple[str, ...] = ()) -> datetime:
    """A time in UTC. `patterns` are those of strptime; ISO 8601 is read too. Without an offset it is in `zone`.

    If clocks show the time twice, the first instant is taken, because the file gives no offset. Raises WireError naming
    `field`, also for a time that clocks skip.
    """
    at = _parse(text.strip(), patterns)
    if at is None:
        hint = ": give the cell the format of a date in the spreadsheet" if _SERIAL.fullmatch(text) else ""
        raise WireError(field, f"expected a time such as {_example(patterns)}, got {short_repr(text)}{hint}")
    try:
        return at.astimezone(UTC) if at.tzinfo else instant_of(at, _zone(zone))
    except NotOneInstant as error:
        if error.first is not None:
            return error.first
        raise WireError(field, str(error).removeprefix("time: ")) from error
    except OverflowError:
        raise WireError(field, f"expected a time of the calendar, got {short_repr(text)}") from None


def _parse(text: str, patterns: Sequence[str]) -> datetime | None:
    for pattern in patterns:
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is added by parse_time
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text) if text.isascii() else None
    except ValueError:
        return None


def _example(patterns: Sequence[str]) -> str:
    moment = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    return " or ".join(moment.strftime(pattern) for pattern in patterns or ("%Y-%m-%d %H:%M:%S",))


@lru_cache
def _zone(name: str) -> tzinfo:
    if offset := OFFSET.fullmatch(name):
        minutes = 60 * int(offset["hours"] or 0) + int(offset["minutes"] or 0)
        return timezone(timedelta(minutes=-minutes if offset["sign"] == "-" else minutes))
    return load_zone(name)


def cell_text(value: object) -> str:
    """The text of a workbook's cell. The reader turns a date-time at midnight into a date, so a date gets its time
    back."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case datetime():
            near = value + timedelta(microseconds=500)  # a spreadsheet's time is a fraction of a day, slightly inexact
            moment = near.replace(microsecond=near.microsecond // 1_000 * 1_000)
            return moment.isoformat(" ", timespec="milliseconds" if moment.microsecond else "seconds")
        case date():
            return f"{value.isoformat()} 00:00:00"
        case time():
            return value.isoformat("seconds")
        case str():
            return clean(value)
        case _:
            number = Decimal(repr(value))  # the shortest text with the same value
            if abs(number) >= SPREADSHEET_MAX:
                return f"{number:E}"
            # A spreadsheet shows 15 digits. A computed cell has more: the error of binary fractions, as in 0.1 + 0.2.
            return format(Decimal(f"{value:.15g}"), "f")


def clean(text: str) -> str:
    """Return a cell without what programs put around it: blanks, a backtick, an apostrophe, or `="…"` to protect it
    from spreadsheets."""
    if text.isalnum():  # for most cells; the rest would take most of the time of reading a table
        return text
    text = text.strip().strip("\ufeff")
    if text.startswith('="') and text.endswith('"') and len(text) > 3:
        text = text[2:-1]
    if text[:1] in ("`", "'"):
        text = text[1:]
    return text.strip()
