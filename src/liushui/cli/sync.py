"""liushui sync, liushui import: the ways in."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.markup import escape

from liushui.cli import EXIT_FAILED, EXIT_INCOMPLETE
from liushui.cli.options import (
    Format,
    FormatOption,
    LedgerOption,
    SinceOption,
    UntilOption,
    format_of,
    instant_of,
    opened,
)
from liushui.cli.output import emit, emit_one, messages
from liushui.cli.progress import file_bar, sync_bars
from liushui.errors import ConfigError
from liushui.importing.run import import_files
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import list_sources, sources_named
from liushui.ledger.write.commit import make_account
from liushui.providers import get_provider, load_providers
from liushui.sync.events import Result, Status, Tell, tell_all
from liushui.sync.options import Environment, Options
from liushui.sync.progress_writer import ProgressKeeper
from liushui.sync.runner import sync as sync_all
from liushui.sync.scheduler import EVERY_S, Watch
from liushui.sync.telemetry import LogFormat, Logs

COLLECT = (100_000, 20, 100)
"""When the garbage collector looks for cycles: after so many new objects, and so many times that."""

COLUMNS = ("source", "status", "slices", "rows", "added", "restated", "withdrawn", "quarantined", "gaps", "error")


def sync(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which sources; all.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything again, what is proven too, and compare.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until interrupted: sync each source when something of it is due.")
    ] = False,
    on_request: Annotated[
        bool,
        typer.Option("--on-request", help="Go on until interrupted: sync only what the page or the API asks for."),
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", min=1, help="Seconds between two syncs with --watch, where rows come at any time."),
    ] = EVERY_S,
    page_size: Annotated[
        int | None, typer.Option("--page-size", min=1, help="Rows a page. (default: the most the provider gives)")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for an answer.")] = 30.0,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="How often a call that may yet succeed is made.")
    ] = 6,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format",
            help="A line to standard error for each slice, gap, repeated call and wait, in place of progress bars. "
            "(default: none; with --watch text, where there is no terminal)",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", min=0, max=65535, help="Serve Prometheus metrics there with --watch, on loopback."
        ),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", hidden=True, help="End with standard input, as a server's own process does.")
    ] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Collect what is due from the sources: what is not proven yet, and the newest part again."""
    book = opened(ctx, ledger)
    chosen = names or []
    for source in sources_named(book, chosen) if chosen or not (watch or on_request) else list_sources(book):
        most = get_provider(source.provider).rules.paging.size_max
        if page_size is not None and page_size > most:
            raise ConfigError(f"page-size: expected at most {most} for {source.provider}, got {page_size}")
    options = Options(
        since=instant_of("since", since),
        until=instant_of("until", until),
        everything=verify,
        size=page_size,
        timeout=timedelta(seconds=timeout),
        attempts=attempts,
    )
    if options.since and options.until and options.since >= options.until:
        raise ConfigError(f"until: expected later than since {since}, got {until}")
    if metrics_port is not None and not (watch or on_request):
        raise ConfigError("metrics-port: expected with --watch only: a sync that ends has nobody to look at it")
    if until_eof:
        threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    shape = format_of(ctx, form)
    if watch or on_request:
        watching = Watching(timedelta(seconds=every), log_format, metrics_port, shape, scheduled=watch)
        run_watch(book, chosen, options, watching)
        return
    results = run_sync(book, chosen, options, log_format or LogFormat.NONE)
    print_results(results, shape)
    if any(result.error for result in results):
        raise typer.Exit(EXIT_FAILED)
    if any(result.status is not Status.DONE or result.quarantined for result in results):
        raise typer.Exit(EXIT_INCOMPLETE)


def run_sync(
    ledger: Ledger, names: list[str], options: Options, log_format: LogFormat = LogFormat.NONE
) -> list[Result]:
    """Sync sources with progress bars, or logs."""
    _collect_less()
    with _told(ledger, log_format) as told:
        return asyncio.run(sync_all(ledger, sources_named(ledger, names), options, told))


class Watching(NamedTuple):
    """How sources are watched, and what is said of it."""

    every: timedelta
    log_format: LogFormat | None
    metrics_port: int | None
    form: Format
    scheduled: bool = True
    """Whether they are synced when something is due, or only when somebody asks."""


def run_watch(ledger: Ledger, names: list[str], options: Options, watching: Watching) -> None:
    """Sync sources whenever something of them is due, until a signal ends it: SIGTERM well, SIGINT as interrupted."""
    from liushui.sync import telemetry as watched  # inside: a sync that ends has none, and waits for none

    _collect_less()
    form = watching.log_format or (LogFormat.NONE if messages.is_terminal else LogFormat.TEXT)
    metrics = watched.Metrics(ledger.clock)
    with _told(ledger, form, metrics) as told:
        if watching.metrics_port is not None:
            port = metrics.serve(watching.metrics_port)
            messages.print(f"metrics at http://{watched.HOST}:{port}/metrics")
        watch = Watch(
            ledger,
            names,
            options,
            Environment(),
            every=watching.every,
            tell=told,
            ended=lambda result: print_results([result], watching.form),
            scheduled=watching.scheduled,
            requests=True,
        )
        asyncio.run(_until_terminated(watch.run()))


def _end_with_input() -> None:
    """End this process well when whoever started it is gone, however that ended."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def _until_terminated(work: Coroutine[None, None, None]) -> None:
    """Do something until SIGTERM, which ends it cleanly."""
    task = asyncio.create_task(work)
    terminated = asyncio.Event()

    def end() -> None:
        terminated.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        await task
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise


@contextmanager
def _told(ledger: Ledger, form: LogFormat, *others: Tell) -> Iterator[Tell]:
    """Who is told what a sync does: bars on a terminal, or logs."""
    logs = [] if form is LogFormat.NONE else [Logs(form, sys.stderr, ledger.clock)]
    with sync_bars(shown=not logs) as bars, ProgressKeeper(ledger) as keeper:
        yield tell_all([bars, *logs, keeper, *others])


def _collect_less() -> None:
    """Have the garbage collector look for cycles more rarely. A slice is some hundred thousand objects that go as they
    came, without cycles: looking at them again and again takes a tenth of the time."""
    gc.freeze()
    gc.set_threshold(*COLLECT)


def print_results(results: Sequence[Result], form: Format) -> None:
    """What a sync did, a line a source; the reasons of gaps below."""
    records = [
        {
            "source": result.account,
            "status": result.status.value,
            "slices": result.slices,
            "rows": result.rows_in,
            "added": result.added,
            "restated": result.restated,
            "withdrawn": result.withdrawn,
            "quarantined": result.quarantined,
            "gaps": len(result.gaps),
            "error": result.error or None,
        }
        for result in results
    ]
    emit(records, COLUMNS, form)
    for result in results:
        for gap in result.gaps:
            messages.print(f"[yellow]{escape(result.account)}: open gap {escape(gap)}[/]")
        if result.note:
            messages.print(f"[yellow]{escape(result.account)}: skipped: {escape(result.note)}[/]")


def import_(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved answers, JSON arrays or JSON lines.")],
    provider: Annotated[str, typer.Option("--provider", help=f"Whose rows they are: {', '.join(load_providers())}.")],
    account: Annotated[str, typer.Option("--account", help="The account they belong to; made where it is not there.")],
    zone: Annotated[
        str | None, typer.Option("--zone", help="IANA time zone of a new account's days. (default: its market's)")
    ] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Bring in rows that were saved as JSON. What came in before is known again: importing twice changes nothing.

    A row that cannot be read goes to quarantine with its bytes and the reason; the rest comes in.
    """
    chosen = get_provider(provider)
    for path in files:
        if not path.is_file():
            raise ConfigError(f"{path}: expected a file, but there is none")
    book = opened(ctx, ledger, create=True)
    make_account(book, account, chosen.name, zone or chosen.rules.zone)
    with file_bar(files) as bar:
        imported = import_files(book, account, chosen, files, advance=lambda read: bar.advance(bar.task_ids[0], read))
    record = {
        "account": account,
        "files": imported.files,
        "rows": imported.rows,
        "added": imported.added,
        "known": imported.known,
        "withdrawn": imported.withdrawn,
        "rejected": imported.rejected,
        "quarantined": imported.quarantined,
    }
    emit_one(record, format_of(ctx, form))
    if imported.joined:
        messages.print(
            f"{imported.joined} rows end one page and begin another: they are counted as equal flows. "
            "If the files were saved with ranges that touch, a sync of the account puts it right."
        )
    for line in imported.reasons:
        messages.print(f"[yellow]in quarantine: {escape(line)}[/]")
    if imported.rejected:
        raise typer.Exit(EXIT_INCOMPLETE)
