"""How a source stands: what is known of its syncs, told as one state with a few words."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.progress import Progress, list_progress
from liushui.ledger.jobs.sources import Run, Source, last_runs, list_runs, list_sources
from liushui.ledger.jobs.sync_requests import request_sync, requested_accounts
from liushui.ledger.read import balances
from liushui.ledger.read.balances import AccountStatus
from liushui.server.context import AppContext
from liushui.server.web.page import Page
from liushui.sync.events import SyncStatus

RUNS_SHOWN: Final = 10
THOUSAND: Final = 1_000
UNTOLD_MAX: Final = timedelta(seconds=10)


class Standing(NamedTuple):
    """A source, and how it stands. `live` None: no sync of it has told of itself yet."""

    source: Source
    title: str
    """Its provider's name."""
    status: AccountStatus
    run: Run | None
    live: Progress | None
    is_asked: bool
    """Whether a sync was asked for that has not ended."""
    now: datetime

    @property
    def is_running(self) -> bool:
        """Whether a sync runs."""
        return self.live is not None and self.live.is_running(self.now)

    @property
    def is_busy(self) -> bool:
        """Whether a sync runs, or is about to."""
        return self.is_running or self.is_asked

    @property
    def is_untold(self) -> bool:
        """Whether a sync has just ended that has not told yet what it came to: it does so about twice a second."""
        if self.run is None or self.run.ended_at is None or self.now >= self.run.ended_at + UNTOLD_MAX:
            return False
        told_at = self.live and self.live.ended_at
        return told_at is None or told_at < self.run.started_at

    @property
    def proven_until(self) -> datetime | None:
        """The end of what is proven without a gap."""
        return self.status.proven_until

    @property
    def last_at(self) -> datetime | None:
        """When the last sync began."""
        return self.run.started_at if self.run else None

    @property
    def detail(self) -> str:
        """What the last sync said went wrong, word for word. It tells no secret."""
        return self.run.error if self.run and not self.is_busy else ""

    @property
    def thousandths(self) -> int | None:
        """How far a sync is, in thousandths. None: nobody can tell yet."""
        if self.live is None or self.live.slices_left is None:
            return None
        whole = self.live.slices + self.live.slices_left
        return THOUSAND * self.live.slices // whole if whole else None

    @property
    def state(self) -> str:
        """One word for all of it."""
        if self.is_running:
            return "running"
        if self.is_asked:
            return "asked"
        if self.source.paused:
            return "paused"
        if self.run is None:
            return "new"
        if self.live is not None and self.live.status in _OF_STATUS:
            return _OF_STATUS[self.live.status]
        if self.run.error and not self.run.gaps:
            return "failed"
        return "incomplete" if self.status.gaps else "good"

    @property
    def look(self) -> str:
        """How its state is marked: good, warn, bad, busy, or not."""
        return _LOOKS[self.state]

    def state_name(self, page: Page) -> str:
        """Its state in a word or two."""
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

    def trouble(self, page: Page) -> str:
        """What is wrong, and what to do about it; empty where nothing is."""
        say = page.say
        return {
            "refused": say("The provider refuses the credentials. Enter new ones."),
            "failed": say("The last sync stopped early. The next one continues from there."),
            "incomplete": say("Part of it could not be read and remains a gap. The next sync tries again."),
            "waiting": say("The provider asked liushui to wait. The rest is read afterwards."),
        }.get(self.state, "")


_OF_STATUS: Final[Mapping[str, str]] = {
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


def standings(app_context: AppContext) -> list[Standing]:
    """Every source, by name."""
    return _standings(app_context, list_sources(app_context.ledger))


def standing_of(app_context: AppContext, source: Source) -> Standing:
    """One source."""
    (standing,) = _standings(app_context, [source])
    return standing


def tried(ledger: Ledger, account: str) -> list[Run]:
    """The last syncs of a source, the newest first."""
    return list_runs(ledger, account, limit=RUNS_SHOWN)


def ask_for_sync(app_context: AppContext, account: str, *, everything: bool = False) -> None:
    """Ask for a sync now. Nothing happens where one was asked for that has not begun."""
    request_sync(app_context.ledger, account, by="page", everything=everything)


def _standings(app_context: AppContext, sources: Sequence[Source]) -> list[Standing]:
    if not sources:
        return []
    ledger, names = app_context.ledger, tuple(source.account for source in sources)
    now, runs = ledger.clock(), last_runs(ledger)
    statuses = {status.account: status for status in balances.statuses(ledger, names)}
    live = {one.account: one for one in list_progress(ledger, names)}
    asked = requested_accounts(ledger)
    return [
        Standing(
            source,
            app_context.providers[source.provider].title
            if source.provider in app_context.providers
            else source.provider,
            statuses[source.account],
            runs.get(source.account),
            live.get(source.account),
            is_asked=source.account in asked,
            now=now,
        )
        for source in sources
    ]
