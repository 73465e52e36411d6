"""Decoding of JSON rows into a provider's structs: exact, and an error names the field that does not fit."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType, inspect
from msgspec.structs import astuple

from liushui.errors import Untrustworthy, WireError, short_repr

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")
C = TypeVar("C")
K = TypeVar("K")

ROW_MAX: Final = 16 * 1024 * 1024
"""The largest row of an answer, in bytes. It is also the limit for imported files."""
DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Raised by msgspec's decoders for invalid JSON or types, for bytes that are not UTF-8, and for deep nesting."""

CODE_MAX: Final = 2**31 - 1
"""Largest code. Official clients decode codes as 32-bit integers, and reject the whole page for a larger one."""

RECORD_ID_MAX: Final = 200
"""The most characters of a record id that is used unchanged as an identity."""
_COPY_MARK: Final = "~"
"""Does not occur in identities: the ledger numbers equal rows with it."""

_EXPECTED: Final = re.compile(r"^Expected `([^`]+)`")
_TYPE_NAMES: Final = {"int": "an integer", "str": "text", "decimal": "a number", "array": "a list"}
"""Names in error texts for the types in msgspec's messages."""
_CURRENCY_MAX: Final = 32
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)
"""Possessive quantifiers, so that a long string needs no memory for backtracking."""
_INTEGER, _QUOTED_INTEGER = (re.compile(pattern % rb"(?:0|-?[1-9][0-9]*)") for pattern in (rb"%b", rb'"%b"'))
_QUOTED_DECIMAL = re.compile(rb'"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"')
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_json = msgspec.json.Encoder()
_raw_fields = msgspec.json.Decoder(dict[str, Raw])


class RowReader(Generic[T]):
    """Decodes JSON objects into one struct type. Keys that the struct does not have are ignored.

    If a field occurs twice, msgspec uses the last value. Here it is an error, because it is unknown which value is
    right. The check is slow, so it is made only if a row has more colons than its fields explain.
    """

    def __init__(self, struct: type[T], what: str, *, nested_fields: Callable[[T], int] | None = None) -> None:
        """`what` names a row in error texts. `nested_fields` counts the fields of objects inside a row."""
        self._nested_fields = nested_fields
        self._decode = msgspec.json.Decoder(struct).decode
        fields = msgspec.structs.fields(struct)
        self._fields = tuple(field.encode_name for field in fields)
        self._optional = tuple((field.name, field.default) for field in fields if not field.required)
        self._defaults = tuple((index, field.default) for index, field in enumerate(fields) if not field.required)
        self._known = frozenset(self._fields)
        self._what = what
        self._struct = struct

    def read(self, row: bytes) -> T:
        """Decode one row.

        Raises WireError naming the field that is missing, has another type or occurs twice, and naming `row` for
        anything that is not a JSON object in UTF-8.
        """
        try:
            text = row.decode()  # msgspec does not check the encoding of fields that it skips, but the row is stored
            struct: T = self._decode(row)
        except DECODE_ERRORS as error:
            raise self._named(row, error) from error
        missing = 0
        for name, default in self._optional:
            missing += getattr(struct, name) is default
        if self._nested_fields is not None:
            missing -= self._nested_fields(struct)
        if text.count(":") > len(self._fields) - missing:
            self._check_unique(text)
        return struct

    def read_lenient(self, row: bytes) -> tuple[T, bytes | None]:
        """Like `read`, but accepts whole numbers as text, and text as whole numbers, if the value is unambiguous.

        Returns also the row in the documented form, including unknown keys. None: it already had that form.
        """
        try:
            struct = self.read(row)
        except WireError as error:
            if error.field == "row" or (respelled := self._respell(row)) is None:
                raise
            return self.read(respelled), respelled
        for name in self._raw_fields:
            if (number := getattr(struct, name)) is not UNSET and bytes(number)[:1] == b'"':
                respelled = self._respell(row)
                return (struct, None) if respelled is None else (self.read(respelled), respelled)
        return struct, None

    @cached_property
    def _respellings(self) -> dict[str, re.Pattern[bytes]]:
        """Return the possible spellings of a value in another JSON type that can only mean one value of its field."""
        struct = inspect.type_info(self._struct)
        known = struct.fields if isinstance(struct, inspect.StructType) else ()
        patterns = {field.encode_name: _respelling(field.type) for field in known}
        return {name: pattern for name, pattern in patterns.items() if pattern is not None}

    @cached_property
    def _raw_fields(self) -> tuple[str, ...]:
        """Return the attributes that accept any JSON value and should be numbers."""
        fields = msgspec.structs.fields(self._struct)
        return tuple(field.name for field in fields if self._respellings.get(field.encode_name) is _QUOTED_DECIMAL)

    def _respell(self, row: bytes) -> bytes | None:
        """Return the row with each value in its field's JSON type. None: no change is needed."""
        self._check_unique(row.decode())
        fields = _raw_fields.decode(row)
        changed = {}
        for name, pattern in self._respellings.items():
            if name in fields and pattern.fullmatch(value := bytes(fields[name])):
                changed[name] = Raw(value.strip(b'"') if value[:1] == b'"' else b'"%b"' % value)
        return _json.encode({**fields, **changed}) if changed else None

    def read_many(self, rows: Sequence[bytes]) -> Sequence[T] | None:
        """Decode many rows. Returns None if `read` rejects one of them or has to check one for repeated fields."""
        batch = self._read_batch(rows)
        return None if batch is None else batch[0]

    def read_columns(self, rows: Sequence[bytes]) -> list[Sequence[Any]] | None:
        """Return `read_many` of one or more rows as one sequence for each field, in the order of the struct."""
        batch = self._read_batch(rows)
        return None if batch is None else batch[1]

    def read_stated(self, rows: Sequence[bytes]) -> list[Sequence[Any]] | None:
        """Return `read_columns`, with None for missing fields."""
        batch = self._read_batch(rows)
        if batch is None:
            return None
        _, columns, missing = batch
        for index, default in self._defaults:
            if missing[index] == len(rows):
                columns[index] = [None] * len(rows)
            elif missing[index]:
                columns[index] = [None if value is default else value for value in columns[index]]
        return columns

    def _read_batch(self, rows: Sequence[bytes]) -> tuple[list[T], list[Sequence[Any]], dict[int, int]] | None:
        """The rows, their columns, and how many rows lack each optional field, by its index."""
        try:
            joined = b"".join(rows)
            joined.decode()  # only checked
            structs: list[T] = list(map(self._decode, rows))
        except DECODE_ERRORS:
            return None
        columns: list[Sequence[Any]] = list(zip(*map(astuple, structs), strict=True))
        missing = {index: columns[index].count(default) for index, default in self._defaults}
        fields = len(self._fields) * len(rows) - sum(missing.values())
        if self._nested_fields is not None:
            fields += sum(map(self._nested_fields, structs))
        return (structs, columns, missing) if joined.count(b":") <= fields else None

    def _check_unique(self, row: str) -> None:
        """Raise WireError if a field occurs twice."""
        try:
            pairs = json.loads(row, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
        except RecursionError as error:
            raise WireError("row", f"expected {self._what}, got JSON that is nested too deep") from error
        names: set[str] = set()
        for name, _ in pairs:
            if name in names and name in self._known:
                raise WireError(name, "expected once, but found twice")
            names.add(name)

    def _named(self, row: bytes, error: Exception) -> WireError:
        """The WireError for an error of msgspec: it names the field and quotes its value."""
        text = str(error)
        try:
            row.decode()
            fields = _raw_fields.decode(row)
        except DECODE_ERRORS:
            return WireError("row", f"expected a JSON object, got {excerpt(row)}: {text}")
        for name in self._fields:
            if f"`$.{name}`" in text and (expected := _EXPECTED.match(text)):
                types = " or ".join(_TYPE_NAMES.get(type_, type_) for type_ in expected[1].split(" | "))
                return WireError(name, f"expected {types}, got {_json_excerpt(bytes(fields[name]))}")
            if any(f"`$.{name}{end}" in text for end in "[.`"):
                return WireError(name, f"expected {self._what}'s, got {_json_excerpt(bytes(fields[name]))}: {text}")
        for name in self._fields:
            # Types are in such quotes too, and a field may have the name of a type.
            if f"field `{name}`" in text:
                return WireError(name, "expected, but missing")
        return WireError("row", f"expected {self._what}, got {excerpt(row)}: {text}")


def _respelling(type_: inspect.Type) -> re.Pattern[bytes] | None:
    """Return the value in another JSON type that can only mean one value of this type. None: no such value."""
    types = {type(part) for part in (type_.types if isinstance(type_, inspect.UnionType) else (type_,))}
    if inspect.RawType in types:
        return _QUOTED_DECIMAL
    if inspect.StrType in types:
        return None if inspect.IntType in types else _INTEGER
    return _QUOTED_INTEGER if inspect.IntType in types else None


class _Pairs(list[tuple[str, object]]):
    """The (name, value) pairs of a JSON object, repeated names included."""


class SplitAnswer(NamedTuple):
    """An answer with an empty list in place of its rows, and those rows, byte for byte."""

    rest: bytes
    rows: list[bytes]


def split_rows(document: bytes, path: Sequence[str]) -> SplitAnswer | None:
    """Split an answer only by its brackets, quotes and commas, so that rows that are not JSON can be separated.

    `path` names the fields from the outermost object to the list. None: the answer has no such list, or its end is
    missing.
    """
    names = [json.dumps(name).encode() for name in path]
    keys: list[bytes] = []  # the last key of each open object or list
    ends: list[bytes] = []  # the closing bracket of each
    text, begin, start = b"", -1, -1
    rows: list[bytes] = []
    for token in _STRUCTURE.finditer(document):
        mark, at = token[0][:1], token.start()
        if mark == b'"':
            text = token[0]
        elif mark == b":" and keys:
            keys[-1] = text
        elif mark in (b"{", b"["):
            if begin < 0 and mark == b"[" and keys == names:
                begin = start = at
            keys.append(b"")
            ends.append(b"}" if mark == b"{" else b"]")
        elif begin >= 0 and len(keys) == len(names) + 1 and mark in b",]":  # between two rows, or after the last one
            if row := document[start + 1 : at].strip():
                rows.append(row)
            if mark != b",":
                return SplitAnswer(b"%b[]%b" % (document[:begin], document[at + 1 :]), rows)
            start = at
        elif ends and mark == ends[-1]:
            keys.pop()
            ends.pop()
    return None


def or_none(value: V | None | UnsetType) -> V | None:
    """The value of an optional field. A missing field and a null mean the same."""
    return None if value is UNSET else value


def parse_code(field: str, code: int | str) -> int:
    """A 32-bit code, sent as an integer or as its text. Raises WireError naming `field`."""
    number = int(code) if isinstance(code, int) or (len(code) <= 9 and code.isascii() and code.isdigit()) else None
    if number is None or not -CODE_MAX - 1 <= number <= CODE_MAX:
        raise WireError(field, f"expected an integer code, got {short_repr(code)}")
    return number


def parse_currency(field: str, text: str) -> str:
    """A currency code: any text of 1 to 32 characters, because the list of currencies is open."""
    if not text or len(text) > _CURRENCY_MAX:
        raise WireError(field, f"expected a code of 1 to {_CURRENCY_MAX} characters, got {short_repr(text)}")
    return text


def are_currencies(texts: Sequence[str]) -> bool:
    """Whether `parse_currency` accepts every text."""
    return all(0 < len(text) <= _CURRENCY_MAX for text in set(texts))


def parse_integer(field: str, text: str, *, least: int, most: int) -> int:
    """The integer in a text, from `least` to `most`, neither of which is negative. Raises WireError naming `field`."""
    if _DIGITS.fullmatch(text) is None or not least <= int(text) <= most:
        raise WireError(field, f"expected a whole number from {least} to {most}, got {short_repr(text)}")
    return int(text)


def parse_choice(field: str, value: K, choices: Mapping[K, C]) -> C:
    """Return the meaning of a value from a closed list. Raises WireError naming `field` and the list."""
    try:
        return choices[value]
    except (KeyError, TypeError):  # TypeError: the value is not hashable
        expected = " or ".join(str(known) for known in choices)
        raise WireError(field, f"expected {expected}, got {short_repr(value)}") from None


def record_identity(text: str) -> str:
    """Return the identity of a row with a record id: the id, or a digest of an id that cannot be an identity."""
    return text if len(text) <= RECORD_ID_MAX and _COPY_MARK not in text else identity_digest([text])


def identity_digest(facts: Sequence[object]) -> str:
    """The identity of a row without an id: a digest of its facts."""
    return blake2b(_json.encode(facts), digest_size=16).hexdigest()


def identity_digests(facts: Iterable[Sequence[object]]) -> list[str]:
    """`identity_digest` of the facts of many rows."""
    lines = _json.encode_lines(facts).split(b"\n")  # JSON escapes line feeds, so each line is one row
    return [blake2b(line, digest_size=16).hexdigest() for line in lines[:-1]]


def copy_rows(rows: Sequence[Raw] | None) -> list[bytes]:
    """Copy the rows out of their answer into separate bytes; None becomes an empty list.

    Raises Untrustworthy for a row of more than ROW_MAX bytes, before it is copied.
    """
    check_lengths(rows or ())
    return list(map(bytes, rows or ()))


def check_lengths(rows: Sequence[bytes | Raw]) -> None:
    """Raise Untrustworthy for a row of more than ROW_MAX bytes."""
    longest = max(map(len, rows), default=0)
    if longest > ROW_MAX:
        raise Untrustworthy(
            f"an answer has a row of {longest // 1024**2} MiB: expected at most {ROW_MAX // 1024**2} MiB"
        )


def excerpt(answer: bytes | Raw) -> str:
    """The beginning of an answer, for an error text."""
    beginning = bytes(memoryview(answer)[:60])
    return short_repr(beginning.decode(errors="replace")) if beginning else "an empty body"


def _json_excerpt(value: bytes) -> str:
    """The beginning of a JSON value as received. Its quotes show whether it is text."""
    text = value[:80].decode(errors="replace")
    return text if len(value) <= 80 else f"{text[:77]}..."
