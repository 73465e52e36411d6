"""Files that a user saved, as documents of rows: an answer's envelope, a JSON array, or JSON lines. Streamed."""

import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from liushui.errors import ConfigError, ProviderError, WireError
from liushui.provider import Codec

BROKEN_MAX: Final = 16 * 1024 * 1024
"""Bytes of a row or an answer. What cannot be read is kept whole in the quarantine; a longer piece is refused."""

FORGET: Final = 8 * 1024 * 1024
"""Whenever so many bytes more were read, those behind are let go: a mapped file is not to fill the memory."""

Advance = Callable[[int], None]
"""Told how many bytes more were read."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
"""Possessive, so that a long string costs no memory for ways back."""
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class _TooLongError(Exception):
    """A piece of a file has more than BROKEN_MAX bytes."""


class Document(NamedTuple):
    """One page of rows, or one list of them, byte for byte. Its rows can be walked once."""

    rows: Iterable[bytes]


def documents(path: Path, codec: Codec, advance: Advance) -> Iterator[Document]:
    """The documents of one file. What cannot be read comes as a row that no codec will read.

    Raises ConfigError where the file cannot be opened, is no text, has a piece that is too long, or an error answer.
    """
    with _about(path), path.open("rb") as file:
        if path.stat().st_size:
            # It is never closed: whoever still walks rows looks into it, and it goes with the last of them.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for rows in _documents(data, path, codec, advance):
                yield Document(_walked(path, rows))


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Say of which file an error speaks."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except _TooLongError:
        raise ConfigError(f"{path}: expected answers or rows of at most {BROKEN_MAX} bytes each") from None
    except ProviderError as error:
        raise ConfigError(f"{path}: this is an error answer of the provider: {error}") from error


def _walked(path: Path, rows: Iterable[bytes]) -> Iterator[bytes]:
    """The rows of a document, which are read from the file as they are walked."""
    with _about(path):
        yield from rows


def _documents(data: mmap.mmap, path: Path, codec: Codec, advance: Advance) -> Iterator[Iterable[bytes]]:
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
        yield from _of_elements(iter([_piece(data, begin, len(data))]), codec, advance)


def _of_elements(rows: Iterator[bytes], codec: Codec, advance: Advance) -> Iterator[Iterable[bytes]]:
    """Rows that follow one another as one document; elements that are answers of the provider as a document each."""

    def is_answer(row: bytes) -> bool:
        advance(len(row))
        return _answer(row, codec) is not None

    for answers, group in groupby(rows, key=is_answer):
        if not answers:
            yield group
            continue
        for row in group:
            yield _answer(row, codec) or ()


def _answer(row: bytes, codec: Codec) -> Iterable[bytes] | None:
    """The rows of an element that is an answer of the provider. None: it is a row, or nothing we know."""
    if b"[" not in row and b'code"' not in row:  # an answer has a list of rows, or the code of an error
        return None
    try:
        return codec.extract_rows(row)
    except WireError:
        return None


def _is_lines(data: mmap.mmap, begin: int) -> bool:
    """Whether the file is JSON lines: its first line ends an object and more follow, or its second line is one."""
    end = data.find(b"\n", begin)
    if end < 0:
        return False
    if data[begin:end].rstrip(_BLANK).endswith(b"}"):
        return bool(data[end : end + 4096].strip(_BLANK))
    return _is_object(next(lines(data, end), b""))


def _is_object(line: bytes) -> bool:
    try:
        _object.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def lines(data: mmap.mmap, begin: int) -> Iterator[bytes]:
    """The lines that are not blank."""
    while begin < len(data):
        end = data.find(b"\n", begin)
        end = len(data) if end < 0 else end
        if line := _piece(data, begin, end):
            yield line
        begin = end + 1


def elements(data: mmap.mmap, begin: int) -> Iterator[bytes]:
    """The elements of the JSON array at `begin`, byte for byte. A malformed one hides only itself, where its brackets
    are in pairs; else what follows it comes as one piece with it."""
    depth = 0
    start = begin + 1
    for token in _TOKEN.finditer(data, begin):
        mark = data[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 0:
                if element := _piece(data, start, token.start()):
                    yield element
                start = token.end()
                break
        elif mark == ord(",") and depth == 1:
            if element := _piece(data, start, token.start()):
                yield element
            start = token.end()
    if rest := _piece(data, start, len(data)):
        yield rest


def _piece(data: mmap.mmap, begin: int, end: int) -> bytes:
    """What stands there, without the blanks around it. Raises _TooLongError."""
    if end - begin > BROKEN_MAX:
        raise _TooLongError
    piece = data[begin:end].strip(_BLANK)
    behind = begin // FORGET * FORGET
    if end // FORGET * FORGET > behind > 0 and hasattr(data, "madvise"):
        data.madvise(mmap.MADV_DONTNEED, 0, behind)
    return piece
