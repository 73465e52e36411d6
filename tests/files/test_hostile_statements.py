"""Any bytes in a file are read, or refused in one line: no other error reaches the user."""

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from liushui.errors import ConfigError, WireError
from liushui.files.content import unpack
from liushui.files.propose import propose
from liushui.files.recognise import recognise
from liushui.formats import load_formats
from liushui.testing.file_formats import samples, samples_of
from tests.files.inputs import workbook, zipped

FILES: Final = int(os.environ.get("LIUSHUI_FUZZ", "120"))
"""How many damaged files are read."""
PIECES: Final = (
    b",",
    b"\n",
    b'"',
    b"<",
    b">",
    b"\x80",
    b"=",
    b"-",
    b"9" * 150,
    b"\0",
    b";",
    b"\xef\xbb\xbf",
    b":61:",
    b"&x;",
)


def originals() -> Iterator[bytes]:
    for name, format_ in load_formats().items():
        if format_.is_recognised:
            yield from (path.read_bytes() for path in samples(samples_of(name)))
    table = samples(samples_of("kraken_csv"))[0].read_bytes()
    yield zipped(a=table)
    yield gzip.compress(table)
    yield workbook([line.split(",") for line in table.decode().splitlines()])


def damaged(original: bytes, chance: random.Random) -> bytes:
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at:at] = chance.choice(PIECES)
            case 2:
                del data[at : at + chance.randrange(1, 30)]
            case _:
                data[at:at] = data[at // 2 : at // 2 + chance.randrange(1, 100)]
    return bytes(data)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    chance, known, formats = random.Random(20261130), list(originals()), load_formats()
    path = tmp_path / "statement"
    for number in range(FILES):
        folder = tmp_path / str(number)
        folder.mkdir()
        path.write_bytes(damaged(known[number % len(known)], chance))
        try:
            for content in unpack(path, "statement", folder, lambda _name: None):
                propose(content) if number % 5 == 0 else None
                format_ = recognise(content, formats)
                for statement in format_.statements(content, "UTC"):
                    for row in statement.rows:
                        format_.codec.read(row.row)
        except (ConfigError, WireError):
            continue
