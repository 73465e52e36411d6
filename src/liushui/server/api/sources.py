"""Where accounts are collected from: how that goes, a sync now, and pauses."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, RawBody
from msgspec import Meta

from liushui.client import models
from liushui.instant import from_us, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.jobs.progress import Progress, list_progress
from liushui.ledger.jobs.sources import Run, Source, last_runs, list_runs, list_sources, pause_source
from liushui.ledger.jobs.sync_requests import SyncRequest, find_request, request_sync
from liushui.server.api.context import RequestContext, context_of
from liushui.server.api.cursors import cursor, place_of
from liushui.server.api.errors import missing
from liushui.server.api.flows import PAGE, PAGE_MAX
from liushui.server.api.params import BODY, QUERY, Nothing, body_of, no_query
from liushui.server.auth import require_scope


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs."""

    account: str
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before.")] | None = None


@get("/sources", guards=[require_scope(Scope.READ)], sync_to_thread=True, opt={QUERY: Nothing})
def list_all(request: Request[Any, Any, Any]) -> Response[models.Sources]:
    """The sources, the last run of each, and how far the sync is that goes on. Credentials are not shown."""
    context = context_of(request)
    no_query(request)
    return context.answer(models.Sources(sources=_sources(context)))


@get("/sources/{account:str}", guards=[require_scope(Scope.READ)], sync_to_thread=True, opt={QUERY: Nothing})
def show(request: Request[Any, Any, Any], account: FromPath[str]) -> Response[models.Source]:
    """One source."""
    context = context_of(request)
    no_query(request)
    return context.answer(_source(context, account))


@patch(
    "/sources/{account:str}", guards=[require_scope(Scope.MANAGE)], sync_to_thread=True, opt={BODY: models.ChangeSource}
)
def change(request: Request[Any, Any, Any], account: FromPath[str], body: RawBody) -> Response[models.Source]:
    """Pause a source, so that the scheduler passes it over, or resume it."""
    context = context_of(request)
    no_query(request)
    wanted = body_of(body, request, models.ChangeSource)
    _source(context, account)
    pause_source(context.ledger, account, paused=wanted.paused)
    return context.answer(_source(context, account))


@post(
    "/sources/{account:str}/sync",
    guards=[require_scope(Scope.MANAGE)],
    sync_to_thread=True,
    status_code=HTTPStatus.ACCEPTED,
    opt={BODY: models.AskSync},
)
def sync(request: Request[Any, Any, Any], account: FromPath[str], body: RawBody) -> Response[models.SyncAsked]:
    """Ask for a sync now. Whichever process syncs takes it; one that waits already is the one that is answered."""
    context = context_of(request)
    no_query(request)
    wanted = body_of(body, request, models.AskSync)
    _source(context, account)
    asked = request_sync(context.ledger, account, by=context.principal.name, everything=wanted.everything)
    answer = context.answer(_asked(asked), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"{request.url.path}/{asked.id}"
    return answer


@get(
    "/sources/{account:str}/sync/{id:str}",
    guards=[require_scope(Scope.READ)],
    sync_to_thread=True,
    opt={QUERY: Nothing},
)
def show_request(
    request: Request[Any, Any, Any],
    account: FromPath[str],
    id: FromPath[str],  # noqa: A002 - the path's own name
) -> Response[models.SyncAsked]:
    """What became of a request to sync."""
    context = context_of(request)
    no_query(request)
    found = find_request(context.ledger, context.account(account), id)
    if found is None:
        raise missing("request", id)
    return context.answer(_asked(found))


@get("/runs", guards=[require_scope(Scope.READ)], sync_to_thread=True, opt={QUERY: RunQuery})
def runs(request: Request[Any, Any, Any]) -> Response[models.RunPage]:
    """The syncs of an account that ended, the newest first."""
    context = context_of(request)
    asked = context.query(RunQuery)
    account = context.account(asked.account)
    about = f"runs {account}"
    before = None if asked.cursor is None else from_us(place_of(context.ledger, about, asked.cursor, int))
    found = list_runs(context.ledger, account, limit=asked.limit + 1, before=before)
    following = None
    if len(found) > asked.limit:
        found = found[: asked.limit]
        following = cursor(context.ledger, about, to_us(found[-1].started_at))
    return context.answer(models.RunPage(runs=[run_said(run) for run in found], next=following))


def progress_said(found: Progress, now: datetime) -> models.Sync:
    """A sync, as the API says it."""
    return models.Sync(
        account=found.account,
        running=found.is_running(now),
        status=found.status,
        started_at=found.started_at,
        updated_at=found.updated_at,
        ended_at=found.ended_at,
        slices=found.slices,
        slices_left=found.slices_left,
        rows=found.rows_in,
        added=found.added,
        restated=found.restated,
        withdrawn=found.withdrawn,
        quarantined=found.quarantined,
        gaps=found.gaps,
        said=found.said,
    )


def run_said(run: Run) -> models.Run:
    """A run, as the API says it."""
    return models.Run(
        account=run.account,
        started_at=run.started_at,
        ended_at=run.ended_at,
        slices=run.slices,
        rows=run.rows_in,
        added=run.added,
        gaps=run.gaps,
        error=run.error,
    )


def _source(context: RequestContext, account: str) -> models.Source:
    found = [source for source in _sources(context) if source.account == account]
    if not found:
        raise missing("source", account)
    return found[0]


def _sources(context: RequestContext) -> list[models.Source]:
    last, now = last_runs(context.ledger), context.ledger.clock()
    going = {one.account: one for one in list_progress(context.ledger)}
    return [
        _said(source, last.get(source.account), going.get(source.account), now)
        for source in list_sources(context.ledger)
        if context.principal.sees(source.account)
    ]


def _said(source: Source, run: Run | None, progress: Progress | None, now: datetime) -> models.Source:
    return models.Source(
        account=source.account,
        provider=source.provider,
        base_url=source.base_url,
        since=source.since,
        zone=source.zone,
        paced=source.paced,
        paused=source.paused,
        last_run=None if run is None else run_said(run),
        sync=None if progress is None else progress_said(progress, now),
    )


def _asked(found: SyncRequest) -> models.SyncAsked:
    return models.SyncAsked(
        account=found.account,
        id=found.id,
        everything=found.everything,
        requested_at=found.requested_at,
        requested_by=found.requested_by,
        taken_at=found.taken_at,
        ended_at=found.ended_at,
        status=found.status,
        error=found.error,
    )
