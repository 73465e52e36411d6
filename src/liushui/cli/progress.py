"""Progress bars, on the terminal only: rows, rate, slices left and time left for each source at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import stamina.instrumentation
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from liushui.cli.output import messages
from liushui.sync.run import Result


class SyncBars:
    """A bar for each source: how much of the time it is to read was read."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def begin(self, account: str, span: timedelta) -> None:
        total = span.total_seconds() or 1
        self._tasks[account] = self._bars.add_task(account, total=total, rows="", rate="", left="")

    def advance(self, account: str, *, span: timedelta, rows: int, slices_left: int) -> None:
        task = self._tasks[account]
        elapsed = self._bars.tasks[self._bars.task_ids.index(task)].elapsed or 0
        self._bars.update(
            task,
            advance=span.total_seconds(),
            rows=f"{rows:,} rows",
            rate=f"{rows / elapsed:,.0f}/s" if elapsed else "",
            left=f"{slices_left} slices left",
        )

    def end(self, account: str, result: Result) -> None:
        if account not in self._tasks:
            return
        task = self._tasks[account]
        total = self._bars.tasks[self._bars.task_ids.index(task)].total
        state = "[red]failed[/]" if result.error else "[yellow]gaps[/]" if result.gaps else "[green]done[/]"
        completed = None if result.error else total
        self._bars.update(task, completed=completed, rows=f"{result.rows_in:,} rows", left=state)
        self._bars.stop_task(task)


@contextmanager
def sync_bars() -> Iterator[SyncBars]:
    """Bars while a sync runs; nothing where there is no terminal."""
    bars = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}", justify="right"),
        TextColumn("[dim]{task.fields[rate]}", justify="right"),
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        console=messages,
        disable=not messages.is_terminal,
    )
    stamina.instrumentation.set_on_retry_hooks([])  # it would log each retry; the bars and the results say enough
    with bars:
        yield SyncBars(bars)


@contextmanager
def file_bar(paths: list[Path]) -> Iterator[Progress]:
    """One bar over the bytes of all files; nothing where there is no terminal."""
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not messages.is_terminal,
    )
    total = sum(path.stat().st_size for path in paths if path.is_file())
    with bar:
        bar.add_task("importing", total=total)
        yield bar
