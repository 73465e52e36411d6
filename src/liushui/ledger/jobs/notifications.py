"""Notifications: rules that send messages about alarms and events, and the outbox of these messages.

When an alarm begins, gets worse, or ends, each rule that wants it creates one message. One transaction writes the
message and the record that the rule has seen the alarm. If a process is killed, both exist, or neither does and the
next check creates them. What people decide is no alarm: the transaction of the decision writes its messages. Sending is
repeated until it succeeds or is given up. A message keeps its id, so the receiver recognises a repeated one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import token_hex
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, short_repr
from liushui.instant import to_iso, to_us
from liushui.ledger.access.tokens import check_creator, get_token
from liushui.ledger.engine import Ledger, check_accounts
from liushui.ledger.read.status import Alarm, AlarmKind, Severity
from liushui.ledger.schema import from_row, insert_new, notifications, notify_alarms, notify_rules, to_columns

NAME_MAX: Final = 64


class EventKind(StrEnum):
    """Something that people did. It makes one message for each rule that wants it, and it does not end."""

    LINK_DECIDED = "link_decided"
    """A person confirmed or rejected a link."""


RuleKind = AlarmKind | EventKind
RULE_KINDS: Final[Mapping[str, RuleKind]] = {kind.value: kind for kind in (*AlarmKind, *EventKind)}
"""Everything that a rule can report, by name."""

DEFAULT_KINDS: Final = frozenset(
    {
        AlarmKind.STALE,
        AlarmKind.REFUSED,
        AlarmKind.GAP,
        AlarmKind.FORGETTING,
        AlarmKind.BREAK,
        AlarmKind.BALANCE,
        AlarmKind.CHANGED_AFTER_CLOSE,
        AlarmKind.LINK_CHANGED,
        AlarmKind.BACKUP_FAILED,
        AlarmKind.BACKUP_OLD,
    }
)
"""The kinds of alarms for rules that name no kinds."""

COUNTED: Final = frozenset(
    {
        AlarmKind.BREAK,
        AlarmKind.BALANCE,
        AlarmKind.CHANGED_AFTER_CLOSE,
        AlarmKind.LINK_CHANGED,
        AlarmKind.QUARANTINE,
        AlarmKind.FINDING,
    }
)
"""Alarms that create another message when their number grows, because each further case is news."""

BACKOFF: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""The waits between attempts to send, as Standard Webhooks recommends. After the last wait a message is given up."""

CLAIM: Final = timedelta(minutes=2)
"""How long a claimed message is reserved for its sender. If the sender is killed, another process sends the message
after that."""

SENT_KEPT: Final = timedelta(days=30)
"""How long messages that were sent are kept."""


class Channel(StrEnum):
    """How a rule's messages are sent."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    NTFY = "ntfy"


class State(StrEnum):
    """The state of a message."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    """It was given up. It can be replayed."""


class Rule(NamedTuple):
    """Sends messages of some kinds through a channel. `settings` has the channel's address and secrets."""

    name: str
    channel: Channel
    target: str
    """The part of the address that may be shown."""
    settings: dict[str, str]
    kinds: frozenset[RuleKind]
    accounts: frozenset[str] | None
    """None: all accounts, including future ones."""
    gap_hours: int
    created_at: datetime
    created_by: str | None = None
    """The id of the token that created it. When that token ends, the rule ends too. None: the owner created it."""

    def wants(self, alarm: Alarm) -> bool:
        """Whether the rule wants an alarm. Alarms about the whole ledger are for the owner's rules that cover all
        accounts."""
        is_visible = self.accounts is None or alarm.account in self.accounts
        return alarm.kind in self.kinds and (is_visible or (not alarm.account and self.created_by is None))

    def wants_event(self, kind: EventKind, accounts: Iterable[str]) -> bool:
        """Whether the rule wants an event of these accounts: only if it covers all of them."""
        return kind in self.kinds and (self.accounts is None or self.accounts.issuperset(accounts))

    def delay(self, alarm: Alarm) -> timedelta:
        """How long an alarm must last before a message is created."""
        return timedelta(hours=self.gap_hours if alarm.kind is AlarmKind.GAP else 0)


class DecidedLink(msgspec.Struct, frozen=True):
    """A decision about a link, with the field names of the feed's event."""

    link: str
    kind: str
    decision: str
    decided_by: str
    reason: str
    decided_at: datetime
    accounts: tuple[str, ...]
    """The accounts of the link's flows, in the order of the flows."""


class Message(msgspec.Struct, frozen=True):
    """The content of a message, the same in every attempt. `reason` explains the other values in English."""

    kind: str
    account: str
    """Empty for an alarm about the whole ledger."""
    severity: str
    reason: str
    at: datetime
    """When the message was created."""
    number: int = 0
    day: str | None = None
    alarm_at: datetime | None = None
    is_resolved: bool = False
    """Whether the alarm has ended."""
    link: DecidedLink | None = None
    """For `link_decided`: the decision."""

    @property
    def is_alarm(self) -> bool:
        """Whether it is about an alarm, not about something that people did."""
        return self.link is None

    @property
    def event(self) -> str:
        """The event: the kind of an active alarm or of what people did, or the end of an alarm."""
        return f"{self.kind}.resolved" if self.is_resolved else self.kind


class Notification(NamedTuple):
    """A message of a rule, and its outcome."""

    id: str
    rule: str
    message: Message
    state: State
    created_at: datetime
    attempts: int
    next_at: datetime
    """When it is sent next, or when another process may send it."""
    error: str
    """Why the last attempt failed; empty if it did not fail."""
    ended_at: datetime | None


# ---------------------------------------------------------------- rules


def add_rule(ledger: Ledger, rule: Rule) -> None:
    """Store a rule. Raises AlreadyExists, AccountNotFound, ConfigError for an unusable name, and PermissionDenied if
    the token of `created_by` was revoked."""
    name = rule.name
    if not 1 <= len(name) <= NAME_MAX or not all(letter.isalnum() or letter in "-_.@" for letter in name):
        raise InvalidField("name", f"1 to {NAME_MAX} letters, digits or - _ . @", short_repr(name))
    values = {
        **to_columns(notify_rules, rule),
        "channel": rule.channel.value,
        "settings": ledger.vault.encrypt(rule.settings),
        "kinds": msgspec.json.encode(sorted(rule.kinds)).decode(),
        "accounts": msgspec.json.encode(None if rule.accounts is None else sorted(rule.accounts)).decode(),
    }
    with ledger.writing() as connection:
        check_creator(connection, rule.created_by)
        check_accounts(connection, rule.accounts or ())
        if not insert_new(connection, notify_rules, values):
            raise AlreadyExists(f"name: there is a rule named {short_repr(name)} already")


def list_rules(ledger: Ledger) -> list[Rule]:
    """Return every rule, by name, with its settings decrypted."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(notify_rules).order_by(notify_rules.c.name)).mappings().all()
    return [_rule(row, ledger.vault.decrypt(row["settings"])) for row in rows]


def _rule(row: Mapping[Any, Any], settings: dict[str, str]) -> Rule:
    return from_row(Rule, row)._replace(
        channel=Channel(row["channel"]),
        settings=settings,
        kinds=frozenset(RULE_KINDS[kind] for kind in _decode_names(row["kinds"]) or () if kind in RULE_KINDS),
        accounts=None if (names := _decode_names(row["accounts"])) is None else frozenset(names),
    )


def active_rules(ledger: Ledger) -> list[Rule]:
    """Return the rules whose creators may still read. Rules of expired tokens are left out."""
    rules, now = list_rules(ledger), ledger.clock()
    with ledger.reading() as connection:
        return [rule for rule in rules if _is_active(connection, rule, now)]


def _is_active(connection: Connection, rule: Rule, now: datetime) -> bool:
    if rule.created_by is None:
        return True
    maker = get_token(connection, rule.created_by)
    return maker is not None and (maker.expires_at is None or now < maker.expires_at)


def find_rule(ledger: Ledger, name: str) -> Rule:
    """Return the rule with this name. Raises ConfigError, which lists the existing names."""
    rules = {rule.name: rule for rule in list_rules(ledger)}
    if name not in rules:
        raise ConfigError(f"rule: expected one of {', '.join(rules) or 'none'}, got {short_repr(name)}")
    return rules[name]


def remove_rule(ledger: Ledger, name: str) -> int:
    """Delete a rule and its messages. Returns how many of these were not sent. Raises NotFound."""
    with ledger.writing() as connection:
        if not connection.execute(notify_rules.delete().where(notify_rules.c.name == name)).rowcount:
            raise NotFound(f"rule: there is none named {short_repr(name)}")
        connection.execute(notify_alarms.delete().where(notify_alarms.c.rule == name))
        is_unsent = sa.and_(notifications.c.rule == name, notifications.c.state != State.SENT.value)
        unsent = connection.execute(notifications.delete().where(is_unsent)).rowcount
        connection.execute(notifications.delete().where(notifications.c.rule == name))
        return unsent


def has_rules(ledger: Ledger) -> bool:
    """Whether there is any rule."""
    with ledger.querying() as queries:
        return queries.value("SELECT 1 FROM notify_rules LIMIT 1") is not None


_decode_key: Final = msgspec.json.Decoder(list[str]).decode
_decode_names: Final = msgspec.json.Decoder(list[str] | None).decode


# ---------------------------------------------------------------- from alarms to messages


class _Seen(NamedTuple):
    """An active alarm, as a rule saw it."""

    rule: str
    alarm: str
    since: datetime
    number: int
    notified: bool


def alarm_key(alarm: Alarm) -> str:
    """Return the parts that identify an active alarm. The text is not one of them, because it may change from day to
    day."""
    distinct = alarm.detail if alarm.kind in (AlarmKind.FINDING, AlarmKind.BACKUP_OLD) else ""
    if alarm.kind is AlarmKind.BACKUP_FAILED:
        distinct = alarm.detail.partition(": ")[0]  # the folder; the error may differ between attempts
    return msgspec.json.encode([alarm.kind.value, alarm.account, *([distinct] if distinct else [])]).decode()


def rename_account_in_alarms(connection: Connection, account: str, name: str) -> None:
    """Write the account's new name into the alarms that rules have seen, in the caller's transaction. Otherwise each
    alarm that still holds would be reported again."""
    a = notify_alarms.c
    for row in connection.execute(sa.select(a.rule, a.alarm).with_for_update()).all():
        kind, of, *distinct = _decode_key(row.alarm)
        if of == account:
            key = msgspec.json.encode([kind, name, *distinct]).decode()
            connection.execute(notify_alarms.update().where(_is_seen(row.rule, row.alarm)).values(alarm=key))


def record_alarms(ledger: Ledger, rules: Sequence[Rule], alarms: Iterable[Alarm]) -> int:
    """Compare the current alarms with those that each rule has seen, and create messages. Returns the number of
    messages.

    `alarms` must contain every current alarm. An alarm that a rule has seen and that is missing has ended.

    Writes in one transaction, or not at all if nothing changes.
    """
    now = ledger.clock()
    holding = [(rule, {alarm_key(alarm): alarm for alarm in alarms if rule.wants(alarm)}) for rule in rules]
    with ledger.reading() as connection:
        seen = _read_seen(connection)
    if all(not _changes(rule, current, seen.get(rule.name, {}), now) for rule, current in holding):
        return 0
    made = 0
    with ledger.writing() as connection:
        # Locked. If two processes do this, the second sees the alarms that the first has seen.
        existing = set(connection.execute(sa.select(notify_rules.c.name).with_for_update()).scalars())
        seen = _read_seen(connection)
        for rule, current in holding:
            if rule.name in existing:
                made += _apply(connection, rule, current, seen.get(rule.name, {}), now)
    return made


def record_decided_link(connection: Connection, decided: DecidedLink, now: datetime) -> None:
    """Create the messages about a decision on a link, in the transaction of the decision."""
    query = sa.select(notify_rules).order_by(notify_rules.c.name).with_for_update()  # a removed rule gets no message
    for row in connection.execute(query).mappings().all():
        rule = _rule(row, {})
        if rule.wants_event(EventKind.LINK_DECIDED, decided.accounts) and _is_active(connection, rule, now):
            _insert(connection, rule.name, _link_message(decided, now), now)


def _link_message(decided: DecidedLink, now: datetime) -> Message:
    accounts = " and ".join(dict.fromkeys(decided.accounts))
    note = f": {decided.reason}" if decided.reason else ""
    return Message(
        kind=EventKind.LINK_DECIDED.value,
        account=decided.accounts[0],
        severity=Severity.NOTE.value,
        reason=f"{decided.decided_by} {decided.decision} the link {decided.link} ({decided.kind}) of {accounts}{note}",
        at=now,
        link=decided,
    )


def _read_seen(connection: Connection) -> dict[str, dict[str, _Seen]]:
    seen: dict[str, dict[str, _Seen]] = {}
    for row in connection.execute(sa.select(notify_alarms)):
        record = from_row(_Seen, row)
        seen.setdefault(record.rule, {})[record.alarm] = record
    return seen


def _is_news(rule: Rule, alarm: Alarm, seen: _Seen | None, now: datetime) -> bool:
    """Whether an active alarm creates a message."""
    since = now if seen is None else min(seen.since, now)
    if seen is not None and seen.notified:
        return alarm.kind in COUNTED and alarm.number > seen.number
    return now - since >= rule.delay(alarm)


def _changes(rule: Rule, current: Mapping[str, Alarm], seen: Mapping[str, _Seen], now: datetime) -> bool:
    """Whether anything has to be written for a rule."""
    return current.keys() != seen.keys() or any(
        _is_news(rule, alarm, seen[key], now) or (alarm.kind in COUNTED and alarm.number != seen[key].number)
        for key, alarm in current.items()
    )


def _apply(
    connection: Connection, rule: Rule, current: Mapping[str, Alarm], seen: Mapping[str, _Seen], now: datetime
) -> int:
    """Store the state of a rule's alarms, and its messages. Returns the number of messages."""
    made = 0
    for key in sorted(seen.keys() - current.keys()):
        connection.execute(notify_alarms.delete().where(_is_seen(rule.name, key)))
        if seen[key].notified:  # if the beginning was not reported, the end is not reported
            _insert(connection, rule.name, resolved_message(key, now), now)
            made += 1
    for key, alarm in sorted(current.items()):
        before = seen.get(key)
        is_news = _is_news(rule, alarm, before, now)
        notified = is_news or (before is not None and before.notified)
        since = now if before is None else min(before.since, now)
        after = to_columns(notify_alarms, _Seen(rule.name, key, since, alarm.number, notified))
        if before is None:
            connection.execute(notify_alarms.insert().values(after))
        else:
            connection.execute(notify_alarms.update().where(_is_seen(rule.name, key)).values(after))
        if is_news:
            _insert(connection, rule.name, message_of(alarm, now), now)
            made += 1
    return made


def _is_seen(rule: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(notify_alarms.c.rule == rule, notify_alarms.c.alarm == key)


def message_of(alarm: Alarm, now: datetime) -> Message:
    """The content of an alarm's message."""
    return Message(
        kind=alarm.kind.value,
        account=alarm.account,
        severity=alarm.severity.value,
        reason=alarm.reason,
        at=now,
        number=alarm.number,
        day=None if alarm.day is None else alarm.day.isoformat(),
        alarm_at=alarm.at,
    )


def resolved_message(key: str, now: datetime) -> Message:
    """Return the message for an alarm that has ended. `key` is the result of `alarm_key`."""
    kind, account, *_ = _decode_key(key)
    reason = f"resolved: {kind.replace('_', ' ')}"
    return Message(kind=kind, account=account, severity="note", reason=reason, at=now, is_resolved=True)


def new_id() -> str:
    """The id of a message."""
    return f"msg_{token_hex(12)}"


def _insert(connection: Connection, rule: str, message: Message, now: datetime) -> None:
    values = {
        "id": new_id(),
        "rule": rule,
        "message": msgspec.json.encode(message).decode(),
        "state": State.PENDING.value,
        "created_at_us": to_us(now),
        "attempts": 0,
        "next_at_us": to_us(now),
        "error": "",
        "ended_at_us": None,
    }
    connection.execute(notifications.insert().values(values))


# ---------------------------------------------------------------- the outbox


def list_notifications(ledger: Ledger, *states: State, rule: str | None = None) -> list[Notification]:
    """Return the messages in those states, or all messages, oldest first."""
    query = sa.select(notifications).order_by(notifications.c.created_at_us, notifications.c.id)
    if states:
        query = query.where(notifications.c.state.in_([state.value for state in states]))
    if rule is not None:
        query = query.where(notifications.c.rule == rule)
    with ledger.reading() as connection:
        return [_notification(row) for row in connection.execute(query).mappings()]


def has_due(ledger: Ledger) -> bool:
    """Whether a message has to be sent now."""
    with ledger.reading() as connection:
        query = sa.select(notifications.c.id).where(_is_due(ledger.clock())).limit(1)
        return connection.execute(query).first() is not None


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(notifications.c.state == State.PENDING.value, notifications.c.next_at_us <= to_us(now))


def claim_notifications(ledger: Ledger, limit: int) -> list[Notification]:
    """Claim the messages that have to be sent now, oldest first. During CLAIM no other process gets them.

    The attempt is counted before it is made. A message that kills its sender is therefore given up like any other.
    """
    now = ledger.clock()
    due = sa.select(notifications).where(_is_due(now)).order_by(notifications.c.created_at_us, notifications.c.id)
    with ledger.writing() as connection:
        rows = connection.execute(due.limit(limit).with_for_update()).mappings().all()
        claimed = []
        for row in rows:
            values = {"attempts": row["attempts"] + 1, "next_at_us": to_us(now + CLAIM)}
            connection.execute(notifications.update().where(notifications.c.id == row["id"]).values(values))
            claimed.append(_notification({**row, **values}))
    return claimed


def settle(ledger: Ledger, notification: Notification, error: str, *, wait: timedelta, is_final: bool = False) -> State:
    """Store how an attempt ended, and return the message's state.

    An empty `error` means that the message was sent. Otherwise it is tried again after `wait` or the next BACKOFF, the
    longer of the two. After the last BACKOFF, or if the attempt `is_final`, it is given up.
    """
    now, attempts = ledger.clock(), notification.attempts
    is_dead = bool(error) and (is_final or attempts > len(BACKOFF))
    state = State.SENT if not error else State.DEAD if is_dead else State.PENDING
    pause = max(wait, BACKOFF[min(attempts, len(BACKOFF)) - 1])
    values = {
        "state": state.value,
        "error": error,
        "next_at_us": to_us(now + (pause if state is State.PENDING else timedelta(0))),
        "ended_at_us": None if state is State.PENDING else to_us(now),
    }
    # Not if it was replayed, or claimed by another process, in the meantime.
    is_ours = sa.and_(
        notifications.c.id == notification.id,
        notifications.c.state == State.PENDING.value,
        notifications.c.attempts == attempts,
    )
    with ledger.writing() as connection:
        connection.execute(notifications.update().where(is_ours).values(values))
    return state


def replay(ledger: Ledger, ids: Sequence[str] = (), rule: str | None = None) -> int:
    """Send given-up messages again: those with these ids, or all of them, of one rule or of every rule.

    Returns their number. They keep their ids. Raises NotFound if an id is not that of a given-up message.
    """
    is_dead = notifications.c.state == State.DEAD.value
    values = {"state": State.PENDING.value, "attempts": 0, "next_at_us": to_us(ledger.clock()), "ended_at_us": None}
    with ledger.writing() as connection:
        if not ids:
            chosen = is_dead if rule is None else sa.and_(is_dead, notifications.c.rule == rule)
            return connection.execute(notifications.update().where(chosen).values(values)).rowcount
        for id_ in ids:
            chosen = sa.and_(is_dead, notifications.c.id == id_)
            if not connection.execute(notifications.update().where(chosen).values(values)).rowcount:
                raise NotFound(
                    f"id: there is no dead letter {short_repr(id_)}: `liushui notify dead-letters` lists them"
                )
        return len(ids)


def delete_sent(ledger: Ledger) -> None:
    """Delete messages that were sent long ago."""
    before_us = to_us(ledger.clock() - SENT_KEPT)
    is_old = sa.and_(notifications.c.state == State.SENT.value, notifications.c.ended_at_us < before_us)
    with ledger.reading() as connection:
        if connection.execute(sa.select(notifications.c.id).where(is_old).limit(1)).first() is None:
            return
    with ledger.writing() as connection:
        connection.execute(notifications.delete().where(is_old))


def count_states(ledger: Ledger) -> dict[str, dict[State, int]]:
    """How many messages of each rule are in each state."""
    query = sa.select(notifications.c.rule, notifications.c.state, sa.func.count()).group_by(
        notifications.c.rule, notifications.c.state
    )
    counts: dict[str, dict[State, int]] = {}
    with ledger.reading() as connection:
        for rule, state, count in connection.execute(query):
            counts.setdefault(rule, {})[State(state)] = count
    return counts


def _notification(row: Mapping[Any, Any]) -> Notification:
    message = msgspec.json.decode(row["message"], type=Message)
    return from_row(Notification, row)._replace(message=message, state=State(row["state"]))


def webhook_payload(id_: str, message: Message) -> bytes:
    """Return the body of a webhook, as Standard Webhooks describes it: a type, a time, and the data."""
    data: dict[str, Any] = {
        "id": id_,
        "account": message.account or None,
        "kind": message.kind,
        "severity": message.severity,
        "reason": message.reason,
        "resolved": message.is_resolved,
        "number": message.number,
        "day": message.day,
        "at": None if message.alarm_at is None else to_iso(message.alarm_at),
    }
    if message.link is not None:
        data["link"] = {**msgspec.structs.asdict(message.link), "decided_at": to_iso(message.link.decided_at)}
    type_ = f"{'alarm' if message.is_alarm else 'event'}.{message.event}"
    return msgspec.json.encode({"type": type_, "timestamp": to_iso(message.at), "data": data})
