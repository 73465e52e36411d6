"""An overview shows the facts of the flows, all exact: sums, periods, marks, own transfers, streams, alarms."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import pytest

from liushui.flow import Kind
from liushui.instant import to_us
from liushui.ledger.day_totals import Total
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.jobs.workers import Progress, write_progress
from liushui.ledger.read.accounts import REFUSED
from liushui.ledger.read.completeness import Cause, Completeness, Gap, Verdict
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.money_streams import Between, Move, Outside, streams_of
from liushui.ledger.read.overview import Overview, OverviewQuery, read_calendar, read_overview, read_streams
from liushui.ledger.read.own_transfers import OwnLeg, OwnTransfer
from liushui.ledger.read.status import AlarmKind, Severity
from liushui.ledger.read.summaries import Span, SummaryQuery, Unit, beginning, read_summary
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.provider import DecodedRow, Slice
from liushui.providers.longbridge.rules import RULES
from liushui.providers.wecom.rules import RULES as DAILY
from liushui.rules import Paging, Rules
from liushui.sync.events import SyncStatus
from liushui.testing.clock import NOON, MovableClock
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, make_row, new_ledger, rejected_row
from tests.ledger.reading import balances

HONGKONG = ZoneInfo("Asia/Hong_Kong")
RULES_OF: dict[str, Rules[Paging]] = {"longbridge": RULES, "wecom": DAILY}
BEGIN = datetime(2025, 10, 1, tzinfo=HONGKONG).astimezone(UTC)
UNITS = (Unit.DAY, Unit.WEEK, Unit.MONTH)
KINDS = (Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.TRADE, Kind.FEE, Kind.TRANSFER)


def seen(ledger: Ledger, query: OverviewQuery | None = None, model: ReadModel | None = None) -> Overview:
    """The overview of a ledger."""
    return read_overview(model or ReadModel(ledger, RULES_OF), query or OverviewQuery())


def with_source(ledger: Ledger, account: str = "a", since: datetime = BEGIN) -> None:
    """Give an account a source."""
    add_source(ledger, account=account, base_url="http://x", credentials={}, since=since, paced=True)


def random_rows(seed: int, many: int = 400) -> list[DecodedRow]:
    """Rows of three months, in a few currencies, kinds and subaccounts."""
    random = Random(seed)
    return [
        make_row(
            f"r{number}",
            BEGIN + timedelta(minutes=random.randrange(92 * 24 * 60)),
            str(Decimal(random.randrange(-(10**7), 10**7)).scaleb(-random.randrange(5))),
            currency=random.choice(("USD", "HKD", "USDT")),
            kind=random.choice(KINDS),
            subaccount=random.choice(("", "margin")),
        )
        for number in range(many)
    ]


@pytest.fixture
def busy(ledger_store: LedgerStore) -> Ledger:
    """Two accounts with random rows, all of it proven."""
    ledger = new_ledger(ledger_store, "a", "b")
    for seed, account in enumerate(("a", "b")):
        commit_read(ledger, Slice(BEGIN, NOON), *random_rows(seed), account=account, read_at=NOON)
        with_source(ledger, account)
    return ledger


# ---------------------------------------------------------------- sums and periods


def test_balances_are_those_of_the_ledger(busy: Ledger) -> None:
    told = {held[:3]: (held.amount, held.flows) for held in seen(busy).balances}
    assert told == {balance[:3]: (balance.amount, balance.flows) for balance in balances(busy)}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("accounts", [(), ("b",)])
def test_periods_are_what_the_flows_in_them_come_to(busy: Ledger, unit: Unit, accounts: tuple[str, ...]) -> None:
    first, last = date(2025, 10, 8), date(2025, 12, 19)
    found = seen(busy, OverviewQuery(unit, "HKD", first, last, accounts))
    expected: dict[tuple[date, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for one in list_flows(busy, FlowFilter(accounts, currency="HKD")):
        day = one.flow.at.astimezone(HONGKONG).date()
        if first <= day <= last:
            expected[max(first, beginning(day, unit)), one.flow.kind][one.flow.amount < 0] += one.flow.amount
    told = {
        (period.first, kind): [moved.money_in, moved.money_out]
        for period in found.periods
        for kind, moved in period.kinds.items()
    }
    assert told == expected


@pytest.mark.parametrize("unit", UNITS)
def test_periods_follow_each_other_and_leave_no_day_out(unit: Unit) -> None:
    span = Span(unit, date(2024, 1, 30), date(2025, 3, 2))
    periods = span.periods()
    assert periods[0][0] == span.first
    assert periods[-1][1] == span.last
    assert all(last + timedelta(days=1) == first for (_, last), (first, _) in itertools.pairwise(periods))
    assert all(beginning(first, unit) == beginning(last, unit) for first, last in periods)


def test_without_a_range_the_newest_flows_are_meant(busy: Ledger) -> None:
    span = seen(busy).span
    newest = max(one.flow.at for one in list_flows(busy, FlowFilter()))
    assert span.last == newest.astimezone(HONGKONG).date()
    assert span.first.day == 1


def test_sums_that_are_kept_are_made_anew_after_a_batch(busy: Ledger) -> None:
    model = ReadModel(busy, RULES_OF)
    before = {held[:3]: held.amount for held in seen(busy, model=model).balances}
    commit_read(
        busy, Slice(NOON, NOON + timedelta(hours=1)), make_row("new", NOON, "0.001", currency="USD"), read_at=NOON
    )
    after = {held[:3]: held.amount for held in seen(busy, model=model).balances}
    assert after.pop(("a", "", "USD")) == before.pop(("a", "", "USD")) + Decimal("0.001")
    assert after == before
    assert after.keys() == {balance[:3] for balance in balances(busy)} - {("a", "", "USD")}


def test_an_empty_ledger_has_an_overview(ledger_store: LedgerStore) -> None:
    found = seen(new_ledger(ledger_store, "a"))
    assert (found.currency, found.balances, [period.kinds for period in found.periods if period.kinds]) == (
        None,
        [],
        [],
    )


# ---------------------------------------------------------------- marks


def at(day: int, month: int = 12, hour: int = 0) -> datetime:
    """A time of Hong Kong's, in 2025."""
    return datetime(2025, month, day, hour, tzinfo=HONGKONG).astimezone(UTC)


def months(found: Overview) -> dict[int, Completeness]:
    """The verdict on each month."""
    return {period.first.month: period.verdict.status for period in found.periods}


def test_a_total_says_how_far_it_is_proven(ledger: Ledger) -> None:
    with_source(ledger)
    asked = OverviewQuery(Unit.MONTH, "USD", date(2025, 10, 1), date(2025, 12, 31))
    commit_read(ledger, Slice(BEGIN, at(1, 11)), make_row("1", at(3, 10)), read_at=NOON)
    assert months(seen(ledger, asked)) == {
        10: Completeness.COMPLETE,
        11: Completeness.INCOMPLETE,
        12: Completeness.INCOMPLETE,
    }
    commit_read(ledger, Slice(at(20, 11), at(5)), make_row("2", at(1)), read_at=NOON)
    earlier = seen(ledger, asked._replace(first=date(2025, 9, 1))).periods[0].verdict
    assert earlier.status is Completeness.UNKNOWN
    assert [gap.cause for gap in earlier.gaps] == [Cause.BEFORE_SOURCE], "its source begins later"
    found = seen(ledger, asked)
    assert months(found) == {10: Completeness.COMPLETE, 11: Completeness.INCOMPLETE, 12: Completeness.PARTIAL}
    assert found.periods[1].verdict.gaps == (Gap("a", to_us(at(1, 11)), to_us(at(20, 11)), Cause.NOT_READ),)
    assert found.balances[0].verdict.status is Completeness.INCOMPLETE
    commit_read(ledger, Slice(at(1, 11), at(20, 11)), read_at=NOON)
    assert seen(ledger, asked).balances[0].verdict == Verdict(Completeness.COMPLETE, to_us(at(5)))


def test_nothing_is_claimed_without_a_source_or_a_proof(ledger: Ledger) -> None:
    commit_read(ledger, Slice(BEGIN, at(1, 11)), make_row("1", at(3, 10)), read_at=NOON)
    assert seen(ledger).balances[0].verdict.status is Completeness.UNKNOWN
    assert set(months(seen(ledger)).values()) == {Completeness.UNKNOWN}
    make_account(ledger, "b", "longbridge", "Asia/Hong_Kong")
    with_source(ledger, "b")
    (b,) = (account for account in seen(ledger).accounts if account.name.account == "b")
    assert b.verdict().status is Completeness.INCOMPLETE


def test_a_total_of_several_accounts_is_as_good_as_the_worst(busy: Ledger) -> None:
    make_account(busy, "c", "longbridge", "UTC")
    with_source(busy, "c")
    commit_read(busy, Slice(BEGIN, at(1, 11)), make_row("c1", at(3, 10), currency="USD"), account="c", read_at=NOON)
    commit_gap(busy, "c", Slice(at(1, 11), at(2, 11)), tried_at=NOON, reason="x")
    asked = OverviewQuery(Unit.MONTH, "USD", date(2025, 11, 1), date(2025, 11, 30))
    assert seen(busy, asked).periods[0].verdict.status is Completeness.INCOMPLETE
    found = seen(busy, asked._replace(currency="HKD")).periods[0].verdict
    assert found.status is Completeness.INCOMPLETE, "what is missing of c may be HKD"
    shop_only = replace(RULES, currencies=frozenset({"USD"}))
    model = ReadModel(busy, {"longbridge": shop_only})
    found = seen(busy, asked._replace(currency="HKD"), model).periods[0].verdict
    assert found.status is Completeness.COMPLETE, "c can have no HKD"


# ---------------------------------------------------------------- own transfers


def moving_ledger(store: LedgerStore) -> Ledger:
    """Two accounts. Of four withdrawals of the first one, one arrives in the second one."""
    ledger = new_ledger(store, "a", "b")
    rows = [make_row(f"{day}", at(day, 12, 12), f"-1234.{day:02}", kind=Kind.WITHDRAWAL) for day in (1, 2, 20)]
    commit_read(ledger, Slice(at(1), at(30)), *rows, make_row("fee", at(3), "-1", kind=Kind.FEE), read_at=NOON)
    arrival = make_row("in", at(2, 12, 13), "1234.02", kind=Kind.DEPOSIT)
    commit_read(ledger, Slice(at(1), at(30)), arrival, account="b", read_at=NOON)
    return ledger


DECEMBER = Span(Unit.MONTH, date(2025, 12, 1), date(2025, 12, 31))


def test_own_transfers_are_left_out_of_every_total_of_several_accounts(ledger_store: LedgerStore) -> None:
    ledger = moving_ledger(ledger_store)
    model = ReadModel(ledger, RULES_OF)
    moved = Decimal("1234.02")
    left_out = Total(2, moved, -moved)
    streams = read_streams(model, "USD", DECEMBER, ["a", "b"])
    assert streams.between == [Between("a", "b", 1, moved)]
    assert streams.outside == [
        outside("a", "fee", 0, 1),
        Outside("a", "withdrawal", Decimal(0), Decimal("2468.21")),
    ]
    (period,) = seen(ledger, OverviewQuery(Unit.MONTH, "USD", DECEMBER.first, DECEMBER.last)).periods
    assert period.own == left_out
    assert period.total == Total(3, Decimal(0), Decimal("-2469.21"))
    assert "deposit" not in period.kinds
    (row,) = read_summary(model, SummaryQuery(by_account=False, by_kind=False)).rows
    assert (row.total, row.own) == (period.total, left_out)


def test_an_account_alone_counts_what_left_it(ledger_store: LedgerStore) -> None:
    model = ReadModel(moving_ledger(ledger_store), RULES_OF)
    everything = Total(4, Decimal(0), Decimal("-3703.23"))
    a, b = read_summary(model, SummaryQuery(by_kind=False)).rows
    assert (a.total, a.own) == (everything, Total(1, Decimal(0), Decimal("-1234.02")))
    assert (b.total, b.own) == (Total(1, Decimal("1234.02"), Decimal(0)),) * 2
    (alone,) = read_summary(model, SummaryQuery(("a",), by_account=False, by_kind=False)).rows
    assert (alone.total, alone.own) == (everything, Total()), "the other end is not in this total"
    (period,) = seen(model.ledger, OverviewQuery(Unit.MONTH, "USD", *DECEMBER[1:], accounts=("a",))).periods
    assert (period.total, period.own) == (everything, Total())


def test_a_transfer_over_midnight_is_left_out_of_either_day(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b")
    late, early = at(2, 12) - timedelta(minutes=1), at(2, 12) + timedelta(minutes=1)
    out, into = make_row("o", late, "-77.123", kind=Kind.TRANSFER), make_row("i", early, "77.123", kind=Kind.TRANSFER)
    commit_read(ledger, Slice(at(1), at(9)), out, read_at=NOON)
    commit_read(ledger, Slice(at(1), at(9)), into, account="b", read_at=NOON)
    rows = read_summary(ReadModel(ledger, RULES_OF), SummaryQuery(unit=Unit.DAY, by_account=False)).rows
    assert [(row.period.name, row.total.flows, row.own) for row in rows] == [
        ("2025-12-01", 0, Total(1, Decimal(0), Decimal("-77.123"))),
        ("2025-12-02", 0, Total(1, Decimal("77.123"), Decimal(0))),
    ]


def test_what_is_kept_of_own_transfers_is_read_anew_after_a_batch(ledger_store: LedgerStore) -> None:
    ledger = moving_ledger(ledger_store)
    model = ReadModel(ledger, RULES_OF)
    assert len(read_streams(model, "USD", DECEMBER, ["a", "b"]).between) == 1
    again = make_row("again", at(2, 12, 14), "1234.02", kind=Kind.DEPOSIT)
    commit_read(ledger, Slice(at(2, 12, 14), at(2, 12, 15)), again, account="b", read_at=NOON + timedelta(hours=1))
    assert not read_streams(model, "USD", DECEMBER, ["a", "b"]).between, "either deposit may be the one"


# ---------------------------------------------------------------- streams


def outside(account: str, kind: str, came_in: int, went_out: int) -> Outside:
    """A stream from or to outside."""
    return Outside(account, kind, Decimal(came_in), Decimal(went_out))


def between(source: str, target: str, many: int, amount: int) -> Between:
    """A stream between accounts."""
    return Between(source, target, many, Decimal(amount))


def own(source: str, target: str, amount: str, **target_leg: str) -> OwnTransfer:
    """A transfer of one day, a withdrawal here and a deposit there."""
    left = OwnLeg(source, "2025-12-01", "", "USD", "withdrawal", Decimal(amount).copy_negate())
    arrived = OwnLeg(target, "2025-12-01", "", "USD", "deposit", Decimal(amount))
    return OwnTransfer(left, arrived._replace(**target_leg))  # type: ignore[arg-type] # texts alone


def test_own_transfers_are_not_streams_from_outside() -> None:
    moves = [
        Move("a", "2025-12", "withdrawal", Total(2, Decimal(0), Decimal("-15"))),
        Move("b", "2025-12", "deposit", Total(1, Decimal("10"), Decimal(0))),
        Move("b", "2025-12", "fee", Total(1, Decimal(0), Decimal("-1"))),
    ]
    streams = streams_of(moves, [own("a", "b", "10")], "USD")
    assert streams.outside == [outside("a", "withdrawal", 0, 5), outside("b", "fee", 0, 1)]
    assert streams.between == [between("a", "b", 1, 10)]
    moves += [Move("a", "2025-12", "deposit", Total(1, Decimal(3), Decimal(0)))]
    assert streams_of(moves, [own("a", "a", "3")], "USD").inside == [between("a", "a", 1, 3)]


def test_a_transfer_into_another_currency_is_a_stream_of_either() -> None:
    left = Move("a", "2025-12", "withdrawal", Total(1, Decimal(0), Decimal("-15")))
    streams = streams_of([left], [own("a", "b", "15", currency="USDT")], "USD")
    assert (streams.outside, streams.between) == ([], [between("a", "b", 1, 15)])


# ---------------------------------------------------------------- alarms


def signs(ledger: Ledger) -> list[AlarmKind]:
    """The kinds of the alarms."""
    return [alarm.kind for alarm in seen(ledger).alarms]


def test_all_is_well_where_all_is_proven(ledger: Ledger) -> None:
    with_source(ledger)
    assert signs(ledger) == [AlarmKind.NEVER]
    commit_read(ledger, Slice(BEGIN, NOON), make_row("1", at(3, 10)), read_at=NOON)
    assert signs(ledger) == []
    clock = ledger.clock
    assert isinstance(clock, MovableClock)
    clock.move(timedelta(hours=23))
    assert signs(ledger) == []
    clock.move(timedelta(hours=2))
    assert signs(ledger) == [AlarmKind.STALE]


def test_a_gap_is_told_with_its_days_and_its_reason(ledger: Ledger) -> None:
    with_source(ledger)
    commit_read(ledger, Slice(BEGIN, at(5)), read_at=NOON)
    commit_read(ledger, Slice(at(7), NOON), read_at=NOON)
    commit_gap(ledger, "a", Slice(at(5), at(7)), tried_at=NOON, reason="it broke")
    (alarm,) = seen(ledger).alarms
    assert (alarm.kind, alarm.severity, alarm.number, alarm.day) == (AlarmKind.GAP, Severity.WARN, 2, date(2025, 12, 5))
    assert alarm.detail == "it broke"


def test_what_a_provider_will_forget_comes_first(ledger_store: LedgerStore) -> None:
    """The service keeps three years: of 2 January 2023, open on 2 January 2026, a day is left."""
    ledger = new_ledger(ledger_store, "x")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    shanghai = ZoneInfo("Asia/Shanghai")
    begin, end_ = (datetime(2022, 12, 1, tzinfo=shanghai), datetime(2026, 1, 2, tzinfo=shanghai))
    add_source(ledger, account="shop", base_url="http://x", credentials={}, since=begin, paced=True)
    gone = datetime(2023, 1, 4, tzinfo=shanghai)
    commit_read(ledger, Slice(gone, end_), account="shop", read_at=NOON)
    told = [(alarm.severity, alarm.kind, alarm.number, alarm.day) for alarm in seen(ledger).alarms]
    assert told == [
        (Severity.BAD, AlarmKind.FORGETTING, 1, date(2023, 1, 2)),
        (Severity.WARN, AlarmKind.GAP, 2, date(2023, 1, 2)),
        (Severity.NOTE, AlarmKind.LOST, 32, date(2022, 12, 1)),
    ]
    found = seen(ledger)
    shop = next(account for account in found.accounts if account.name.account == "shop")
    days = read_calendar(shop, DAILY, first=date(2022, 12, 1), now=NOON)
    assert [day.day.day for day in days if day.state == "open"] == [2, 3]


def test_what_is_out_of_reach_is_only_noted(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "x")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    with_source(ledger, "shop", since=datetime(2022, 12, 30, tzinfo=ZoneInfo("Asia/Shanghai")))
    commit_read(
        ledger, Slice(datetime(2023, 1, 2, tzinfo=ZoneInfo("Asia/Shanghai")), NOON), account="shop", read_at=NOON
    )
    (alarm,) = seen(ledger).alarms
    assert (alarm.severity, alarm.kind, alarm.number, alarm.day) == (
        Severity.NOTE,
        AlarmKind.LOST,
        3,
        date(2022, 12, 30),
    )


def test_failed_syncs_and_rows_set_aside_are_told(ledger: Ledger) -> None:
    with_source(ledger)
    commit_read(
        ledger,
        Slice(BEGIN, NOON),
        make_row("1", at(3, 10)),
        rejected=[rejected_row("x"), rejected_row("y")],
        read_at=NOON,
    )
    record_run(ledger, Run("a", NOON, NOON, slices=1, rows_in=3, added=1, gaps=1, error="refused: no"))
    told = [(alarm.kind, alarm.number, alarm.detail) for alarm in seen(ledger).alarms]
    assert told == [(AlarmKind.FAILED, 0, "refused: no"), (AlarmKind.QUARANTINE, 2, "")]
    assert SyncStatus.CREDENTIALS.value == REFUSED
    write_progress(ledger, [Progress("a", "", NOON, NOON, NOON, SyncStatus.CREDENTIALS)])
    assert signs(ledger) == [AlarmKind.REFUSED, AlarmKind.QUARANTINE]
    record_run(ledger, Run("a", NOON + timedelta(1), NOON, slices=1, rows_in=0, added=0, gaps=0, error=""))
    assert signs(ledger) == [AlarmKind.QUARANTINE], "the latest run is what counts"


def test_alarms_come_in_the_order_of_their_gravity(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b", "c")
    for name in "abc":
        with_source(ledger, name)
    commit_read(ledger, Slice(BEGIN, NOON), rejected=[rejected_row("x")], account="b", read_at=NOON)
    record_run(ledger, Run("c", NOON, NOON, slices=0, rows_in=0, added=0, gaps=0, error="no"))
    graves: Sequence[Severity] = [alarm.severity for alarm in seen(ledger).alarms]
    assert graves == sorted(graves, key=list(Severity).index)
    assert len(graves) == 3


def test_a_floor_is_where_a_claim_begins(ledger: Ledger) -> None:
    with_source(ledger, since=datetime(2020, 1, 1, tzinfo=UTC))
    commit_read(ledger, Slice(BEGIN, NOON), make_row("1", at(3, 10)), read_at=NOON)
    floored: dict[str, Rules[Paging]] = {"longbridge": replace(RULES, floor=BEGIN)}
    assert seen(ledger).balances[0].verdict.status is Completeness.INCOMPLETE
    assert seen(ledger, model=ReadModel(ledger, floored)).balances[0].verdict.status is Completeness.COMPLETE
