"""The same money in two accounts: a flow and its view at another provider."""

from decimal import Decimal

import pytest

from liushui.instant import SECOND_US
from liushui.reconcile.links import NOTHING_DECIDED, Basis, Decided, LinkFlow, LinkKind, LinkState
from liushui.reconcile.same_money import match_same_money

CERTAIN, CANDIDATE = LinkState.CERTAIN, LinkState.CANDIDATE


def view(id_: str, amount: str = "88.00", *, at_s: int = 0, ref: str = "42", kind: str = "receipt") -> LinkFlow:
    """A flow at WeCom."""
    return LinkFlow("wecom", at_s * SECOND_US, id_, "1600000001", Decimal(amount), "CNY", kind, ref=ref)


def bill(id_: str, amount: str = "88.00", *, at_s: int = 0, ref: str = "42", kind: str = "receipt") -> LinkFlow:
    """A flow of WeChat Pay's bill."""
    return LinkFlow("wechatpay", at_s * SECOND_US, id_, "", Decimal(amount), "CNY", kind, ref=ref)


def matched(
    views: list[LinkFlow], originals: list[LinkFlow], decided: Decided = NOTHING_DECIDED
) -> set[tuple[str, str, LinkState]]:
    """The ids of linked flows, and the states of their links."""
    links = match_same_money(reversed(views), reversed(originals), decided)
    assert {(link.kind, link.basis) for link in links} <= {(LinkKind.SAME_MONEY, Basis.RECORD)}
    assert [link.order for link in links] == sorted(link.order for link in links)
    return {(link.flows[0].id, link.flows[1].id, link.state) for link in links}


def test_a_receipt_its_fee_and_its_refund_are_each_the_same_money() -> None:
    views = [
        view("v1"),
        view("v2", "-0.53", kind="fee"),
        view("v3", "-88.00", at_s=50, ref="43", kind="refund"),
        view("v4", "88.00", at_s=55, ref="43", kind="refund"),
    ]
    bills = [
        bill("b1", at_s=2),
        bill("b2", "-0.53", at_s=2, kind="fee"),
        bill("b3", "-88.00", at_s=51, ref="43", kind="refund"),
        bill("b4", "88.00", at_s=55, ref="43", kind="refund"),
    ]
    assert matched(views, bills) == {(f"v{number}", f"b{number}", CERTAIN) for number in range(1, 5)}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(bill("b", at_s=61), id="later"),
        pytest.param(bill("b", at_s=-61), id="earlier"),
        pytest.param(bill("b", ref="43"), id="number"),
        pytest.param(bill("b", "88.01"), id="amount"),
        pytest.param(bill("b", "-88.00"), id="side"),
        pytest.param(bill("b", kind="rebate"), id="kind"),
        pytest.param(bill("b")._replace(currency="HKD"), id="currency"),
        pytest.param(view("b"), id="account"),
    ],
)
def test_flows_that_differ_are_not_linked(other: LinkFlow) -> None:
    assert not matched([view("v")], [other])


def test_a_flow_without_a_number_is_not_linked() -> None:
    assert not matched([view("v", ref="")], [bill("b", ref="")])


def test_a_view_that_names_no_kind_is_what_the_bill_says_unless_a_named_one_is_there() -> None:
    assert matched([view("v", kind="other")], [bill("b", kind="deposit")]) == {("v", "b", CERTAIN)}
    views = [view("v1", kind="other"), view("v2", kind="deposit")]
    assert matched(views, [bill("b", kind="deposit")]) == {("v2", "b", CERTAIN)}


def test_equal_rows_are_linked_in_their_order_if_both_accounts_have_as_many() -> None:
    views, bills = [view("v1"), view("v2"), view("v3")], [bill("b1"), bill("b2"), bill("b3")]
    assert matched(views, bills) == {("v1", "b1", CERTAIN), ("v2", "b2", CERTAIN), ("v3", "b3", CERTAIN)}
    every = {(left.id, right.id, CANDIDATE) for left in views for right in bills[:2]}
    assert matched(views, bills[:2]) == every, "nobody knows which of them the bill lacks"


def test_decisions_of_people_come_first() -> None:
    one, other = view("v"), bill("b")
    assert not matched([one], [other], Decided(rejected=frozenset({(one.key, other.key)})))
    taken = frozenset({(LinkKind.SAME_MONEY, other.key)})
    assert not matched([one], [other], Decided(taken=taken))
