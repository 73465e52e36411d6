"""Rows in undocumented spellings, and answers with rows that are not JSON, of every provider."""

import json
import re
from decimal import Decimal

import pytest

from liushui.errors import WireError
from liushui.provider import UNSERVABLE, DocumentCodec, Provider
from liushui.providers import load_providers
from liushui.simulate.faults.json_rewriting import fields_of, with_field
from liushui.testing.conformance.sample_rows import golden_rows

PROVIDERS = [pytest.param(provider, id=name) for name, provider in load_providers().items()]
LISTS = [
    pytest.param(provider, id=name)
    for name, provider in load_providers().items()
    if not isinstance(provider.codec, DocumentCodec)
]
"""The providers whose rows come in lists, in JSON."""
BROKEN = (
    *(rb'{"x":"\ud83d"}', b'{"x":NaN}', b'{"x":-Infinity}', b'{"x":1.}', b'{"x":01}', b'{"x":+1}', b'{"x":0x10}'),
    *(b'{"x":"a\x01b"}', rb'{"x":"\x41"}', b"{'x':1}", b'{"x":1,}', b'{"x"}', b'{"x":]}', b'{"x":"\xff"}', b"nul"),
    b'{"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
)
"""Pieces of an answer that no JSON parser reads, or that are no row."""
ANSWERS = {
    "longbridge": b'{"code":0,"message":"success","data":{"list":[%b]}}',
    "longbridge_legacy": b'{"code":0,"msg":"","data":{"list":[%b]}}',
    "hkus": b'{"code":0,"data":{"total_records":3,"page":1,"page_size":20,"transactions":[%b]}}',
    "stripe": b'{"object":"list","has_more":false,"data":[%b]}',
    "alipay": b'{"alipay_data_bill_accountlog_query_response":{"code":"10000","msg":"]","detail_list":[%b]}}',
    "wecom": b'{"errcode":0,"errmsg":"ok","next_cursor":"[","fund_flow_list":[%b]}',
    "binance_usdm": b"[%b]",
    "bybit": b'{"retCode":0,"retMsg":"OK","result":{"nextPageCursor":"]","list":[%b]},"retExtInfo":{},"time":1}',
    "okx": b'{"code":"0","msg":"","data":[%b]}',
    "wooxpro": b'{"code":1000,"message":"Ok","data":[%b],"trace":"x"}',
}


def documented(row: bytes) -> dict[str, object]:
    """The fields of a row. A number and its text are different here too."""
    fields: dict[str, object] = json.loads(row, parse_float=Decimal, parse_int=Decimal)
    return fields


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_whole_number_is_read_from_text_and_a_text_from_a_whole_number(provider: Provider) -> None:
    """What is served is in the documented form."""
    respelled = 0
    for golden in golden_rows(provider):
        row = golden.served or golden.row
        for name, value in fields_of(row).items():
            if re.fullmatch(rb"0|[1-9][0-9]*", value):
                other = b'"%b"' % value
            elif re.fullmatch(rb'"[1-9][0-9]*"', value):
                other = value.strip(b'"')
            else:
                continue
            read = provider.codec.read(with_field(row, name, other))
            assert read.flow == provider.codec.read(row).flow
            if read.served == UNSERVABLE:
                continue
            served = documented(read.served or read.row)
            assert served == {name: documented(row)[name] for name in served}
            respelled += 1
    assert respelled > 0


@pytest.mark.parametrize("broken", BROKEN, ids=lambda row: row[:20].decode(errors="replace"))
@pytest.mark.parametrize("provider", LISTS)
def test_a_row_that_is_not_json_hides_no_other(provider: Provider, broken: bytes) -> None:
    first, *_, last = golden_rows(provider)
    rows = [first.row, broken, last.row]
    answer = ANSWERS[provider.name] % b" ,\n".join(rows)
    assert list(provider.codec.extract_rows(answer)) == rows
    with pytest.raises(WireError):
        provider.codec.read(broken)


@pytest.mark.parametrize("provider", LISTS)
def test_a_list_that_was_cut_off_is_not_an_answer(provider: Provider) -> None:
    answer = ANSWERS[provider.name] % b",".join([golden_rows(provider)[0].row, b'{"x":NaN}'])
    for end in range(len(answer)):
        with pytest.raises(WireError):
            provider.codec.extract_rows(answer[:end])
