"""A provider whose rows appear, change, vanish or are undecodable for a while: the ledger always equals its reads."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from liushui.errors import WireError
from liushui.flow import Flow, Kind
from liushui.instant import to_us
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.read.history import list_flows_as_of, list_versions
from liushui.ledger.read.quarantine import list_quarantined
from liushui.ledger.read.summaries import Unit
from liushui.ledger.write.change import Committed
from liushui.ledger.write.quarantine import Interval, intersect, subtract
from liushui.ledger.write.reprocess import preview_rebuild, rebuild, retry
from liushui.testing.clock import MovableClock
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import assert_intact, column, decode_and_commit, hour, hours, new_ledger
from tests.ledger.reading import balances, statuses, summary

HOURS: Final = 8
SECOND: Final = timedelta(seconds=1)
CODECS: Final = (
    LearningCodec(unreadable=frozenset({"strange"})),
    LearningCodec(),
    LearningCodec(unreadable=frozenset({"plain"}), kinds={"gift": Kind.REBATE}),
    LearningCodec(identity=lambda row: f"{row.id} {row.label}"),
)

at_hours = st.integers(0, HOURS - 1)
codecs = st.sampled_from(CODECS)
rows = st.builds(
    lambda name, amount, label, side: lambda at: toy_row(f"{name}{at}", at, amount, label, side),
    st.sampled_from("pq"),
    st.sampled_from(["1.00", "-2.50", "0"]),
    st.sampled_from(["plain", "gift", "strange"]),
    st.sampled_from(["in", "out", "none"]),
)
junk = st.sampled_from([b"{", b"[1]"]).map(lambda row: lambda _at: row)


class State(NamedTuple):
    """What the ledger showed after a batch, and what it should contain."""

    recorded_at: datetime
    flows: Counter[Flow]
    balances: dict[str, Decimal]
    summary: list[object]
    batch: int


class Provider(RuleBasedStateMachine):
    """The provider's rows in each hour, and the result of the last read of each hour."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.ledger = new_ledger(Path(self.folder.name))
        clock = self.ledger.clock
        assert isinstance(clock, MovableClock)
        self.clock = clock
        self.has: list[list[bytes]] = [[] for _ in range(HOURS)]
        self.flows: list[list[tuple[bytes, Flow]]] = [[] for _ in range(HOURS)]
        self.lost: list[list[bytes]] = [[] for _ in range(HOURS)]
        self.states: list[State] = []

    def teardown(self) -> None:
        for state in self.states:
            self.is_as_of(state)
        self.every_version_is_listed_once()
        assert_intact(self.ledger)
        self.ledger.close()
        self.folder.cleanup()

    # ------------------------------------------------------------ what the provider does

    @rule(at=at_hours, row=st.one_of(rows, junk), copies=st.integers(1, 2))
    def adds(self, at: int, row: Callable[[int], bytes], copies: int) -> None:
        self.has[at] += [row(at)] * copies

    @rule(at=at_hours, row=rows)
    def restates(self, at: int, row: Callable[[int], bytes]) -> None:
        if self.has[at]:
            self.has[at][-1] = row(at)

    @rule(at=at_hours)
    def withdraws(self, at: int) -> None:
        del self.has[at][:1]

    # ------------------------------------------------------------ what we do

    @rule(since=at_hours, length=st.integers(1, HOURS), codec=codecs)
    def reads(self, since: int, length: int, codec: LearningCodec) -> None:
        until = min(HOURS, since + length)
        self.read(since, until, codec)
        cut = Interval(to_us(hour(since)), to_us(hour(until)))
        seen = Counter(row for at in range(since, until) for row in self.lost[at])
        inside: Counter[bytes] = Counter()
        for entry in list_quarantined(self.ledger):
            assert entry.span is not None
            if intersect(entry.span, cut):
                assert not subtract(entry.span, cut), "it is in the range or it is not"
                inside[entry.wire] += 1
        assert inside == seen

    @rule(codec=codecs, better=codecs)
    def reads_everything_and_learns(self, codec: LearningCodec, better: LearningCodec) -> None:
        self.read(0, HOURS, codec)
        everything = sum(map(len, self.has))
        (status,) = statuses(self.ledger)
        assert status.flows + status.quarantined == everything, "rows in are flows and quarantine"
        self.retries(better)
        self.rebuilds(better)
        (status,) = statuses(self.ledger)
        assert status.flows + status.quarantined == everything
        assert self.read(0, HOURS, better)[1:] == (0, 0, 0, 0), "a read says what was derived"

    @rule(codec=codecs)
    def retries(self, codec: LearningCodec) -> None:
        self.clock.move(SECOND)
        retry(self.ledger, "a", codec)
        for at in range(HOURS):
            left = []
            for row in self.lost[at]:
                try:
                    self.flows[at].append((row, codec.read(row).flow))
                except WireError:
                    left.append(row)
            self.lost[at] = left
        self.remember()

    @rule(codec=codecs)
    def rebuilds(self, codec: LearningCodec) -> None:
        expected = preview_rebuild(self.ledger, "a", codec, lambda _flows: None)
        batches = len(column(self.ledger, "batches", "seq"))
        self.clock.move(SECOND)
        rebuild(self.ledger, "a", codec, lambda _flows: None)
        assert (len(column(self.ledger, "batches", "seq")) > batches) == bool(expected.changed)
        for at in range(HOURS):
            known, self.flows[at] = self.flows[at], []
            self.sort(at, [row for row, _ in known], codec)
        self.remember()
        assert not preview_rebuild(self.ledger, "a", codec, lambda _flows: None).changed

    # ------------------------------------------------------------ what is so

    @invariant()
    @precondition(lambda self: hasattr(self, "ledger"))
    def the_ledger_holds_what_the_last_reads_saw(self) -> None:
        assert Counter(found.flow for found in list_flows(self.ledger, FlowFilter())) == self.expected()

    @rule(choice=st.integers(0, 1000))
    def looks_back(self, choice: int) -> None:
        if self.states:
            self.is_as_of(self.states[choice % len(self.states)])

    # ------------------------------------------------------------ helpers

    def read(self, since: int, until: int, codec: LearningCodec) -> Committed:
        came = [row for at in range(since, until) for row in self.has[at]]
        self.clock.move(SECOND)
        committed = decode_and_commit(self.ledger, hours(since, until), codec, *came)
        for at in range(since, until):
            self.flows[at], self.lost[at] = [], []
            self.sort(at, self.has[at], codec)
        self.remember()
        return committed

    def sort(self, at: int, found: list[bytes], codec: LearningCodec) -> None:
        for row in found:
            try:
                self.flows[at].append((row, codec.read(row).flow))
            except WireError:
                self.lost[at].append(row)

    def expected(self) -> Counter[Flow]:
        return Counter(flow for found in self.flows for _, flow in found)

    def remember(self) -> None:
        sums: dict[str, Decimal] = {}
        for flow, times in self.expected().items():
            sums[flow.currency] = sums.get(flow.currency, Decimal(0)) + flow.amount * times
        seqs = column(self.ledger, "batches", "seq")
        shown: list[object] = [*balances(self.ledger), *summary(self.ledger, unit=Unit.DAY)]
        batch = int(str(seqs[-1][0])) if seqs else 0
        self.states.append(State(self.clock(), self.expected(), sums, shown, batch))

    def is_as_of(self, state: State) -> None:
        found = list(list_flows_as_of(self.ledger, FlowFilter(), state.recorded_at))
        assert Counter(one.flow for one in found) == state.flows
        assert all(one.batch <= state.batch for one in found)
        sums = balances(self.ledger, as_of=state.recorded_at)
        assert {one.currency: one.amount for one in sums} == state.balances
        assert [*sums, *summary(self.ledger, unit=Unit.DAY, as_of=state.recorded_at)] == state.summary

    def every_version_is_listed_once(self) -> None:
        every = list(list_versions(self.ledger, FlowFilter()))
        assert len(every) == len(column(self.ledger, "flows", "id")) + len(column(self.ledger, "history", "id"))
        for state in self.states:
            then = [
                one.found
                for one in every
                if one.recorded_at <= state.recorded_at and (one.ended_at is None or one.ended_at > state.recorded_at)
            ]
            assert then == list(list_flows_as_of(self.ledger, FlowFilter(), state.recorded_at))


TestProvider = Provider.TestCase
TestProvider.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
