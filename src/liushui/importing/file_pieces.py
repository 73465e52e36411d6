"""Splits a file into pieces, each of which should be a row or an answer. Streamed, byte for byte.

A file may have arrays, values on one line each, and indented values, one after another. A malformed piece hides as
little as possible of what follows it.
"""

import mmap
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from liushui.ledger.flow_row import RowBatch, read_batch
from liushui.provider import Codec

PIECE_MAX: Final = 16 * 1024 * 1024
"""Most bytes of a row or an answer. A piece that cannot be read is quarantined whole, so a longer one is refused."""

WINDOW: Final = 2 * 1024 * 1024
"""Bytes of a file that are split at once. A window has some thousand rows, which are then decoded together."""

WASTE_MAX: Final = 4 * PIECE_MAX
"""Most bytes of a file that are searched in vain for the ends of values with several lines. A file of broken lines
would otherwise be searched once for each of them."""

DEPTH_MAX: Final = 1_000
"""Most brackets within one another that are followed. JSON decoders give up at about as many."""

_CUT_TRIES: Final = 16
"""Commas after a closing brace that are tried as the end of a window. Most often the first one is between two rows."""

BLANK: Final = b" \t\r\n"
_BETWEEN = re.compile(rb"(?:[ \t\r\n\x1e]|\xef\xbb\xbf)*+")
"""What may stand between two values: blanks, byte order marks, and the record separator of RFC 7464."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
"""Possessive, so that a long string costs no memory for backtracking."""
_BRACKET = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"|[\[\]{}"]')
"""A string without line breaks, which JSON does not allow in one, a bracket, or a quote that begins no string."""
_ARRAY = re.compile(rb"\[[ \t\r\n]*+[\[\]{]")
"""The beginning of an array of rows or answers."""
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_any_value = msgspec.json.Decoder(msgspec.Raw)


class PieceTooLongError(Exception):
    """A piece of a file has more than PIECE_MAX bytes."""

    def __init__(self) -> None:
        super().__init__(f"expected answers or rows of at most {PIECE_MAX} bytes each")


class Split(NamedTuple):
    """Some pieces that follow one another. `batch` is the decoded rows if all of them could be decoded together.

    `begins` says whether an array begins with them.
    """

    pieces: Sequence[bytes]
    batch: RowBatch | None
    begins: bool


class Splitter:
    """Splits one file."""

    def __init__(self, data: mmap.mmap, codec: Codec, is_answer: Callable[[bytes], bool]) -> None:
        """`is_answer` tells whether a piece is an answer of the provider."""
        self._data, self._codec, self._is_answer = data, codec, is_answer
        self._wasted = 0

    def split(self) -> Iterator[Split]:
        """The pieces. Raises PieceTooLongError."""
        begin = 0
        while (begin := self._skip_blanks(begin)) < len(self._data):
            begin = yield from self._array(begin + 1) if self._begins_array(begin) else self._lines(begin)

    def _skip_blanks(self, begin: int) -> int:
        blanks = _BETWEEN.match(self._data, begin)
        return begin if blanks is None else blanks.end()

    def _begins_array(self, begin: int) -> bool:
        """Whether an array begins here: in the first place of a file any bracket counts as one."""
        if self._data[begin] != ord("["):
            return False
        return self._skip_blanks(0) == begin or _ARRAY.match(self._data, begin) is not None

    # ------------------------------------------------------------ arrays

    def _array(self, begin: int) -> Generator[Split, None, int]:
        """The elements of the array whose first element stands at `begin`. Returns where the array ends.

        A window of well-formed elements is split by the JSON decoder. Otherwise its brackets are counted, so that a
        malformed element hides only itself if its brackets are balanced; if not, what follows comes as one piece with
        it.
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
        """The elements in a window, where what follows begins, and whether the array goes on there.

        None: something in the window is not JSON.
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
        """What `_well_formed` returns, for at least a window, told by brackets."""
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
        """The values from `begin` on, until an array begins. Returns where it begins.

        Most files have one row on each line, so the lines of a window are first decoded together, as rows. Only where
        that fails, or one of them is no row, each line is looked at.
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
        """The end of the last line that is in a window as a whole, at least one line."""
        data = self._data
        if begin + WINDOW >= len(data):
            return len(data)
        end = data.rfind(b"\n", begin, begin + WINDOW)
        if end < 0:
            end = data.find(b"\n", begin)  # one line is longer than the window
        return len(data) if end < 0 else end

    def _values(self, begin: int, limit: int) -> tuple[list[bytes], int, bool]:
        """The values that begin before `limit`, where what follows begins, and whether that is an array."""
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
        """The end of the object that begins here, on any line. None: malformed, or its end was not found."""
        if self._wasted > WASTE_MAX:
            return None
        end = _matching_end(self._data, begin, begin + PIECE_MAX)
        if end < 0:
            self._wasted += -end - begin
            return None
        value = self._data[begin:end]
        if _is_json(value) or self._is_answer(value):
            return end
        # Brackets alone prove little: two broken lines may balance each other, and hide the good ones between them.
        return None if any(map(_is_json_object, value.split(b"\n")[1:])) else end

    def _broken_value_end(self, begin: int, line_end: int) -> int:
        """The end of a malformed piece: its line, and the indented lines that follow it."""
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
    """The elements of an array. None: it is no JSON."""
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
    """The end of the object that begins at `begin`, told by its brackets.

    Below zero: it has none before `limit`, and this is minus the place where that was found out.
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
    """Where the text of the next line that is not blank begins. None: there is none."""
    text = _BETWEEN.match(data, line_end)
    return None if text is None or text.end() >= len(data) else text.end()


def _piece(data: mmap.mmap, begin: int, end: int) -> bytes:
    """The bytes of a piece, without the blanks around it. Raises PieceTooLongError."""
    if end - begin > PIECE_MAX:
        raise PieceTooLongError
    return data[begin:end].strip(BLANK)


def _checked(pieces: list[bytes]) -> list[bytes]:
    """The pieces that are not empty. Raises PieceTooLongError."""
    if max(map(len, pieces), default=0) > PIECE_MAX:
        raise PieceTooLongError
    return list(filter(None, pieces))


def _release(data: mmap.mmap, begin: int, end: int) -> None:
    """Let the system drop the pages of a part that was read: a mapped file must not fill the memory."""
    if hasattr(data, "madvise") and (length := end // mmap.PAGESIZE * mmap.PAGESIZE):
        first = min(begin // mmap.PAGESIZE * mmap.PAGESIZE, length)
        if length > first:
            data.madvise(mmap.MADV_DONTNEED, first, length - first)
