"""What a user may have saved, in the forms it comes in; nothing of it is lost, whatever is wrong with it."""

from pathlib import Path

import pytest

from liushui.errors import ConfigError
from liushui.importing.parse import documents
from liushui.providers.longbridge import codec
from tests.importing.inputs import envelope, row

A, B, C = row(1), row(2), row(3)


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


def test_a_string_with_braces_and_quotes_is_no_end(tmp_path: Path) -> None:
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


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        pages(tmp_path / "none")
