"""Links within an account: by the numbers that rows share, and otherwise by their time."""

from datetime import timedelta
from decimal import Decimal

import pytest

from liushui.flow import Fx, Kind
from liushui.reconcile.links import Basis, Decided, Link, LinkFlow, LinkKind, LinkState
from liushui.reconcile.within_account import match_within
from liushui.rules import LINK_RULES, LinkRules

SECOND_US = 1_000_000
TIMED = LinkRules(fee_window=timedelta(seconds=3), tax_window=timedelta(seconds=5))
CERTAIN, CANDIDATE = LinkState.CERTAIN, LinkState.CANDIDATE


def flow(id_: str, second: int, amount: str, kind: Kind, **fields: object) -> LinkFlow:
    """A flow of an account."""
    basic = LinkFlow("a", second * SECOND_US, id_, "", Decimal(amount), "USD", kind.value)
    return basic._replace(**fields)  # type: ignore[arg-type] # names of fields


def told(links: list[Link]) -> list[tuple[LinkKind, LinkState, Basis, str]]:
    """What matters of links, the ids of their flows as one text."""
    return [(link.kind, link.state, link.basis, " ".join(one.id for one in link.flows)) for link in links]


RECEIPT = flow("receipt", 0, "100", Kind.RECEIPT, ref="r1", order_ref="o1")


def test_a_fee_has_the_record_of_its_receipt_and_a_refund_its_order() -> None:
    fee = flow("fee", 0, "-0.60", Kind.FEE, ref="r1", order_ref="o1")
    part = flow("part", 7_000, "-30", Kind.REFUND, ref="r2", order_ref="o1")
    rest = flow("rest", 90_000, "-70", Kind.REFUND, ref="r3", order_ref="o1")
    assert told(match_within([rest, part, fee, RECEIPT], LINK_RULES)) == [
        (LinkKind.FEE, CERTAIN, Basis.RECORD, "fee receipt"),
        (LinkKind.REFUND, CERTAIN, Basis.ORDER, "part receipt"),
        (LinkKind.REFUND, CERTAIN, Basis.ORDER, "rest receipt"),
    ]


def test_a_refund_of_an_order_with_two_receipts_is_not_decided() -> None:
    second = flow("second", 50, "40", Kind.RECEIPT, ref="r4", order_ref="o1")
    refund = flow("refund", 60, "-40", Kind.REFUND, ref="r5", order_ref="o1")
    assert told(match_within([RECEIPT, second, refund], LINK_RULES)) == [
        (LinkKind.REFUND, CANDIDATE, Basis.ORDER, "refund receipt"),
        (LinkKind.REFUND, CANDIDATE, Basis.ORDER, "refund second"),
    ]
    rejected = Decided(rejected=frozenset({(refund.key, RECEIPT.key)}))
    assert told(match_within([RECEIPT, second, refund], LINK_RULES, rejected)) == [
        (LinkKind.REFUND, CERTAIN, Basis.ORDER, "refund second")
    ]


def test_refunds_of_more_than_their_receipt_are_not_decided() -> None:
    first = flow("first", 60, "-60", Kind.REFUND, order_ref="o1")
    second = flow("second", 70, "-60", Kind.REFUND, order_ref="o1")
    assert told(match_within([RECEIPT, first, second], LINK_RULES)) == [
        (LinkKind.REFUND, CANDIDATE, Basis.ORDER, "first receipt"),
        (LinkKind.REFUND, CANDIDATE, Basis.ORDER, "second receipt"),
    ]
    keys = (first.key, RECEIPT.key)
    confirmed = Decided(confirmed=frozenset({keys}), taken=frozenset({(LinkKind.REFUND, first.key)}))
    assert told(match_within([RECEIPT, first, second], LINK_RULES, confirmed)) == [
        (LinkKind.REFUND, CANDIDATE, Basis.ORDER, "second receipt")
    ]
    rejected = Decided(rejected=frozenset({keys}))
    assert told(match_within([RECEIPT, first, second], LINK_RULES, rejected)) == [
        (LinkKind.REFUND, CERTAIN, Basis.ORDER, "second receipt")
    ]


def test_a_receipt_that_came_after_the_refund_is_not_refunded_by_it() -> None:
    assert match_within([flow("early", -1, "-40", Kind.REFUND, order_ref="o1"), RECEIPT], LINK_RULES) == []


@pytest.mark.parametrize(
    "other",
    [
        {"subaccount": "margin"},
        {"currency": "HKD"},
        {"ref": "", "order_ref": ""},
        {"at_us": 61 * SECOND_US, "order_ref": "o2"},
    ],
    ids=["another wallet", "another currency", "no number", "the number is used again later"],
)
def test_numbers_tie_only_what_is_of_one_wallet_and_time(other: dict[str, object]) -> None:
    fee = flow("fee", 0, "-0.60", Kind.FEE, ref="r1", order_ref="o1")._replace(**other)  # type: ignore[arg-type]
    assert match_within([RECEIPT, fee], LINK_RULES) == []


def test_the_charges_of_a_closed_position_have_its_record() -> None:
    result = flow("pnl", 5, "-12", Kind.REALIZED_PNL, ref="9", symbol="BTCUSDT")
    charges = [flow("fee", 5, "-1", Kind.FEE, ref="9", symbol="BTCUSDT")]
    charges.append(flow("clearance", 5, "-2", Kind.LIQUIDATION, ref="9", symbol="BTCUSDT"))
    other = flow("other", 5, "-1", Kind.FEE, ref="9", symbol="ETHUSDT")
    assert told(match_within([result, *charges, other], LINK_RULES)) == [
        (LinkKind.FEE, CERTAIN, Basis.RECORD, "clearance pnl"),
        (LinkKind.FEE, CERTAIN, Basis.RECORD, "fee pnl"),
    ]


def test_the_fills_of_an_order_are_one_link() -> None:
    fills = [flow(f"fill{number}", number * 1_000_000, "-10", Kind.TRADE, order_ref="o9") for number in range(3)]
    alone = flow("alone", 3, "-10", Kind.TRADE, order_ref="o8")
    links = match_within([*fills, alone], LINK_RULES)
    assert told(links) == [(LinkKind.ORDER, CERTAIN, Basis.ORDER, "fill0 fill1 fill2")]
    assert match_within(fills, LINK_RULES, Decided(frozenset({links[0].keys}))) == [], "rejected"


TRADE = flow("trade", 100, "-1000", Kind.TRADE, symbol="AAPL.US")


@pytest.mark.parametrize(
    ("second", "symbol", "linked"),
    [
        (100, "AAPL.US", True),
        (103, "AAPL.US", True),
        (103, "", True),
        (104, "AAPL.US", False),
        (99, "AAPL.US", False),
        (101, "IBM.US", False),
    ],
)
def test_a_fee_without_a_number_is_of_the_trade_just_before_it(second: int, symbol: str, linked: bool) -> None:
    fee = flow("a fee", second, "-1", Kind.FEE, symbol=symbol)
    links = match_within([TRADE, fee], TIMED)
    assert told(links) == ([(LinkKind.FEE, CERTAIN, Basis.TIME, "a fee trade")] if linked else [])
    assert match_within([TRADE, fee], LINK_RULES) == [], "a provider without such a rule"


def test_fees_of_two_trades_in_a_row_are_not_decided() -> None:
    again = flow("again", 102, "-1000", Kind.TRADE, symbol="AAPL.US")
    fees = [flow("f1", 102, "-1", Kind.FEE, symbol="AAPL.US"), flow("f2", 105, "-1", Kind.FEE, symbol="AAPL.US")]
    links = match_within([TRADE, again, *fees], TIMED)
    assert {link.state for link in links} == {CANDIDATE}
    assert [link.flows[1].id for link in links if link.suggested] == ["trade", "again"], "one fee each"


def test_fees_of_different_names_do_not_compete() -> None:
    names = ("Commission", "Stamp duty")
    fees = [flow(name, 101, "-1", Kind.FEE, symbol="AAPL.US", label=name) for name in names]
    assert [link.state for link in match_within([TRADE, *fees], TIMED)] == [CERTAIN, CERTAIN]
    twins = [flow(name, 101, "-1", Kind.FEE, symbol="AAPL.US", label="Commission") for name in "ab"]
    assert {link.state for link in match_within([TRADE, *twins], TIMED)} == {CANDIDATE}, "one may be of a missing trade"


def test_a_tax_is_of_the_dividend_just_before_it() -> None:
    paid = flow("paid", 10, "100", Kind.DIVIDEND, symbol="AAPL.US")
    tax = flow("tax", 15, "-30", Kind.TAX, symbol="AAPL.US")
    assert told(match_within([tax, paid], TIMED)) == [(LinkKind.TAX, CERTAIN, Basis.TIME, "tax paid")]


def test_the_legs_of_a_conversion_state_each_other() -> None:
    sold = flow("sold", 9, "-100", Kind.CONVERSION, fx=Fx("HKD", Decimal(780), Decimal("7.8")))
    got = flow("got", 12, "780", Kind.CONVERSION, currency="HKD", fx=Fx("USD", Decimal(100), Decimal("7.8")))
    assert told(match_within([sold, got], LINK_RULES)) == [(LinkKind.CONVERSION, CERTAIN, Basis.RATE, "sold got")]
    other = got._replace(amount=Decimal(781))
    assert match_within([sold, other], LINK_RULES) == []


def test_legs_that_state_nothing_are_of_one_instant_and_one_note() -> None:
    sold = flow("sold", 9, "-100", Kind.CONVERSION, note="USD→HKD")
    got = flow("got", 9, "780", Kind.CONVERSION, currency="HKD", note="USD→HKD")
    assert told(match_within([got, sold], LINK_RULES)) == [(LinkKind.CONVERSION, CERTAIN, Basis.TIME, "sold got")]
    assert match_within([got._replace(at_us=10 * SECOND_US), sold], LINK_RULES) == []
    twice = [sold, got, sold._replace(id="sold2"), got._replace(id="got2")]
    assert {link.state for link in match_within(twice, LINK_RULES)} == {CANDIDATE}
