"""Totals of a filter, a flow and its neighbours, findings as a filter, and all flows of a filter as a stream."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from liushui.flow import Direction, Flow, Kind
from liushui.instant import from_us
from liushui.ledger import findings
from liushui.ledger.day_totals import Total
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FilterError, FlowFilter, NearAmount, read_filter
from liushui.ledger.read.flows import flows_page, list_flows, stream_flows
from liushui.ledger.read.neighbours import Chained, Neighbour, neighbours
from liushui.ledger.read.totals import FilteredTotals, read_totals
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from liushui.testing.clock import NOON
from tests.engines import LedgerStore
from tests.ledger.ledgers import READ_AT, commit_read, hour, hours, make_full_row, make_row, new_ledger
from tests.ledger.reading import model_of, totals

BEGIN = datetime(2025, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def mixed(module_store: LedgerStore) -> Iterator[Ledger]:
    """Two accounts whose days begin at different hours, with random rows of two weeks. Only read."""
    ledger = new_ledger(module_store, "a", zone="Asia/Hong_Kong")
    make_account(ledger, "b", "longbridge", "America/New_York")
    for number, account in enumerate("ab"):
        random = Random(number)
        rows = [
            make_row(
                f"r{at}",
                BEGIN + timedelta(minutes=random.randrange(14 * 24 * 60)),
                str(Decimal(random.randrange(-999, 999)).scaleb(-random.randrange(4))),
                currency=random.choice(("USD", "HKD")),
                kind=random.choice((Kind.TRADE, Kind.FEE)),
                label=random.choice(("buy", "sell")),
            )
            for at in range(300)
        ]
        commit_read(ledger, Slice(BEGIN, NOON), *rows, account=account, read_at=NOON)
    yield ledger
    ledger.close()


def summed(ledger: Ledger, wanted: FlowFilter) -> dict[str, tuple[int, Decimal, Decimal]]:
    """The sums of flows, flow by flow."""
    sums: dict[str, tuple[int, Decimal, Decimal]] = defaultdict(lambda: (0, Decimal(0), Decimal(0)))
    for one in list_flows(ledger, wanted):
        many, money_in, money_out = sums[one.flow.currency]
        amount = one.flow.amount
        sums[one.flow.currency] = many + 1, money_in + max(amount, Decimal(0)), money_out + min(amount, Decimal(0))
    return sums


def told(found: FilteredTotals) -> dict[str, tuple[int, Decimal, Decimal]]:
    """The same of what was found."""
    return {currency: tuple(total) for currency, (total, _) in found.sums.items() if total.flows}  # type: ignore[misc] # a Total has these three


WANTED = [
    FlowFilter(),
    FlowFilter(accounts=("b",)),
    FlowFilter(currency="USD", kind="fee"),
    FlowFilter(text="BUY"),
    FlowFilter(amount_min=Decimal("-0.5"), amount_max=Decimal("9.75")),
    FlowFilter(amount_near=NearAmount(Decimal("87.12"), Decimal("488.88"))),
    FlowFilter(symbol="X"),
]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, None),
        (BEGIN + timedelta(hours=30), None),
        (None, BEGIN + timedelta(hours=100)),
        (BEGIN + timedelta(hours=30), BEGIN + timedelta(hours=31)),
        (BEGIN + timedelta(hours=16), BEGIN + timedelta(hours=40)),
        (BEGIN + timedelta(hours=16), BEGIN + timedelta(hours=16, minutes=1)),
        (BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=300)),
    ],
)
def test_sums_are_those_of_the_flows(
    mixed: Ledger, wanted: FlowFilter, since: datetime | None, until: datetime | None
) -> None:
    wanted = wanted._replace(since=since, until=until)
    found = totals(mixed, wanted)
    assert told(found) == summed(mixed, wanted)
    assert found.since_us is None


def test_a_sum_that_ends_early_says_where(mixed: Ledger) -> None:
    wanted = FlowFilter(text="buy")
    found = totals(mixed, wanted, rows_max=200)
    assert found.since_us is not None
    since = from_us(found.since_us)
    assert BEGIN < since < NOON
    assert told(found) == summed(mixed, wanted._replace(since=since))
    assert told(found) != summed(mixed, wanted)
    assert told(totals(mixed, wanted, rows_max=None)) == summed(mixed, wanted)


def test_day_totals_tell_without_a_look_at_the_flows(mixed: Ledger) -> None:
    """However few flows may be looked at: none are."""
    wanted = FlowFilter(kind="fee")
    assert totals(mixed, wanted, rows_max=1) == totals(mixed, wanted)
    assert told(totals(mixed, wanted, rows_max=1)) == summed(mixed, wanted)


def test_a_stream_is_the_pages_one_after_the_other(mixed: Ledger) -> None:
    for newest in (True, False):
        wanted = FlowFilter(text="buy", newest_first=newest)
        paged = []
        after = None
        while True:
            page = flows_page(mixed, wanted, limit=37, after=after)
            paged += page.flows
            after = page.next
            if after is None:
                break
        assert list(stream_flows(mixed, wanted)) == paged
        assert {one.account for one in paged} == {"a", "b"}


# ---------------------------------------------------------------- neighbours


def stated(identity: str, at: float, amount: str, balance: str | None, *, subaccount: str = "") -> DecodedRow:
    """A row whose provider states the balance after it."""
    after = None if balance is None else Decimal(balance)
    flow = Flow(identity, hour(at), Decimal(amount), "USD", balance_after=after, subaccount=subaccount)
    return DecodedRow(flow, identity.encode(), None)


def around(ledger: Ledger, identity: str) -> list[Neighbour]:
    """The neighbours of a flow."""
    (it,) = [one for one in list_flows(ledger, FlowFilter()) if one.id == identity]
    return neighbours(model_of(ledger), it, 2).flows


def test_a_balance_follows_from_the_one_before(ledger: Ledger) -> None:
    rows = [
        stated("1", 1, "1.10", "1.1"),
        stated("2", 2, "2.20", "3.3"),
        stated("other", 2.5, "5", "5", subaccount="margin"),
        make_row("hkd", 2.6, "7", currency="HKD"),
        stated("3", 3, "-0.30", "3"),
        stated("4", 4, "1", "4.01"),
        stated("5", 5, "1", None),
        stated("6", 6, "1", "6.01"),
    ]
    commit_read(ledger, hours(0, 24), *rows)
    told = [(one.found.id, one.chained, one.off, one.is_it) for one in around(ledger, "3")]
    assert told == [
        ("1", Chained.UNTOLD, None, False),
        ("2", Chained.FOLLOWS, None, False),
        ("3", Chained.FOLLOWS, None, True),
        ("4", Chained.DIFFERS, Decimal("0.01"), False),
        ("5", Chained.UNTOLD, None, False),
    ]
    later = [(one.found.id, one.chained) for one in around(ledger, "6")]
    assert later == [("4", Chained.DIFFERS), ("5", Chained.UNTOLD), ("6", Chained.UNTOLD)]


def test_flows_of_one_instant_are_in_the_order_of_their_balances(ledger: Ledger) -> None:
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [
        stated("a fee", 1, "-0.60", "9.40"),
        stated("b receipt", 1, "10.00", "10.00"),
        stated("c fee", 2, "-0.30", "14.10"),
        stated("d receipt", 2, "5.00", "14.40"),
    ]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    for identity in ("c fee", "d receipt"):
        told = [(one.found.id, one.chained) for one in around(ledger, identity)]
        assert told[-3:] == [
            ("a fee", Chained.FOLLOWS),
            ("d receipt", Chained.FOLLOWS),
            ("c fee", Chained.FOLLOWS),
        ]


def test_neighbours_are_of_one_place(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), stated("1", 1, "1", "1"), stated("2", 2, "1", "1", subaccount="margin"))
    assert [one.found.id for one in around(ledger, "1")] == ["1"]


# ---------------------------------------------------------------- findings


def test_a_finding_is_a_filter(ledger: Ledger) -> None:
    """The flows that the filter means are those that the ledger counts."""
    commit_read(
        ledger,
        hours(0, 24),
        make_row("in", 1, "-1.00", direction=Direction.IN),
        make_row("out", 2, "0.50", direction=Direction.OUT),
        make_row("zero", 3, "0.00", direction=Direction.OUT),
        make_row("right", 4, "-1", direction=Direction.OUT),
        make_row("none", 5, "-1"),
        make_row("twice", 6, "1"),
        make_row("twice", 6, "2"),
        make_row("twice", 6, "1", label="another word"),
        make_full_row("whole", 7),
        make_full_row("whole", 7),
    )
    for finding in (findings.SIDE, findings.SAME_ID):
        meant = [one.id for one in list_flows(ledger, FlowFilter(finding=finding))]
        with ledger.reading() as connection:
            found = [str(row[2]) for name, row in findings.find(connection, "a") if name == finding]
        assert meant == found
        assert meant
    assert list(list_flows(ledger, FlowFilter(finding="unheard of"))) == []


def test_a_page_of_findings_is_looked_for_like_any_filter(ledger: Ledger) -> None:
    rows = [make_row(f"r{number}", number, "1.00", direction=Direction.IN) for number in range(30)]
    commit_read(ledger, hours(0, 48), *rows, make_row("in", 5, "-1.00", direction=Direction.IN))
    page = flows_page(ledger, FlowFilter(finding=findings.SIDE, newest_first=True), limit=10)
    assert [(one.account, one.id) for one in page.flows] == [("a", "in")]


def test_totals_of_all_times_follow_each_commit(ledger: Ledger) -> None:
    model = model_of(ledger)
    commit_read(ledger, hours(0, 1), make_row("r1", hour(0), "1.25"), make_row("r2", hour(0), "-1.00"))
    every, trades = FlowFilter(), FlowFilter(kind="trade", currency="usd")
    assert read_totals(model, every).sums["USD"][0] == Total(2, Decimal("1.25"), Decimal("-1.00"))
    commit_read(ledger, hours(1, 2), make_row("r3", hour(1), "2.00", kind=Kind.TRADE))
    assert read_totals(model, every).sums["USD"][0] == Total(3, Decimal("3.25"), Decimal("-1.00"))
    assert read_totals(model, trades).sums["USD"][0] == Total(1, Decimal("2.00"), Decimal(0))
    commit_read(ledger, hours(0, 1), read_at=READ_AT + timedelta(days=1))
    assert read_totals(model, every).sums["USD"][0] == Total(1, Decimal("2.00"), Decimal(0))


@pytest.mark.parametrize(
    ("text", "low", "high", "sign"),
    [
        ("≈ 88", "87.12", "88.88", 0),
        ("~88", "87.12", "88.88", 0),
        ("≈ 12,345.67", "12222.2133", "12469.1267", 0),
        ("≈ -2", "1.5", "2.5", -1),
        ("≈ +0.50", "0.495", "0.505", 1),
        ("≈ 0", "0", "0.5", 0),
    ],
)
def test_near_is_one_percent_or_half_a_step_of_the_last_digit(text: str, low: str, high: str, sign: int) -> None:
    near = NearAmount(Decimal(low), Decimal(high), sign)
    assert read_filter({"text": text}) == FlowFilter(amount_near=near)
    assert read_filter({"amount_near": text.lstrip("≈~ ")}) == FlowFilter(amount_near=near)


@pytest.mark.parametrize("text", ["≈ 300", "≈ -300", "≈ +45.5", "≈ 0", "≈ 7.5", "≈ 0.5"])
def test_amounts_near_one_are_found_exactly(mixed: Ledger, text: str) -> None:
    wanted = read_filter({"text": text})
    assert wanted.amount_near is not None
    low, high, sign = wanted.amount_near
    every = [one.flow.amount for one in list_flows(mixed, FlowFilter())]
    expected = [one for one in every if low <= abs(one) <= high and (not sign or one * sign >= 0)]
    assert sorted(one.flow.amount for one in list_flows(mixed, wanted)) == sorted(expected)


@pytest.mark.parametrize("text", ["≈", "≈ x", "≈ --1", "≈ 1,00", "≈ 1e3", "~ NaN"])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="text: expected an amount to look near"):
        read_filter({"text": text})
