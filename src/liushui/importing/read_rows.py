"""Reads the rows in saved files: answers of a provider, JSON arrays and JSON lines.

Files are streamed, and their bytes are not changed.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import ProviderError, WireError
from liushui.importing.file_pieces import PieceTooLongError, Splitter
from liushui.importing.files import Mapped, UnusableFile, map_file
from liushui.ledger.flow_row import RowBatch, read_batch
from liushui.provider import Codec

CHUNK_ROWS: Final = 5_000
"""The most rows of an answer that are decoded together."""

Advance = Callable[[int], None]
"""Called with the number of bytes that were read since the last call, counted as in the file on disk."""


class Chunk(NamedTuple):
    """Some rows of a document, in order. `batch` is the decoded rows if they could be decoded together.

    `first` is the number of the first row in its file, counted from 1. `of_lines` are the numbers of all rows, if they
    are not consecutive.
    """

    rows: Sequence[bytes]
    batch: RowBatch | None
    first: int = 1
    of_lines: Sequence[int] | None = None

    @property
    def numbers(self) -> Sequence[int]:
        """The number of each row in its file."""
        return range(self.first, self.first + len(self.rows)) if self.of_lines is None else self.of_lines


class Document(NamedTuple):
    """One page of a provider, or one list of rows. Its chunks can be read once, before the next document."""

    chunks: Iterable[Chunk]


def documents(path: Path, codec: Codec, advance: Advance) -> Iterator[Document]:
    """Yield the documents of one file. A piece that is not a row and not an answer becomes a row that no codec can
    read.

    Each answer of the provider is a document, and so is each array of rows. Other consecutive rows are one document.

    Raises UnusableFile if the file cannot be opened, is not text, has a piece that is too long, or an error answer.
    """
    with mapped_file(path) as mapped:
        if mapped is not None:
            data, size = mapped
            chunks = _chunks(data, codec, lambda read: advance(read * size // len(data)))
            for _, numbered in groupby(chunks, key=lambda chunk: chunk[0]):
                yield Document(_named(path, (chunk for _, chunk in numbered)))


@contextmanager
def mapped_file(path: Path) -> Iterator[Mapped | None]:
    """Open the bytes of a file as a context that names the file in errors about its content. None: the file is empty.

    Raises UnusableFile for a file that cannot be opened, or does not begin with text.
    """
    with _naming(path):
        mapped = map_file(path)
        if mapped is not None and b"\0" in mapped.data[: 64 * 1024]:
            raise UnusableFile(path, "expected JSON, got a file with zero bytes in it")
        yield mapped


def splitter(data: mmap.mmap, codec: Codec) -> Splitter:
    """Return a splitter for a file with rows and answers of a provider."""
    return Splitter(data, codec, lambda piece: _is_answer(piece, codec))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors."""
    try:
        yield
    except OSError as error:
        raise UnusableFile(path, error.strerror or str(error)) from error
    except PieceTooLongError as error:
        raise UnusableFile(path, str(error)) from None
    except ProviderError as error:
        raise UnusableFile(path, f"this is an error answer of the provider: {error}") from error


def _named(path: Path, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks of a document, which are read from the file on demand."""
    with _naming(path):
        yield from chunks


def _chunks(data: mmap.mmap, codec: Codec, advance: Advance) -> Iterator[tuple[int, Chunk]]:
    """Yield the chunks of a file, each with the number of its document.

    Rows are far more common than answers, and an answer never decodes as a row. So only pieces that could not be
    decoded together are examined one by one.
    """
    number, in_rows, first = 0, False, 1
    for pieces, batch, begins in splitter(data, codec).split():
        advance(sum(map(len, pieces)))
        in_rows = in_rows and not begins
        if batch is not None:
            number, in_rows = number + (not in_rows), True
            yield number, Chunk(pieces, batch, first)
            first += len(pieces)
            continue
        rows: list[bytes] = []
        for piece in pieces:
            answer = rows_of_answer(piece, codec)
            if answer is None:
                rows.append(piece)
                continue
            if rows:
                number += not in_rows
                yield number, Chunk(rows, None, first)
                first += len(rows)
                rows = []
            number, in_rows = number + 1, False
            for begin in range(0, max(1, len(answer)), CHUNK_ROWS):
                rows_of_chunk = answer[begin : begin + CHUNK_ROWS]
                yield number, Chunk(rows_of_chunk, read_batch(codec, rows_of_chunk), first)
                first += len(rows_of_chunk)
        if rows:
            number, in_rows = number + (not in_rows), True
            yield number, Chunk(rows, None, first)
            first += len(rows)


def rows_of_answer(piece: bytes, codec: Codec) -> Sequence[bytes] | None:
    """Return the rows of a provider's answer. None: the piece is a row, or is not recognised.

    Raises ProviderError for an error answer.
    """
    if b"[" not in piece and b'code"' not in piece:  # an answer has a list of rows, or the code of an error
        return None
    try:
        return codec.extract_rows(piece)
    except WireError:
        return None


def _is_answer(piece: bytes, codec: Codec) -> bool:
    try:
        return rows_of_answer(piece, codec) is not None
    except ProviderError:
        return True
