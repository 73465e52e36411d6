"""The feed of changed flows, and events as they happen."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Meta

from liushui.client import models
from liushui.errors import AccountNotFound
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.findings import BREAK, finding_id
from liushui.ledger.jobs.workers import list_progress
from liushui.ledger.read.accounts import read_heads
from liushui.ledger.read.closed_months import MonthChanges, PeriodDecision, list_decisions
from liushui.ledger.read.feed import Commit, FeedPage, Step, commits_after, feed_page, positions_after_renames
from liushui.ledger.read.finding_decisions import FindingDecision, chain_breaks, list_finding_decisions
from liushui.ledger.read.flows import flows_at
from liushui.ledger.read.link_decisions import LinkDecision, decisions_of_accounts
from liushui.ledger.read.model import Account, Reading
from liushui.money import to_plain_string
from liushui.server.api.context import FEED, Context, RequestContext
from liushui.server.api.endpoint import ApiOperation, endpoint
from liushui.server.api.flows import AccountNames, flow_model
from liushui.server.api.periods import decision_model
from liushui.server.api.sources import sync_model
from liushui.server.context import UNCOMPRESSED

STEPS: Final = 1_000
STEPS_MAX: Final = 10_000

POLL_S: Final = 0.5
"""How often a stream looks for new events."""
POLLS_PER_HEARTBEAT: Final = 30
"""After this number of polls without new events, a stream sends a comment, so that proxies do not close it."""
COMMITS_MAX: Final = 100


class FeedParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects a page of the feed."""

    account: AccountNames = []
    cursor: (
        Annotated[str, Meta(description="`cursor` of the page before, with the same accounts. Default: the beginning.")]
        | None
    ) = None
    limit: Annotated[
        int, Meta(ge=1, le=STEPS_MAX, description="After this number of steps, no further commit begins.")
    ] = STEPS


class EventParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects events."""

    account: AccountNames = []
    cursor: (
        Annotated[str, Meta(description="A cursor of the feed, or the id of an event. Default: from now on.")] | None
    ) = None


@endpoint("GET", "/feed", scope=Scope.READ, operation_id="read")
def read_feed(context: Context, params: NamedDependency[FeedParams]) -> Response[models.FeedPage]:
    """Flows that were added, changed or withdrawn since a cursor, commit by commit.

    A client that applies every step by its key has the same flows as a full read. If an account is added later, the
    feed has all of its commits.
    """
    names = context.accounts(params.account)
    query = context.query_name(FEED, params.account)
    positions = {} if params.cursor is None else context.read_cursor(query, params.cursor, dict[str, int])

    def make() -> models.FeedPage:
        page = FeedPage([], {}, more=False)
        if names:
            page = feed_page(context.ledger, names, positions, limit=params.limit)
        steps = [_step_model(step) for step in page.steps]
        return models.FeedPage(steps=steps, cursor=context.sign_cursor(query, page.positions), more=page.more)

    return context.answer_tagged(names, make)


def _step_model(step: Step) -> models.Step:
    flow = flow_model(step.found)
    return models.Step.of(step, change=step.how.value, key=flow.key, account=flow.account, flow=flow)


# ---------------------------------------------------------------- events


class StreamOperation(ApiOperation):
    """An operation that answers with server-sent events, whose type Litestar does not describe."""

    def to_schema(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        schema = super().to_schema()
        schema["responses"]["200"]["content"]["text/event-stream"]["schema"] = {"type": "string"}
        return schema


@endpoint(
    "GET",
    "/events",
    scope=Scope.READ,
    operation_id="events",
    operation=StreamOperation,
    media_type="text/event-stream",
    opt={UNCOMPRESSED: True},  # compression would delay events until there is enough to compress
)
async def stream_events(context: Context, params: NamedDependency[EventParams]) -> ServerSentEvent:
    """Commits that changed flows, decisions of people, breaks, and the progress of syncs, as they happen (server-sent
    events).

    `commit`: its id is a cursor of the feed; a client that reconnects sends it as Last-Event-ID. `period_closed`,
    `period_reopened`, `link_confirmed`, `link_rejected`, `finding_explained` and `finding_withdrawn`: a person's
    decision; its id is a cursor too. `changed_after_close`: the commit before this event has changed a closed month.
    `break_found` and `break_ended`: after the commits before, a balance chain breaks, or no longer does. After a
    reconnect, `GET /breaks` says which breaks have ended meanwhile. `sync`: the progress of a sync, about twice a
    second. Comments keep the connection alive. The stream ends when the token expires or is revoked.
    """
    stream = await asyncio.to_thread(EventStream.open, context, params)
    return ServerSentEvent(stream.messages(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@dataclass
class EventStream:
    """A stream of events, and the events that it has sent."""

    context: RequestContext
    named: list[str]
    """The requested accounts. Empty: all that the caller may see, including future ones."""
    query: str
    positions: dict[str, int]
    """The last commit that was sent, for each account."""
    updates: dict[str, datetime] = field(default_factory=dict)
    """The time of the last progress that was sent, for each account."""
    breaks: dict[str, dict[str, models.SeenBreak]] = field(default_factory=dict)
    """The breaks that the client knows of, for each account, by finding id."""

    @classmethod
    def open(cls, context: RequestContext, params: EventParams) -> "EventStream":
        """Open a stream from the request's cursor, or else from now on. Raises ProblemError."""
        names = context.accounts(params.account)
        query = context.query_name(FEED, params.account)
        last_id = context.request.headers.get("last-event-id")
        if last_id:
            positions = context.read_cursor(query, last_id, dict[str, int], "Last-Event-ID")
        elif params.cursor is not None:
            positions = context.read_cursor(query, params.cursor, dict[str, int])
        else:
            positions = read_heads(context.ledger, names)
        return cls(context, params.account, query, positions)

    async def messages(self) -> AsyncIterator[ServerSentEventMessage]:
        """Yield the messages, until the caller may no longer see them."""
        yield ServerSentEventMessage(data=None, comment="begun")
        silent_polls = 0
        while (messages := await asyncio.to_thread(self._poll)) is not None:
            for message in messages:
                yield message
            silent_polls = 0 if messages else silent_polls + 1
            if silent_polls == POLLS_PER_HEARTBEAT:
                silent_polls = 0
                yield ServerSentEventMessage(data=None, comment="nothing new")
            await asyncio.sleep(POLL_S)

    def _poll(self) -> list[ServerSentEventMessage] | None:
        """Return the new events. None: the token was revoked, has expired, or its accounts have changed."""
        context = self.context
        principal = context.app_context.authenticate(context.request)
        if principal is None or Scope.READ not in principal.scopes or principal.accounts != context.principal.accounts:
            return None
        heads = read_heads(context.ledger, sorted(self.named) if self.named else None)
        names = [name for name in heads if principal.sees(name)]
        self.positions = positions_after_renames(context.ledger, names, self.positions)
        # The breaks of an account are read at once, so that later ones can be distinguished from them.
        is_behind = any(heads[name] > self.positions.get(name, 0) or name not in self.breaks for name in names)
        return [*(self._commits(names, heads) if is_behind else ()), *self._syncs(names)]

    def _commits(self, names: list[str], heads: Mapping[str, int]) -> Iterator[ServerSentEventMessage]:
        """Return each account's unsent commits in order, decisions, and the effects on closed months and balance
        chains.

        `heads` were read before; later commits are sent next time, so that none is left out.
        """
        commits = commits_after(self.context.ledger, names, self.positions, limit=COMMITS_MAX)
        try:
            with self.context.read_model.reading(names) as reading:
                decisions = _decisions(reading, names)
                changes = [month for account in reading.accounts.values() for month in reading.month_changes(account)]
                breaks = {
                    name: _breaks_of(reading, reading.accounts[name])
                    for name in names
                    if reading.accounts[name].snapshot.head == heads[name]
                }
                old = {name: self._known_breaks(reading, name, breaks[name]) for name in breaks}
        except AccountNotFound:
            return  # the account was just removed; the next poll is without it
        for name in names:
            of_account = [commit for commit in commits if commit.account == name]
            # If there are more commits than one poll reads, or newer ones than `heads`, the rest is sent later.
            end = min(of_account[-1].seq, heads[name]) if len(of_account) == COMMITS_MAX else heads[name]
            seen = self.positions.get(name, 0)
            steps: list[tuple[int, Commit | _Decision]] = [(one.seq, one) for one in of_account if one.seq <= end]
            steps += [(one.batch, one) for one in decisions.get(name, ()) if seen < one.batch <= end]
            for batch, step in sorted(steps, key=itemgetter(0)):
                self.positions[name] = batch
                id_ = self.context.sign_cursor(self.query, self.positions)
                if not isinstance(step, Commit):
                    yield _decision_message(step, id_)
                    continue
                yield _message("commit", models.CommitSeen.of(step, batch=batch), id_)
                yield from _changed_months(changes, name, batch)
            self.positions[name] = max(seen, end)  # commits that change no flow are skipped from now on
            if name in breaks and end == heads[name]:
                yield from _break_messages(old[name], breaks[name])
                self.breaks[name] = breaks[name]

    def _known_breaks(
        self, reading: Reading, name: str, current: Mapping[str, models.SeenBreak]
    ) -> Mapping[str, models.SeenBreak]:
        """The breaks of an account that the client knows of.

        At the first poll these are the breaks whose flows are not newer than the client's position.
        """
        account, seen = reading.accounts[name], self.positions.get(name, 0)
        if name in self.breaks or not current or seen == account.snapshot.head:
            return self.breaks.get(name, current)
        around = {finding_id(name, BREAK, *one.after): one for _, one in chain_breaks(reading.chains(account))}
        keys = {id_: {key for key in (one.before, one.after) if key is not None} for id_, one in around.items()}
        flows = flows_at(reading.connection, name, (key for ends in keys.values() for key in ends))
        newest = {id_: max((flows[key].batch for key in keys[id_] if key in flows), default=0) for id_ in keys}
        return {id_: one for id_, one in current.items() if newest[id_] <= seen}

    def _syncs(self, names: list[str]) -> Iterator[ServerSentEventMessage]:
        now = self.context.ledger.clock()
        for progress in list_progress(self.context.ledger, names):
            if self.updates.get(progress.account) != progress.updated_at:
                self.updates[progress.account] = progress.updated_at
                yield _message("sync", sync_model(progress, now))


_Decision = PeriodDecision | LinkDecision | FindingDecision


def _decisions(reading: Reading, names: Collection[str]) -> dict[str, list[_Decision]]:
    """Return people's decisions about months, links and findings of these accounts, by account."""
    decisions: dict[str, list[_Decision]] = {name: [] for name in names}
    for period in list_decisions(reading.queries, list(names)):
        decisions[period.account].append(period)
    for link in decisions_of_accounts(reading.connection, names):
        decisions[link.flows[0].account].append(link)
    for name in names:
        decisions[name] += list_finding_decisions(reading.queries, name)
    return decisions


def _decision_message(decision: _Decision, id_: str) -> ServerSentEventMessage:
    if isinstance(decision, PeriodDecision):
        return _message(f"period_{decision.state.value}", decision_model(decision, 0), id_)
    text = decision.decision.value
    if isinstance(decision, LinkDecision):
        account, kind = decision.flows[0].account, models.LinkKind(decision.kind.value)
        return _message(f"link_{text}", models.DecidedLink.of(decision, account=account, kind=kind, decision=text), id_)
    return _message(f"finding_{text}", models.DecidedFinding.of(decision, decision=text), id_)


def _breaks_of(reading: Reading, account: Account) -> dict[str, models.SeenBreak]:
    """The breaks of an account's chains, by the id of the finding."""
    name, batch = account.name.account, account.snapshot.head
    return {
        (id_ := finding_id(name, BREAK, *one.after)): models.SeenBreak(
            account=name,
            batch=batch,
            finding=id_,
            subaccount=subaccount,
            currency=currency,
            at=from_us(one.after[0]),
            difference=to_plain_string(one.difference),
        )
        for (subaccount, currency), one in chain_breaks(reading.chains(account))
    }


def _break_messages(
    old: Mapping[str, models.SeenBreak], new: Mapping[str, models.SeenBreak]
) -> Iterator[ServerSentEventMessage]:
    """Return an event for each break that is new or has another difference, and for each one that has ended."""
    for id_, one in old.items():
        if id_ not in new:
            yield _message("break_ended", one)
    for id_, one in new.items():
        if id_ not in old or old[id_].difference != one.difference:
            yield _message("break_found", one)


def _changed_months(changes: Sequence[MonthChanges], account: str, batch: int) -> Iterator[ServerSentEventMessage]:
    """Return an event for each closed month whose flows a commit has changed."""
    for month in changes:
        flows = sum(change.batch == batch for change in month.changes)
        if month.closed.account == account and flows:
            model = models.ChangedMonth(account=account, period=month.closed.period, batch=batch, flows=flows)
            yield _message("changed_after_close", model)


def _message(event: str, model: models.Model, id_: str | None = None) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=msgspec.json.encode(model).decode(), event=event, id=id_)
