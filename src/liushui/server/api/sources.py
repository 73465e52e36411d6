"""Sources: how their syncs go, a sync now, and pauses."""

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
from liushui.ledger.jobs import sources, sync_requests
from liushui.ledger.jobs.progress import Progress, list_progress
from liushui.ledger.jobs.sources import Run, Source
from liushui.ledger.jobs.sync_requests import SyncRequest
from liushui.ledger.read.cursors import sign_cursor
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.cursors import position_of
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import not_found
from liushui.server.api.flows import PAGE, PAGE_MAX


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Selects runs."""

    account: str
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before.")] | None = None


@endpoint("GET", "/sources", scope=Scope.READ, operation_id="list_all")
def list_sources(context: Context) -> Response[models.Sources]:
    """The sources, with the last run and the progress of the current sync of each. Credentials are not shown."""
    return context.answer(models.Sources(sources=_source_models(context)))


@endpoint("GET", "/sources/{account:str}", scope=Scope.READ, operation_id="show")
def show_source(context: Context, account: PathText) -> Response[models.Source]:
    """One source."""
    return context.answer(_source_model_of(context, account))


@endpoint("PATCH", "/sources/{account:str}", scope=Scope.MANAGE, operation_id="change")
def pause_source(context: Context, account: PathText, data: JSONBody[models.ChangeSource]) -> Response[models.Source]:
    """Pause a source, so that the scheduler skips it, or resume it."""
    _source_model_of(context, account)  # refuses a source that the caller may not see
    sources.pause_source(context.ledger, account, paused=data.paused)
    return context.answer(_source_model_of(context, account))


@endpoint("POST", "/sources/{account:str}/sync", scope=Scope.MANAGE, status=HTTPStatus.ACCEPTED, operation_id="sync")
def request_sync(context: Context, account: PathText, data: JSONBody[models.AskSync]) -> Response[models.SyncAsked]:
    """Request a sync now. Whichever process syncs takes the request. One that waits already is answered again."""
    _source_model_of(context, account)
    request = sync_requests.request_sync(context.ledger, account, by=context.principal.name, everything=data.everything)
    answer = context.answer(_sync_request_model(request), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"{context.request.url.path}/{request.id}"
    return answer


@endpoint("GET", "/sources/{account:str}/sync/{id:str}", scope=Scope.READ, operation_id="show_request")
def show_sync_request(
    context: Context, account: PathText, request_id: Annotated[str, PathParameter(name="id", min_length=1)]
) -> Response[models.SyncAsked]:
    """What became of a request to sync."""
    request = sync_requests.find_request(context.ledger, context.account(account), request_id)
    if request is None:
        raise not_found("request", request_id)
    return context.answer(_sync_request_model(request))


@endpoint("GET", "/runs", scope=Scope.READ, operation_id="runs")
def list_runs(context: Context, params: NamedDependency[RunQuery]) -> Response[models.RunPage]:
    """The finished syncs of an account, newest first."""
    account = context.account(params.account)
    about = f"runs {account}"
    before = None if params.cursor is None else from_us(position_of(context.ledger, about, params.cursor, int))
    runs = sources.list_runs(context.ledger, account, limit=params.limit + 1, before=before)
    next_cursor = None
    if len(runs) > params.limit:
        runs = runs[: params.limit]
        next_cursor = sign_cursor(context.ledger, about, to_us(runs[-1].started_at))
    return context.answer(models.RunPage(runs=[_run_model(run) for run in runs], next=next_cursor))


def sync_model(progress: Progress, now: datetime) -> models.Sync:
    """The progress of a sync as the API answers it."""
    return models.Sync(
        account=progress.account,
        running=progress.is_running(now),
        status=progress.status,
        started_at=progress.started_at,
        updated_at=progress.updated_at,
        ended_at=progress.ended_at,
        slices=progress.slices,
        slices_left=progress.slices_left,
        rows=progress.rows_in,
        added=progress.added,
        restated=progress.restated,
        withdrawn=progress.withdrawn,
        quarantined=progress.quarantined,
        gaps=progress.gaps,
        said=progress.message,
    )


def _run_model(run: Run) -> models.Run:
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


def _source_model_of(context: RequestContext, account: str) -> models.Source:
    for source in _source_models(context):
        if source.account == account:
            return source
    raise not_found("source", account)


def _source_models(context: RequestContext) -> list[models.Source]:
    runs, now = sources.last_runs(context.ledger), context.ledger.clock()
    progress = {one.account: one for one in list_progress(context.ledger)}
    return [
        _source_model(source, runs.get(source.account), progress.get(source.account), now)
        for source in sources.list_sources(context.ledger)
        if context.principal.sees(source.account)
    ]


def _source_model(source: Source, run: Run | None, progress: Progress | None, now: datetime) -> models.Source:
    return models.Source(
        account=source.account,
        provider=source.provider,
        base_url=source.base_url,
        since=source.since,
        zone=source.zone,
        paced=source.paced,
        paused=source.paused,
        last_run=None if run is None else _run_model(run),
        sync=None if progress is None else sync_model(progress, now),
    )


def _sync_request_model(request: SyncRequest) -> models.SyncAsked:
    return models.SyncAsked(
        account=request.account,
        id=request.id,
        everything=request.everything,
        requested_at=request.requested_at,
        requested_by=request.requested_by,
        taken_at=request.taken_at,
        ended_at=request.ended_at,
        status=request.status,
        error=request.error,
    )
