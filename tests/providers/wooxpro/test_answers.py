"""Reading WOO X Pro's answers: rows byte for byte, and errors by class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import AuthError, LiushuiError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.providers.wooxpro import codec
from liushui.providers.wooxpro.wire import parse_page
from liushui.wire.transport import Answer


def test_rows_come_byte_for_byte() -> None:
    rows = [b'{ "a" : 1.230 }', b'{"b":"\\u6d41"}', b"3"]
    document = b'{"code":1000,"message":"Ok","data":[' + b" ,\n".join(rows) + b' ],"trace":"t","more":[]}'
    assert codec.extract_rows(document) == rows


@pytest.mark.parametrize("message", [b"Ok", b"OK", b"ok", "成功".encode(), b"Failed", b""])
def test_the_code_alone_says_that_it_is_a_success(message: bytes) -> None:
    assert codec.extract_rows(b'{"code":1000,"message":"%b","data":[]}' % message) == []


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, 30000, Refused),
        (401, 30001, AuthError),
        (401, 30002, AuthError),
        (401, 30003, AuthError),
        (403, 30010, AuthError),
        (403, 30011, AuthError),
        (403, 30012, AuthError),
        (429, 30013, RateLimited),
        (503, 30014, Unavailable),
        (200, 30016, Unavailable),
        (418, 30017, RateLimited),
        (400, 40011, Refused),
        (400, 40034, Refused),
        (400, 40039, Refused),
        (401, 39999, AuthError),
        (403, 39999, AuthError),
        (400, 39999, Refused),
        (418, 39999, RateLimited),
        (429, 39999, RateLimited),
        (500, 59999, Unavailable),
        (200, 39999, Refused),
        (200, 30013, RateLimited),
        (503, 1000, Unavailable),
    ],
)
def test_an_errors_class_says_what_to_do(status: int, code: int, expected: type[ProviderError]) -> None:
    document = b'{"code":%d,"message":"so it is","data":[],"trace":"abc"}' % code
    with pytest.raises(ProviderError, match=r"^so it is \(code [0-9]+, trace abc\)$") as caught:
        parse_page(Answer(status, {}, document))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "code", "headers", "expected_s"),
    [
        (429, 30013, {}, None),
        (429, 30013, {"x-bm-ratelimit-reset": "2"}, 2),
        (429, 30013, {"x-bm-ratelimit-reset": "2", "retry-after": "7"}, 7),
        (429, 30013, {"x-bm-ratelimit-reset": "soon"}, None),
        (418, 30017, {}, 60),
        (418, 30017, {"x-bm-ratelimit-reset": "2"}, 60),
        (418, 30017, {"retry-after": "300"}, 300),
        (418, 1, {}, 60),
    ],
)
def test_how_long_to_wait(status: int, code: int, headers: dict[str, str], expected_s: int | None) -> None:
    with pytest.raises(RateLimited) as caught:
        parse_page(Answer(status, headers, b'{"code":%d,"message":"slow down"}' % code))
    assert caught.value.retry_after_s == expected_s


def test_an_error_without_words_says_its_status() -> None:
    with pytest.raises(Refused, match=r"^HTTP 404 \(code 30000\)$"):
        parse_page(Answer(404, {}, b'{"code":30000}'))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data":[]}', b'{"code":"thousand"}', b"\xff", b"[" * 100_000]
)
@pytest.mark.parametrize(
    ("status", "expected"),
    [(502, Unavailable), (401, AuthError), (429, RateLimited), (418, RateLimited), (404, Refused), (302, Refused)],
)
def test_what_is_not_an_envelope_goes_by_its_status(body: bytes, status: int, expected: type[ProviderError]) -> None:
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope, got "):
        parse_page(Answer(200, {}, body))
    with pytest.raises(ProviderError, match=f"^HTTP {status}, ") as caught:
        parse_page(Answer(status, {}, body))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"code":1000,"message":"Ok","data":{}}', "data: expected a list, got '{}'"),
        (b'{"code":1000,"message":"Ok","data":{"list":[]}}', "data: expected a list, got "),
    ],
)
def test_what_is_not_a_success(answer: bytes, message: str) -> None:
    """document: `"code": 1000, "message": "Ok", "data": [`"""
    with pytest.raises(WireError) as caught:
        codec.extract_rows(answer)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("data", [b"", b',"data":null', b',"data":[]'])
@pytest.mark.parametrize("message", [b"", b',"message":null', b',"message":"OK"', b',"message":"success"'])
def test_an_empty_list_in_any_spelling(message: bytes, data: bytes) -> None:
    assert codec.extract_rows(b'{"code":"1000"%b%b}' % (message, data)) == []


def test_rows_speak_for_themselves() -> None:
    assert codec.extract_rows(b'{"code":1000,"message":"\xe6\x88\x90\xe5\x8a\x9f","data":[{}]}') == [b"{}"]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,10codedatamsgOk ', max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_an_error(document: bytes) -> None:
    for status in (200, 400, 418, 500):
        try:
            rows = parse_page(Answer(status, {}, document))
        except LiushuiError as error:
            assert len(str(error)) < 400
        else:
            assert all(row in document for row in rows)
