"""What happens: the feed of changed flows, and events as they come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Meta

from liushui.client import models
from liushui.instant import to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.jobs.progress import list_progress
from liushui.ledger.read.accounts import read_heads
from liushui.ledger.read.cursors import flow_key, sign_cursor
from liushui.ledger.read.feed import FeedPage, Step, commits_after, feed_page
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.cursors import position_of
from liushui.server.api.endpoint import ApiOperation, endpoint
from liushui.server.api.flows import AccountNames, said
from liushui.server.api.sources import sync_model

STEPS: Final = 1_000
STEPS_MAX: Final = 10_000

LOOK_S: Final = 0.5
"""How often a stream looks for what is new."""
BEAT: Final = 30
"""A stream that has nothing to say says so after as many looks."""
COMMITS_MAX: Final = 100


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """From where on, and of which accounts."""

    account: AccountNames = []
    cursor: (
        Annotated[str, Meta(description="Of the page before, with the same accounts. None: from the beginning.")] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=STEPS_MAX, description="After so many steps no further commit begins.")] = STEPS


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which accounts, and from where on."""

    account: AccountNames = []
    cursor: Annotated[str, Meta(description="Of the feed, or an event's id. None: from now on.")] | None = None


@endpoint("GET", "/feed", scope=Scope.READ, operation_id="read")
def read_feed(context: Context, params: NamedDependency[FeedQuery]) -> Response[models.FeedPage]:
    """Flows that were added, changed and withdrawn since a cursor, commit by commit.

    Whoever applies every step, by key, has what a full read has. Accounts that come later are in it from their
    beginning on.
    """
    names = context.accounts(params.account)
    about = _about(context, params.account)
    seen = {} if params.cursor is None else position_of(context.ledger, about, params.cursor, dict[str, int])

    def page() -> models.FeedPage:
        found = feed_page(context.ledger, names, seen, limit=params.limit) if names else FeedPage([], {}, more=False)
        following = sign_cursor(context.ledger, about, found.positions)
        return models.FeedPage(steps=[_step(step) for step in found.steps], cursor=following, more=found.more)

    return context.tagged(names, page)


class StreamOperation(ApiOperation):
    """An operation that answers with server-sent events, which Litestar knows no type of."""

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
    opt={"whole": True},  # a packed stream would be held back until there is enough of it to pack
)
async def stream_events(context: Context, params: NamedDependency[EventQuery]) -> ServerSentEvent:
    """Commits that changed flows, and how far syncs are, as they come (server-sent events).

    `commit`: its id is a cursor of the feed, from which a stream that broke off goes on (Last-Event-ID). `sync`: how
    far one is, about twice a second. A comment now and then says that the stream lives. It ends with its token.
    """
    told = await asyncio.to_thread(_begin, context, params)
    return ServerSentEvent(_stream(told), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@dataclass
class _Told:
    """What a stream has told already."""

    context: RequestContext
    asked: EventQuery
    about: str
    positions: dict[str, int]
    syncs: dict[str, datetime] = field(default_factory=dict)


def _begin(context: RequestContext, asked: EventQuery) -> _Told:
    names = context.accounts(asked.account)
    about = _about(context, asked.account)
    last = context.request.headers.get("last-event-id") or asked.cursor
    parameter = "Last-Event-ID" if context.request.headers.get("last-event-id") else "cursor"
    if last is None:
        return _Told(context, asked, about, read_heads(context.ledger, names))
    return _Told(context, asked, about, position_of(context.ledger, about, last, dict[str, int], parameter))


async def _stream(told: _Told) -> AsyncIterator[ServerSentEventMessage]:
    quiet = 0
    yield ServerSentEventMessage(data=None, comment="begun")
    while True:
        found = await asyncio.to_thread(_look, told)
        if found is None:
            return
        for message in found:
            yield message
        quiet = 0 if found else quiet + 1
        if quiet >= BEAT:
            quiet = 0
            yield ServerSentEventMessage(data=None, comment="nothing new")
        await asyncio.sleep(LOOK_S)


def _look(told: _Told) -> list[ServerSentEventMessage] | None:
    """What is new. None: the caller is nobody who may know any more."""
    context = told.context
    principal = context.app_context.authenticate(context.request)
    if principal is None or Scope.READ not in principal.scopes or principal.accounts != context.principal.accounts:
        return None
    every = read_heads(context.ledger, sorted(told.asked.account) if told.asked.account else None)
    names = [name for name in every if principal.sees(name)]
    messages = []
    if any(every[name] > told.positions.get(name, 0) for name in names):
        for commit in commits_after(context.ledger, names, told.positions, limit=COMMITS_MAX):
            told.positions[commit.account] = commit.seq
            seen = models.CommitSeen(
                account=commit.account,
                batch=commit.seq,
                recorded_at=commit.recorded_at,
                added=commit.added,
                restated=commit.restated,
                withdrawn=commit.withdrawn,
            )
            id_ = sign_cursor(context.ledger, told.about, told.positions)
            messages.append(ServerSentEventMessage(data=_text(seen), event="commit", id=id_))
    now = context.ledger.clock()
    for one in list_progress(context.ledger, names):
        if told.syncs.get(one.account) != one.updated_at:
            told.syncs[one.account] = one.updated_at
            messages.append(ServerSentEventMessage(data=_text(sync_model(one, now)), event="sync"))
    return messages


def _text(word: models.Word) -> str:
    return msgspec.json.encode(word).decode()


def _about(context: RequestContext, accounts: list[str]) -> str:
    """What a cursor of the feed is for: these accounts, of somebody who sees those."""
    return msgspec.json.encode(("feed", sorted(set(accounts)), context.whose)).decode()


def _step(step: Step) -> models.Step:
    found = step.found
    return models.Step(
        change=step.how.value,
        key=flow_key(found.account, to_us(found.flow.at), found.id),
        account=found.account,
        batch=step.batch,
        recorded_at=step.recorded_at,
        ended_as=step.ended_as,
        flow=said(found),
    )
