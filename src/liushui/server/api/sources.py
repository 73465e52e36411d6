"""Where accounts are collected from: how that goes, a sync now, and pauses."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from liushui.client import models
from liushui.instant import from_us, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.jobs.progress import Progress, list_progress
from liushui.ledger.jobs.sources import Run, Source, last_runs, list_runs, list_sources, pause_source
from liushui.ledger.jobs.sync_requests import SyncRequest, find_request, request_sync
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.cursors import cursor, place_of
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import missing
from liushui.server.api.flows import PAGE, PAGE_MAX


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs."""

    account: str
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before.")] | None = None


@endpoint("GET", "/sources", scope=Scope.READ)
def list_all(context: Context) -> Response[models.Sources]:
    """The sources, the last run of each, and how far the sync is that goes on. Credentials are not shown."""
    return context.answer(models.Sources(sources=_sources(context)))


@endpoint("GET", "/sources/{account:str}", scope=Scope.READ)
def show(context: Context, account: PathText) -> Response[models.Source]:
    """One source."""
    return context.answer(_source(context, account))


@endpoint("PATCH", "/sources/{account:str}", scope=Scope.MANAGE)
def change(context: Context, account: PathText, data: JSONBody[models.ChangeSource]) -> Response[models.Source]:
    """Pause a source, so that the scheduler passes it over, or resume it."""
    _source(context, account)
    pause_source(context.ledger, account, paused=data.paused)
    return context.answer(_source(context, account))


@endpoint("POST", "/sources/{account:str}/sync", scope=Scope.MANAGE, status=HTTPStatus.ACCEPTED)
def sync(context: Context, account: PathText, data: JSONBody[models.AskSync]) -> Response[models.SyncAsked]:
    """Ask for a sync now. Whichever process syncs takes it; one that waits already is the one that is answered."""
    _source(context, account)
    asked = request_sync(context.ledger, account, by=context.principal.name, everything=data.everything)
    answer = context.answer(_asked(asked), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"{context.request.url.path}/{asked.id}"
    return answer


@endpoint("GET", "/sources/{account:str}/sync/{id:str}", scope=Scope.READ)
def show_request(
    context: Context, account: PathText, request_id: Annotated[str, PathParameter(name="id", min_length=1)]
) -> Response[models.SyncAsked]:
    """What became of a request to sync."""
    found = find_request(context.ledger, context.account(account), request_id)
    if found is None:
        raise missing("request", request_id)
    return context.answer(_asked(found))


@endpoint("GET", "/runs", scope=Scope.READ)
def runs(context: Context, params: NamedDependency[RunQuery]) -> Response[models.RunPage]:
    """The syncs of an account that ended, the newest first."""
    account = context.account(params.account)
    about = f"runs {account}"
    before = None if params.cursor is None else from_us(place_of(context.ledger, about, params.cursor, int))
    found = list_runs(context.ledger, account, limit=params.limit + 1, before=before)
    following = None
    if len(found) > params.limit:
        found = found[: params.limit]
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
        said=found.message,
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
