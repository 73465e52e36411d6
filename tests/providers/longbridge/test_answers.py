"""Reading Longbridge's answers: rows byte for byte, and errors by class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import AuthError, LiushuiError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.providers._longbridge.wire import parse_data
from liushui.providers.longbridge import codec, rules
from liushui.wire.transport import Answer


def test_rows_come_byte_for_byte() -> None:
    rows = [b'{ "a" : 1.230 }', b'{"b":"\\u6d41"}', b"3"]
    document = b'{"code":0,"data":{"list":[' + b" ,\n".join(rows) + b' ],"more":1},"more":[]}'
    assert codec.extract_rows(document) == rows


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, 403201, AuthError),
        (403, 403202, Unavailable),
        (403, 403203, AuthError),
        (403, 403205, AuthError),
        (401, 401003, AuthError),
        (429, 429001, RateLimited),
        (429, 429002, RateLimited),
        (500, 500000, Unavailable),
        (400, 202201, AuthError),
        (400, 202202, Refused),
        (401, 401999, AuthError),
        (403, 403999, AuthError),
        (404, 404001, Refused),
        (400, 1, Refused),
        (200, 1, Refused),
        (429, 1, RateLimited),
        (502, 1, Unavailable),
        (503, 0, Unavailable),
        (200, 429002, RateLimited),
    ],
)
def test_an_errors_class_says_what_to_do(status: int, code: int, expected: type[ProviderError]) -> None:
    document = b'{"code":%d,"message":"so it is"}' % code
    with pytest.raises(ProviderError) as caught:
        parse_data(Answer(status, {"x-trace-id": "abc", "retry-after": "7"}, document), rules.ERRORS)
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.trace) == (code, "abc")
    assert str(error) == f"so it is (code {code}, trace abc)"
    assert not isinstance(error, RateLimited | Unavailable) or error.retry_after_s == 7.0


def test_an_error_without_words_says_its_status() -> None:
    with pytest.raises(Refused, match=r"^HTTP 404 \(code 404001\)$"):
        parse_data(Answer(404, {}, b'{"code":404001}'), rules.ERRORS)


@pytest.mark.parametrize(
    "answer", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"data":{}}', b'{"code":"zero"}', b"\xff"]
)
def test_what_is_not_an_answer(answer: bytes) -> None:
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope with HTTP 200, got "):
        parse_data(Answer(200, {}, answer), rules.ERRORS)
    with pytest.raises(Unavailable, match=r"^HTTP 502, .*\(trace abc\)$"):
        parse_data(Answer(502, {"x-trace-id": "abc"}, answer), rules.ERRORS)


@pytest.mark.parametrize("data", [b"[]", b'{"list":{}}', b'"list"', b"0"])
def test_what_has_no_list(data: bytes) -> None:
    with pytest.raises(WireError, match=r"^data: expected an object with a list, got "):
        codec.extract_rows(b'{"code":0,"message":"success","data":' + data + b"}")


@pytest.mark.parametrize(
    "data", [b"", b',"data":null', b',"data":{}', b',"data":{"list":null}', b',"data":{"list":[]}']
)
def test_an_empty_list_in_any_spelling(data: bytes) -> None:
    assert codec.extract_rows(b'{"code":"0","message":"OK"%b}' % data) == []


@pytest.mark.parametrize("deep", [b'{"code":0,"data":%b', b'{"code":0,"data":{"list":[%b'])
def test_what_is_nested_too_deep(deep: bytes) -> None:
    with pytest.raises(WireError):
        codec.extract_rows(deep % (b"[" * 200_000))


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0codedatalistmsg ', max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_an_error(document: bytes) -> None:
    try:
        rows = codec.extract_rows(document)
    except LiushuiError as error:
        assert len(str(error)) < 400
    else:
        assert all(row in document for row in rows)
