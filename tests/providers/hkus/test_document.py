"""The document's own request, answers and defaults, as printed, including its mistakes. Each test quotes its line."""

from datetime import UTC, datetime, timedelta

import pytest

from liushui.errors import Unavailable
from liushui.flow import Flow
from liushui.http import Request
from liushui.provider import Key
from liushui.providers.hkus import PROVIDER, codec
from liushui.providers.hkus.wire import sign
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.hkus.caller import TRANSACTIONS, Caller, answered, signature
from tests.providers.hkus.rows import FIELDS, Literal, Row, row, wire

PRINTED = "page=1&page_size=20&from_date=1746775317&to_date=1746775257&io_type=in&business_types=us_stock"
"""document: the cURL example's query. Its range is reversed, and its business_types stands in no table."""
TURNED = "page=1&page_size=20&from_date=1746775257&to_date=1746775317&io_type=in&business_types=us_stock"
SENT_AT = datetime(2012, 8, 22, 23, 41, 52, 312_000, tzinfo=UTC)
"""document: `X-API-Timestamp: 1345678912312`."""

SAMPLE = b"""{
"code": 0,
"data": {
"total_records": 1,
"page": 1,
"page_size": 20,
"transactions": [
{
"id": 0,
"tran_type": "cash",
"date": 1746775317,
"sett_date": 1746775317,
"base_currency": "USD",
"market": "usex",
"product_code": "AAPL",
"product_name": "Apple Inc.",
"price": 150.0,
"qty": 10,
"amt": 1500.0,
"balance": 8500.0,
"io_type": "out",
"fx_ccy": "USD",
"fx_amt": 1500.0,
"fx_rate": 1.0,
"remarks": "Equity trade",
"business_type": "us_stock",
"business_sub_type": "not"
}
]
}
}"""


@pytest.fixture
def sender(reader: MemoryReader, clock: MovableClock) -> Caller:
    """Somebody who calls when the document's example was sent."""
    clock.at = SENT_AT
    return Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))


# ---------------------------------------------------------------- the cURL example


def test_the_example_with_its_placeholders(reader: MemoryReader) -> None:
    """document: `-H "X-API-Key: YOUR_API_KEY"`: no such key."""
    headers = {
        "x-api-key": "YOUR_API_KEY",
        "x-api-timestamp": "1345678912312",
        "x-api-signature": "YOUR_GENERATED_SIGNATURE",
        "content-type": "application/json",
    }
    answer = answered(Request("GET", TRANSACTIONS, PRINTED, headers, route=TRANSACTIONS), reader)
    assert (answer.fault, answer.details) == ((401, 40101), "X-API-Key: there is no such key")


def test_the_example_with_a_signature_to_fill_in(sender: Caller) -> None:
    """document: `-H "X-API-Signature: YOUR_GENERATED_SIGNATURE"`."""
    request = sender.signed(PRINTED)
    printed = request._replace(headers={**request.headers, "x-api-signature": "YOUR_GENERATED_SIGNATURE"})
    assert sender.send(printed).fault == (401, 40102)


def test_the_example_signed(sender: Caller) -> None:
    """document: `from_date=1746775317&to_date=1746775257` is reversed: named, and never swapped."""
    answer = sender.send(sender.signed(PRINTED, timestamp="1345678912312"))
    assert answer.fault == (400, 40001)
    assert answer.details == "to_date: expected from_date 1746775317 or later, got 1746775257"


def test_the_example_the_right_way_round(sender: Caller, reader: MemoryReader) -> None:
    """document: `business_types=us_stock` filters as `business_type` does."""
    rows = [
        row(io_type="in"),
        row(io_type="in", date=1746775257),
        row(io_type="in", date=1746775256),
        row(io_type="in", date=1746775318),
        row(io_type="out"),
        row(io_type="in", business_type="hk_stock"),
    ]
    reader.add_rows("trader-1", PROVIDER, map(wire, rows))
    assert sender.send(sender.signed(TURNED, timestamp="1345678912312")).rows == rows[:2]
    assert sender.send(sender.signed(TURNED.replace("business_types", "business_type"))).rows == rows[:2]


# ---------------------------------------------------------------- the signature

SECRET = "test-secret"
VECTOR_QUERY = "page=1&page_size=20&from_date=1746775257&to_date=1746775317&io_type=in&business_type=us_stock"
VECTOR_SIGNATURE = "265df5317839de53352585f21049536cf6b63605751bbe22615b9117da5a25ea"


def test_the_vector() -> None:
    """The recipe is ours; this is what it gives for the example put right."""
    timestamp = "1746775317000"
    assert (
        sign(secret=SECRET, timestamp=timestamp, method="GET", path=TRANSACTIONS, query=VECTOR_QUERY)
        == signature(SECRET, f"{timestamp}GET{TRANSACTIONS}?{VECTOR_QUERY}".encode())
        == VECTOR_SIGNATURE
    )


@pytest.mark.parametrize("written", [VECTOR_SIGNATURE, VECTOR_SIGNATURE.upper()])
def test_the_vector_is_accepted_in_either_case(written: str) -> None:
    reader = MemoryReader(lambda: datetime.fromtimestamp(1746775317, UTC))
    reader.add_key(Key("ak", PROVIDER.name, ("trader-1",), {"api_key": "ak", "api_secret": SECRET}))
    headers = {"x-api-key": "ak", "x-api-timestamp": "1746775317000", "x-api-signature": written}
    request = Request("GET", TRANSACTIONS, VECTOR_QUERY, headers, route=TRANSACTIONS)
    assert answered(request, reader).rows == []
    for other in (
        request._replace(path=f"/{TRANSACTIONS}"),
        request._replace(query=f"{VECTOR_QUERY}&"),
        request._replace(body=b"{}"),
        request._replace(headers={**headers, "x-api-timestamp": "1746775317001"}),
        request._replace(headers={**headers, "x-api-signature": written[:-1]}),
    ):
        assert answered(other, reader).fault == (401, 40102)


# ---------------------------------------------------------------- the sample answers


def test_the_sample_answer() -> None:
    """document: "Sample Success Response", as printed."""
    (found,) = codec.extract_rows(SAMPLE)
    assert found in SAMPLE
    assert codec.read(found).flow == codec.read(wire(row())).flow


def test_the_sample_answer_is_what_is_answered(caller: Caller, reader: MemoryReader) -> None:
    """document: "Sample Success Response": the same keys in the same order, the row byte for byte."""
    (found,) = codec.extract_rows(SAMPLE)
    reader.add_rows("trader-1", PROVIDER, [found])
    response = PROVIDER.server.answer(caller.signed(), reader)
    assert response.body.replace(b" ", b"").replace(b"\n", b"") == SAMPLE.replace(b" ", b"").replace(b"\n", b"")
    assert found in response.body


def test_the_sample_error() -> None:
    """document: "Sample Error Response", as printed: the service will be well again."""
    with pytest.raises(Unavailable, match=r"^Internal server error \(code 12010012\)$"):
        codec.extract_rows(b'{\n"code": 12010012,\n"message": "Internal server error"\n}')


def test_every_field_of_the_table_is_written() -> None:
    """document: "Response Fields", each but fx_currency, which its sample names fx_ccy."""
    full = {**row(account_id=1, id=1)}
    assert list(full) == [name for name in FIELDS if name != "fx_currency"]
    flow = codec.read(wire(full)).flow
    assert codec.write(flow) == wire(full)


# ---------------------------------------------------------------- the parameters


@pytest.fixture
def filled(caller: Caller, reader: MemoryReader) -> Caller:
    """A hundred and fifty rows, a second apart, ids rising, the last one at 1746775317."""
    rows = [row(id=number + 1, date=1746775168 + number) for number in range(150)]
    reader.add_rows("trader-1", PROVIDER, map(wire, rows))
    return caller


def ids(rows: list[Row]) -> list[int]:
    return [found["id"] for found in rows]


def test_page_is_1_as_default(filled: Caller) -> None:
    """document: `page` | int | No | Current page number | 1 as default."""
    assert filled.get().data["page"] == 1
    assert filled.get().rows == filled.get(page=1).rows
    assert ids(filled.get(page=2).rows) == list(range(130, 110, -1))


def test_page_size_is_20_as_default(filled: Caller) -> None:
    """document: `page_size` | int | No | Number of records per page | 20 as default."""
    answer = filled.get()
    assert (answer.data["page_size"], ids(answer.rows)) == (20, list(range(150, 130, -1)))


def test_no_parameter_is_required(filled: Caller) -> None:
    """document: the column Required says No throughout."""
    assert filled.get().total == 150


def test_total_records_counts_what_all_pages_have(filled: Caller) -> None:
    """document: `"total_records": 1`."""
    for page, many in ((1, 100), (2, 50), (3, 0)):
        answer = filled.get(page_size=100, page=page)
        assert (answer.total, len(answer.rows), answer.data["page"]) == (150, many, page)


def test_from_date_and_to_date_belong_to_the_range(filled: Caller) -> None:
    """document: `from_date` start date, `to_date` end date of query range, 1746775317."""
    assert ids(filled.get(from_date=1746775317).rows) == [150]
    assert ids(filled.get(from_date=1746775316, to_date=1746775316).rows) == [149]
    assert filled.get(to_date=1746775316).total == 149
    assert filled.get(from_date=1746775318).total == 0
    assert filled.get(to_date=1746775167).total == 0


@pytest.mark.parametrize("name", ["business_type", "business_types"])
@pytest.mark.parametrize("value", ["hk_stock", "us_stock", "other", "fund"])
def test_business_type(caller: Caller, reader: MemoryReader, name: str, value: str) -> None:
    """document: `business_type` | enum | No | hk_stock, us_stock, other, see business_type enum."""
    known = ["hk_stock", "us_stock", "other", "fund", ""]
    reader.add_rows("trader-1", PROVIDER, [wire(row(business_type=each)) for each in known])
    assert [found["business_type"] for found in caller.get(**{name: value}).rows] == [value]
    assert caller.get(**{name: "FUND"}).total == 0
    assert caller.get(**{name: ""}).total == len(known)


def test_both_names_of_business_type_hold(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-1", PROVIDER, [wire(row(business_type=each)) for each in ("us_stock", "other")])
    assert caller.get(business_type="other", business_types="other").total == 1
    assert caller.get(business_type="us_stock", business_types="other").total == 0


@pytest.mark.parametrize("value", ["in", "out"])
def test_io_type(caller: Caller, reader: MemoryReader, value: str) -> None:
    """document: `io_type` | enum | No | Filter by cash flow direction | in, out."""
    reader.add_rows("trader-1", PROVIDER, [wire(row(io_type=each)) for each in ("in", "out")])
    assert [found["io_type"] for found in caller.get(io_type=value).rows] == [value]


def test_numbers_are_answered_to_the_digit(caller: Caller, reader: MemoryReader) -> None:
    """document: the type decimal; `"price": 150.0`. Of rows that came, and of flows from elsewhere."""
    exact = Literal("12345678901234567890.123456789012345678")
    reader.add_rows("trader-1", PROVIDER, [wire(row(amt=exact, price=Literal("150.0")))])
    (flow,) = [codec.read(wire(row(amt=exact, price=Literal("150.0")))).flow]
    elsewhere = Flow(identity="z", at=flow.at - timedelta(days=1), amount=flow.amount, currency="USD", price=flow.price)
    reader.add_flows("trader-1", [elsewhere])
    assert [(found["amt"], found["price"]) for found in caller.get().rows] == [(exact, "150.0")] * 2
