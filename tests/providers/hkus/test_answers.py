"""Reading the answers of this API: rows byte for byte, and errors by class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import (
    AuthError,
    ClockRefused,
    LiushuiError,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    WireError,
)
from liushui.providers.hkus import codec
from liushui.providers.hkus.rules import ERRORS
from liushui.providers.hkus.wire import parse_data
from liushui.wire.transport import Answer

PAGE = b'{"code":0,"data":{"total_records":%b,"page":1,"page_size":20,"transactions":%b,"more":1},"more":[]}'


def test_rows_come_byte_for_byte() -> None:
    rows = [b'{ "amt" : 1.230 }', b'{"remarks":"\\u6d41"}', b"3"]
    assert codec.extract_rows(PAGE % (b"3", b"[" + b" ,\n".join(rows) + b" ]")) == rows


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, 12010012, Unavailable),
        (200, 12010012, Unavailable),
        (400, 12010012, Unavailable),
        (400, 40001, Refused),
        (401, 40101, AuthError),
        (401, 40102, AuthError),
        (401, 40103, ClockRefused),
        (401, 40104, AuthError),
        (404, 40401, Refused),
        (429, 42901, RateLimited),
        (200, 42901, RateLimited),
        (401, 12010001, AuthError),
        (403, 1, AuthError),
        (429, 1, RateLimited),
        (400, 12010099, Refused),
        (200, 1, Refused),
        (502, 1, Unavailable),
        (503, 0, Unavailable),
    ],
)
def test_an_errors_class_says_what_to_do(status: int, code: int, expected: type[ProviderError]) -> None:
    body = b'{"code":%d,"message":"so it is","details":"page: expected 1"}' % code
    with pytest.raises(ProviderError) as caught:
        parse_data(Answer(status, {"retry-after": "7"}, body))
    error = caught.value
    assert (type(error), error.code) == (expected, code)
    assert str(error) == f"so it is: page: expected 1 (code {code})"
    assert not isinstance(error, RateLimited | Unavailable) or error.retry_after_s == 7


def test_our_codes_are_not_the_vendors() -> None:
    """document: its one code is 12010012."""
    assert [code for code in ERRORS if str(code).startswith("1201")] == [12010012]


def test_an_error_without_words_says_its_status() -> None:
    with pytest.raises(Refused, match=r"^HTTP 404 \(code 40401\)$"):
        parse_data(Answer(404, {}, b'{"code":40401}'))


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"data":{}}', b'{"code":"zero"}', b"\xff"])
def test_what_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope with HTTP 200, got "):
        codec.extract_rows(body)
    with pytest.raises(Unavailable, match=r"^HTTP 502, ") as caught:
        parse_data(Answer(502, {"retry-after": "9"}, body))
    assert caught.value.retry_after_s == 9


@pytest.mark.parametrize(
    "document",
    [
        b'{"code":0,"data":[]}',
        PAGE % (b"1.5", b"[]"),
        PAGE % (b"-1", b"[]"),
        PAGE % (b"1", b"{}"),
        (PAGE % (b"1", b"[]")).replace(b'"page_size":20', b'"page_size":0'),
        b'{"code":0,"data":{"transactions":[' + b"[" * 200_000,
    ],
)
def test_what_is_not_a_page(document: bytes) -> None:
    with pytest.raises(WireError, match=r"^(data: expected a page of|answer: expected the JSON) "):
        codec.extract_rows(document)


@pytest.mark.parametrize(
    "document",
    [
        b'{"code":0}',
        b'{"code":"0","message":"OK","data":null}',
        b'{"code":0,"data":{"total_records":1,"page":1,"page_size":20}}',
        b'{"code":0,"data":{"transactions":[]}}',
        PAGE % (b'"1"', b"[]"),
        PAGE % (b"null", b"null"),
    ],
)
def test_an_empty_list_in_any_spelling(document: bytes) -> None:
    assert codec.extract_rows(document) == []


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0codedatapgs_ ', max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_an_error(document: bytes) -> None:
    try:
        rows = codec.extract_rows(document)
    except LiushuiError as error:
        assert len(str(error)) < 400
    else:
        assert all(row in document for row in rows)
