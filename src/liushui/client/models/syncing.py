"""Sources and their syncs."""

from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Count, Instant, Model


class Sync(Model):
    """The running sync of an account, or its last one. `slices_left` is null while it is unknown."""

    account: str
    running: bool
    status: str
    started_at: Instant
    updated_at: Instant
    ended_at: Instant | None
    slices: Count
    slices_left: Count | None
    rows: Count
    added: Count
    restated: Count
    withdrawn: Count
    quarantined: Count
    gaps: Count
    said: Annotated[str, Meta(description="What it is waiting for, or why it failed.")]


class Run(Model):
    """A sync that ended. `error` is empty if it succeeded."""

    account: str
    started_at: Instant
    ended_at: Instant | None
    slices: Count
    rows: Count
    added: Count
    gaps: Count
    error: str


class RunPage(Model):
    """Some runs of an account, newest first. `next` is the cursor of earlier runs, or null if there are none."""

    runs: list[Run]
    next: str | None


class Source(Model):
    """Where an account is read from, without its credentials."""

    account: str
    provider: str
    base_url: str
    since: Instant
    zone: str
    paced: bool
    paused: bool
    last_run: Run | None
    sync: Sync | None


class Sources(Model):
    """The sources of the accounts that the caller may see."""

    sources: list[Source]


class SyncAsked(Model):
    """A request to sync. `status`: waiting, running, or how it ended."""

    account: str
    id: str
    everything: bool
    requested_at: Instant
    requested_by: str
    taken_at: Instant | None
    ended_at: Instant | None
    status: str
    error: str


class AskSync(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Options of a sync. `everything`: read the complete ranges again too, and compare."""

    everything: bool = False


class ChangeSource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Changes to a source."""

    paused: bool
