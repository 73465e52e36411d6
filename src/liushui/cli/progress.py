"""Progress bars, on the terminal only: rows, rate, slices left and time left for each source at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from liushui.cli.output import messages
from liushui.sync.events import Advanced, Began, Ended, Event, Result, Status, Waited
from liushui.sync.telemetry import WAIT_MIN

COLOURS: Final = {Status.DONE: "green", Status.INCOMPLETE: "yellow", Status.WAITING: "yellow", Status.BUSY: "dim"}
"""What says how a source's sync ended; red says that it failed."""


class SyncBars:
    """A bar for each source: how much of the time it is to read was read."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Began(account, span):
                self._begin(account, span)
            case Advanced(account, span, rows, slices_left) if account in self._tasks:
                self._advance(self._tasks[account], span, rows, slices_left)
            case Waited(account, wait, reason) if account in self._tasks and wait >= WAIT_MIN:
                said = {"rate": "keeps the rate", "blocked": "told to wait", "retry": "tries again"}.get(reason, reason)
                self._bars.update(self._tasks[account], left=f"[yellow]{said}: {wait.total_seconds():.0f} s[/]")
            case Ended(account, result) if account in self._tasks:
                self._end(self._tasks[account], result)
            case _:
                pass

    def _begin(self, account: str, span: timedelta) -> None:
        total = span.total_seconds() or 1
        if account in self._tasks:  # a source that is watched begins again
            self._bars.reset(self._tasks[account], total=total, rows="", rate="", left="")
        else:
            self._tasks[account] = self._bars.add_task(account, total=total, rows="", rate="", left="")

    def _advance(self, task: TaskID, span: timedelta, rows: int, slices_left: int) -> None:
        elapsed = self._task(task).elapsed or 0
        self._bars.update(
            task,
            advance=span.total_seconds(),
            rows=f"{rows:,} rows",
            rate=f"{rows / elapsed:,.0f}/s" if elapsed else "",
            left=f"{slices_left} slices left",
        )

    def _end(self, task: TaskID, result: Result) -> None:
        colour = COLOURS.get(result.status, "red")
        completed = self._task(task).total if result.status in (Status.DONE, Status.INCOMPLETE) else None
        left = f"[{colour}]{result.status.value}[/]"
        self._bars.update(task, completed=completed, rows=f"{result.rows_in:,} rows", left=left)
        self._bars.stop_task(task)

    def _task(self, task: TaskID) -> Task:
        return self._bars.tasks[self._bars.task_ids.index(task)]


@contextmanager
def sync_bars(*, shown: bool = True) -> Iterator[SyncBars]:
    """Bars while a sync runs; nothing where there is no terminal, or they are not to be shown."""
    bars = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}", justify="right"),
        TextColumn("[dim]{task.fields[rate]}", justify="right"),
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        console=messages.console,
        disable=not (messages.is_terminal and shown),
    )
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
        console=messages.console,
        disable=not messages.is_terminal,
    )
    total = sum(path.stat().st_size for path in paths if path.is_file())
    with bar:
        bar.add_task("importing", total=total)
        yield bar


@contextmanager
def work_bar() -> Iterator[Callable[[str, int, int], None]]:
    """One bar for what is told of it: what is being done, how much of it, and all of it. None without a terminal."""
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.fields[rate]}", justify="right"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        console=messages.console,
        disable=not messages.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("", rate="", total=None)
        first = last = 0

        def told(what: str, done: int, total: int) -> None:
            nonlocal first, last
            if done < last or not last:
                first = done
                bar.reset(task)
            last = done
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{(done - first) / elapsed:,.0f}/s" if elapsed else ""
            bar.update(task, description=what, completed=done, total=total, rate=rate)

        yield told
