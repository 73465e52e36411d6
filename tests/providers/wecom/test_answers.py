"""Reading WeCom's answers: rows byte for byte, and errors by class."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import AuthError, LiushuiError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.providers.wecom import codec
from liushui.providers.wecom.wire import parse_page, parse_token
from liushui.wire.transport import Answer


def answer_of(body: bytes, status: int = 200) -> Answer:
    return Answer(status, {}, body)


def test_rows_come_byte_for_byte() -> None:
    rows = [b'{ "a" : 1.230 }', b'{"b":"\\u6d41"}', b"3"]
    document = b'{"errcode":0,"errmsg":"ok","fund_flow_list":[' + b" ,\n".join(rows) + b' ],"more":[]}'
    assert codec.extract_rows(document) == rows


@pytest.mark.parametrize(
    ("member", "cursor"),
    [(b'"next_cursor":"CURSOR",', "CURSOR"), (b'"next_cursor":"",', None), (b'"next_cursor":null,', None), (b"", None)],
)
def test_the_end(member: bytes, cursor: str | None) -> None:
    """document: 如果没有获取到next_cursor，说明已经拉取完所有的数据。An empty one is none."""
    assert parse_page(answer_of(b'{"errcode":0,"errmsg":"ok",%b"fund_flow_list":[]}' % member)) == ([], cursor)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, -1, Unavailable),
        (200, 40001, AuthError),
        (200, 40013, AuthError),
        (200, 40014, AuthError),
        (200, 40058, Refused),
        (200, 41001, AuthError),
        (200, 41002, AuthError),
        (200, 41004, AuthError),
        (200, 42001, AuthError),
        (200, 45009, RateLimited),
        (200, 45033, RateLimited),
        (200, 48002, AuthError),
        (200, 60020, AuthError),
        (200, 301002, AuthError),
        (200, 1, Refused),
        (404, 1, Refused),
        (403, 1, AuthError),
        (429, 1, RateLimited),
        (502, 1, Unavailable),
        (503, 0, Unavailable),
        (404, 0, Refused),
    ],
)
@pytest.mark.parametrize("parse", [parse_page, parse_token])
def test_an_errors_class_says_what_to_do(
    parse: Callable[[Answer], object], status: int, code: int, expected: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(Answer(status, {"retry-after": "7"}, b'{"errcode":%d,"errmsg":"so it is"}' % code))
    error = caught.value
    assert type(error) is expected
    assert error.code == code
    assert str(error) == f"so it is (code {code})"
    assert not isinstance(error, RateLimited) or error.retry_after_s == 7


def test_an_error_without_words_says_its_status() -> None:
    with pytest.raises(Refused, match=r"^HTTP 200 \(code 1\)$"):
        codec.extract_rows(b'{"errcode":1}')


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>Bad Gateway</html>",
        b"[]",
        b"{}",
        b'{"fund_flow_list":[]}',
        b'{"errcode":"zero","fund_flow_list":[]}',
        b'{"errcode":null,"fund_flow_list":[]}',
        b'{"errcode":0,"fund_flow_list":{}}',
        b'{"errcode":0,"next_cursor":1,"fund_flow_list":[]}',
        b"\xff",
        b'{"errcode":0,"fund_flow_list":[' + b"[" * 200_000,
    ],
)
def test_what_is_not_an_answer(answer: bytes) -> None:
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope with HTTP 200, got "):
        codec.extract_rows(answer)
    with pytest.raises(Unavailable, match=r"^HTTP 502, "):
        parse_page(answer_of(answer, 502))


@pytest.mark.parametrize("member", [b"", b',"fund_flow_list":null', b',"fund_flow_list":[]'])
def test_an_empty_list_in_any_spelling(member: bytes) -> None:
    assert codec.extract_rows(b'{"errcode":"0","errmsg":"OK"%b}' % member) == []


def test_a_token() -> None:
    token = parse_token(answer_of(b'{"errcode":0,"errmsg":"ok","access_token":"T","expires_in":7200}'))
    assert (token.access_token, token.expires_in) == ("T", 7200)


@pytest.mark.parametrize(
    "members", [b"", b',"access_token":""', b',"access_token":1', b',"access_token":"T","expires_in":"x"']
)
def test_what_is_not_a_token(members: bytes) -> None:
    with pytest.raises(WireError):
        parse_token(answer_of(b'{"errcode":0,"errmsg":"ok"' + members + b"}"))


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0errcodefund_flow_list ', max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_an_error(document: bytes) -> None:
    try:
        rows = codec.extract_rows(document)
    except LiushuiError as error:
        assert len(str(error)) < 400
    else:
        assert all(row in document for row in rows)
