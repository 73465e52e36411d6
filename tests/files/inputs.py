"""Statement files for tests, and functions that import them."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo
from zlib import crc32

from tests.cli.commands import Done, result, run

HEADER = "交易日期,摘要,金额,余额,币种,流水号"
ROWS = (
    "2026-01-05 09:15:02,工资,12000.00,12500.10,CNY,A1",
    "2026-01-06 10:00:00,转账,-100.50,12399.60,CNY,A2",
    "2026-01-06 10:00:00,手续费,-2.00,12397.60,CNY,A3",
)
MAPPING = """
zone = "Asia/Shanghai"
[columns]
time = "交易日期"
amount = "金额"
currency = "币种"
balance = "余额"
label = "摘要"
"""
WITH_IDS = MAPPING + 'id = "流水号"\n'


def table(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{line}\n" for line in (header, *rows))


class Desk:
    """A folder with a ledger, files and a mapping."""

    def __init__(self, folder: Path, mapping: str = WITH_IDS) -> None:
        self.folder, self.ledger = folder, folder / "ledger.db"
        self.mapping = self.write("map.toml", mapping)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(self, *words: str | Path, terminal: bool = False, stdin: str = "") -> Done:
        return run(self.ledger, *map(str, words), terminal=terminal, stdin=stdin)

    def imports(self, *files: Path, words: tuple[str, ...] = (), returncode: int = 0) -> Any:  # noqa: ANN401 - JSON
        """Import files by the mapping. Returns the counts."""
        return self.reads(*files, words=("--map", str(self.mapping), *words), returncode=returncode)

    def reads(self, *files: Path, words: tuple[str, ...] = (), returncode: int = 0, account: str = "a") -> Any:  # noqa: ANN401
        """Import files whose format is recognised. Returns the counts."""
        return result(self.ledger, "import", *map(str, files), "--account", account, *words, returncode=returncode)

    def refuses(self, *words: str | Path) -> str:
        """The error of a command that must change nothing."""
        done = self.run(*words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        return done.stderr

    def flows(self, account: str = "a") -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.run("flows", account, "--limit", "0", "--format", "json").stdout)
        return listed


def picked(counts: dict[str, Any], *names: str) -> list[Any]:
    return [counts[name] for name in names]


def zipped(**members: bytes) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def with_method(archive: bytes, method: int) -> bytes:
    """A zip archive of one file whose headers name another way of compression."""
    changed = bytearray(archive)
    for begin in (archive.index(b"PK\3\4") + 8, archive.index(b"PK\1\2") + 10):
        changed[begin : begin + 2] = method.to_bytes(2, "little")
    return bytes(changed)


def workbook(rows: list[list[str]], *, merged: str = "", sheets: int = 1) -> bytes:
    """The smallest workbook that spreadsheet programs open, with texts in its cells. All its sheets are equal."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = (
            f'<c r="{chr(65 + index)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for index, cell in enumerate(row)
        )
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    merge = f'<mergeCells count="1"><mergeCell ref="{merged}"/></mergeCells>' if merged else ""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, sheets + 1)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        + f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{kind}.worksheet+xml"/>'
            for number in numbers
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{office}"><sheets>'
        + "".join(f'<sheet name="Sheet{number}" sheetId="{number}" r:id="rId{number}"/>' for number in numbers)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        + "".join(
            f'<Relationship Id="rId{number}" Type="{office}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        + "</Relationships>",
    }
    sheet = f"<worksheet {main}><sheetData>{''.join(lines)}</sheetData>{merge}</worksheet>"
    parts |= {f"xl/worksheets/sheet{number}.xml": sheet for number in numbers}
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def sealed_zip(name: str, content: bytes, password: str) -> bytes:
    """A zip archive with one file, encrypted in the old way that every program reads. zipfile only decrypts it."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        archive.writestr(ZipInfo(name), bytes(12) + content)
    plain = out.getvalue()
    crc = crc32(content)
    keys = [0x12345678, 0x23456789, 0x34567890]
    sealed = bytearray()
    for byte in password.encode():
        _update(keys, byte)
    for byte in bytes(11) + bytes([crc >> 24]) + content:
        part = keys[2] | 2
        sealed.append(byte ^ (((part * (part ^ 1)) >> 8) & 0xFF))
        _update(keys, byte)
    size = len(content)
    local = 30 + len(name.encode())
    head = bytearray(plain)
    central = plain.index(b"PK\x01\x02")
    for flags, at in ((6, 14), (central + 8, central + 16)):
        head[flags] |= 1
        head[at : at + 4] = crc.to_bytes(4, "little")
        head[at + 8 : at + 12] = size.to_bytes(4, "little")
    head[local : local + len(sealed)] = sealed
    return bytes(head)


def _update(keys: list[int], byte: int) -> None:
    keys[0] = _crc(keys[0], byte)
    keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
    keys[2] = _crc(keys[2], keys[1] >> 24)


def _crc(value: int, byte: int) -> int:
    """A step of the checksum, without the inversions of crc32()."""
    value ^= byte
    for _ in range(8):
        value = (value >> 1) ^ 0xEDB88320 if value & 1 else value >> 1
    return value
