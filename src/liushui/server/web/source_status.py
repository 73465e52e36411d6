"""The status of a source: its account, its last syncs and the current one, as one state."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.ledger.jobs.sources import Run, Source, last_runs, list_sources
from liushui.ledger.jobs.sync_requests import requested_accounts
from liushui.ledger.jobs.workers import Progress, list_progress
from liushui.ledger.read import status
from liushui.ledger.read.status import AccountStatus
from liushui.server.web.labels import coverage_label
from liushui.server.web.page import Page
from liushui.sync.events import SyncStatus

RESULT_WAIT_MAX: Final = timedelta(seconds=10)
"""How long to wait for the last progress after a sync. The process that synced may have been killed."""


class SourceStatus(NamedTuple):
    """A source and its syncs. `progress` is None until a sync reports some."""

    source: Source
    provider_title: str
    account: AccountStatus
    last_run: Run | None
    progress: Progress | None
    is_requested: bool
    """Whether there is a request to sync that has not ended."""
    now: datetime

    @property
    def is_running(self) -> bool:
        """Whether a sync runs."""
        return self.progress is not None and self.progress.is_running(self.now)

    @property
    def is_busy(self) -> bool:
        """Whether a sync runs, or was requested."""
        return self.is_running or self.is_requested

    @property
    def awaits_result(self) -> bool:
        """Whether a sync has ended, but its last progress is not written yet (it is written twice a second)."""
        run = self.last_run
        if run is None or run.ended_at is None or self.now >= run.ended_at + RESULT_WAIT_MAX:
            return False
        ended_at = self.progress and self.progress.ended_at
        return ended_at is None or ended_at < run.started_at

    @property
    def error(self) -> str:
        """The error of the last sync, word for word. It contains no secret."""
        return self.last_run.error if self.last_run and not self.is_busy else ""

    @property
    def permille_done(self) -> int | None:
        """The done part of a sync, in thousandths. None: unknown yet."""
        if self.progress is None or self.progress.slices_left is None:
            return None
        slices = self.progress.slices + self.progress.slices_left
        return 1_000 * self.progress.slices // slices if slices else None

    @property
    def state(self) -> str:
        """The state: the first one that applies, in this order."""
        if self.is_running:
            return "running"
        if self.is_requested:
            return "asked"
        if self.source.paused:
            return "paused"
        if self.last_run is None:
            return "new"
        if self.progress is not None and self.progress.status in _STATES:
            return _STATES[self.progress.status]
        if self.last_run.error and not self.last_run.gaps:
            return "failed"
        return "good" if self.account.verdict.is_complete else "incomplete"

    @property
    def look(self) -> str:
        """The CSS class of the state: good, warn, bad, busy, or none."""
        return _LOOKS[self.state]

    def state_name(self, page: Page) -> str:
        """The state in a word or two."""
        say = page.say
        return {
            "running": say("Syncing"),
            "asked": say("Waiting to sync"),
            "paused": say("Paused"),
            "new": say("Not synced yet"),
            "refused": say("Credentials refused"),
            "failed": say("Failed"),
            "incomplete": say("Not complete"),
            "waiting": say("Waiting for the provider"),
            "good": say("Up to date"),
        }[self.state]

    def advice(self, page: Page) -> str:
        """The problem and what to do about it. Empty: no problem."""
        say = page.say
        if self.state == "incomplete" and not self.account.verdict.is_complete:
            return coverage_label(self.account.verdict, page.view_zone(self.account.zone), page.language).meaning
        return {
            "refused": say("The provider refuses the credentials. Enter new ones."),
            "failed": say("The last sync stopped early. The next one continues from there."),
            "incomplete": say("Part of it could not be read and remains a gap. The next sync tries again."),
            "waiting": say("The provider asked liushui to wait. The rest is read afterwards."),
        }.get(self.state, "")


_STATES: Final[Mapping[str, str]] = {
    SyncStatus.CREDENTIALS: "refused",
    SyncStatus.FAILED: "failed",
    SyncStatus.INCOMPLETE: "incomplete",
    SyncStatus.WAITING: "waiting",
}

_LOOKS: Final[Mapping[str, str]] = {
    "running": "busy",
    "asked": "busy",
    "paused": "",
    "new": "",
    "refused": "bad",
    "failed": "bad",
    "incomplete": "warn",
    "waiting": "warn",
    "good": "good",
}


def read_statuses(page: Page, sources: Sequence[Source] | None = None) -> list[SourceStatus]:
    """The status of each of these sources; None: of every source, by name."""
    ledger, providers = page.ledger, page.providers
    if sources is None:
        sources = [source for source in list_sources(ledger) if page.sees(source.account)]
    if not sources:
        return []
    names = tuple(source.account for source in sources)
    now, runs = ledger.clock(), last_runs(ledger)
    accounts = {one.account: one for one in status.read_statuses(page.app_context.read_model, names)}
    progress = {one.account: one for one in list_progress(ledger, names)}
    requested = requested_accounts(ledger)
    return [
        SourceStatus(
            source,
            # The provider of a source may have been uninstalled since.
            providers[source.provider].title if source.provider in providers else source.provider,
            accounts[source.account],
            runs.get(source.account),
            progress.get(source.account),
            is_requested=source.account in requested,
            now=now,
        )
        for source in sources
    ]
