"""Transfers between own accounts: evidence, certain transfers, and transfers that only a person can decide."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Fx
from liushui.reconcile.links import Basis, Decided, Link, LinkFlow, LinkKind, LinkState
from liushui.reconcile.transfers import PARTNERS_MAX, is_round, match_transfers, references_in
from liushui.rules import LINK_RULES, LinkRules

HOUR_US = 3_600_000_000
CERTAIN, CANDIDATE = LinkState.CERTAIN, LinkState.CANDIDATE


def flow(
    account: str,
    hours: float,
    amount: str,
    currency: str = "USD",
    *,
    note: str = "",
    kind: str = "transfer",
    fx: Fx | None = None,
) -> LinkFlow:
    """A flow that may be an end of a transfer."""
    id_ = f"{account}{hours}{amount}{currency}{note}"
    return LinkFlow(account, int(hours * HOUR_US), id_, "", Decimal(amount), currency, kind, note=note, fx=fx)


def matched(*flows: LinkFlow) -> list[Link]:
    """The links among flows of accounts with the usual rules."""
    return match_transfers(flows, lambda _: LINK_RULES)


def told(links: list[Link]) -> list[tuple[LinkState, Basis, str, str]]:
    """What matters of links."""
    return [(link.state, link.basis, link.flows[0].id, link.flows[1].id) for link in links]


OUT = flow("a", 0, "-512.34")


@pytest.mark.parametrize(
    ("arrival", "state", "basis"),
    [
        (flow("b", 2, "512.34"), CERTAIN, Basis.AMOUNT),
        (flow("b", -2, "512.340"), CERTAIN, Basis.AMOUNT),
        (flow("b", 72, "512.34"), CERTAIN, Basis.AMOUNT),
        (flow("b", 2, "512.34", "USDT"), CANDIDATE, Basis.AMOUNT),
        (flow("b", 2, "4000", "HKD", fx=Fx("USD", Decimal("512.34"), Decimal("7.8"))), CERTAIN, Basis.RATE),
    ],
    ids=["later", "clocks differ", "after a weekend", "a pegged currency", "a stated rate"],
)
def test_the_same_amount_ties_two_ends(arrival: LinkFlow, state: LinkState, basis: Basis) -> None:
    assert told(matched(arrival, OUT)) == [(state, basis, OUT.id, arrival.id)]


@pytest.mark.parametrize(
    "arrival",
    [
        flow("b", 2, "512.35"),
        flow("b", 2, "-512.34"),
        flow("a", 2, "512.34"),
        flow("b", 73, "512.34"),
        flow("b", 2, "512.34", "HKD"),
        flow("b", 2, "512.34", kind="receipt"),
        flow("b", 2, "4000", "HKD", fx=Fx("USD", Decimal("512.35"), Decimal("7.8"))),
    ],
    ids=["another amount", "the same sign", "the same wallet", "too late", "another money", "no transfer", "rate"],
)
def test_nothing_ties_these_ends(arrival: LinkFlow) -> None:
    assert matched(OUT, arrival) == []


def test_renminbi_is_one_money_on_either_side_of_the_border() -> None:
    out, into = flow("shop", 0, "-512.34", "CNY"), flow("broker", 1, "512.34", "CNH")
    assert told(matched(out, into)) == [(CERTAIN, Basis.AMOUNT, out.id, into.id)]


def test_a_round_sum_alone_is_never_certain() -> None:
    out, into = flow("a", 0, "-5000.00"), flow("b", 1, "5000")
    assert told(matched(out, into)) == [(CANDIDATE, Basis.AMOUNT, out.id, into.id)]
    out, into = flow("a", 0, "-5000.00", note="TT 20491188"), flow("b", 1, "5000", note="ref:20491188/a")
    assert told(matched(out, into)) == [(CERTAIN, Basis.REFERENCE, out.id, into.id)]


def test_a_reference_ties_two_currencies() -> None:
    out, into = flow("a", 0, "-5000", note="Transfer 204911880"), flow("b", 1, "643.21", "EUR", note="204911880")
    assert told(matched(out, into)) == [(CERTAIN, Basis.REFERENCE, out.id, into.id)]
    other = flow("c", 1, "700", "GBP", note="204911880")
    assert {link.state for link in matched(out, into, other)} == {CANDIDATE}, "it is in three texts"


def test_references_that_contradict_each_other_are_never_certain() -> None:
    out, into = flow("a", 0, "-512.34", note="20491188"), flow("b", 1, "512.34", note="20491199")
    assert told(matched(out, into)) == [(CANDIDATE, Basis.AMOUNT, out.id, into.id)]


def test_a_charge_may_be_missing_of_what_arrives_with_the_reference() -> None:
    out = flow("a", 0, "-512.34", note="20491188")
    into = flow("b", 1, "500", note="20491188")
    assert told(matched(out, into)) == [(CANDIDATE, Basis.REFERENCE, out.id, into.id)]
    assert matched(out, flow("b", 1, "400", note="20491188")) == [], "that is no charge"
    assert matched(out, flow("b", 1, "513", note="20491188")) == [], "more than was sent"


def test_of_several_none_is_chosen_and_the_best_assignment_is_suggested() -> None:
    out, near, far = flow("a", 10, "-12.345"), flow("b", 11, "12.345"), flow("c", 5, "12.345")
    links = matched(far, out, near)
    assert {(link.state, link.flows[1].account, link.suggested) for link in links} == {
        (CANDIDATE, "b", True),
        (CANDIDATE, "c", False),
    }


def test_a_certain_reference_leaves_the_amounts_to_the_others() -> None:
    first = flow("a", 0, "-512.34", note="20491188"), flow("b", 1, "512.34", note="20491188")
    second = flow("c", 0.5, "-512.34"), flow("d", 2, "512.34")
    assert {(link.state, link.basis) for link in matched(*first, *second)} == {
        (CERTAIN, Basis.REFERENCE),
        (CERTAIN, Basis.AMOUNT),
    }


def test_a_rejected_pair_is_not_proposed_again() -> None:
    out, into, other = OUT, flow("b", 2, "512.34"), flow("c", 3, "512.34")
    rejected = Decided(rejected=frozenset({(out.key, other.key)}))
    links = match_transfers([out, into, other], lambda _: LINK_RULES, rejected)
    assert told(links) == [(CERTAIN, Basis.AMOUNT, out.id, into.id)]


def test_what_a_payment_platform_pays_out_is_a_payout() -> None:
    rules = {"shop": LinkRules(pays_out=True), "bank": LINK_RULES}
    out, into = flow("shop", 0, "-512.34", kind="withdrawal"), flow("bank", 5, "512.34", kind="deposit")
    (link,) = match_transfers([out, into], rules.__getitem__)
    assert link.kind is LinkKind.PAYOUT
    (back,) = match_transfers([flow("bank", 0, "-512.34"), flow("shop", 5, "512.34")], rules.__getitem__)
    assert back.kind is LinkKind.TRANSFER


def test_of_two_accounts_the_longer_window_counts() -> None:
    rules = {"a": LINK_RULES, "b": LinkRules(transfer_window=timedelta(days=10)), "c": LINK_RULES}
    late = flow("b", 200, "512.34"), flow("c", 200, "512.34")
    assert [link.flows[1].account for link in match_transfers([OUT, *late], rules.__getitem__)] == ["b"]


def test_a_crowd_of_equal_flows_is_not_paired() -> None:
    outs = [flow("a", number / 100, "-512.34") for number in range(PARTNERS_MAX + 2)]
    ins = [flow("b", number / 100, "512.34") for number in range(PARTNERS_MAX + 2)]
    assert matched(*outs, *ins) == []
    assert len(matched(*outs[:4], *ins[:4])) == 16
    lonely = flow("c", 71.9, "512.34")
    assert all(link.state is CANDIDATE for link in matched(*outs, lonely))


def test_references_are_words_with_many_digits_that_are_not_dates() -> None:
    assert references_in("Transfer 1972300001", "TT20240131-77 20240131 1234567", "") == {"1972300001", "TT20240131"}
    assert references_in("20241331") == {"20241331"}, "no month has that number"


@pytest.mark.parametrize(
    ("amount", "expected"), [("5000.00", True), ("0.125", True), ("-12.34", False), ("1001", False)]
)
def test_round_amounts_have_few_digits(amount: str, expected: bool) -> None:
    assert is_round(Decimal(amount)) is expected


ENDS = st.lists(
    st.builds(
        flow,
        st.sampled_from("abc"),
        st.integers(0, 160),
        st.sampled_from(["1", "1.0", "-1", "12.345", "-12.345", "-12.3450", "0"]),
        st.sampled_from(["USD", "USDT", "CNY", "CNH"]),
        note=st.sampled_from(["", "", "20491188", "20491199 a"]),
    ),
    max_size=12,
    unique_by=lambda end: end.id,
)


@given(ENDS, st.randoms(use_true_random=False))
def test_links_are_sound_whatever_the_order(ends: list[LinkFlow], random: Random) -> None:
    links = matched(*ends)
    shuffled = list(ends)
    random.shuffle(shuffled)
    assert matched(*shuffled) == links
    certain = [link for link in links if link.state is CERTAIN]
    used = [key for link in certain for key in link.keys]
    assert len(set(used)) == len(used), "no flow is in two certain links"
    for link in links:
        left, right = link.flows
        assert left.amount < 0 < right.amount
        assert left.account != right.account
        assert abs(left.at_us - right.at_us) <= 72 * HOUR_US
    for link in certain:
        others = [other for other in links if other is not link and set(other.keys) & set(link.keys)]
        assert not others, "what is certain has no alternative"


@given(ENDS)
def test_every_pair_that_could_be_a_transfer_is_a_link(ends: list[LinkFlow]) -> None:
    links = matched(*ends)
    taken = {key for link in links if link.state is CERTAIN for key in link.keys}
    pairs = {link.keys for link in links}
    for left, right in permutations(ends, 2):
        same = left.currency.replace("CNH", "CNY").replace("USDT", "USD") == right.currency.replace(
            "CNH", "CNY"
        ).replace("USDT", "USD")
        possible = left.amount < 0 and left.amount == -right.amount and left.account != right.account and same
        if possible and abs(left.at_us - right.at_us) <= 72 * HOUR_US and not taken & {left.key, right.key}:
            assert (left.key, right.key) in pairs
