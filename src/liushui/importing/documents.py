"""Files that a user saved, as documents of rows: an answer's envelope, a JSON array, or JSON lines. Streamed."""

import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import ConfigError, ProviderError, WireError
from liushui.provider import Codec

BROKEN_MAX: Final = 16 * 1024 * 1024
"""Bytes of unreadable input that are kept as one row of the quarantine; a longer piece is refused."""

Advance = Callable[[int], None]
"""Told how many bytes more were read."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class Document(NamedTuple):
    """One page of rows, or one list of them, byte for byte. Its rows can be walked once."""

    rows: Iterable[bytes]


def documents(path: Path, codec: Codec, advance: Advance) -> Iterator[Document]:
    """The documents of one file. What cannot be read comes as a row that no codec will read.

    Raises ConfigError where the file cannot be opened, is no text, or is an error answer.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield from _documents(data, path, codec, advance)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ProviderError as error:
        raise ConfigError(f"{path}: this is an error answer of the provider: {error}") from error


def _documents(data: mmap.mmap, path: Path, codec: Codec, advance: Advance) -> Iterator[Document]:
    begin = len(_BOM) if data[: len(_BOM)] == _BOM else 0
    while begin < len(data) and data[begin] in _BLANK:
        begin += 1
    if begin == len(data):
        return
    if b"\0" in data[: 64 * 1024]:
        raise ConfigError(f"{path}: expected JSON, got a file with zero bytes in it")
    if data[begin] == ord("["):
        yield from _of_elements(elements(data, begin), codec, advance)
    elif _is_lines(data, begin):
        yield from _of_elements(lines(data, begin), codec, advance)
    else:
        yield from _of_elements(iter([_bounded(data[begin:].strip(), path)]), codec, advance)


def _of_elements(rows: Iterator[bytes], codec: Codec, advance: Advance) -> Iterator[Document]:
    """Rows that follow one another as one document; elements that are answers of the provider as a document each."""

    def is_answer(row: bytes) -> bool:
        advance(len(row))
        return _answer(row, codec) is not None

    for answers, group in groupby(rows, key=is_answer):
        if not answers:
            yield Document(group)
            continue
        for row in group:
            yield Document(_answer(row, codec) or ())


def _answer(row: bytes, codec: Codec) -> Iterable[bytes] | None:
    """The rows of an element that is an answer of the provider. None: it is a row, or nothing we know."""
    if b'"data"' not in row and b'"code"' not in row:
        return None
    try:
        return codec.rows_of(row)
    except WireError:
        return None


def _is_lines(data: mmap.mmap, begin: int) -> bool:
    """Whether the file is JSON lines: its first line is an object that ends where the line does, and more follow it."""
    end = data.find(b"\n", begin)
    if end < 0:
        return False
    return data[begin:end].rstrip(_BLANK).endswith(b"}") and bool(data[end : end + 4096].strip(_BLANK))


def lines(data: mmap.mmap, begin: int) -> Iterator[bytes]:
    """The lines that are not blank."""
    data.seek(begin)
    while line := data.readline():
        if line := line.strip(_BLANK):
            yield line


def elements(data: mmap.mmap, begin: int) -> Iterator[bytes]:
    """The elements of the JSON array at `begin`, byte for byte. A malformed one hides only itself."""
    depth = 0
    start = begin + 1
    for token in _TOKEN.finditer(data, begin):
        mark = data[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 0:
                if element := data[start : token.start()].strip(_BLANK):
                    yield element
                if rest := data[token.end() :].strip(_BLANK):
                    yield rest[:BROKEN_MAX]
                return
        elif mark == ord(",") and depth == 1:
            if element := data[start : token.start()].strip(_BLANK):
                yield element
            start = token.end()
    if rest := data[start:].strip(_BLANK):
        yield rest[:BROKEN_MAX]


def _bounded(piece: bytes, path: Path) -> bytes:
    if len(piece) > BROKEN_MAX:
        raise ConfigError(f"{path}: expected an answer of at most {BROKEN_MAX} bytes, a JSON array, or JSON lines")
    return piece
