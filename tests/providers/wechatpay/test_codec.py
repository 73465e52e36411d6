"""Rows and documents: reading, writing, and documents that are not bills."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from liushui.errors import NotRepresentable, Refused, Unavailable, WireError
from liushui.files.cells import Cells
from liushui.flow import Category, Direction, Flow, Kind
from liushui.formats.wechatpay_fundflow import FORMAT, write_document
from liushui.providers.wechatpay import PROVIDER, codec
from liushui.testing.golden import samples_of
from tests.providers.wechatpay.rows import row

DOCUMENT = (samples_of(PROVIDER) / "document.wire.csv").read_bytes()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ({"业务类型": "退款关闭"}, Kind.REFUND),
        ({"业务类型": "充值/提现", "业务名称": "充值/提现", "收支类型": "支出"}, Kind.WITHDRAWAL),
        ({"业务类型": "充值/提现", "业务名称": "充值/提现"}, Kind.DEPOSIT),
        ({"业务类型": "x", "业务名称": "企业付款"}, Kind.TRANSFER),
        ({"业务类型": "x", "业务名称": "分账"}, Kind.TRANSFER),
        ({"业务类型": "x", "业务名称": "提现"}, Kind.WITHDRAWAL),
        ({"业务类型": "x", "业务名称": "y"}, Kind.OTHER),
    ],
)
def test_kinds(cells: dict[str, str], kind: Kind) -> None:
    assert codec.read(row(**cells)).flow.kind is kind


def test_a_row_of_the_api_and_of_a_file_by_hand_are_one() -> None:
    """Their identities are equal, so that an import of the file adds nothing to what was collected."""
    for line in codec.extract_rows(DOCUMENT):
        collected = codec.read(line).flow
        by_hand = FORMAT.read(Cells.decode(line.replace(b',"#account_type":"BASIC"', b"")))
        assert collected._replace(detail=None) == by_hand._replace(detail=None)


def test_other_accounts_are_subaccounts_with_identities_of_their_own() -> None:
    basic, fees = (codec.read(row(of=of)).flow for of in ("BASIC", "FEES"))
    assert (basic.subaccount, fees.subaccount) == ("", "FEES")
    assert basic.identity != fees.identity


def test_a_document_is_read_packed_and_with_a_byte_order_mark() -> None:
    rows = codec.extract_rows(DOCUMENT)
    assert len(rows) == 4
    assert codec.extract_rows(gzip.compress(DOCUMENT)) == rows
    assert codec.extract_rows(b"\xef\xbb\xbf" + DOCUMENT.replace(b"\n", b"\r\n")) == rows


def test_columns_are_found_by_name_and_further_ones_kept() -> None:
    lines = [line.split(b",") for line in DOCUMENT.splitlines()]
    moved = [[*line[1:], *line[:1], name] for line, name in zip(lines[:5], (b"new", *4 * [b"`x"]), strict=True)]
    document = b"\n".join(b",".join(line) for line in [*moved, *lines[5:]])
    for line, other in zip(codec.extract_rows(document), codec.extract_rows(DOCUMENT), strict=True):
        assert b'"new":"x"' in line
        assert codec.read(line).flow == codec.read(other).flow


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("`4.0,", "`5.0,", "资金流水总笔数.*5 rows.*4 rows"),
        ("`1.0,`88.00", "`1.0,`88.01", "收入笔数.*1 rows of 88.01 CNY.*1 rows of 88.00 CNY"),
        ("`3.0,`16.53", "`2.0,`16.53", "支出笔数"),
        ("`3.0,`16.53", "`3.5,`16.53", "whole number"),
        ("`支出,`0.53", "`支出,`O.53", "支出笔数"),
        ("`4.0,`1.0,`88.00,`3.0,`16.53\n", "", "control totals at the end are missing"),
        ("资金流水总笔数,", "流水,", "control totals at the end are missing"),
        ("记账时间,", "时间,", "expected the columns"),
        ("`SHOP-7\n", "`SHOP-7\n`2026-11-01 10:00:00,`x\n", "资金流水总笔数|笔数"),
    ],
)
def test_a_document_that_does_not_add_up_is_none(old: str, new: str, message: str) -> None:
    with pytest.raises(WireError, match=message):
        codec.extract_rows(DOCUMENT.replace(old.encode(), new.encode(), 1))


@pytest.mark.parametrize("document", [b"", b"<html>", b"\xff", gzip.compress(DOCUMENT)[:-9], b"\x1f\x8bjunk"])
def test_what_is_not_a_document(document: bytes) -> None:
    with pytest.raises(WireError):
        codec.extract_rows(document)


def test_a_saved_error_is_one() -> None:
    with pytest.raises(Refused, match="INVALID_REQUEST"):
        codec.extract_rows(b'{"code":"INVALID_REQUEST","message":"x"}')
    with pytest.raises(Unavailable):
        codec.extract_rows(b'{"code":"STATEMENT_CREATING","message":"x"}')


def test_texts_with_commas_quotes_and_line_ends_survive_a_document() -> None:
    flow = Flow(
        identity="x",
        at=datetime(2026, 11, 1, 1, 15, 2, 999, tzinfo=UTC),
        amount=Decimal("-1234.5"),
        currency="CNY",
        direction=Direction.OUT,
        kind=Kind.WITHDRAWAL,
        category=Category.CASH,
        note=' a,"b"\r\n`c\x01d ',
    )
    line = codec.write(flow)
    document = write_document([dict(Cells.decode(line)._values)])
    assert codec.extract_rows(document) == [line]
    again = codec.read(line).flow
    assert again.note == 'a,"b"\\r\\n`c d'
    assert (again.amount, again.at) == (Decimal("-1234.50"), flow.at.replace(microsecond=0))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "HKD"}, "currency"),
        ({"amount": Decimal("0.001")}, "amount"),
        ({"balance_after": Decimal("0.001")}, "balance_after"),
        ({"at": datetime(1991, 9, 14, 16, 30, tzinfo=UTC)}, "at"),
        ({"at": datetime(9999, 12, 31, 20, tzinfo=UTC)}, "at"),
        ({"amount": Decimal(10**99)}, "amount"),
    ],
)
def test_what_cannot_be_represented(changes: dict[str, object], field: str) -> None:
    flow = Flow("x", datetime(2026, 11, 1, tzinfo=UTC), Decimal("1.00"), "CNY")._replace(**changes)  # type: ignore[arg-type] # names of fields
    with pytest.raises(NotRepresentable) as refusal:
        codec.write(flow)
    assert refusal.value.field == field


def test_a_balance_of_another_subaccount_is_none_of_this_account() -> None:
    flow = Flow("x", datetime(2026, 11, 1, tzinfo=UTC), Decimal(1), "CNY", balance_after=Decimal(5))
    assert codec.read(codec.write(flow)).flow.balance_after == 5
    assert codec.read(codec.write(flow._replace(subaccount="1900000109"))).flow.balance_after is None
