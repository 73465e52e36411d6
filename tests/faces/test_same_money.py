"""Money that two accounts show is counted once in their total, and every face says how much was left out."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from liushui.flow import Kind
from liushui.ledger.engines.base import queries_of
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.read.links import LinkReader
from liushui.ledger.read.open_items import find_linked
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from liushui.providers import load_providers
from liushui.reconcile.links import LinkKind
from liushui.testing.clock import NOON
from tests.faces.faces import Faces, _amount, open_faces
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.ledgers import BEGIN, CREDENTIALS, TRANSFER, row

HOUR = timedelta(hours=1)
SINCE = BEGIN - timedelta(days=60)
DAYS = ("--since", "2025-10-01", "--until", "2025-12-01")
SPAN = {"first_day": "2025-10-01", "last_day": "2025-11-30"}
PAGE = "currency=CNY&since=2025-10-01&until=2025-12-01"

MONEY = (("1", 3, "88.00", Kind.RECEIPT), ("1", 3, "-0.53", Kind.FEE), ("2", 5, "-40.10", Kind.REFUND))


def rows(prefix: str) -> list[DecodedRow]:
    """What moved in the shop's WeChat Pay account: the rows of either account."""
    moved = [
        row(f"{prefix}{number}", hours * HOUR, amount, currency="CNY", kind=kind)
        for number, (_, hours, amount, kind) in enumerate(MONEY)
    ]
    refs = [ref for ref, *_ in MONEY]
    paid = row(f"{prefix}9", 9 * HOUR, "-47.37", currency="CNY", kind=Kind.WITHDRAWAL, order_ref=TRANSFER)
    return [
        one._replace(flow=one.flow._replace(ref=ref)) for one, ref in zip([*moved, paid], [*refs, "9"], strict=True)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    """A shop's account at WeCom, the same in WeChat Pay's bill, and a bank account that gets what is paid out."""
    ledger = new_ledger(tmp_path_factory.mktemp("same-money"), "bank", zone="Asia/Shanghai")
    make_account(ledger, "wecom", "wecom", "Asia/Shanghai")
    make_account(ledger, "bill", "wechatpay", "Asia/Shanghai")
    # WeCom has a receipt more: it is older than what WeChat Pay keeps
    older = row("old", -HOUR, "12.00", currency="CNY", kind=Kind.RECEIPT)
    commit_read(ledger, Slice(SINCE, NOON), older, *rows("w"), account="wecom", read_at=NOON)
    commit_read(ledger, Slice(SINCE, NOON), *rows("b"), account="bill", read_at=NOON)
    arrived = row("t", 10 * HOUR, "47.37", currency="CNY", kind=Kind.DEPOSIT, order_ref=TRANSFER)
    commit_read(ledger, Slice(SINCE, NOON), arrived, account="bank", read_at=NOON)
    for account in ("wecom", "bill", "bank"):
        add_source(ledger, account=account, base_url="http://x", credentials=CREDENTIALS, since=SINCE, paced=True)
    with open_faces(ledger) as faces:
        yield faces
    ledger.close()


BY_MEANING = {
    "sales": ("100.00", "0"),
    "refunds": ("0", "-40.10"),
    "fees": ("0", "-0.53"),
    "own_transfers": ("47.37", "-47.37"),
    "seen_twice": ("88.00", "-88.00"),
}
"""All accounts together. What left WeCom is not an own transfer too: it is the bill's withdrawal, seen again."""


def test_all_faces_count_the_money_once(shop: Faces) -> None:
    expected = {name: tuple(map(Decimal, sides)) for name, sides in BY_MEANING.items()}
    api = shop.caller.get("/summary", period="all", by="meaning", **SPAN)
    assert {row["meaning"]: (Decimal(row["money_in"]), Decimal(row["money_out"])) for row in api["rows"]} == expected
    _, printed = shop.run("summary", "--by", "all", "--by", "meaning", *DAYS)
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for one in printed:
        money_in, money_out = sums.get(one["meaning"], (Decimal(0), Decimal(0)))
        sums[one["meaning"]] = money_in + Decimal(one["money_in"]), money_out + Decimal(one["money_out"])
    assert sums == expected
    page = shop.visitor.get(f"/?{PAGE}").text
    table = page[page.index('id="meanings-title"') : page.index('class="fees"')]
    found = re.findall(
        r'<th scope="row">(?:<a [^>]*>)?([^<]+?)(?:</a>)?</th>\s*<td class="figure"[^>]*>(.*?)</td>\s*'
        r'<td class="figure"[^>]*>(.*?)</td>',
        table,
        re.DOTALL,
    )
    assert {name: (_amount(money_in), _amount(money_out)) for name, money_in, money_out in found} == {
        "Sales": expected["sales"],
        "Refunds": expected["refunds"],
        "Fees": expected["fees"],
        "Transfers between your own accounts": expected["own_transfers"],
        "The same money in another account": expected["seen_twice"],
    }


def test_all_faces_say_how_much_was_left_out(shop: Faces) -> None:
    (row,) = shop.caller.get("/summary", period="all", **SPAN)["rows"]
    total = [row[name] for name in ("flows", "money_in", "money_out", "own_in", "own_out")]
    assert total == [4, "100.00", "-40.63", "135.37", "-135.37"]
    page = shop.visitor.get(f"/?{PAGE}").text
    for why, amounts in (
        ("transfers between your own accounts", ("47.37", "-47.37")),
        ("the same money in another account", ("88.00", "-88.00")),
    ):
        left_out = page[page.index(f"Not counted: {why}") :].partition("</tr>")[0]
        figures = re.findall(r'<td class="figure"[^>]*>(.*?)</td>', left_out, re.DOTALL)
        assert tuple(map(_amount, figures[:2])) == tuple(map(Decimal, amounts))
    streams = shop.visitor.get(f"/page/overview/streams?{PAGE}").text
    assert "Not drawn: 4 flows whose money another of these accounts shows too" in streams


def test_one_account_alone_counts_what_it_shows(shop: Faces) -> None:
    for account, expected in (("wecom", ["5", "100.00", "-88.00"]), ("bill", ["4", "88.00", "-88.00"])):
        (row,) = shop.caller.get("/summary", period="all", account=account, **SPAN)["rows"]
        assert [str(row[name]) for name in ("flows", "money_in", "money_out")] == expected
        assert (row["own_in"], row["own_out"]) == ("0", "0")


def test_a_total_without_the_bill_has_its_transfers_at_wecom(shop: Faces) -> None:
    (row,) = shop.caller.get("/summary", period="all", account=["wecom", "bank"], **SPAN)["rows"]
    assert [row[name] for name in ("flows", "own_in", "own_out")] == [4, "47.37", "-47.37"]


def test_a_refund_that_is_seen_twice_is_outstanding_all_the_same(shop: Faces) -> None:
    with shop.ledger.reading() as connection:
        every = find_accounts(queries_of(connection))
        reader = LinkReader(connection, every, {name: one.rules for name, one in load_providers().items()})
        refunds = {
            link.flows[number].key: "refund"
            for link in reader.links(BEFORE_ALL_US, AFTER_ALL_US, kinds={LinkKind.SAME_MONEY})
            for number in (0, 1)
            if link.flows[number].kind == Kind.REFUND
        }
        assert {key.account for key in refunds} == {"wecom", "bill"}
        assert find_linked(reader, refunds).isdisjoint(refunds), "neither has its receipt"


def test_the_links_are_listed_and_shown(shop: Faces) -> None:
    _, printed = shop.run("link", "list", "--kind", "same_money")
    assert [(one["state"], one["basis"], one["account"], one["other_account"]) for one in printed] == [
        ("certain", "record", "wecom", "bill")
    ] * 4
    answer = shop.caller.get("/links", kind="same_money")
    assert [one["id"] for one in answer["links"]] == [one["link"] for one in printed]


def test_the_page_says_that_a_sum_of_balances_counts_the_money_twice(shop: Faces) -> None:
    page = shop.visitor.get(f"/?{PAGE}").text
    assert "may count money twice" in page
    assert "wecom may show the same money as another account of this list" in page
