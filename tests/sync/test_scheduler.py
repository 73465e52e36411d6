"""The time of a source's next sync, by the rules of real providers; and a scheduler in days of virtual time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from liushui.errors import AuthError, LedgerBusy, Unavailable
from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source, add_source, pause_source, remove_source
from liushui.ledger.jobs.sync_requests import SyncRequest, end_request, find_request, request_sync
from liushui.ledger.jobs.workers import new_holder, release_lease, take_lease
from liushui.provider import Provider, Slice
from liushui.providers import get_provider, load_providers
from liushui.providers.longbridge import codec
from liushui.rules import Paging, Rules
from liushui.sync import scheduler
from liushui.sync.events import NextSyncDue, SyncEnded, SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.plan import CREDENTIALS_PAUSE, FAILURE_BACKOFF, LastSync, Plan, next_sync_at, provable_range
from liushui.sync.scheduler import RELOAD_INTERVAL, Scheduler
from liushui.testing.provider_client_double import ClientDouble, Fault
from tests.sync.rows import BEGIN, hourly, new_ledger, source
from tests.sync.running import World, amounts, amounts_of, clock_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVERY = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
WECOM = get_provider("wecom").rules
LONGBRIDGE = get_provider("longbridge").rules


def proven(rules: Rules[Paging], since: datetime, now: datetime) -> list[Range]:
    """All that a sync can prove now, proven now."""
    whole = provable_range(rules, since=since, now=now)
    assert whole is not None
    return [Range(to_us(whole.since), to_us(whole.until), State.PROVEN, "", to_us(now), 1)]


def done(at: datetime) -> LastSync:
    return LastSync(at, SyncStatus.DONE)


# ---------------------------------------------------------------- when something is due


@pytest.mark.parametrize("name", load_providers())
def test_a_source_that_was_never_synced_is_due_at_once(name: str) -> None:
    rules = get_provider(name).rules
    assert next_sync_at(Plan(rules, [], since=rules.history_start, now=NOON), None, every=EVERY) == NOON


@pytest.mark.parametrize("name", [name for name, one in load_providers().items() if one.rules.publish is None])
def test_a_source_with_rows_at_any_time_is_due_at_its_interval(name: str) -> None:
    rules = get_provider(name).rules
    known = proven(rules, rules.history_start, NOON)
    assert (
        next_sync_at(Plan(rules, known, since=rules.history_start, now=NOON), done(NOON), every=EVERY) == NOON + EVERY
    )
    later = NOON + timedelta(hours=30)
    assert next_sync_at(
        Plan(rules, known, since=rules.history_start, now=later), done(NOON), every=3 * timedelta(days=1)
    ) == (NOON + timedelta(days=1)), "the last weeks are refreshed daily"


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        ("2026-03-10T11:20", "2026-03-11T11:15"),
        ("2026-03-10T00:10", "2026-03-10T11:15"),
        ("2026-03-10T11:05", "2026-03-10T11:15"),
        ("2026-03-10T23:59", "2026-03-11T11:15"),
    ],
)
def test_a_source_that_publishes_days_is_due_at_the_next_publication(ended: str, due: str) -> None:
    now = datetime.fromisoformat(ended).replace(tzinfo=SHANGHAI)
    known = proven(WECOM, WECOM.history_start, now)
    found = next_sync_at(Plan(WECOM, known, since=WECOM.history_start, now=now), done(now), every=EVERY)
    assert found == datetime.fromisoformat(due).replace(tzinfo=SHANGHAI)


def test_a_day_published_during_a_sync_is_due_soon() -> None:
    began = datetime(2026, 3, 10, 11, 14, 59, tzinfo=SHANGHAI)
    ended = began + timedelta(seconds=20)
    known = proven(WECOM, WECOM.history_start, began)
    found = next_sync_at(Plan(WECOM, known, since=WECOM.history_start, now=ended), done(ended), every=EVERY)
    assert found == ended + FAILURE_BACKOFF.first


def test_each_failure_delays_the_next_sync_further() -> None:
    waits = []
    for failures in range(1, 12):
        last = LastSync(NOON, SyncStatus.FAILED, failures)
        due = next_sync_at(Plan(LONGBRIDGE, [], since=BEGIN, now=NOON), last, every=EVERY)
        waits.append(due - NOON)
    assert waits[:4] == [times * FAILURE_BACKOFF.first for times in (1, 2, 4, 8)]
    assert waits[-1] == FAILURE_BACKOFF.longest
    jittered = next_sync_at(
        Plan(LONGBRIDGE, [], since=BEGIN, now=NOON),
        LastSync(NOON, SyncStatus.FAILED, 3),
        every=EVERY,
        jittered=lambda time: time / 2,
    )
    assert jittered == NOON + 2 * FAILURE_BACKOFF.first


def test_a_failed_sync_is_repeated_before_the_provider_deletes_rows() -> None:
    """No more than a quarter of the time left passes before the next try."""
    now = datetime(2026, 3, 10, 23, 0, tzinfo=SHANGHAI)
    assert WECOM.retention is not None
    kept = WECOM.retention.kept_from(now)
    last = LastSync(now, SyncStatus.INCOMPLETE, 9)
    day_out = provable_range(WECOM, since=WECOM.history_start, now=now)
    assert day_out is not None
    for left, pause in (
        (timedelta(hours=2), timedelta(minutes=30)),
        (MINUTE, FAILURE_BACKOFF.first),
        (timedelta(days=9), FAILURE_BACKOFF.longest),
    ):
        gap = [Range(to_us(kept), to_us(kept + left), State.PROVEN, "", to_us(now), 1)]
        assert next_sync_at(Plan(WECOM, gap, since=WECOM.history_start, now=now), last, every=EVERY) == now + pause


def test_refused_credentials_pause_a_source_and_a_requested_wait_is_kept() -> None:
    refused = LastSync(NOON, SyncStatus.CREDENTIALS)
    assert next_sync_at(Plan(LONGBRIDGE, [], since=BEGIN, now=NOON), refused, every=EVERY) == NOON + CREDENTIALS_PAUSE
    told = LastSync(NOON, SyncStatus.WAITING, not_before=NOON + 40 * MINUTE)
    assert next_sync_at(Plan(LONGBRIDGE, [], since=BEGIN, now=NOON), told, every=EVERY) == NOON + 40 * MINUTE


def test_a_source_is_never_due_at_once_after_a_sync() -> None:
    """Whatever the coverage is, a source that was just synced is not due at once."""
    stale = [Range(to_us(BEGIN), to_us(NOON), State.PROVEN, "", to_us(BEGIN), 1)]
    for rules in (LONGBRIDGE, WECOM):
        for known in (stale, []):
            due = next_sync_at(Plan(rules, known, since=rules.history_start, now=NOON), done(NOON), every=EVERY)
            assert due >= NOON + FAILURE_BACKOFF.first


# ---------------------------------------------------------------- a watch


@dataclass
class VirtualScheduler:
    """A scheduler in virtual time: its sleep moves the clock, once no sync is running."""

    ledger: Ledger
    clients: dict[str, ClientDouble]
    rules: Rules[Paging] = field(default_factory=lambda: LONGBRIDGE)
    options: Options = field(default_factory=lambda: Options(attempts=1))
    at_each_sleep: Callable[[], None] = lambda: None
    scheduled: bool = True
    requests: bool = False
    began: list[tuple[str, datetime]] = field(default_factory=list)
    results: list[SyncResult] = field(default_factory=list)

    def run(self, until: datetime, *names: str) -> None:
        """Run until that time."""
        asyncio.run(asyncio.wait_for(self._run(until, names), 60))

    def add(self, account: str, *, key: str = "k") -> None:
        """Add the source of an account."""
        of = source(account, key=key)
        add_source(
            self.ledger, account=account, base_url=of.base_url, credentials=of.credentials, since=BEGIN, paced=False
        )

    async def _run(self, until: datetime, names: tuple[str, ...]) -> None:
        clock, over = clock_of(self.ledger), asyncio.Event()

        async def sleep(wait: timedelta) -> None:
            while running._running:  # noqa: ASYNC110 - it is cancelled when a sync ends
                await asyncio.sleep(0.001)
            clock.move(wait)
            self.at_each_sleep()
            if clock.at >= until:
                over.set()
                await asyncio.Event().wait()  # until it is cancelled

        world, before = World(clock, {}), len(self.results)
        environment = replace(world.environment, sleep=sleep, connect=self._connected, provider=self._provider)
        running = Scheduler(
            self.ledger,
            names,
            self.options,
            environment,
            every=EVERY,
            notify=world.events.append,
            on_result=self.results.append,
            scheduled=self.scheduled,
            requests=self.requests,
        )
        task = asyncio.create_task(running.run())
        await asyncio.wait({task, asyncio.create_task(over.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert len(world.events_of(NextSyncDue)) == len(world.events_of(SyncEnded)) == len(self.results) - before

    def _connected(self, _provider: Provider, of: Source, _options: Options) -> ClientDouble:
        self.began.append((of.account, clock_of(self.ledger)()))
        return self.clients[of.account]

    def _provider(self, name: str) -> Provider:
        real = get_provider(name)
        kept = replace(
            self.rules,
            paging=real.rules.paging,
            time_field=real.rules.time_field,
            history_start=BEGIN,
            floor=None,
        )
        return replace(real, rules=kept)

    def times(self, account: str = "a") -> list[datetime]:
        """The times at which the syncs of an account began."""
        return [at for name, at in self.began if name == account]


def new_scheduler(
    folder: Path, *accounts: str, rules: Rules[Paging] = LONGBRIDGE, fault: Fault | None = None
) -> VirtualScheduler:
    """A scheduler of new accounts, each with ten days of rows."""
    names = accounts or ("a",)
    ledger = new_ledger(folder, None, *names)
    virtual = VirtualScheduler(ledger, {name: ClientDouble(codec, hourly(10), fault=fault) for name in names}, rules)
    for name in names:
        virtual.add(name)
    return virtual


def test_a_broker_is_synced_at_its_interval(tmp_path: Path) -> None:
    virtual = new_scheduler(tmp_path)
    began = clock_of(virtual.ledger)()
    virtual.run(began + timedelta(hours=1))
    assert virtual.times() == [began + number * EVERY for number in range(12)]
    assert {result.status for result in virtual.results} == {SyncStatus.DONE}
    assert amounts(virtual.ledger) == amounts_of(hourly(10))


def test_a_shop_is_synced_once_a_day_after_publication(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "RELOAD_INTERVAL", timedelta(hours=1))  # fewer passes of the loop
    virtual = new_scheduler(tmp_path, rules=WECOM)
    began = clock_of(virtual.ledger)()
    virtual.run(began + timedelta(days=3))
    first, *others = virtual.times()
    assert first == began
    assert [at.astimezone(SHANGHAI).time() for at in others] == [time(11, 15)] * 3
    assert [at.astimezone(SHANGHAI).date() for at in others] == [date(2024, 1, 12 + number) for number in range(3)]


def test_a_failing_source_is_synced_less_and_less_often_and_delays_no_other(tmp_path: Path) -> None:
    def down(_call: int, _asked: Slice, _page: int) -> None:
        raise Unavailable("down")

    virtual = new_scheduler(tmp_path, "a", "b")
    virtual.clients["b"] = ClientDouble(codec, [], fault=down)
    began = clock_of(virtual.ledger)()
    virtual.run(began + timedelta(hours=4))
    waits = [late - early for early, late in zip(virtual.times("b"), virtual.times("b")[1:], strict=False)]
    assert FAILURE_BACKOFF.first / 2 <= waits[0] <= FAILURE_BACKOFF.first + RELOAD_INTERVAL
    assert FAILURE_BACKOFF.longest / 2 <= waits[-1] <= FAILURE_BACKOFF.longest + RELOAD_INTERVAL
    assert len(virtual.times("a")) == 48
    virtual.clients["b"] = ClientDouble(codec, hourly(10))
    virtual.run(clock_of(virtual.ledger)() + timedelta(hours=2))
    assert virtual.results[-1].status is SyncStatus.DONE


def test_a_source_with_refused_credentials_waits_for_new_ones(tmp_path: Path) -> None:
    def refused(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("no such key")

    virtual = new_scheduler(tmp_path, "a", "b")
    virtual.clients["b"] = ClientDouble(codec, hourly(10), fault=refused)
    began = clock_of(virtual.ledger)()

    def renew() -> None:
        if clock_of(virtual.ledger)() >= began + timedelta(hours=2) and len(virtual.times("b")) == 1:
            virtual.clients["b"] = ClientDouble(codec, hourly(10))
            remove_source(virtual.ledger, "b")
            virtual.add("b", key="new")

    virtual.at_each_sleep = renew
    virtual.run(began + timedelta(hours=3))
    first, second, *_ = virtual.times("b")
    assert (first, second) == (began, began + timedelta(hours=2))
    assert len(virtual.times("a")) == 36, "the other source goes on"
    assert [result.status for result in virtual.results if result.account == "b"][:2] == [
        SyncStatus.CREDENTIALS,
        SyncStatus.DONE,
    ]


def test_refused_credentials_are_tried_again_after_hours(tmp_path: Path) -> None:
    def refused(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("no such key")

    virtual = new_scheduler(tmp_path, fault=refused)
    began = clock_of(virtual.ledger)()
    virtual.run(began + timedelta(hours=13))
    assert virtual.times() == [began + number * CREDENTIALS_PAUSE for number in range(3)]


def test_added_and_removed_sources_are_noticed(tmp_path: Path) -> None:
    virtual = new_scheduler(tmp_path, "a", "b")
    remove_source(virtual.ledger, "b")
    began = clock_of(virtual.ledger)()

    def change() -> None:
        now = clock_of(virtual.ledger)()
        if now == began + 12 * MINUTE:
            virtual.add("b")
        if now == began + 22 * MINUTE:
            remove_source(virtual.ledger, "a")

    virtual.at_each_sleep = change
    virtual.run(began + timedelta(minutes=40))
    assert virtual.times("b")[0] == began + 12 * MINUTE
    assert virtual.times("a")[-1] == began + 20 * MINUTE


def test_only_the_named_sources_are_synced(tmp_path: Path) -> None:
    virtual = new_scheduler(tmp_path, "a", "b")
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=9), "b")
    assert {name for name, _ in virtual.began} == {"b"}


def test_a_paused_source_is_not_synced_until_it_is_resumed(tmp_path: Path) -> None:
    virtual = new_scheduler(tmp_path, "a", "b")
    pause_source(virtual.ledger, "b", paused=True)
    began = clock_of(virtual.ledger)()

    def go_on() -> None:
        if clock_of(virtual.ledger)() == began + 12 * MINUTE:
            pause_source(virtual.ledger, "b", paused=False)

    virtual.at_each_sleep = go_on
    virtual.run(began + timedelta(minutes=20))
    assert virtual.times("b")[0] == began + 12 * MINUTE
    assert virtual.times("a")[0] == began


def test_a_requested_sync_runs_at_once(tmp_path: Path) -> None:
    virtual = on_request(tmp_path, "a", "b")
    pause_source(virtual.ledger, "a", paused=True)
    request = request_sync(virtual.ledger, "a", by="somebody")
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=2))
    assert [name for name, _ in virtual.began] == ["a"], "only that source, although it is paused"
    answered = find_request(virtual.ledger, "a", request.id)
    assert answered is not None
    assert (answered.status, answered.error) == ("done", "")
    assert amounts(virtual.ledger) == amounts_of(hourly(10))


def test_a_requested_sync_that_fails_records_why(tmp_path: Path) -> None:
    def refused(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("no such key")

    virtual = on_request(tmp_path, "a")
    virtual.clients["a"] = ClientDouble(codec, [], fault=refused)
    request = request_sync(virtual.ledger, "a", by="somebody")
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=1))
    answered = find_request(virtual.ledger, "a", request.id)
    assert answered is not None
    assert answered.status == "credentials"
    assert "no such key" in answered.error


def test_a_request_for_a_busy_account_stays_open(tmp_path: Path) -> None:
    virtual = on_request(tmp_path, "a")
    other, life = new_holder(), timedelta(minutes=3)
    take_lease(virtual.ledger, "a", other, life)
    request = request_sync(virtual.ledger, "a", by="somebody")
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=2))
    waiting = find_request(virtual.ledger, "a", request.id)
    assert waiting is not None
    assert waiting.status == "waiting"
    assert {result.status for result in virtual.results} == {SyncStatus.BUSY}
    release_lease(virtual.ledger, "a", other)
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=2))
    answered = find_request(virtual.ledger, "a", request.id)
    assert answered is not None
    assert answered.status == "done"


def test_the_end_of_a_request_that_cannot_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0

    def failing(ledger: Ledger, request: SyncRequest, holder: str, *, status: str, error: str) -> None:
        nonlocal failures
        failures += 1
        if failures < 4:
            raise LedgerBusy("another process writes for long")
        end_request(ledger, request, holder, status=status, error=error)

    monkeypatch.setattr(scheduler, "end_request", failing)
    virtual = on_request(tmp_path, "a")
    request = request_sync(virtual.ledger, "a", by="somebody")
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=2))
    answered = find_request(virtual.ledger, "a", request.id)
    assert answered is not None
    assert answered.status == "done"
    assert failures == 4
    assert len(virtual.times()) == 1, "it is not synced again for the sake of that"


def on_request(folder: Path, *accounts: str) -> VirtualScheduler:
    """A scheduler that serves requests only."""
    virtual = new_scheduler(folder, *accounts)
    virtual.scheduled, virtual.requests = False, True
    return virtual


def test_the_source_that_loses_rows_first_is_synced_first(tmp_path: Path) -> None:
    """Where only one of them may be synced at once."""
    virtual = new_scheduler(tmp_path, "a", "b", rules=WECOM)
    virtual.options = Options(attempts=1, sources_at_once=1)
    remove_source(virtual.ledger, "a")
    add_source(
        virtual.ledger, account="a", base_url="http://127.0.0.1:9", credentials=source("a").credentials,
        since=BEGIN + timedelta(days=5), paced=False,
    )  # fmt: skip
    virtual.run(clock_of(virtual.ledger)() + timedelta(minutes=1))
    assert [name for name, _ in virtual.began] == ["b", "a"]


def test_a_scheduler_that_is_stopped_releases_its_leases(tmp_path: Path) -> None:
    virtual = new_scheduler(tmp_path)

    async def stop_during_a_sync() -> None:
        started = asyncio.Event()

        def begun(_call: int, _asked: Slice, _page: int) -> None:
            started.set()

        virtual.clients["a"] = ClientDouble(codec, hourly(10), fault=begun)
        environment = Environment(connect=virtual._connected)
        running = Scheduler(
            virtual.ledger,
            (),
            Options(size=5),
            environment,
            every=EVERY,
            notify=lambda _: None,
            on_result=virtual.results.append,
        )
        task = asyncio.create_task(running.run())
        await started.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    asyncio.run(stop_during_a_sync())
    with virtual.ledger.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM leases").scalar() == 0
