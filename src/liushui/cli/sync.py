"""liushui sync: collect flows from the sources."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_FAILED, EXIT_INCOMPLETE, options
from liushui.cli.options import Settings
from liushui.errors import ConfigError

if TYPE_CHECKING:
    from liushui.ledger.engine import Ledger

LOG_FORMATS: Final = ("none", "text", "json")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", help="The sources to sync. (default: all)")
@options.since
@options.until
@click.option("--verify", is_flag=True, help="Read everything again, including complete ranges, and compare.")
@click.option("--watch", is_flag=True, help="Keep running: sync each source whenever it is due.")
@click.option("--on-request", is_flag=True, help="Keep running: sync only what the web page or the API asks for.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="With --watch: the time between two syncs of a source that publishes rows at any time. (default: 300)",
)
@click.option(
    "--page-size", type=click.IntRange(min=1), metavar="ROWS", help="Rows per page. (default: the provider's maximum)"
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=30, metavar="SECONDS", help="How long to wait for an answer."
)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=6,
    metavar="N",
    help="Attempts at a call whose error may be temporary.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    help="Write a line to standard error for each slice, gap, repeated call and wait, instead of progress bars. "
    "(default: none; with --watch and without a terminal: text)",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(min=0, max=65535),
    metavar="PORT",
    help="With --watch: serve Prometheus metrics on this port of 127.0.0.1.",
)
@options.until_eof
@options.ledger_and_format
def sync(
    settings: Settings,
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    verify: bool,
    watch: bool,
    on_request: bool,
    every: float | None,
    page_size: int | None,
    timeout: float,
    attempts: int,
    log_format: str | None,
    metrics_port: int | None,
    until_eof: bool,
) -> None:
    """Collect new flows from the sources.

    A sync reads the ranges that are not complete yet, and reads the newest part again. The exit code is 1 if a source
    failed, and 3 if a range stays incomplete or a row was rejected.

    \b
    Example: liushui sync broker
    Example: liushui sync --watch --log-format json --metrics-port 9100
    """
    keeps_running = watch or on_request
    if metrics_port is not None and not keeps_running:
        raise ConfigError("metrics-port: expected with --watch only, because other syncs end before anybody looks")
    since_at, until_at = options.parse_when("since", since), options.parse_when("until", until)
    if since_at and until_at and since_at >= until_at:
        raise ConfigError(f"until: expected later than since {since}, got {until}")
    ledger, chosen = settings.open_ledger(), list(names)
    _check_sources(ledger, chosen, page_size, may_be_none=keeps_running)

    from liushui.cli.run_sync import WatchOptions, print_results, run_sync, run_watch
    from liushui.sync.events import SyncStatus
    from liushui.sync.options import Options

    sync_options = Options(
        since=since_at,
        until=until_at,
        everything=verify,
        size=page_size,
        timeout=timedelta(seconds=timeout),
        attempts=attempts,
    )
    if until_eof:
        options.end_with_input()
    if keeps_running:
        watch_options = WatchOptions(every, log_format, metrics_port, settings.format, scheduled=watch)
        run_watch(ledger, chosen, sync_options, watch_options)
        return
    results = run_sync(ledger, chosen, sync_options, log_format or "none")
    print_results(results, settings.format)
    if any(result.error for result in results):
        sys.exit(EXIT_FAILED)
    if any(result.status is not SyncStatus.DONE or result.quarantined for result in results):
        sys.exit(EXIT_INCOMPLETE)


def _check_sources(ledger: "Ledger", names: list[str], page_size: int | None, *, may_be_none: bool) -> None:
    """Raises ConfigError for a name of no source, for no source at all, and for a page larger than a provider gives."""
    from liushui.ledger.jobs.sources import find_sources, list_sources
    from liushui.providers import get_provider

    for source in list_sources(ledger) if may_be_none and not names else find_sources(ledger, names):
        most = get_provider(source.provider).rules.paging.size_max
        if page_size is not None and page_size > most:
            raise ConfigError(f"page-size: expected at most {most} for {source.provider}, got {page_size}")
