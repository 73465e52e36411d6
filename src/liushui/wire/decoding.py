"""Reading one JSON row into the struct of a wire: exact, and what does not fit is named."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import astuple

from liushui.errors import WireError, short_repr

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")

DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that do not fit: no JSON, no UTF-8, nested too deep."""

CODE_MAX: Final = 2**31 - 1
"""Official clients read a code into 32 bits, and refuse the whole page for a larger one."""

_EXPECTED: Final = re.compile(r"^Expected `([^`]+)`")
_WORDS: Final = {"int": "an integer", "str": "text", "decimal": "a number", "array": "a list"}
_CURRENCY_MAX: Final = 32
_json = msgspec.json.Encoder()
_raw_fields = msgspec.json.Decoder(dict[str, Raw])


class RowReader(Generic[T]):
    """Reads rows into one struct. Keys that the struct does not have are passed over."""

    def __init__(self, shape: type[T], what: str, *, inner: Callable[[T], int] | None = None) -> None:
        """`inner` counts the fields that stand inside of a row's own, in lists of objects."""
        self._inner = inner
        self._decode = msgspec.json.Decoder(shape).decode
        fields = msgspec.structs.fields(shape)
        self._fields = tuple(field.encode_name for field in fields)
        self._optional = tuple((field.name, field.default) for field in fields if not field.required)
        self._defaults = tuple((place, field.default) for place, field in enumerate(fields) if not field.required)
        self._known = frozenset(self._fields)
        self._what = what

    def read(self, row: bytes) -> T:
        """The struct. Raises WireError: for a field that is missing, mistyped or there twice, and for what is no JSON
        object in UTF-8 throughout."""
        try:
            text = row.decode()  # all of it, for the row is kept: msgspec passes over bytes of what it does not decode
            found: T = self._decode(row)
        except DECODE_ERRORS as error:
            raise self._named(row, error) from error
        missing = 0
        for name, default in self._optional:
            missing += getattr(found, name) is default
        if self._inner is not None:
            missing -= self._inner(found)
        if text.count(":") > len(self._fields) - missing:  # a field may be there twice, or a text have a colon
            self._check_once(text)
        return found

    def read_many(self, rows: Sequence[bytes]) -> Sequence[T] | None:
        """The structs of many rows. None where `read` would refuse one of them, or may find a field of it twice."""
        found = self._read_together(rows)
        return None if found is None else found[0]

    def read_columns(self, rows: Sequence[bytes]) -> list[tuple[Any, ...]] | None:
        """The same, field by field in the order of the struct, of at least one row."""
        found = self._read_together(rows)
        return None if found is None else found[1]

    def _read_together(self, rows: Sequence[bytes]) -> tuple[list[T], list[tuple[Any, ...]]] | None:
        try:
            text = b"".join(rows).decode()
            found: list[T] = list(map(self._decode, rows))
        except DECODE_ERRORS:
            return None
        columns = list(zip(*map(astuple, found), strict=True))
        missing = sum(columns[place].count(default) for place, default in self._defaults)
        if self._inner is not None:
            missing -= sum(map(self._inner, found))
        return (found, columns) if text.count(":") <= len(self._fields) * len(rows) - missing else None

    def _check_once(self, row: str) -> None:
        """Raises WireError for a field that stands in a row twice: which of the two would hold?"""
        try:
            pairs = json.loads(row, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
        except RecursionError as error:
            raise WireError("row", f"expected {self._what}, got JSON that is nested too deep") from error
        names: set[str] = set()
        for name, _ in pairs:
            if name in names and name in self._known:
                raise WireError(name, "expected once, but it stands there twice")
            names.add(name)

    def _named(self, row: bytes, error: Exception) -> WireError:
        """The error with the field's name and what stood there."""
        text = str(error)
        try:
            row.decode()
            fields = _raw_fields.decode(row)
        except DECODE_ERRORS:
            return WireError("row", f"expected a JSON object, got {excerpt(row)}: {text}")
        for name in self._fields:
            if f"`$.{name}`" in text and (expected := _EXPECTED.match(text)):
                words = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
                return WireError(name, f"expected {words}, got {_json_excerpt(bytes(fields[name]))}")
            if f"`$.{name}[" in text or f"`$.{name}." in text:
                return WireError(name, f"expected {self._what}'s, got {_json_excerpt(bytes(fields[name]))}: {text}")
            if f"`{name}`" in text:
                return WireError(name, "expected, but missing")
        return WireError("row", f"expected {self._what}, got {excerpt(row)}: {text}")


class _Pairs(list[tuple[str, object]]):
    """The pairs of a JSON object, each as often as it stands there."""


def or_none(value: V | None | UnsetType) -> V | None:
    """The value of a field that may be missing: None where it is, as where it is null."""
    return None if value is UNSET else value


def parse_code(field: str, code: int | str) -> int:
    """A code, whether it came as the integer that the service sends or as the text that its document's table prints."""
    number = int(code) if isinstance(code, int) or (len(code) <= 9 and code.isascii() and code.isdigit()) else None
    if number is None or not -CODE_MAX - 1 <= number <= CODE_MAX:
        raise WireError(field, f"expected an integer code, got {short_repr(code)}")
    return number


def parse_currency(field: str, text: str) -> str:
    """A currency's code: an open list, 1 to 32 characters."""
    if not text or len(text) > _CURRENCY_MAX:
        raise WireError(field, f"expected a code of 1 to {_CURRENCY_MAX} characters, got {short_repr(text)}")
    return text


def are_currencies(texts: Sequence[str]) -> bool:
    """Whether `parse_currency` takes each of the texts."""
    return all(0 < len(text) <= _CURRENCY_MAX for text in set(texts))


def identity_digest(facts: Sequence[object]) -> str:
    """The identity of a row that is known by its facts."""
    return blake2b(_json.encode(facts), digest_size=16).hexdigest()


def identity_digests(facts: Iterable[Sequence[object]]) -> list[str]:
    """`identity_digest` the facts of many rows."""
    lines = _json.encode_lines(facts).split(b"\n")  # in JSON no line ends but by its end
    return [blake2b(line, digest_size=16).hexdigest() for line in lines[:-1]]


def excerpt(answer: bytes) -> str:
    """The beginning of an answer, for an error message."""
    return short_repr(answer[:60].decode(errors="replace")) if answer else "an empty body"


def _json_excerpt(value: bytes) -> str:
    """The beginning of a JSON value as it stands: its quotes say whether it is text."""
    text = value[:80].decode(errors="replace")
    return text if len(value) <= 80 else f"{text[:77]}..."


C = TypeVar("C")
K = TypeVar("K")

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


def parse_integer(field: str, text: str, *, least: int, most: int) -> int:
    """Text of a whole number from `least` to `most`."""
    if _DIGITS.fullmatch(text) is None or not least <= int(text) <= most:
        raise WireError(field, f"expected a whole number from {least} to {most}, got {short_repr(text)}")
    return int(text)


def parse_choice(field: str, value: K, choices: Mapping[K, C]) -> C:
    """What `value` stands for, of a closed list."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        expected = " or ".join(str(known) for known in choices)
        raise WireError(field, f"expected {expected}, got {short_repr(value)}") from None
