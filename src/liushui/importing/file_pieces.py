"""Splits a file into pieces, each of which should be a row or an answer.

Files are streamed, and their bytes are not changed.

A file may contain arrays, values on one line each, and values over several lines, one after another. A malformed piece
hides as little as possible of what follows it.
"""

import mmap
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from liushui.ledger.flow_row import RowBatch, read_batch
from liushui.provider import Codec

PIECE_MAX: Final = 16 * 1024 * 1024
"""The most bytes of a row or an answer. An unreadable piece is quarantined as a whole, so a longer piece is refused."""

WINDOW: Final = 2 * 1024 * 1024
"""The bytes of a file that are split at a time. They hold some thousand rows, which are then decoded together."""

WASTE_MAX: Final = 4 * PIECE_MAX
"""The most bytes of a file that are searched without success for the ends of values over several lines. Without this
limit, a file of broken lines would be searched once for each line."""

DEPTH_MAX: Final = 1_000
"""The deepest nesting of brackets that is followed. JSON decoders stop at about the same depth."""

_CUT_TRIES: Final = 16
"""The number of commas after a closing brace that are tried as the end of a window. Usually the first one is between
two rows."""

BLANK: Final = b" \t\r\n"
_BETWEEN = re.compile(rb"(?:[ \t\r\n\x1e]|\xef\xbb\xbf)*+")
"""The characters that may separate two values: blanks, byte order marks, and the record separator of RFC 7464."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
"""Possessive quantifiers, so that a long string needs no memory for backtracking."""
_BRACKET = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"|[\[\]{}"]')
"""A string without line breaks (JSON allows none in a string), a bracket, or a quote that begins no string."""
_ARRAY = re.compile(rb"\[[ \t\r\n]*+[\[\]{]")
"""The beginning of an array of rows or answers."""
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_any_value = msgspec.json.Decoder(msgspec.Raw)


class PieceTooLongError(Exception):
    """A piece of a file has more than PIECE_MAX bytes."""

    def __init__(self) -> None:
        super().__init__(f"expected answers or rows of at most {PIECE_MAX} bytes each")


class Split(NamedTuple):
    """Some consecutive pieces. `batch` is the decoded rows if all of them could be decoded together.

    `begins`: these pieces begin an array.
    """

    pieces: Sequence[bytes]
    batch: RowBatch | None
    begins: bool


class Splitter:
    """Splits one file."""

    def __init__(self, data: mmap.mmap, codec: Codec, is_answer: Callable[[bytes], bool]) -> None:
        """`is_answer` decides whether a piece is an answer of the provider."""
        self._data, self._codec, self._is_answer = data, codec, is_answer
        self._wasted = 0

    def split(self) -> Iterator[Split]:
        """Yield the pieces. Raises PieceTooLongError."""
        begin = 0
        while (begin := self._skip_blanks(begin)) < len(self._data):
            begin = yield from self._array(begin + 1) if self._begins_array(begin) else self._lines(begin)

    def _skip_blanks(self, begin: int) -> int:
        blanks = _BETWEEN.match(self._data, begin)
        return begin if blanks is None else blanks.end()

    def _begins_array(self, begin: int) -> bool:
        """Whether an array begins here. At the beginning of a file, any bracket counts as one."""
        if self._data[begin] != ord("["):
            return False
        return self._skip_blanks(0) == begin or _ARRAY.match(self._data, begin) is not None

    # ------------------------------------------------------------ arrays

    def _array(self, begin: int) -> Generator[Split, None, int]:
        """Yield the elements of the array whose first element begins at `begin`. Returns where the array ends.

        The JSON decoder splits a window of well-formed elements. Otherwise brackets are counted, so that a malformed
        element with balanced brackets hides only itself. If its brackets are not balanced, everything after it belongs
        to the same piece.
        """
        is_first, is_open = True, True
        while is_open and begin < len(self._data):
            end, pieces, is_open = self._well_formed(begin) or self._bracketed(begin)
            if pieces := _checked(pieces):
                yield Split(pieces, read_batch(self._codec, pieces), is_first)
                is_first = False
            _release(self._data, begin, end)
            begin = end
        return begin

    def _well_formed(self, begin: int) -> tuple[int, list[bytes], bool] | None:
        """Return the elements in a window, where the rest begins, and whether the array continues there.

        None: the window contains something that is not JSON.
        """
        data, limit = self._data, begin + WINDOW
        if limit >= len(data):
            elements = _decoded(b"[" + data[begin:])
            return None if elements is None else (len(data), elements, False)
        for _ in range(_CUT_TRIES):
            limit = data.rfind(b"},", begin, limit)
            if limit < 0:
                return None
            elements = _decoded(b"[" + data[begin : limit + 1] + b"]")
            if elements is not None:
                return limit + 2, elements, True
        return None

    def _bracketed(self, begin: int) -> tuple[int, list[bytes], bool]:
        """Return the same as `_well_formed`, found by counting brackets, for at least one window."""
        data, pieces, depth, start = self._data, [], 1, begin
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
                    return start, pieces, False
                if start - begin >= WINDOW:
                    return start, pieces, True
        return len(data), [*pieces, _piece(data, start, len(data))], False

    # ------------------------------------------------------------ lines and indented values

    def _lines(self, begin: int) -> Generator[Split, None, int]:
        """Yield the values from `begin` to the beginning of an array. Returns where the array begins.

        Most files have one row on each line, so all lines of a window are first decoded together. If that fails, or a
        line is not a row, each line is decoded by itself.
        """
        data = self._data
        while begin < len(data):
            end = self._window_end(begin)
            pieces = _checked(list(map(bytes.strip, data[begin:end].split(b"\n"))))
            batch = read_batch(self._codec, pieces)
            is_array = False
            if batch is None:
                pieces, end, is_array = self._values(begin, end)
            if pieces:
                yield Split(pieces, batch, begins=False)
            _release(data, begin, end)
            begin = end
            if is_array:
                break
        return begin

    def _window_end(self, begin: int) -> int:
        """Return the end of the last line that is completely in a window; at least one line."""
        data = self._data
        if begin + WINDOW >= len(data):
            return len(data)
        end = data.rfind(b"\n", begin, begin + WINDOW)
        if end < 0:
            end = data.find(b"\n", begin)  # one line is longer than the window
        return len(data) if end < 0 else end

    def _values(self, begin: int, limit: int) -> tuple[list[bytes], int, bool]:
        """Return the values that begin before `limit`, where the rest begins, and whether an array begins there."""
        data = self._data
        pieces: list[bytes] = []
        while (begin := self._skip_blanks(begin)) < limit:
            if self._begins_array(begin):
                return pieces, begin, True
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            if data[begin] == ord("{") and not _is_json(data[begin:end]):
                end = self._value_end(begin) or self._broken_value_end(begin, end)
            pieces.append(_piece(data, begin, end))
            begin = end
        return _checked(pieces), begin, False

    def _value_end(self, begin: int) -> int | None:
        """Return the end of the object that begins here, which may be on a later line. None: it is malformed, or its
        end was not found."""
        if self._wasted > WASTE_MAX:
            return None
        end = _matching_end(self._data, begin, begin + PIECE_MAX)
        if end < 0:
            self._wasted += -end - begin
            return None
        value = self._data[begin:end]
        if _is_json(value) or self._is_answer(value):
            return end
        # Brackets alone prove little: two broken lines may balance each other and hide the good lines between them.
        return None if any(map(_is_json_object, value.split(b"\n")[1:])) else end

    def _broken_value_end(self, begin: int, line_end: int) -> int:
        """Return the end of a malformed piece: its line and the indented lines after it."""
        next_line = _next_line(self._data, line_end)
        if next_line is None or self._data[next_line] in b"{[":
            return line_end
        first = self._data[line_end + 1]
        if first not in b" \t" and not self._data[begin:line_end].rstrip(BLANK).endswith((b"{", b"[", b",")):
            return line_end
        starts = [at for bracket in (b"\n{", b"\n[") if (at := self._data.find(bracket, line_end)) >= 0]
        return min(starts, default=len(self._data))


# ---------------------------------------------------------------- bytes


def _decoded(array: bytes) -> list[bytes] | None:
    """Return the elements of an array. None: it is not JSON."""
    try:
        return list(map(bytes, _elements.decode(array)))
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is_json(text: bytes) -> bool:
    try:
        _any_value.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_json_object(text: bytes) -> bool:
    return text.lstrip(BLANK)[:1] == b"{" and _is_json(text)


def _matching_end(data: mmap.mmap, begin: int, limit: int) -> int:
    """Return the end of the object that begins at `begin`, found by counting brackets.

    Negative: the object does not end before `limit`; the absolute value is where the search stopped.
    """
    ends: list[int] = []
    for token in _BRACKET.finditer(data, begin, min(limit, len(data))):
        mark = data[token.start()]
        if mark == ord('"'):
            if token.end() - token.start() == 1:
                return -token.end()
        elif mark in b"{[":
            if len(ends) == DEPTH_MAX:
                return -token.end()
            ends.append(ord("}") if mark == ord("{") else ord("]"))
        elif mark != ends.pop():
            return -token.end()
        elif not ends:
            return token.end()
    return -min(limit, len(data))


def _next_line(data: mmap.mmap, line_end: int) -> int | None:
    """Return where the text of the next line that is not blank begins. None: no such line."""
    text = _BETWEEN.match(data, line_end)
    return None if text is None or text.end() >= len(data) else text.end()


def _piece(data: mmap.mmap, begin: int, end: int) -> bytes:
    """Return the bytes of a piece without surrounding blanks. Raises PieceTooLongError."""
    if end - begin > PIECE_MAX:
        raise PieceTooLongError
    return data[begin:end].strip(BLANK)


def _checked(pieces: list[bytes]) -> list[bytes]:
    """Yield the pieces that are not empty. Raises PieceTooLongError."""
    if max(map(len, pieces), default=0) > PIECE_MAX:
        raise PieceTooLongError
    return list(filter(None, pieces))


def _release(data: mmap.mmap, begin: int, end: int) -> None:
    """Let the system drop the pages of a part that was read, so that a mapped file does not fill the memory."""
    if hasattr(data, "madvise") and (length := end // mmap.PAGESIZE * mmap.PAGESIZE):
        first = min(begin // mmap.PAGESIZE * mmap.PAGESIZE, length)
        if length > first:
            data.madvise(mmap.MADV_DONTNEED, first, length - first)
