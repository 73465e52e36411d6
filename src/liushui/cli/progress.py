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
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from liushui.cli.output import messages
from liushui.sync.events import CallDelayed, Event, SyncAdvanced, SyncEnded, SyncResult, SyncStarted, SyncStatus
from liushui.sync.sync_observers import WAIT_MIN

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
        self._tasks: dict[str, Task] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case SyncStarted(account, span):
                self._begin(account, span)
            case SyncAdvanced(account, span, rows, slices_left) if account in self._tasks:
                self._advance(self._tasks[account], span, rows, slices_left)
            case CallDelayed(account, wait, reason) if account in self._tasks and wait >= WAIT_MIN:
                text = WAIT_REASONS.get(reason, reason)
                self._bars.update(self._tasks[account].id, left=f"[yellow]{text}: {wait.total_seconds():.0f} s[/]")
            case SyncEnded(account, result) if account in self._tasks:
                self._end(self._tasks[account], result)
            case _:
                pass

    def _begin(self, account: str, span: timedelta) -> None:
        total = span.total_seconds() or 1
        if account in self._tasks:  # a watched source is synced again and again
            self._bars.reset(self._tasks[account].id, total=total, rows="", rate="", left="")
        else:
            self._bars.add_task(account, total=total, rows="", rate="", left="")
            self._tasks[account] = self._bars.tasks[-1]

    def _advance(self, task: Task, span: timedelta, rows: int, slices_left: int) -> None:
        self._bars.update(
            task.id,
            advance=span.total_seconds(),
            rows=f"{rows:,} rows",
            rate=f"{rows / task.elapsed:,.0f}/s" if task.elapsed else "",
            left=f"{slices_left} slices left",
        )

    def _end(self, task: Task, result: SyncResult) -> None:
        completed = task.total if result.status in (SyncStatus.DONE, SyncStatus.INCOMPLETE) else None
        left = f"[{COLOURS.get(result.status, 'red')}]{result.status.value}[/]"
        self._bars.update(task.id, completed=completed, rows=f"{result.rows_in:,} rows", left=left)
        self._bars.stop_task(task.id)


def _bars(*columns: ProgressColumn, shown: bool = True, transient: bool = False) -> Progress:
    """Bars with these columns, the time passed and the time left. `transient`: removed at the end."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        console=messages.console,
        disable=not (messages.is_terminal and shown),
        transient=transient,
    )


def _field(name: str, style: str = "") -> TextColumn:
    return TextColumn(f"{style}{{task.fields[{name}]}}", justify="right")


@contextmanager
def sync_bars(*, shown: bool = True) -> Iterator[SyncBars]:
    """Bars for each source while a sync runs."""
    with _bars(_field("rows"), _field("rate", "[dim]"), TextColumn("{task.fields[left]}"), shown=shown) as bars:
        yield SyncBars(bars)


@contextmanager
def file_bar(paths: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """One bar over the bytes of all files. Yields a function that is called with the number of further bytes read."""
    with _bars(DownloadColumn()) as bar:
        task = bar.add_task("importing", total=sum(path.stat().st_size for path in paths if path.is_file()))
        yield lambda read: bar.advance(task, read)


class WorkBar:
    """One bar for work of several steps: the step, how much of it is done, and the rate."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", rate="", total=None)
        self._first = self._last = 0

    def show(self, step: str, done: int, total: int | None) -> None:
        """Show how much of a step is done. `total`: the whole amount, or None if it is unknown."""
        if done < self._last or not self._last:  # the next step begins
            self._first = done
            self._bar.reset(self._task)
        self._last = done
        elapsed = self._bar.tasks[0].elapsed or 0
        rate = f"{(done - self._first) / elapsed:,.0f}/s" if elapsed else ""
        self._bar.update(self._task, description=step, completed=done, total=total, rate=rate)

    def counter(self, step: str) -> Callable[[int], None]:
        """Return a function that shows a step; it is called with the additional amount done."""
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self.show(step, done, None)

        return advance


@contextmanager
def work_bar() -> Iterator[WorkBar]:
    """A WorkBar, removed at the end."""
    with _bars(MofNCompleteColumn(), _field("rate", "[dim]"), transient=True) as bar:
        yield WorkBar(bar)
