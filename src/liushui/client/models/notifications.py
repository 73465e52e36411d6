"""Rules for notifications."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Instant, Model


class NotificationRule(Model):
    """A rule: it sends messages of these kinds through its channel. `accounts` null: about all accounts."""

    name: str
    channel: str
    target: str
    """The part of the address that may be shown."""
    kinds: list[str]
    accounts: list[str] | None
    gap_after_h: int
    """How many hours a gap must have been open before it is reported."""
    created_at: Instant
    created_by: str | None
    """The id of the token that created it. When that token ends, this ends too. Null: the owner created it."""
    pending: int
    """The number of messages that wait to be sent."""
    sent: int
    dead: int
    """The number of messages that were given up."""


class NotificationRules(Model):
    """The rules about accounts that the caller may see."""

    rules: list[NotificationRule]


class NotifiedKind(StrEnum):
    """What a rule reports: the kinds of alarms, and `link_decided`, a decision on a link."""

    REFUSED = "refused"
    FAILED = "failed"
    NEVER = "never"
    FORGETTING = "forgetting"
    GAP = "gap"
    STALE = "stale"
    LOST = "lost"
    QUARANTINE = "quarantine"
    BREAK = "break"
    CHANGED_AFTER_CLOSE = "changed_after_close"
    LINK_CHANGED = "link_changed"
    BALANCE = "balance"
    FINDING = "finding"
    WAITING = "waiting"
    CLOCK = "clock"
    DOUBTED = "doubted"
    BEYOND_NOW = "beyond_now"
    REPEATED = "repeated"
    BACKUP_FAILED = "backup_failed"
    BACKUP_OLD = "backup_old"
    LINK_DECIDED = "link_decided"


class AddNotificationRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A rule to add, with exactly one of webhook, ntfy and email. `accounts` null: all of them."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    webhook: Annotated[str, Meta(max_length=2_000)] | None = None
    ntfy: Annotated[str, Meta(max_length=2_000)] | None = None
    email: Annotated[list[Annotated[str, Meta(max_length=254)]], Meta(max_length=20)] = []
    smtp: Annotated[str, Meta(max_length=2_000)] | None = None
    sender: Annotated[str, Meta(max_length=254)] | None = None
    secret: Annotated[str, Meta(max_length=10_000)] | None = None
    kinds: list[NotifiedKind] = []
    accounts: Annotated[list[str], Meta(min_length=1)] | None = None
    gap_after_h: Annotated[int, Meta(ge=0, le=8_784)] = 24
    allow_private: bool = False


class AddedNotificationRule(Model):
    """A new rule, and the new secret of a webhook that came without one."""

    rule: NotificationRule
    secret: str | None


class NotificationTest(Model):
    """The result of a test message."""

    id: str
    accepted: bool
    error: str | None
