"""Reads the rows in saved files: answers of a provider, JSON arrays and JSON lines. Streamed, byte for byte."""

import mmap
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from liushui.errors import ConfigError, ProviderError, WireError
from liushui.ledger.flow_row import RowBatch, read_batch
from liushui.provider import Codec

PIECE_MAX: Final = 16 * 1024 * 1024
"""Most bytes of a row or an answer. A piece that cannot be read is quarantined whole, so a longer one is refused."""

WINDOW: Final = 2 * 1024 * 1024
"""Bytes of a file that are split at once. A window has some thousand rows, which are then decoded together."""

CHUNK_ROWS: Final = 5_000
"""Most rows of an answer that are decoded together."""

Advance = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
"""Possessive, so that a long string costs no memory for backtracking."""
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_CUT_TRIES = 16
"""Commas after a closing brace that are tried as the end of a window. Most often the first one is between two rows."""


class _TooLongError(Exception):
    """A piece of a file has more than PIECE_MAX bytes."""


class Chunk(NamedTuple):
    """Some rows of a document, in their order. `batch` is the decoded rows if they could be decoded together."""

    rows: Sequence[bytes]
    batch: RowBatch | None


class Document(NamedTuple):
    """One page of a provider, or one list of rows. Its chunks can be walked once, before the next document."""

    chunks: Iterable[Chunk]


def documents(path: Path, codec: Codec, advance: Advance) -> Iterator[Document]:
    """The documents of one file. A piece that is neither a row nor an answer comes as a row that no codec can read.

    Each answer of the provider is a document. Other rows that follow one another are one document together.

    Raises ConfigError if the file cannot be opened, is not text, has a piece that is too long, or an error answer.
    """
    with _naming(path), path.open("rb") as file:
        if path.stat().st_size:
            # Not closed here: whoever still walks rows reads from it. It is closed when the last reference is gone.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for _, chunks in groupby(_chunks(data, path, codec, advance), key=lambda numbered: numbered[0]):
                yield Document(_named(path, (chunk for _, chunk in chunks)))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except _TooLongError:
        raise ConfigError(f"{path}: expected answers or rows of at most {PIECE_MAX} bytes each") from None
    except ProviderError as error:
        raise ConfigError(f"{path}: this is an error answer of the provider: {error}") from error


def _named(path: Path, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks, which are read from the file as they are walked."""
    with _naming(path):
        yield from chunks


def _chunks(data: mmap.mmap, path: Path, codec: Codec, advance: Advance) -> Iterator[tuple[int, Chunk]]:
    """The chunks of a file, each with the number of its document.

    Rows are far more common than answers, and an answer never decodes as a row. So pieces are first decoded together,
    as rows, and only where that fails each piece is looked at.
    """
    number, in_rows = 0, False
    for pieces in _split(data, path):
        advance(sum(map(len, pieces)))
        batch = read_batch(codec, pieces)
        if batch is not None:
            number, in_rows = number + (not in_rows), True
            yield number, Chunk(pieces, batch)
            continue
        rows: list[bytes] = []
        for piece in pieces:
            answer = _rows_of_answer(piece, codec)
            if answer is None:
                rows.append(piece)
                continue
            if rows:
                number += not in_rows
                yield number, Chunk(rows, None)
                rows = []
            number, in_rows = number + 1, False
            for begin in range(0, max(1, len(answer)), CHUNK_ROWS):
                rows_of_answer = answer[begin : begin + CHUNK_ROWS]
                yield number, Chunk(rows_of_answer, read_batch(codec, rows_of_answer))
        if rows:
            number, in_rows = number + (not in_rows), True
            yield number, Chunk(rows, None)


def _rows_of_answer(piece: bytes, codec: Codec) -> Sequence[bytes] | None:
    """The rows of an answer of the provider. None: the piece is a row, or nothing that we know."""
    if b"[" not in piece and b'code"' not in piece:  # an answer has a list of rows, or the code of an error
        return None
    try:
        return codec.extract_rows(piece)
    except WireError:
        return None


# ---------------------------------------------------------------- splitting a file into pieces


def _split(data: mmap.mmap, path: Path) -> Iterator[list[bytes]]:
    """The pieces of a file, a window at a time: the elements of an array, the lines, or the whole text."""
    begin = len(_BOM) if data[: len(_BOM)] == _BOM else 0
    while begin < len(data) and data[begin] in _BLANK:
        begin += 1
    if begin == len(data):
        return iter(())
    if b"\0" in data[: 64 * 1024]:
        raise ConfigError(f"{path}: expected JSON, got a file with zero bytes in it")
    if data[begin] == ord("["):
        return _array(data, begin + 1)
    if _is_lines(data, begin):
        return _lines(data, begin)
    return iter([[_piece(data, begin, len(data))]])


def _is_lines(data: mmap.mmap, begin: int) -> bool:
    """Whether the file is JSON lines: its first line ends an object and more follows, or its second line is one."""
    end = data.find(b"\n", begin)
    if end < 0:
        return False
    if data[begin:end].rstrip(_BLANK).endswith(b"}"):
        return bool(data[end : end + 4096].strip(_BLANK))
    return _is_object(next(_lines(data, end), [b""])[0])


def _is_object(line: bytes) -> bool:
    try:
        _object.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def _lines(data: mmap.mmap, begin: int) -> Iterator[list[bytes]]:
    """The lines that are not blank."""
    while begin < len(data):
        end = data.rfind(b"\n", begin, begin + WINDOW)
        if end < 0:
            end = data.find(b"\n", begin)  # one line is longer than the window
        end = len(data) if end < 0 or begin + WINDOW >= len(data) else end
        if pieces := _checked([line.strip(_BLANK) for line in data[begin:end].split(b"\n")]):
            yield pieces
        _release(data, begin, end)
        begin = end + 1


def _array(data: mmap.mmap, begin: int) -> Iterator[list[bytes]]:
    """The elements of the array whose first element stands at `begin`.

    A window of well-formed elements is split by the JSON decoder. Otherwise its brackets are counted, so that a
    malformed element hides only itself if its brackets are balanced; if not, what follows comes as one piece with it.
    """
    while begin < len(data):
        end, pieces = _well_formed(data, begin) or _bracketed(data, begin)
        if pieces := _checked(pieces):
            yield pieces
        _release(data, begin, end)
        begin = end


def _well_formed(data: mmap.mmap, begin: int) -> tuple[int, list[bytes]] | None:
    """The elements in a window, and where the next element begins. None: something in it is no JSON."""
    limit = begin + WINDOW
    if limit >= len(data):
        return _decoded(b"[" + data[begin:], len(data))
    for _ in range(_CUT_TRIES):
        limit = data.rfind(b"},", begin, limit)
        if limit < 0:
            return None
        if found := _decoded(b"[" + data[begin : limit + 1] + b"]", limit + 2):
            return found
    return None


def _decoded(array: bytes, end: int) -> tuple[int, list[bytes]] | None:
    try:
        return end, list(map(bytes, _elements.decode(array)))
    except (msgspec.MsgspecError, RecursionError):
        return None


def _bracketed(data: mmap.mmap, begin: int) -> tuple[int, list[bytes]]:
    """The elements of at least a window, told by their brackets, and where the next element begins."""
    pieces, depth, start = [], 1, begin
    for token in _TOKEN.finditer(data, begin):
        mark = data[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        if depth == 0 or (mark == ord(",") and depth == 1):
            pieces.append(_piece(data, start, token.start()))
            start = token.end()
            if depth == 0:
                break
            if start - begin >= WINDOW:
                return start, pieces
    return len(data), [*pieces, _piece(data, start, len(data))]


def _piece(data: mmap.mmap, begin: int, end: int) -> bytes:
    """The bytes of a piece, without the blanks around it. Raises _TooLongError."""
    if end - begin > PIECE_MAX:
        raise _TooLongError
    return data[begin:end].strip(_BLANK)


def _checked(pieces: list[bytes]) -> list[bytes]:
    """The pieces that are not empty. Raises _TooLongError."""
    if max(map(len, pieces), default=0) > PIECE_MAX:
        raise _TooLongError
    return list(filter(None, pieces))


def _release(data: mmap.mmap, begin: int, end: int) -> None:
    """Let the system drop the pages of a part that was read: a mapped file must not fill the memory."""
    if hasattr(data, "madvise") and (length := end // mmap.PAGESIZE * mmap.PAGESIZE):
        first = min(begin // mmap.PAGESIZE * mmap.PAGESIZE, length)
        if length > first:
            data.madvise(mmap.MADV_DONTNEED, first, length - first)
