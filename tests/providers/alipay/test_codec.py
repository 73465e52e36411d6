"""The codec: sides and signs, kinds, identities, braces, and the statement file of the same rows."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liushui.errors import WireError
from liushui.flow import Direction, Flow, Kind
from liushui.formats import alipay_accountlog, load_formats
from liushui.providers.alipay import codec
from liushui.providers.alipay.codec import read, read_many, with_even_braces, write


def row(**more: Any) -> bytes:  # noqa: ANN401 - JSON
    fields = {"trans_dt": "2026-11-01 09:15:02", "trans_amount": "88.00", "direction": "收入"}
    return json.dumps({**fields, **more}, ensure_ascii=False).encode()


def flow_of(**more: Any) -> Flow:  # noqa: ANN401 - JSON
    return read(row(**more)).flow


@pytest.mark.parametrize(
    ("amount", "direction", "read_as"),
    [
        ("8.00", "收入", ("8.00", Direction.IN)),
        ("8.00", "支出", ("-8.00", Direction.OUT)),
        ("-8.00", "支出", ("-8.00", Direction.OUT)),
        ("-8.00", "收入", ("-8.00", Direction.IN)),
        ("0.00", "支出", ("0.00", Direction.OUT)),
        ("8", "收入", ("8", Direction.IN)),
    ],
)
def test_side_and_sign(amount: str, direction: str, read_as: tuple[str, Direction]) -> None:
    flow = flow_of(trans_amount=amount, direction=direction)
    assert (str(flow.amount), flow.direction) == read_as
    assert read(write(flow)).flow == flow


@pytest.mark.parametrize("field", ["trans_dt", "trans_amount", "direction"])
def test_a_row_without_what_it_needs_is_rejected(field: str) -> None:
    fields = json.loads(row())
    del fields[field]
    with pytest.raises(WireError, match=f"^{field}: "):
        read(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("type_", "description", "kind"),
    [
        ("交易", "", Kind.RECEIPT),
        ("在线支付", "0010001|退款", Kind.RECEIPT),
        ("其它", "0030001|交易退款", Kind.REFUND),
        ("", "退款", Kind.REFUND),
        ("收费", "", Kind.FEE),
        ("花呗分期服务费", "", Kind.FEE),
        ("其它", "", Kind.OTHER),
        ("", "", Kind.OTHER),
    ],
)
def test_kinds(type_: str, description: str, kind: Kind) -> None:
    flow = flow_of(type=type_, biz_desc=description)
    assert flow.kind is kind
    assert flow.label == (type_ or description)


def test_identities() -> None:
    assert flow_of(account_log_id="61").identity == "61"
    assert flow_of(account_log_id="6~1").identity != "6~1"
    assert len(flow_of(account_log_id="6" * 201).identity) == 32
    plain = flow_of()
    assert plain.ref is None
    for same in ({"balance": "1.00"}, {"trans_memo": "x"}, {"type": "x"}, {"account_log_id": ""}):
        assert flow_of(**same).identity == plain.identity
    for other in ({"trans_amount": "88.01"}, {"direction": "支出"}, {"merchant_order_no": "1"}):
        assert flow_of(**other).identity != plain.identity


def test_the_first_number_is_that_of_the_order() -> None:
    numbers = {"alipay_order_no": "1", "merchant_order_no": "2", "biz_orig_no": "3", "biz_nos": "M{4}|S{5}|O{6}"}
    while numbers:
        assert flow_of(**numbers).order_ref == next(iter(numbers.values()))
        del numbers[next(iter(numbers))]
    assert flow_of().order_ref is None


@pytest.mark.parametrize("text", ["}", "{", "}{", "}}{{", "{{}}", "a {b} } c", '\\"}', "{\\"])
def test_braces_without_a_partner_are_escaped(text: str) -> None:
    """The same JSON, and the braces outside of texts are as many as before."""
    received = row(trans_memo=text, biz_nos="M{1}|S{2}|O{3}")
    decoded = read(received)
    assert decoded.row == received
    assert decoded.served is not None
    assert json.loads(decoded.served) == json.loads(received)
    assert (decoded.served.count(b"{"), decoded.served.count(b"}")) == (1, 1)
    assert read_many([received]) is None
    assert json.loads(write(decoded.flow)).get("trans_memo") == text


def test_braces_in_pairs_stay() -> None:
    received = row(biz_nos="M{1}|S{}|O{3}")
    assert read(received).served is None
    assert with_even_braces(received) == received
    assert read_many([received]) is not None


def test_rows_are_read_as_a_batch() -> None:
    """The colons of the time are no fields."""
    columns = read_many([row(account_log_id="1"), row(account_log_id="2", balance="5.00", trans_memo="x")])
    assert columns is not None
    assert columns.identity == ["1", "2"]
    assert columns.balance_after == [None, "5.00"]


def test_a_row_of_the_statement_file_is_the_same_record() -> None:
    """The file and the API name one entry by one number, so that an import and a sync of one account agree."""
    format_ = load_formats()["alipay_accountlog"]
    assert format_.provider == "alipay"
    for entry in json.loads((Path(alipay_accountlog.__file__).parent / "samples/month.csv.flows.json").read_text()):
        stated = entry["flow"]
        flow = flow_of(
            account_log_id=stated["ref"],
            trans_amount=stated["amount"],
            direction="支出" if Decimal(stated["amount"]) < 0 else "收入",
            type=stated["label"],
        )
        assert (flow.identity, flow.kind.value) == (stated["identity"], stated.get("kind", "other"))
        assert (flow.amount, flow.direction.value) == (Decimal(stated["amount"]), stated["direction"])


def test_a_detail_has_the_name_of_its_field() -> None:
    stated = {name: f"101101|{name}" for name in codec.KEYS}
    detail = flow_of(**stated).detail or {}
    assert detail == {
        codec.TYPE: "",
        codec.TRANS_CODE: "101101",
        **{codec.KEYS[name]: text for name, text in stated.items()},
    }
