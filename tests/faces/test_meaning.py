"""Income and expense by meaning, and fees, are the same in every face. Own transfers and trades are separate."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from liushui.flow import Flow, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.fees import read_fees
from liushui.ledger.read.summaries import SummaryQuery, Unit
from liushui.ledger.write.commit import make_account
from liushui.meaning import MEANINGS, SECTIONS, Meaning, Section
from liushui.provider import DecodedRow, Slice
from liushui.providers import load_providers
from liushui.testing.clock import NOON
from tests.cli.commands import run
from tests.faces.faces import Faces, _amount, open_faces
from tests.ledger.ledgers import commit_read, new_ledger
from tests.ledger.reading import model_of
from tests.web.ledgers import BEGIN, CREDENTIALS, TRANSFER, row
from tests.web.test_overview import text_of

HOUR = timedelta(hours=1)
SINCE = BEGIN - timedelta(days=60)
DAYS = ("--since", "2025-10-01", "--until", "2025-12-01")
SPAN = {"first_day": "2025-10-01", "last_day": "2025-11-30"}
PAGE = "currency=USD&since=2025-10-01&until=2025-12-01"


def sale(identity: str, hours: int, amount: str, fee: object, kind: Kind = Kind.RECEIPT) -> DecodedRow:
    """A row of the shop that states a fee within its amount."""
    flow = Flow(identity, BEGIN + hours * HOUR, Decimal(amount), "USD", kind=kind, detail={"stripe:fee": fee})
    return DecodedRow(flow, f'{{"id":"{identity}"}}'.encode(), None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    """A broker's account and a shop, with a transfer between two accounts of the broker."""
    ledger = new_ledger(tmp_path_factory.mktemp("meaning"), "a", "b", zone="UTC")
    make_account(ledger, "shop", "stripe", "UTC")
    traded = [
        row("a1", HOUR, "1000.00", kind=Kind.DEPOSIT),
        row("a2", 2 * HOUR, "-250.125"),
        row("a3", 30 * HOUR, "-100.0", kind=Kind.WITHDRAWAL, order_ref=TRANSFER),
        row("a4", 31 * HOUR, "5.01", kind=Kind.DIVIDEND),
        row("a5", 32 * HOUR, "-0.51", kind=Kind.TAX),
        row("a6", 33 * HOUR, "-1.25", kind=Kind.FEE),
        row("a7", 34 * HOUR, "0.25", kind=Kind.FEE),
        row("a8", 35 * HOUR, "7", currency="HKD", kind=Kind.INTEREST),
    ]
    sales = [
        sale("s1", 3, "97.10", "-2.90"),
        sale("s2", 4, "48.5500", "-1.4500"),
        sale("s3", 5, "-96.00", "1.10", Kind.REFUND),
        sale("s4", 6, "10.00", "0"),
        sale("s5", 7, "-3.00", "-3.00", Kind.FEE),  # states its own amount as a fee: it must not count twice
    ]
    commit_read(ledger, Slice(SINCE, NOON), *traded, account="a", read_at=NOON)
    commit_read(
        ledger,
        Slice(SINCE, NOON),
        row("b1", 30 * HOUR, "100.00", kind=Kind.DEPOSIT, order_ref=TRANSFER),
        account="b",
        read_at=NOON,
    )
    commit_read(ledger, Slice(SINCE, NOON), *sales, account="shop", read_at=NOON)
    for account in ("a", "b", "shop"):
        add_source(ledger, account=account, base_url="http://x", credentials=CREDENTIALS, since=SINCE, paced=True)
    with open_faces(ledger) as faces:
        yield faces
    ledger.close()


EXPECTED = {
    "sales": ("155.65", "0"),
    "refunds": ("0", "-96.00"),
    "fees": ("0.25", "-4.25"),
    "dividends": ("5.01", "0"),
    "tax": ("0", "-0.51"),
    "outside": ("1000.00", "0"),
    "trades": ("0", "-250.125"),
    "own_transfers": ("100.00", "-100.0"),
}
"""What came in and went out in USD, all accounts together."""


def test_every_kind_has_a_meaning_and_every_meaning_a_section() -> None:
    assert set(MEANINGS) == set(Kind)
    assert set(SECTIONS) == set(Meaning)
    assert {SECTIONS[meaning] for meaning in Meaning} == set(Section)


def test_all_faces_give_the_same_income_and_expense(shop: Faces) -> None:
    expected = {name: tuple(map(Decimal, sides)) for name, sides in EXPECTED.items()}
    api = shop.caller.get("/summary", period="all", by="meaning", currency="usd", **SPAN)
    assert {row["meaning"]: (Decimal(row["money_in"]), Decimal(row["money_out"])) for row in api["rows"]} == expected
    assert [row["meaning"] for row in api["rows"]] == [one.value for one in Meaning if one in expected]
    _, rows = shop.run("summary", "--by", "meaning", *DAYS, "--currency", "USD")
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for one in rows:
        money_in, money_out = sums.get(one["meaning"], (Decimal(0), Decimal(0)))
        sums[one["meaning"]] = money_in + Decimal(one["money_in"]), money_out + Decimal(one["money_out"])
        assert one["section"] == SECTIONS[Meaning(one["meaning"])]
    assert sums == expected
    page = shop.visitor.get(f"/?{PAGE}").text
    table = page[page.index('id="meanings-title"') : page.index('class="fees"')]
    found = re.findall(
        r'<th scope="row">(?:<a [^>]*>)?([^<]+?)(?:</a>)?</th>\s*<td class="figure"[^>]*>(.*?)</td>\s*'
        r'<td class="figure"[^>]*>(.*?)</td>',
        table,
        re.DOTALL,
    )
    names = ["Sales", "Refunds", "Fees", "Dividends", "Taxes", "Deposits and withdrawals", "Trades"]
    assert [name for name, *_ in found] == [*names, "Transfers between your own accounts"]
    assert [(_amount(money_in), _amount(money_out)) for _, money_in, money_out in found] == list(expected.values())


def test_all_faces_give_the_same_fees(shop: Faces) -> None:
    expected = {"a": ("-1.00", "0"), "shop": ("-3.00", "-3.2500")}
    code, rows = shop.run("summary", "--by", "fee", *DAYS, "--currency", "USD")
    answer = shop.caller.get("/fees", currency="USD", **SPAN)
    assert (code, answer["complete"]) == (0, True)
    for given in (rows, answer["rows"]):
        sums = {
            one["account"]: (
                Decimal(one["flows_in"]) + Decimal(one["flows_out"]),
                Decimal(one["within_in"]) + Decimal(one["within_out"]),
            )
            for one in given
        }
        assert sums == {name: tuple(map(Decimal, fees)) for name, fees in expected.items()}
        (of_shop,) = [one for one in given if one["account"] == "shop"]
        assert (of_shop["flows"], of_shop["rows_with_fee"], of_shop["net"]) == (1, 3, "-6.2500")
        assert of_shop["within_out"] == "-4.3500", "every digit"
    page = text_of(shop.visitor.get(f"/page/overview/fees?{PAGE}").text)
    assert re.search(r"shop −3.00( 00)? −3.25( 00)? −6.25( 00)? Complete", page), page
    assert re.search(r"a −1.00( 00)? – −1.00( 00)? Complete", page), page


def test_fees_are_told_by_period_and_follow_each_commit(shop: Faces, tmp_path: Path) -> None:
    _, rows = shop.run("summary", "shop", "--by", "fee", "--by", "day")
    assert [(one["period"], one["within_out"]) for one in rows] == [("2025-10-31", "-4.3500")]
    ledger = new_ledger(tmp_path, "a", zone="UTC")
    make_account(ledger, "shop", "stripe", "UTC")
    model, query = model_of(ledger), SummaryQuery(("shop",), Unit.MONTH)
    commit_read(ledger, Slice(BEGIN, BEGIN + HOUR), sale("s1", 0, "9.00", "-1.00"), account="shop", read_at=NOON)
    assert [row.total.net for row in read_fees(model, query).rows] == [Decimal("-1.00")]
    late = Slice(BEGIN + 900 * HOUR, BEGIN + 901 * HOUR)
    commit_read(ledger, late, sale("s2", 900, "9.00", "-0.50"), account="shop", read_at=NOON)
    assert [row.total.net for row in read_fees(model, query).rows] == [Decimal("-1.00"), Decimal("-0.50")]
    later = NOON + timedelta(days=1)
    commit_read(ledger, Slice(BEGIN, BEGIN + HOUR), sale("s1", 0, "9.00", "-2.00"), account="shop", read_at=later)
    assert [row.total.net for row in read_fees(model, query).rows] == [Decimal("-2.00"), Decimal("-0.50")]
    commit_read(ledger, Slice(BEGIN, BEGIN + HOUR), account="shop", read_at=later + HOUR)
    assert [row.total.net for row in read_fees(model, query).rows] == [Decimal("-0.50")]
    ledger.close()


def test_a_fee_that_is_not_a_number_makes_the_sum_incomplete(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, "a", zone="UTC")
    make_account(ledger, "shop", "stripe", "UTC")
    add_source(ledger, account="shop", base_url="http://x", credentials=CREDENTIALS, since=BEGIN, paced=True)
    commit_read(ledger, Slice(BEGIN, NOON), sale("s1", 1, "9.00", "n/a"), account="shop", read_at=NOON)
    with open_faces(ledger) as faces:
        code, (one,) = faces.run("summary", "shop", "--by", "fee")
        answer = faces.caller.get("/fees", account="shop")
        assert (code, one["complete"], answer["complete"]) == (3, False, False)
        assert one["reason"] == answer["rows"][0]["reason"] == "1 row states a fee that is not a number"
        assert "1 row states a fee that is not a number." in text_of(
            faces.visitor.get("/page/overview/fees?currency=USD").text
        )
    ledger.close()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--by", "month", "--by", "year"), "by: expected one period, got month and year"),
        (("--by", "meaning", "--by", "fee"), "by: expected meaning or fee, got both"),
        (("--by", "fee", "--kind", "fee"), "kind: expected without --by fee, got --kind fee"),
        (("--by", "fee", "--as-of", "2025-12-01"), "as-of: expected without --by fee, got --as-of 2025-12-01"),
    ],
    ids=["periods", "both", "kind", "as-of"],
)
def test_what_cannot_be_asked_together_is_refused(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    new_ledger(tmp_path, "a").close()
    done = run(tmp_path / "ledger.db", "summary", *words)
    assert done.returncode == 2
    assert text in done.stderr


def test_fee_legs_are_of_details_that_the_provider_writes() -> None:
    for provider in load_providers().values():
        for leg in provider.rules.fee_legs:
            assert leg.key.startswith(f"{provider.name}:")


def test_a_ledger_without_flows_has_no_fees(tmp_path: Path) -> None:
    ledger: Ledger = new_ledger(tmp_path, "a")
    assert read_fees(model_of(ledger), SummaryQuery()).rows == []
    ledger.close()
