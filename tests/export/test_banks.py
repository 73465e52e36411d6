"""OFX and CAMT.053: the results of other programs and of the schema, and the values that the formats cannot hold."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liushui.errors import ConfigError
from liushui.export import camt053, ofx
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import served_identity
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.money import exact_sum
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.cli.commands import run
from tests.export.books import BEGIN, BROKER, SHOP, books, flow_row, model_of
from tests.export.test_tables import run_program
from tests.ledger.ledgers import commit_read, import_page

FORMS = ("ofx", "camt053")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


def written(ledger: Ledger, form: str, **fields: Any) -> str:  # noqa: ANN401 - of a filter
    query = ExportQuery(FlowFilter(**fields))
    return b"".join(export_parts(model_of(ledger), FORMATS[form], query, ExportOptions())).decode()


def test_ofxtools_ofxparse_and_the_schema_agree_with_us(ledger: Ledger, tmp_path: Path) -> None:
    hkd = [
        flow_row(40, "700.10", "HKD", kind=Kind.INTEREST, subaccount="futures & more"),
        flow_row(41, "-0.05", "HKD", kind=Kind.FEE, subaccount="futures & more"),
    ]
    later = Slice(hkd[0].flow.at, hkd[1].flow.at.replace(hour=23))
    commit_read(ledger, later, *hkd, account=BROKER, read_at=NOON)
    paths = [str(tmp_path / f"flows.{form}") for form in FORMS]
    texts = []
    for form, path in zip(FORMS, paths, strict=True):
        parts = [written(ledger, form, accounts=(BROKER,), currency=currency) for currency in ("USD", "HKD")]
        texts.append(parts)
        Path(path).write_text(parts[0], encoding="utf-8")
    found = run_program("read_banks.py", "banks.txt", *paths)
    usd = list(list_flows(ledger, FlowFilter(accounts=(BROKER,), currency="USD")))
    moved = exact_sum(one.flow.amount for one in usd)
    expected = {
        "account": BROKER,
        "currency": "USD",
        "closing": "290.600",
        "ids": [served_identity(BROKER, one.id) for one in usd],
    }
    (by_ofxtools,), (by_ofxparse,), (by_schema,) = found["ofxtools"], found["ofxparse"], found["camt053"]["statements"]
    assert found["camt053"]["valid"], found["camt053"]["errors"]
    for one in (by_ofxtools, by_ofxparse, by_schema):
        assert {name: one[name] for name in expected} == expected
        assert Decimal(one["sum"]) == moved
    assert by_ofxtools["times"][0] == "2025-10-03T02:00:00+00:00"
    assert by_ofxtools["names"][0] == 'plain · =HYPERLINK("http://x")'
    assert by_schema["adds_up"]
    assert by_schema["coverage"].startswith("complete")
    assert len(set(expected["ids"])) == len(expected["ids"])
    assert "<ACCTID>broker/futures &amp; more<" in texts[0][1]
    assert "<Nm>broker/futures &amp; more</Nm>" in texts[1][1]


def test_statements_of_several_accounts_and_a_stated_opening(ledger: Ledger, tmp_path: Path) -> None:
    blank = [
        flow_row(100, "-1.00", "CNY", ref="\u3000"),
        flow_row(101, "-2.00", "CNY", ref="\ufffe", label="\ufffe", note="\x85"),
    ]
    commit_read(ledger, Slice(BEGIN.replace(day=20), NOON), *blank, account=BROKER, read_at=NOON)
    paths = [str(tmp_path / f"flows.{form}") for form in FORMS]
    for form, path in zip(FORMS, paths, strict=True):
        done = run(tmp_path / "ledger.db", "export", form, "--currency", "cny", "--output", path)
        assert done.returncode == 0, done.stderr
    found = run_program("read_banks.py", "banks.txt", *paths)
    assert found["camt053"]["valid"], found["camt053"]["errors"]
    for statements in (found["ofxtools"], found["ofxparse"], found["camt053"]["statements"]):
        assert [(one["account"], Decimal(one["sum"]), Decimal(one["closing"])) for one in statements] == [
            (BROKER, Decimal("-3.00"), Decimal("-3.00")),
            (SHOP, Decimal(80), Decimal(1080)),
        ]
    (_, shop) = found["camt053"]["statements"]
    assert shop["coverage"].startswith("unknown: flows may be missing; no source to check it against")


def test_a_range_begins_with_the_balance_before_it(ledger: Ledger) -> None:
    november = date(2025, 11, 1)
    commit_read(
        ledger, Slice(BEGIN.replace(month=11), NOON), flow_row(130, "1.00", "USD"), account=BROKER, read_at=NOON
    )
    text = written(ledger, "camt053", accounts=(BROKER,), currency="USD", since=november, until=date(2025, 12, 1))
    assert '<Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">290.600</Amt>' in text
    assert '<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">291.600</Amt>' in text
    assert "<FrDtTm>2025-11-01T00:00:00+08:00</FrDtTm><ToDtTm>2025-12-01T00:00:00+08:00</ToDtTm>" in text
    assert "<Dt><Dt>2025-11-01</Dt></Dt>" in text
    assert "<Dt><Dt>2025-11-30</Dt></Dt>" in text
    file = written(ledger, "ofx", accounts=(BROKER,), currency="USD", since=november, until=date(2025, 12, 1))
    assert "<DTSTART>20251101000000[8]<DTEND>20251201000000[8]\n" in file
    assert "<LEDGERBAL><BALAMT>291.600<DTASOF>20251201000000[8]</LEDGERBAL>" in file
    assert "<SEVERITY>INFO<MESSAGE>complete: every flow" in file


REFUSED = [
    (
        "ofx",
        {},
        "currency: expected currencies of ISO 4217, which the format can name, got broker 700.HK; broker USDT; ",
    ),
    ("camt053", {}, "currency: expected currencies of three capitals, which the format can name, got broker 700.HK; "),
    (
        "ofx",
        {"currency": "BTC"},
        "currency: expected currencies of ISO 4217, which the format can name, got broker futures",
    ),
    ("camt053", {"currency": "BTC"}, "amount: expected at most 18 digits, and 5 of them after the point, got more in"),
    ("ofx", {"currency": "EUR"}, "account: expected an account with flows or a balance in this range, got none"),
]


@pytest.mark.parametrize(("form", "fields", "message"), REFUSED)
def test_what_a_bank_format_cannot_say_is_refused(
    ledger: Ledger, form: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        written(ledger, form, **fields)
    assert str(raised.value).startswith(message)


def test_an_unknown_balance_is_refused(ledger: Ledger) -> None:
    make_account(ledger, "stray", "wecom", "UTC")
    import_page(ledger, flow_row(1, "1.00", "CNY"), account="stray")
    with pytest.raises(ConfigError, match="balance: expected a known opening balance, got none of stray CNY"):
        written(ledger, "ofx", accounts=("stray",))


def test_amounts_and_texts_at_their_limits() -> None:
    fitting = {
        "123456789012345678": True,
        "1234567890123456789": False,
        "0.00001": True,
        "-0.000010": True,
        "0.000001": False,
    }
    assert {text: camt053.fits_camt(text) for text in fitting} == fitting
    assert camt053._unsigned("-0.000000") == "0.0"
    assert camt053._unsigned("1.230") == "1.230"
    assert [camt053._side(text) for text in ("-1", "-0.00", "0", "5")] == ["DBIT", "CRDT", "CRDT", "CRDT"]
    assert camt053._text("a\x00\ufffeb<&>\n", 140) == "a b&lt;&amp;&gt;"
    assert ofx._text("x" * 40, 32) == "x" * 31 + "…"
    assert ofx.LIMITS.names_currency("CNH")
    assert not ofx.LIMITS.names_currency("USDT")
