"""Findings as every face shows them: with all their flows, their state, and people's decisions.

Every finding with all of its flows, its state, and people's decisions, for all faces.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, NotFound, short_repr
from liushui.instant import BusinessDays, from_us
from liushui.ledger import findings
from liushui.ledger.findings import BREAK, KINDS, SAME_ID, SIDE, finding_id
from liushui.ledger.flow_row import BATCH, ID, Row, to_flow
from liushui.ledger.read.breaks import LedgerBreak, breaks_with_flows
from liushui.ledger.read.chain_segments import Key
from liushui.ledger.read.filters import FlowFilter, begin_us, end_us
from liushui.ledger.read.finding_decisions import (
    FindingDecision,
    FindingState,
    break_evidence,
    chain_breaks,
    copies_with_first,
    copy_evidence,
    list_finding_decisions,
    newest_decisions,
    side_evidence,
)
from liushui.ledger.read.flows import LedgerFlow, flows_at, key_of, ledger_flow
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.schema import flows
from liushui.reconcile.chain import Break
from liushui.reconcile.links import seconds_of

AT_ONCE: Final = 60
"""The number of findings whose other flows are read together."""


FEW: Final = 10
"""Up to this number, findings are looked up one by one; the search for each reads only the flows of its second."""
THERE: Final = frozenset({FindingState.OPEN, FindingState.EXPLAINED})
"""The states of findings that exist now."""


class Finding(NamedTuple):
    """A flow to review, or a flow that was explained and whose finding no longer exists.

    `kind` is one of findings.KINDS. `flow` None: the flow is no longer in the ledger. `others`: the other flows of the
    finding. For a copy, it is the first flow with its id; for a break, the flow before it and the flows that may be
    wrong. `located`: the break, if the finding is a break. `decision`: the newest decision on it.
    """

    id: str
    account: str
    kind: str
    at_us: int
    flow_id: str
    flow: LedgerFlow | None
    others: tuple[LedgerFlow, ...]
    evidence: str
    state: FindingState
    decision: FindingDecision | None
    located: LedgerBreak | None = None

    @property
    def at(self) -> datetime:
        """The time of the finding's flow."""
        return from_us(self.at_us)

    @property
    def flows(self) -> tuple[LedgerFlow, ...]:
        """Every flow of the finding that is in the ledger."""
        return self.others if self.flow is None else (self.flow, *self.others)

    @property
    def order(self) -> tuple[str, int, int, str]:
        """The sort key of findings in pages: account, kind, time and flow."""
        return self.account, KINDS.index(self.kind), self.at_us, self.flow_id


class FindingInFull(NamedTuple):
    """A finding with every decision on it, oldest first."""

    finding: Finding
    decisions: list[FindingDecision]


def list_findings(
    model: ReadModel,
    names: Sequence[str] = (),
    *,
    kinds: Iterable[str] = KINDS,
    states: Iterable[FindingState] = FindingState,
) -> Generator[Finding]:
    """Return the findings of these kinds and states by account, kind and time. Raises AccountNotFound."""
    wanted_kinds, wanted_states = frozenset(kinds), frozenset(states)
    with model.reading(names) as reading:
        for account in reading.accounts.values():
            for finding in _of_account(reading, account, wanted_kinds):
                if finding.state in wanted_states:
                    yield finding


class FindingPosition(NamedTuple):
    """A position in the sorted findings: after the finding with this sort key."""

    account: str
    kind: int
    at_us: int
    flow_id: str


class FindingPage(NamedTuple):
    """Some findings in order, and the position after them. `next` None: this is the last page."""

    findings: list[Finding]
    next: FindingPosition | None


def findings_page(
    model: ReadModel,
    names: Sequence[str],
    *,
    kinds: Iterable[str],
    states: Iterable[FindingState],
    limit: int,
    after: FindingPosition | None = None,
) -> FindingPage:
    """Return at most `limit` findings after a position, in the order of `list_findings`. Raises AccountNotFound."""
    chosen = sorted(name for name in names if after is None or name >= after.account)
    if not chosen:
        return FindingPage([], None)
    with closing(list_findings(model, chosen, kinds=kinds, states=states)) as found:
        left = (one for one in found if after is None or one.order > after)
        page = list(islice(left, limit + 1))
    return FindingPage(page[:limit], FindingPosition(*page[limit - 1].order) if len(page) > limit else None)


class FindingCount(NamedTuple):
    """The number of a day's flows with a finding that nobody has explained."""

    account: str
    day: str
    finding: str
    flows: int


def count_findings(model: ReadModel, names: Sequence[str]) -> list[FindingCount]:
    """Return the numbers of open findings by account, day and kind; breaks come last. Raises AccountNotFound."""
    rows: list[FindingCount] = []
    breaks: list[FindingCount] = []
    with model.reading(names) as reading:
        for name, account in reading.accounts.items():
            days = BusinessDays(account.name.tz)
            explained = Counter((days.day_of(one.at_us), one.kind) for one in reading.explained(account).values())
            stored = findings.load(reading.connection, name)
            found = Counter((days.day_of(one.after[0]), BREAK) for one in reading.breaks(account))
            rows += [FindingCount(name, *key, number) for key, number in sorted((stored - explained).items())]
            breaks += [FindingCount(name, *key, number) for key, number in sorted((found - explained).items())]
    return rows + breaks


def find_finding(model: ReadModel, id_: str) -> FindingInFull:
    """Return the finding with this id. Raises NotFound, also if the reader may not see the finding's account."""
    with model.reading() as reading:
        return finding_in(reading, id_)


def finding_in(reading: Reading, id_: str) -> FindingInFull:
    """Return the finding with this id among the accounts of a reading. Raises NotFound."""
    second = seconds_of(id_) or (0, 0)
    for account in reading.accounts.values() if second[1] else ():
        every = list_finding_decisions(reading.queries, account.name.account)
        decisions = [one for one in every if one.finding == id_]
        for finding in _in_second(reading, account, decisions, second):
            if finding.id == id_:
                return FindingInFull(finding, decisions)
    raise NotFound(f"finding: there is none with the id {short_repr(id_)}: `liushui findings` prints the ids")


def findings_named(reading: Reading, ids: Sequence[str]) -> list[Finding]:
    """Return the findings with these ids, in this order. Raises NotFound for the first id that no finding has."""
    if len(ids) <= FEW:
        return [finding_in(reading, id_).finding for id_ in ids]
    every = {
        one.id: one for account in reading.accounts.values() for one in _of_account(reading, account, frozenset(KINDS))
    }
    return [every[id_] if id_ in every else finding_in(reading, id_).finding for id_ in ids]


def findings_of_flow(model: ReadModel, flow: LedgerFlow) -> list[FindingInFull]:
    """Return the findings of the flow with this id, in any state."""
    with model.reading((flow.account,)) as reading:
        account = reading.accounts[flow.account]
        at_us, id_ = key_of(flow)
        every = list_finding_decisions(reading.queries, flow.account)
        decisions = [one for one in every if one.key == (at_us, id_)]
        return [
            FindingInFull(finding, [one for one in decisions if one.finding == finding.id])
            for finding in _in_second(reading, account, decisions, (at_us, at_us + 1))
            if finding.flow_id == id_
        ]


# ---------------------------------------------------------------- the findings of an account


class _Maker:
    """Makes the findings of one account."""

    def __init__(self, reading: Reading, account: Account, newest: dict[str, FindingDecision]) -> None:
        self._reading, self._account, self._newest = reading, account, newest
        self._explained = reading.explained(account)
        self.seen: set[str] = set()
        """The ids of the findings that were made."""

    def make(self, kind: str, flow: LedgerFlow, others: Iterable[LedgerFlow], evidence: str) -> Finding:
        """Return a finding that exists now."""
        at_us, id_ = key_of(flow)
        name = finding_id(flow.account, kind, at_us, id_)
        self.seen.add(name)
        state = FindingState.EXPLAINED if name in self._explained else FindingState.OPEN
        decision = self._newest.get(name)
        return Finding(name, flow.account, kind, at_us, id_, flow, tuple(others), evidence, state, decision)

    def sides(self, rows: Iterable[LedgerFlow]) -> Iterator[Finding]:
        """Return the findings of flows whose direction contradicts the sign of the amount."""
        for flow in rows:
            yield self.make(SIDE, flow, (), side_evidence(flow))

    def copies(self, rows: Sequence[LedgerFlow]) -> Iterator[Finding]:
        """Return the findings of flows that share their id with a different one."""
        for copy, first in copies_with_first(self._reading.connection, self._account.name.account, rows):
            yield self.make(SAME_ID, copy, () if first is None else (first,), copy_evidence(copy, first))

    def breaks(self, found: Sequence[tuple[Key, Break]]) -> Iterator[Finding]:
        """Return the findings of breaks."""
        located = {key_of(one.after): one for one in breaks_with_flows(self._reading, self._account, found)}
        for key, one in found:
            where = located.get(one.after)
            if where is not None:
                around = {key_of(row): row for row in (where.before, *where.rows) if row is not None}
                around.pop(one.after, None)
                finding = self.make(BREAK, where.after, around.values(), break_evidence(key, one))
                yield finding._replace(located=where)

    def gone(self, kind: str) -> Iterator[Finding]:
        """Return the findings of a kind that people decided on and that no longer exist."""
        gone = [one for id_, one in self._newest.items() if one.kind == kind and id_ not in self.seen]
        gone.sort(key=lambda one: one.key)
        there = flows_at(self._reading.connection, self._account.name.account, (one.key for one in gone))
        for one in gone:
            flow = there.get(one.key)
            about = (one.finding, one.account, one.kind, one.at_us, one.flow)
            yield Finding(*about, flow, (), one.evidence, FindingState.GONE, one)


_Item = TypeVar("_Item")


def _of_account(reading: Reading, account: Account, kinds: frozenset[str]) -> Iterator[Finding]:
    connection, name = reading.connection, account.name.account
    newest = newest_decisions(list_finding_decisions(reading.queries, name))
    maker = _Maker(reading, account, newest)
    days_by_kind: dict[str, list[str]] = defaultdict(list)
    for day, kind in findings.load(connection, name):
        days_by_kind[kind].append(day)
    for kind in KINDS:
        if kind not in kinds:
            continue
        found: Iterator[Finding] = iter(())
        if kind == BREAK:
            found = _in_parts(chain_breaks(reading.chains(account)), maker.breaks)
        elif days := days_by_kind[kind]:
            calendar = BusinessDays(account.name.tz)
            since_us, until_us = begin_us(calendar, min(days)), end_us(calendar, max(days))
            listed = findings.find(connection, name, (kind,), since_us=since_us, until_us=until_us)
            rows = (_ledger_flow(name, row) for _, row in listed)
            found = maker.sides(rows) if kind == SIDE else _in_parts(rows, maker.copies)
        if not any(one.kind == kind for one in newest.values()):
            yield from found
            continue
        there = list(found)  # all existing findings have to be made first: the others no longer exist
        yield from sorted((*there, *maker.gone(kind)), key=lambda one: one.order)


def _in_parts(items: Iterable[_Item], make: Callable[[Sequence[_Item]], Iterator[Finding]]) -> Iterator[Finding]:
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        yield from make(part)


def _ledger_flow(account: str, row: Row) -> LedgerFlow:
    return LedgerFlow(account, str(row[ID]), to_flow(row), int(str(row[BATCH])))


def _in_second(
    reading: Reading, account: Account, decisions: Sequence[FindingDecision], second: tuple[int, int]
) -> Iterator[Finding]:
    """Return the findings of an account's flows in a time range, and those of `decisions` that no longer exist."""
    since_us, until_us = second
    maker = _Maker(reading, account, newest_decisions(decisions))
    yield from maker.sides(_flows_with(reading.connection, account, SIDE, since_us, until_us))
    yield from maker.copies(_flows_with(reading.connection, account, SAME_ID, since_us, until_us))
    breaks = chain_breaks(reading.chains(account))
    yield from maker.breaks([pair for pair in breaks if since_us <= pair[1].after[0] < until_us])
    for kind in KINDS:
        yield from maker.gone(kind)


def _flows_with(
    connection: Connection, account: Account, finding: str, since_us: int, until_us: int
) -> list[LedgerFlow]:
    """Return the flows of an account in a time range that have a finding."""
    wanted = FlowFilter(finding=finding).of(account.name).within(since_us, until_us)
    return [ledger_flow(row) for row in connection.execute(wanted.apply(sa.select(*flows.columns), flows))]


# ---------------------------------------------------------------- the flows of findings


ROWS_MAX: Final = 10_000
"""The most flows of findings that a filter can select."""


def with_finding_rows(model: ReadModel, wanted: FlowFilter) -> FlowFilter:
    """Return a filter with the keys of its finding's flows, if its finding is a break or an id.

    Raises NotFound for an id that no finding of the filter's accounts has, and ConfigError for too many flows.
    """
    finding = wanted.finding
    if finding is None or finding in (SIDE, SAME_ID):
        return wanted
    keys: set[tuple[str, int, str]] = set()
    if finding == BREAK:
        for one in list_findings(model, wanted.accounts, kinds=(BREAK,), states=THERE):
            keys.update((flow.account, *key_of(flow)) for flow in one.flows)
            if len(keys) > ROWS_MAX:
                raise ConfigError(
                    f"finding: the breaks are about more than {ROWS_MAX:,} flows: name an account, or the id of one"
                )
    else:
        keys.update((flow.account, *key_of(flow)) for flow in find_finding(model, finding).finding.flows)
    return wanted._replace(keys=frozenset(keys))
