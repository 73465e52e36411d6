"""Sources: the progress of syncs, requests to sync now, and pauses."""

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
from liushui.ledger.jobs.sources import Run
from liushui.ledger.jobs.workers import Progress, list_progress
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import not_found
from liushui.server.api.flows import PAGE, PAGE_MAX, Cursor


class RunParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects runs."""

    account: str
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


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
    """Request a sync now. A process that syncs serves it. If a request is already waiting, the answer is that
    request."""
    _source_model_of(context, account)
    request = sync_requests.request_sync(context.ledger, account, by=context.principal.name, everything=data.everything)
    answer = context.answer(models.SyncAsked.of(request), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"{context.request.url.path}/{request.id}"
    return answer


@endpoint("GET", "/sources/{account:str}/sync/{id:str}", scope=Scope.READ, operation_id="show_request")
def show_sync_request(
    context: Context, account: PathText, request_id: Annotated[str, PathParameter(name="id", min_length=1)]
) -> Response[models.SyncAsked]:
    """The outcome of a request to sync."""
    request = sync_requests.find_request(context.ledger, context.accounts((account,))[0], request_id)
    if request is None:
        raise not_found("request", request_id)
    return context.answer(models.SyncAsked.of(request))


@endpoint("GET", "/runs", scope=Scope.READ, operation_id="runs")
def list_runs(context: Context, params: NamedDependency[RunParams]) -> Response[models.RunPage]:
    """The finished syncs of an account, newest first."""
    account = context.accounts((params.account,))[0]
    query, limit = context.query_name("runs", [account]), params.limit
    before = None if params.cursor is None else from_us(context.read_cursor(query, params.cursor, int))
    runs = sources.list_runs(context.ledger, account, limit=limit + 1, before=before)
    last = runs[limit - 1] if len(runs) > limit else None
    next_cursor = None if last is None else context.sign_cursor(query, to_us(last.started_at))
    return context.answer(models.RunPage(runs=[_run_model(run) for run in runs[:limit]], next=next_cursor))


def sync_model(progress: Progress, now: datetime) -> models.Sync:
    """The progress of a sync as the API shows it."""
    is_running = progress.is_running(now)
    return models.Sync.of(progress, running=is_running, rows=progress.rows_in, said=progress.message)


def _run_model(run: Run) -> models.Run:
    return models.Run.of(run, rows=run.rows_in)


def _source_model_of(context: RequestContext, account: str) -> models.Source:
    for source in _source_models(context):
        if source.account == account:
            return source
    raise not_found("source", account)


def _source_models(context: RequestContext) -> list[models.Source]:
    runs, now = sources.last_runs(context.ledger), context.ledger.clock()
    progress = {one.account: one for one in list_progress(context.ledger)}
    return [
        models.Source.of(
            source,
            last_run=_run_model(runs[source.account]) if source.account in runs else None,
            sync=sync_model(progress[source.account], now) if source.account in progress else None,
        )
        for source in sources.list_sources(context.ledger)
        if context.principal.sees(source.account)
    ]
