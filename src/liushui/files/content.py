"""Opens a file in the form that the user has: plain or packed; as text in any encoding, or as a workbook."""

import gzip
import re
import zipfile
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder, register_error
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from liushui.errors import short_repr
from liushui.files.errors import FileError, PasswordNeeded

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

SIZE_MAX: Final = 4 * 1024**3
"""Most bytes of an unpacked file."""
MEMBERS_MAX: Final = 1_000
"""Most files in an archive."""
DEPTH_MAX: Final = 3
"""The deepest nesting of archives."""
HEAD_SIZE: Final = 64 * 1024
"""The number of characters by which a format is recognised."""

_COPIED: Final = 1024 * 1024
_ZIP, _GZIP, _OLE, _PDF = b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"%PDF"
_EURO: Final = "liushui.euro"
_CUT_OFF: Final = "cut off"
_CUT_OFF_REASONS: Final = ("unexpected end of data", "incomplete multibyte sequence", "truncated data")
_DOS: Final = "cp850"
"""It has a letter for every byte, so it is tried last, and not for files with control characters, which are not
text."""
_WESTERN: Final = ("cp1252", _DOS)
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x19\x1b-\x1f\x7f]")
_HIGH_BYTES: Final = re.compile(rb"[\x80-\xff]++")

AskPassword = Callable[[str], str | None]
"""Called with the name of an archive that has a password. None: the user gives none."""


class Sheet(NamedTuple):
    """The values of a sheet, row by row, and the numbers of the rows with merged cells."""

    rows: Sequence[Sequence[object]]
    merged: Sequence[int]


@dataclass(frozen=True)
class Content:
    """One file, unpacked: text, or a workbook. `name` is the user's name for it, with the path in its archive."""

    path: Path
    name: str
    encoding: str = ""
    """Empty: it is a workbook."""

    @property
    def is_workbook(self) -> bool:
        """Whether it is a workbook with sheets."""
        return not self.encoding

    def open(self) -> IO[str]:
        """Open the text. Line ends are kept as they are."""
        return TextIOWrapper(self.path.open("rb"), self.encoding, _EURO, newline="")

    @cached_property
    def head(self) -> str:
        """The beginning of the text. Empty for a workbook."""
        if self.is_workbook:
            return ""
        with self.open() as text:
            return text.read(HEAD_SIZE)

    @cached_property
    def workbook(self) -> "CalamineWorkbook":
        """The workbook. Raises FileError."""
        from python_calamine import CalamineError, CalamineWorkbook, PasswordError

        try:
            return CalamineWorkbook.from_path(str(self.path))
        except PasswordError as error:
            raise FileError("the workbook has a password: save it without one in a spreadsheet program") from error
        except CalamineError as error:
            raise FileError("the workbook is damaged: %(error)s", error=error) from error

    @cached_property
    def sheets(self) -> Sequence[Sheet]:
        """The sheets of a workbook. Raises FileError."""
        from python_calamine import CalamineError

        sheets: list[Sheet] = []
        for name in self.workbook.sheet_names:
            try:
                sheet = self.workbook.get_sheet_by_name(name)
                rows = sheet.to_python(skip_empty_area=False)
                merged = sorted(begin[0] + 1 for begin, _ in sheet.merged_cell_ranges or ())
            except CalamineError as error:
                raise FileError(
                    "the sheet %(name)s is damaged: %(error)s", name=short_repr(name), error=error
                ) from error
            sheets.append(Sheet(rows, merged))
        return sheets

    @cached_property
    def ends_with_line(self) -> bool:
        """Whether a text ends with the end of a line. A file that was cut off usually does not."""
        if self.is_workbook:
            return True
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 4))
            return file.read().rstrip(b"\0")[-1:] in (b"\n", b"\r", b"")


def unpack(path: Path, name: str, folder: Path, ask: AskPassword) -> Iterator[Content]:
    """Yield the files in a file: itself, or the files packed in it. They are unpacked into `folder`.

    Raises FileError for a damaged archive, PasswordNeeded, and OSError.
    """
    yield from _unpack(path, name, folder, ask, 0)


def _unpack(path: Path, name: str, folder: Path, ask: AskPassword, depth: int) -> Iterator[Content]:
    with path.open("rb") as file:
        magic = file.read(4)
    if depth > DEPTH_MAX:
        raise FileError("expected at most %(most)s archives within one another", most=DEPTH_MAX)
    if magic[:2] == _GZIP:
        yield from _unpack(_gunzip(path, folder), name, folder, ask, depth + 1)
    elif magic == _ZIP:
        yield from _unzip(path, name, folder, ask, depth)
    elif magic == _OLE:
        yield Content(path, name)
    elif magic == _PDF:
        raise FileError("this is a PDF, whose tables cannot be read exactly: export the statement as CSV or xlsx")
    else:
        yield Content(path, name, detect_encoding(path))


def _gunzip(path: Path, folder: Path) -> Path:
    target = _new_path(folder)
    try:
        with gzip.open(path) as packed:
            _copy(packed, target)
    except EOFError as error:
        raise FileError("the gzip file ends too early: it was cut off, so save it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileError("the gzip file is damaged: %(error)s", error=error) from error
    return target


def _unzip(path: Path, name: str, folder: Path, ask: AskPassword, depth: int) -> Iterator[Content]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "[Content_Types].xml" in names:
                yield Content(path, name)
                return
            members = [member for member in archive.infolist() if _is_wanted(member)]
            if not 0 < len(members) <= MEMBERS_MAX:
                raise FileError(
                    "expected 1 to %(most)s files in the zip archive, got %(got)s", most=MEMBERS_MAX, got=len(members)
                )
            password = ask(name) if any(member.flag_bits & 1 for member in members) else None
            for member in members:
                inner = _new_path(folder)
                _extract(path, archive, member, inner, password)
                yield from _unpack(inner, f"{name}: {_member_name(member)}", folder, ask, depth + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:  # OSError: a place that is not in the file
        raise FileError("the zip archive is damaged: %(error)s", error=error) from error


_AES: Final = 99
"""The number that replaces the compression method in a zip archive if a file is encrypted with AES."""
_STRONG_ENCRYPTION: Final = 0x40


def _extract(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, password: str | None) -> None:
    if member.flag_bits & 1 and password is None:
        raise PasswordNeeded(is_wrong=False)
    try:
        if password is not None and member.compress_type == _AES:
            _extract_aes(path, member, target, password)
            return
        with archive.open(member, pwd=None if password is None else password.encode()) as packed:
            _copy(packed, target)
    except NotImplementedError as error:
        is_sealed = member.compress_type == _AES or member.flag_bits & _STRONG_ENCRYPTION
        kind = "encryption" if is_sealed else "compression"
        raise FileError(
            "the zip archive has a kind of %(kind)s that Python cannot read: unpack it first", kind=kind
        ) from error
    except RuntimeError as error:  # neither library has a class of its own for it
        raise PasswordNeeded(is_wrong=True) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        # One password in 256 passes zipfile's first check; then the bytes are nonsense.
        if member.flag_bits & 1 and member.compress_type != _AES:
            raise PasswordNeeded(is_wrong=True) from error
        raise


def _extract_aes(path: Path, member: zipfile.ZipInfo, target: Path, password: str) -> None:
    """As `_extract`, for a file that zipfile cannot decrypt."""
    from pyzipper import AESZipFile, BadZipFile  # imported lazily: its cryptography takes a while to load

    try:
        with AESZipFile(path) as archive:
            # Two files of an archive may have the same name.
            same = next(info for info in archive.infolist() if info.header_offset == member.header_offset)
            with archive.open(same, pwd=password.encode()) as packed:
                _copy(packed, target)
    except BadZipFile as error:
        raise zipfile.BadZipFile(str(error)) from error


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    parts = Path(member.filename).parts
    return not member.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in parts)


def _member_name(member: zipfile.ZipInfo) -> str:
    """The name of a file in an archive. Chinese programs write it in GB18030, which zipfile takes for code page 437."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member.filename


def _new_path(folder: Path) -> Path:
    return folder.joinpath(f"unpacked {sum(1 for _ in folder.iterdir())}")


def _copy(packed: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    """Write the content of a packed file. Raises FileError if it gets too large."""
    size = 0
    with target.open("wb") as out:
        while part := packed.read(_COPIED):
            size += len(part)
            if size > SIZE_MAX:
                raise FileError("expected at most %(most)s GiB of unpacked data", most=SIZE_MAX // 1024**3)
            out.write(part)


# ---------------------------------------------------------------- encodings


def detect_encoding(path: Path) -> str:
    """The encoding of a text: UTF-8, UTF-16, GB18030, Windows-1252 or code page 850. Raises FileError if the file is
    not text.

    The whole file is decoded, so that no byte is replaced later.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
    if head.startswith(BOM_UTF8):
        candidates = ["utf-8-sig"]
    elif head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        candidates = ["utf-16"]
    elif b"\0" in head:
        candidates = _utf_16_of(head)
    else:
        candidates = ["utf-8", *(_WESTERN if _has_single_letters(head) else ("gb18030",))]
        if _CONTROLS.search(head):
            candidates = [encoding for encoding in candidates if encoding != _DOS]
    problem = ""
    for encoding in candidates:
        problem = _decoding_problem(path, encoding)
        if not problem:
            return encoding
        if problem == _CUT_OFF:
            raise FileError("the text ends in the middle of a character: it was cut off, so save it again")
    raise FileError("expected text in UTF-8, UTF-16 or GB18030, got other bytes (%(problem)s)", problem=problem)


def _utf_16_of(head: bytes) -> list[str]:
    """Detect UTF-16 without a byte order mark by the positions of the zero bytes of its Latin letters."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if min(even, odd) or max(even, odd) * 8 < len(head):
        raise FileError("expected text or a workbook, got a file with zero bytes in it")
    return ["utf-16-le" if odd else "utf-16-be"]


def _has_single_letters(head: bytes) -> bool:
    """Whether most bytes above ASCII are single, as letters with accents are. Chinese characters are pairs of them."""
    runs = _HIGH_BYTES.findall(head)
    return 2 * sum(len(run) == 1 for run in runs) > len(runs)


def _decoding_problem(path: Path, encoding: str) -> str:
    """Return why a file is not in an encoding. Empty: it is."""
    decoder = getincrementaldecoder(encoding)(_EURO)
    try:
        with path.open("rb") as file:
            while part := file.read(_COPIED):
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1]
        return _CUT_OFF if error.reason in _CUT_OFF_REASONS else f"byte {short_repr(byte)} is no {encoding}"
    return ""


def _repair_euro(error: UnicodeError) -> tuple[str, int]:
    """Windows writes the euro sign as byte 0x80 in its code page 936, which no codec of Python's reads."""
    is_euro = isinstance(error, UnicodeDecodeError) and error.object[error.start] == 0x80
    if isinstance(error, UnicodeDecodeError) and is_euro and error.encoding == "gb18030":
        return "€", error.start + 1
    raise error


register_error(_EURO, _repair_euro)
