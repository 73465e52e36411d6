"""The first draft's codec: rows round-trip exactly, and give the flows of the current generation's rows."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import AuthError, LiushuiError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.providers import longbridge
from liushui.providers._longbridge.codec import BUSINESS_TYPE
from liushui.providers._longbridge.wire import parse_page
from liushui.providers.longbridge_legacy import PROVIDER, codec
from liushui.providers.longbridge_legacy.rules import ERRORS
from liushui.providers.longbridge_legacy.wire import CashFlow
from liushui.testing.golden import samples_of
from liushui.wire.transport import Answer
from tests.providers.longbridge import rows as current
from tests.providers.longbridge.rows import FIELDS, MISSING, Row, wire
from tests.providers.longbridge_legacy.rows import drafted, row, rows

SAMPLE = samples_of(PROVIDER) / "document.wire.json"

# ---------------------------------------------------------------- rows


@given(values=rows)
def test_a_row_survives_to_the_byte(values: Row) -> None:
    received = codec.read(wire(values))
    assert received.served is None
    assert codec.write(received.flow) == wire(values)
    assert format(received.flow.amount, "f") == values["balance"]


@given(values=current.rows)
def test_a_row_is_one_flow_through_either_generation(values: Row) -> None:
    """So that an account that was read through both can be compared."""
    assert codec.read(wire(drafted(values))).flow == longbridge.codec.read(wire(values)).flow


@given(values=rows)
def test_either_generation_writes_the_others_rows(values: Row) -> None:
    written = longbridge.codec.write(codec.read(wire(values)).flow)
    assert drafted(json.loads(written)) == values


def test_the_fields_are_the_documents() -> None:
    """document: 响应体 `transaction_flow_name` … `description`"""
    assert CashFlow.__struct_fields__ == FIELDS


@pytest.mark.parametrize(("code", "side"), [(1, Direction.OUT), (2, Direction.IN)])
def test_sides(code: int, side: Direction) -> None:
    """document: `direction` 流出方向；1:流出 2:流入"""
    assert codec.read(wire(row(direction=code))).flow.direction is side


@pytest.mark.parametrize(
    ("code", "category", "kept"),
    [
        (1, Category.CASH, None),
        (2, Category.STOCK, None),
        (3, Category.FUND, None),
        (0, Category.OTHER, {BUSINESS_TYPE: 0}),
        (7, Category.OTHER, {BUSINESS_TYPE: 7}),
        (MISSING, Category.OTHER, {BUSINESS_TYPE: None}),
    ],
)
def test_categories(code: object, category: Category, kept: Row | None) -> None:
    """document: `business_type` 资金类别' 1:现金，2:股票，3:基金"""
    flow = codec.read(wire(row(business_type=code))).flow
    assert (flow.category, flow.detail) == (category, kept)


@pytest.mark.parametrize("at", [UNIX_SECONDS_MIN, -1, 0, 1621507957, 2**31, UNIX_SECONDS_MAX])
def test_times(at: int) -> None:
    """document: `business_time` | int | 业务时间"""
    flow = codec.read(wire(row(business_time=at))).flow
    assert (flow.at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == at


@pytest.mark.parametrize(
    ("lenient", "served"),
    [
        ({"business_type": MISSING}, {"business_type": 0}),
        ({"business_type": "2", "direction": "1"}, {}),
        ({"symbol": MISSING, "description": None}, {"symbol": None, "description": ""}),
    ],
)
def test_a_lenient_row_is_served_as_the_table_has_it(lenient: Row, served: Row) -> None:
    received = codec.read(wire(row(**lenient)))
    assert (received.row, received.served) == (wire(row(**lenient)), wire(row(**served)))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"business_time": 1621507957.5}, "business_time: expected an integer, got 1621507957.5"),
        ({"business_time": None}, "business_time: expected an integer, got null"),
        ({"business_time": MISSING}, "business_time: expected, but missing"),
        (
            {"business_time": UNIX_SECONDS_MAX + 1},
            "business_time: expected Unix seconds of the years 1 to 9999, got 253402300800",
        ),
        (
            {"business_time": UNIX_SECONDS_MIN - 1},
            "business_time: expected Unix seconds of the years 1 to 9999, got -62135596801",
        ),
        ({"direction": 3}, "direction: expected 1 or 2, got 3"),
        ({"direction": MISSING}, "direction: expected, but missing"),
        ({"business_type": None}, "business_type: expected an integer or text, got null"),
        ({"balance": 248.6}, "balance: expected text, got 248.6"),
        ({"balance": "1e3"}, "balance: expected decimal text such as -248.60, got '1e3'"),
        ({"balance": MISSING}, "balance: expected, but missing"),
        ({"currency": ""}, "currency: expected a code of 1 to 32 characters, got ''"),
        ({"transaction_flow_name": None}, "transaction_flow_name: expected text, got null"),
    ],
)
def test_the_field_that_does_not_fit_is_named(fault: Row, message: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.read(wire(row(**fault)))
    assert str(caught.value) == message


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("without", [(), ("symbol",), ("business_type", "symbol", "description")])
def test_a_field_that_stands_twice_is_named(name: str, without: tuple[str, ...]) -> None:
    """Whatever else the row lacks, such as the `business_type` that the document's sample lacks."""
    values = row(**{known: MISSING for known in without if known != name})
    twice = wire(values)[:-1] + f',"{name}":{json.dumps(values[name])}}}'.encode()
    with pytest.raises(WireError) as caught:
        codec.read(twice)
    assert str(caught.value) == f"{name}: expected once, but found twice"


def test_a_time_of_any_length_is_named() -> None:
    for digits in (18, 19, 40, 4_300, 100_000):
        with pytest.raises(WireError, match=r"^business_time: |^row: ") as caught:
            codec.read(wire(row(business_time=0)).replace(b":0,", b":" + b"9" * digits + b","))
        assert len(str(caught.value)) < 300


@given(data=st.data(), values=rows)
def test_any_damage_is_read_or_named(data: st.DataObject, values: Row) -> None:
    damaged = bytearray(wire(values))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        received = codec.read(bytes(damaged))
    except WireError as error:
        assert error.field in {*FIELDS, "row"}
    else:
        assert codec.read(received.served or received.row).flow.amount == received.flow.amount


@pytest.mark.parametrize(
    ("language", "name"),
    [(None, "资金费用"), ("fr", "资金费用"), ("zh-CN", "资金费用"), ("zh-HK", "資金費用"), ("en", "Funding Fee")],
)
def test_a_flow_from_elsewhere_is_written_as_far_as_this_wire_can_say_it(language: str | None, name: str) -> None:
    """Names are Simplified, as in the document's sample, for whoever asks for no language of ours."""
    flow = Flow(
        identity="x",
        at=datetime(2024, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
        amount=Decimal("-1.230"),
        currency="USDT",
        kind=Kind.FUNDING,
        category=Category.FUTURES,
        balance_after=Decimal(10),
        ref="17",
    )
    assert json.loads(codec.write(flow, language)) == {
        "transaction_flow_name": name,
        "direction": 1,
        "business_type": 0,
        "balance": "-1.230",
        "currency": "USDT",
        "business_time": 1704164645,
        "symbol": None,
        "description": "",
    }


# ---------------------------------------------------------------- answers


def test_the_documents_sample_comes_in_as_it_is_printed() -> None:
    """document: 响应体示例, which is `data` without its envelope"""
    document = SAMPLE.read_bytes()
    flows = [codec.read(found).flow for found in codec.extract_rows(document)]
    assert [(flow.at.timestamp(), flow.amount) for flow in flows] == [
        (1621507957, Decimal("-248.60")),
        (1621504824, Decimal("-125.16")),
    ]
    assert {(flow.label, flow.direction, flow.symbol) for flow in flows} == {
        ("股票买入成交", Direction.OUT, "AAPL.US"),
    }
    enveloped = b'{"code":0,"msg":"","data":' + document + b"}"
    assert codec.extract_rows(enveloped) == codec.extract_rows(document)


def test_over_http_only_an_envelope_is_an_answer() -> None:
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope with HTTP 200, got "):
        parse_page(Answer(200, {}, SAMPLE.read_bytes()), ERRORS)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param(400, 1470400, Refused, id="document: 400 1470400 bad request"),
        pytest.param(403, 1470403, AuthError, id="document: 403 1470403 request forbidden"),
        (404, 1470404, Refused),
        (429, 1470429, RateLimited),
        (401, 401003, AuthError),
        (403, 403202, Unavailable),
        (429, 429001, RateLimited),
        (500, 500000, Unavailable),
        (400, 9, Refused),
        (403, 9, AuthError),
        (503, 9, Unavailable),
        (200, 9, Refused),
    ],
)
@pytest.mark.parametrize("said_in", ["msg", "message"])
def test_an_errors_class_says_what_to_do(status: int, code: int, expected: type[ProviderError], said_in: str) -> None:
    """document: `msg` 错误描述"""
    with pytest.raises(ProviderError) as caught:
        parse_page(Answer(status, {}, b'{"code":%d,"%b":"so it is"}' % (code, said_in.encode())), ERRORS)
    assert (type(caught.value), str(caught.value)) == (expected, f"so it is (code {code})")


@pytest.mark.parametrize("document", [b'{"code":1470403,"msg":"no","list":[]}', b'{"code":1470403,"msg":"no"}'])
def test_an_error_is_one_whatever_stands_beside_it(document: bytes) -> None:
    """document: `code` 错误码，非 0 表示失败"""
    with pytest.raises(AuthError, match=r"^no \(code 1470403\)$"):
        codec.extract_rows(document)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"list":{}}',
        b'{"data":{"list":[]}}',
        b'{"code":0,"msg":"","data":[]}',
        b'{"code":"zero","msg":"","data":{"list":[]}}',
        b"\xff",
        b'{"list":[' * 90_000,
    ],
)
def test_what_is_not_an_answer(document: bytes) -> None:
    with pytest.raises(WireError, match=r"^(answer|data): expected "):
        codec.extract_rows(document)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0codedatalistmsg ', max_size=60).map(str.encode))
def test_any_bytes_are_an_answer_or_an_error(document: bytes) -> None:
    try:
        found = codec.extract_rows(document)
    except LiushuiError as error:
        assert len(str(error)) < 400
    else:
        assert all(one in document for one in found)


def test_the_sample_is_the_documents_own() -> None:
    """Tabs, spaces and the shape as printed: a change of it would prove something else."""
    assert isinstance(SAMPLE, Path)
    assert SAMPLE.read_text(encoding="utf-8").startswith(
        '{\n        "list": [{\n                "transaction_flow_name"'
    )
