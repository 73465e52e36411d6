"""Progress bars. They are shown on a terminal only."""

from collections.abc import Callable, Iterator, Sequence
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
from liushui.sync.events import CallDelayed, Event, SyncAdvanced, SyncEnded, SyncResult, SyncStarted, SyncStatus
from liushui.sync.telemetry import WAIT_MIN

COLOURS: Final = {
    SyncStatus.DONE: "green",
    SyncStatus.INCOMPLETE: "yellow",
    SyncStatus.WAITING: "yellow",
    SyncStatus.BUSY: "dim",
}
"""The colour of a source's result. All others are red: failures."""
WAIT_REASONS: Final = {"rate": "keeps the rate", "blocked": "told to wait", "retry": "tries again"}


class SyncBars:
    """A bar for each source that is synced: how much of its time range was read."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case SyncStarted(account, span):
                self._begin(account, span)
            case SyncAdvanced(account, span, rows, slices_left) if account in self._tasks:
                self._advance(self._tasks[account], span, rows, slices_left)
            case CallDelayed(account, wait, reason) if account in self._tasks and wait >= WAIT_MIN:
                text = WAIT_REASONS.get(reason, reason)
                self._bars.update(self._tasks[account], left=f"[yellow]{text}: {wait.total_seconds():.0f} s[/]")
            case SyncEnded(account, result) if account in self._tasks:
                self._end(self._tasks[account], result)
            case _:
                pass

    def _begin(self, account: str, span: timedelta) -> None:
        total = span.total_seconds() or 1
        if account in self._tasks:  # a watched source is synced again and again
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

    def _end(self, task: TaskID, result: SyncResult) -> None:
        colour = COLOURS.get(result.status, "red")
        completed = self._task(task).total if result.status in (SyncStatus.DONE, SyncStatus.INCOMPLETE) else None
        left = f"[{colour}]{result.status.value}[/]"
        self._bars.update(task, completed=completed, rows=f"{result.rows_in:,} rows", left=left)
        self._bars.stop_task(task)

    def _task(self, task: TaskID) -> Task:
        return self._bars.tasks[self._bars.task_ids.index(task)]


@contextmanager
def sync_bars(*, shown: bool = True) -> Iterator[SyncBars]:
    """Bars for each source while a sync runs. Shows nothing without a terminal, or unless `shown`."""
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
def file_bar(paths: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """One bar over the bytes of all files. Yields a function to call with the number of bytes read since the last call.
    Shows nothing without a terminal."""
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=messages.console,
        disable=not messages.is_terminal,
    )
    with bar:
        task = bar.add_task("importing", total=sum(path.stat().st_size for path in paths if path.is_file()))
        yield lambda read: bar.advance(task, read)


class WorkBar:
    """One bar for work of several steps: the step, how much of it is done, and the rate."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", rate="", total=None)
        self._first = self._last = 0

    def show(self, step: str, done: int, total: int | None) -> None:
        """Show how much of a step is done. `total` None: nobody knows how much it is."""
        if done < self._last or not self._last:  # another step begins
            self._first = done
            self._bar.reset(self._task)
        self._last = done
        elapsed = self._bar.tasks[0].elapsed or 0
        rate = f"{(done - self._first) / elapsed:,.0f}/s" if elapsed else ""
        self._bar.update(self._task, description=step, completed=done, total=total, rate=rate)

    def counter(self, step: str) -> Callable[[int], None]:
        """A function that shows a step, called with how much more of it is done."""
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self.show(step, done, None)

        return advance


@contextmanager
def work_bar() -> Iterator[WorkBar]:
    """A WorkBar, removed at the end. Shows nothing without a terminal."""
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
        yield WorkBar(bar)
