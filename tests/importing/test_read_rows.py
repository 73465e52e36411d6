"""The forms in which users save data: every form is read, and no row is lost if some are damaged."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from liushui.errors import ConfigError
from liushui.importing import file_pieces
from liushui.importing.read_rows import documents
from liushui.providers.longbridge import codec
from tests.importing.inputs import envelope, row

A, B, C = row(1), row(2), row(3)
INDENTED = b'{\n "code": 0,\n "data": {\n  "list": [\n   ' + A + b",\n   " + B + b"\n  ]\n }\n}"
SPREAD = json.dumps(json.loads(A), indent=2).encode()


def pages(path: Path) -> list[list[bytes]]:
    return [
        [row for chunk in document.chunks for row in chunk.rows]
        for document in documents(path, codec, lambda _read: None)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (envelope([A, B]), [[A, B]]),
        (envelope([]), [[]]),
        (b'{"code":0,"message":"success","data":null}', [[]]),
        (b"[" + A + b",\n " + B + b" ]\n", [[A, B]]),
        (b"[]", []),
        (A, [[A]]),
        (A + b"\n" + B + b"\r\n\n" + C + b"\n", [[A, B, C]]),
        (envelope([A]) + b"\n" + envelope([B, C]) + b"\n", [[A], [B, C]]),
        (b"[" + envelope([A]) + b"," + envelope([B]) + b"]", [[A], [B]]),
        (A + b"\n" + envelope([B]) + b"\n" + C + b"\n", [[A], [B], [C]]),
        (b"\xef\xbb\xbf" + envelope([A]), [[A]]),
        (b"", []),
        (b" \n\t ", []),
        (INDENTED + b"\n" + INDENTED, [[A, B], [A, B]]),
        (INDENTED + INDENTED, [[A, B], [A, B]]),
        (INDENTED.replace(b"\n", b"\r\n") + b"\r\n" + INDENTED, [[A, B], [A, B]]),
        (b"\xef\xbb\xbf" + INDENTED + b"\n\xef\xbb\xbf" + INDENTED, [[A, B], [A, B]]),
        (b"[" + A + b"]\n[" + B + b"," + C + b"]\n", [[A], [B, C]]),
        (b"[" + A + b"][" + B + b"]", [[A], [B]]),
        (b"[\n " + A + b"\n]\n[\n " + B + b"\n]\n", [[A], [B]]),
        (b"[]\n[" + A + b"]\n", [[A]]),
        (A + b"\n[" + B + b"," + C + b"]\n" + A, [[A], [B, C, A]]),
        (A + B + C, [[A, B, C]]),
        (envelope([A]) + envelope([B]), [[A], [B]]),
        (b"[" + envelope([A]) + b"]\n" + envelope([B]), [[A], [B]]),
        (envelope([A]) + b"\n" + INDENTED + b"\n[" + C + b"]\n" + C, [[A], [A, B], [C, C]]),
        (b"\x1e" + A + b"\n\x1e" + B + b"\n", [[A, B]]),
        (b'{"code":0,"data":{"list":[\n' + A + b",\n" + B + b"]}}\n" + envelope([C]), [[A, B], [C]]),
        (b'{"code":0,"data":{"list":[\n' + A + b"\n," + B + b"\n]}}\n", [[A, B]]),
        (SPREAD + b"\n" + SPREAD, [[SPREAD, SPREAD]]),
    ],
)
def test_forms(tmp_path: Path, text: bytes, expected: list[list[bytes]]) -> None:
    file = tmp_path / "saved"
    file.write_bytes(text)
    assert pages(file) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[" + A + b',{"balance": oops},' + B + b"]", [[A, b'{"balance": oops}', B]]),
        (b"[" + A + b"," + B[:40], [[A, B[:40]]]),
        (b"[" + A + b"] trailing", [[A, b"trailing"]]),
        (b"[1, " + A + b", null]", [[b"1", A, b"null"]]),
        (A + b"\nnot json\n" + B + b"\n", [[A, b"not json", B]]),
        (b"hello", [[b"hello"]]),
        (envelope([A])[:60], [[envelope([A])[:60]]]),
        (b"<html><body>Bad Gateway</body></html>", [[b"<html><body>Bad Gateway</body></html>"]]),
        (INDENTED[:-12] + b"\n" + INDENTED, [[INDENTED[:-12]], [A, B]]),
        (INDENTED + b"\n" + INDENTED[:-12], [[A, B], [INDENTED[:-12]]]),
        (INDENTED.replace(B, b'{"balance": NaN}'), [[A, b'{"balance": NaN}']]),
        (INDENTED + b"\noops\n" + INDENTED, [[A, B], [b"oops"], [A, B]]),
        (SPREAD.replace(b'"-1.00"', b"NaN") + b"\n" + B, [[SPREAD.replace(b'"-1.00"', b"NaN"), B]]),
        (A + b'\n{"a": [1, 2}\n' + B + b'\n{"b": [\n' + C, [[A, b'{"a": [1, 2}', B, b'{"b": [', C]]),
        (b'{"a":\n' + A + b"\n}\n" + B, [[b'{"a":\n' + A + b"\n}", B]]),
        (b'{"a": tru,\n' + A + b"\n}\n" + B, [[b'{"a": tru,', A, b"}", B]]),
        (b"[" + A + b"]\n[oops\n" + B + b"\n", [[A, b"[oops", B]]),
        (A + b"\n" + b'{"a":' * 2_000 + b"\n" + B, [[A, b'{"a":' * 2_000, B]]),
    ],
)
def test_what_cannot_be_read_comes_as_a_row_for_the_quarantine(
    tmp_path: Path, text: bytes, expected: list[list[bytes]]
) -> None:
    file = tmp_path / "saved"
    file.write_bytes(text)
    assert pages(file) == expected


def test_a_pretty_printed_answer_is_one_page(tmp_path: Path) -> None:
    file = tmp_path / "saved.json"
    file.write_bytes(
        b'{\n  "code": 0,\n  "data": {\n    "list": [\n      ' + A + b",\n      " + B + b"\n    ]\n  }\n}\n"
    )
    assert pages(file) == [[A, B]]


def test_a_string_with_braces_and_quotes_is_not_an_end(tmp_path: Path) -> None:
    tricky = row(1, label='a "} ],[{ \\" b')
    file = tmp_path / "saved.json"
    file.write_bytes(b"[" + tricky + b"," + B + b"]")
    assert pages(file) == [[tricky, B]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"PK\x03\x04\x00\x00binary", "expected JSON, got a file with zero bytes"),
        (b'{"code":401003,"message":"token expired"}', "error answer of the provider: token expired"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "saved"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=said):
        pages(file)


def test_a_file_of_broken_values_is_not_searched_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line could be the beginning of a long value."""
    searched: list[int] = []

    def in_vain(_data: object, _begin: int, limit: int) -> int:
        searched.append(limit)
        return -limit

    monkeypatch.setattr(file_pieces, "WASTE_MAX", 100_000)
    monkeypatch.setattr(file_pieces, "_matching_end", in_vain)
    monkeypatch.setattr(file_pieces, "PIECE_MAX", 20_000)
    file = tmp_path / "saved"
    file.write_bytes(b'{"a":[\n' * 1_000)
    assert pages(file) == [[b'{"a":['] * 1_000]
    assert len(searched) <= 6


@pytest.mark.parametrize("members", [1, 3])
def test_a_packed_file_is_told_by_its_bytes(tmp_path: Path, members: int) -> None:
    file = tmp_path / "saved.json"
    file.write_bytes(b"".join(gzip.compress(envelope([A, B]) + b"\n") for _ in range(members)))
    read: list[int] = []
    rows = [
        [one for chunk in document.chunks for one in chunk.rows] for document in documents(file, codec, read.append)
    ]
    assert rows == [[A, B]] * members
    assert sum(read) <= file.stat().st_size, "progress is told in bytes of the file on disk"


def test_an_empty_packed_file_has_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "saved.json.gz"
    file.write_bytes(gzip.compress(b""))
    assert pages(file) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda packed: packed[:-20], "ends too early: it was cut off"),
        (lambda packed: packed[:-6] + bytes(6), "is damaged"),
        (lambda packed: packed[:20] + bytes(20) + packed[40:], "is damaged"),
        (lambda packed: packed + b"trailing", "is damaged"),
    ],
)
def test_a_damaged_packed_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    file = tmp_path / "saved.json.gz"
    file.write_bytes(damage(gzip.compress(b"\n".join(row(second) for second in range(2_000)))))
    with pytest.raises(ConfigError, match=said):
        pages(file)


def test_rows_are_numbered_through_their_file(tmp_path: Path) -> None:
    file = tmp_path / "saved"
    file.write_bytes(b"\n".join([A, b"oops", envelope([B, C]), envelope([]), b"[" + A + b"]", B]))
    chunks = [chunk for document in documents(file, codec, lambda _read: None) for chunk in document.chunks]
    numbered = [(chunk.first + index, one) for chunk in chunks for index, one in enumerate(chunk.rows)]
    assert numbered == [(1, A), (2, b"oops"), (3, B), (4, C), (5, A), (6, B)]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        pages(tmp_path / "none")
