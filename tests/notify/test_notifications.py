"""Rules, messages and the outbox: one message per alarm until it comes back, even if processes are killed."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from standardwebhooks import Webhook

from liushui.errors import AccountNotFound, AlreadyExists, ConfigError, LedgerError, NotFound
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs import notifications as outbox
from liushui.ledger.jobs.backups import record_failed_backup
from liushui.ledger.jobs.notifications import (
    BACKOFF,
    CLAIM,
    DEFAULT_KINDS,
    RULE_KINDS,
    Channel,
    Message,
    Rule,
    State,
    add_rule,
    claim_notifications,
    count_states,
    list_notifications,
    list_rules,
    record_alarms,
    remove_rule,
    replay,
    settle,
)
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.read.status import Alarm, AlarmKind, Severity
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.notify.channels import DeliveryError, Sender, new_secret, title_of
from liushui.notify.notifier import LEASE_LIFE, Notifier
from liushui.provider import Slice
from liushui.sync.events import SyncEnded, SyncResult
from liushui.testing.clock import MovableClock
from tests.engines import LedgerStore
from tests.ledger.conftest import ledger_store  # noqa: F401 - a fixture
from tests.notify.receivers import http_receiver

NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
STALE: Final = Alarm(Severity.BAD, AlarmKind.STALE, "a", at=NOW)
GAP: Final = Alarm(Severity.WARN, AlarmKind.GAP, "a", number=2)
BREAK: Final = Alarm(Severity.BAD, AlarmKind.BREAK, "b", number=1, at=NOW)
BACKUP: Final = Alarm(Severity.BAD, AlarmKind.BACKUP_FAILED, "", detail="/backup: no space")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW)


@pytest.fixture
def ledger(ledger_store: LedgerStore, clock: MovableClock) -> Iterator[Ledger]:  # noqa: F811
    """A ledger with two accounts."""
    ledger = open_ledger(ledger_store.fresh(), create=True, clock=clock)
    for name in ("a", "b"):
        make_account(ledger, name, "longbridge", "UTC")
    yield ledger
    ledger.close()


def rule(name: str = "ops", *accounts: str, kinds: frozenset[AlarmKind] = DEFAULT_KINDS, gap_hours: int = 24) -> Rule:
    settings = {"url": "https://hooks.example/x", "secret": new_secret()}
    return Rule(
        name, Channel.WEBHOOK, "https://hooks.example/…", settings, kinds, frozenset(accounts) or None, gap_hours, NOW
    )


def look(ledger: Ledger, *alarms: Alarm) -> list[str]:
    """Look at the alarms that hold. Returns what was made of them: the rule and the kind of each new message."""
    before = {one.id for one in list_notifications(ledger)}
    made = record_alarms(ledger, list_rules(ledger), alarms)
    new = [f"{one.rule} {one.message.event}" for one in list_notifications(ledger) if one.id not in before]
    assert len(new) == made
    return sorted(new)


# ---------------------------------------------------------------- rules


def test_a_rule_is_kept_with_its_secrets_encrypted(ledger: Ledger) -> None:
    kept = rule("ops", "a", kinds=frozenset({AlarmKind.STALE}))
    add_rule(ledger, kept)
    assert list_rules(ledger) == [kept]
    with ledger.reading() as connection:
        row = connection.exec_driver_sql("SELECT * FROM notify_rules").one()
    assert "whsec" not in str(row)
    assert "hooks.example/x" not in str(row)
    with pytest.raises(AlreadyExists):
        add_rule(ledger, kept)
    with pytest.raises(AccountNotFound):
        add_rule(ledger, rule("other", "nobody"))
    for name in ("", "a b", "x" * 65):
        with pytest.raises(ConfigError, match=r"^name: expected 1 to 64 letters"):
            add_rule(ledger, rule(name))
    with pytest.raises(ConfigError, match=r"^rule: expected one of ops, got 'x'$"):
        outbox.find_rule(ledger, "x")


def test_a_rule_is_copied_and_its_secret_is_readable_in_the_copy(ledger: Ledger, tmp_path: Path) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE)
    copy_ledger(ledger, str(tmp_path / "copy.db"))
    copy = open_ledger(str(tmp_path / "copy.db"))
    assert list_rules(copy) == list_rules(ledger)
    assert list_notifications(copy) == list_notifications(ledger)
    copy.close()


# ---------------------------------------------------------------- from alarms to messages


def test_an_alarm_is_told_once_while_it_holds_and_again_when_it_comes_back(ledger: Ledger) -> None:
    add_rule(ledger, rule())
    assert look(ledger, STALE, BACKUP) == ["ops backup_failed", "ops stale"]
    later = STALE._replace(at=NOW + HOUR)
    assert look(ledger, later, BACKUP._replace(detail="/backup: another error")) == []
    assert look(ledger, BACKUP) == ["ops stale.resolved"]
    assert look(ledger, STALE, BACKUP) == ["ops stale"]


def test_each_rule_is_told_what_it_wants(ledger: Ledger) -> None:
    add_rule(ledger, rule("all"))
    add_rule(ledger, rule("only-a", "a"))
    add_rule(ledger, rule("breaks", kinds=frozenset({AlarmKind.BREAK})))
    assert look(ledger, STALE, BREAK, BACKUP) == [
        *("all backup_failed", "all break", "all stale"),
        *("breaks break", "only-a backup_failed", "only-a stale"),
    ]


def test_a_new_rule_is_told_what_holds_already(ledger: Ledger) -> None:
    add_rule(ledger, rule("first"))
    assert look(ledger, STALE) == ["first stale"]
    add_rule(ledger, rule("second"))
    assert look(ledger, STALE) == ["second stale"]


def test_a_gap_is_told_when_it_stays_open(ledger: Ledger, clock: MovableClock) -> None:
    add_rule(ledger, rule("day"))
    add_rule(ledger, rule("now", gap_hours=0))
    assert look(ledger, GAP) == ["now gap"]
    clock.move(23 * HOUR)
    assert look(ledger, GAP._replace(number=3)) == []
    clock.move(HOUR)
    assert look(ledger, GAP) == ["day gap"]
    clock.move(48 * HOUR)
    assert look(ledger, GAP) == []
    assert look(ledger) == ["day gap.resolved", "now gap.resolved"]
    assert look(ledger, GAP) == ["now gap"], "another gap has a day of its own"
    assert look(ledger) == ["now gap.resolved"], "the other rule was not told of this gap"


def test_each_further_break_is_told(ledger: Ledger) -> None:
    add_rule(ledger, rule())
    assert look(ledger, BREAK) == ["ops break"]
    assert look(ledger, BREAK._replace(number=3)) == ["ops break"]
    assert look(ledger, BREAK._replace(number=3)) == []
    assert look(ledger, BREAK._replace(number=1)) == []
    assert look(ledger, BREAK._replace(number=2)) == ["ops break"]


def test_an_end_says_what_has_ended(ledger: Ledger) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE, BACKUP)
    look(ledger)
    ended = {one.message.kind: one for one in list_notifications(ledger) if one.message.is_resolved}
    stale, backup = ended["stale"].message, ended["backup_failed"].message
    assert (stale.account, stale.severity, stale.reason) == ("a", "note", "resolved: stale")
    assert (backup.account, backup.reason) == ("", "resolved: backup failed")
    assert title_of(stale) == "liushui: a: stale resolved"
    payload = json.loads(outbox.webhook_payload(ended["stale"].id, stale))
    assert (payload["type"], payload["data"]["resolved"], payload["data"]["kind"]) == (
        "alarm.stale.resolved",
        True,
        "stale",
    )


def test_looking_at_the_same_alarms_writes_nothing(ledger: Ledger) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE, GAP, BREAK)

    def refuse() -> Iterator[None]:
        raise AssertionError("nothing changed")

    ledger.writing = refuse  # type: ignore[method-assign, assignment]
    assert look(ledger, STALE, GAP, BREAK) == []


def test_many_processes_that_look_at_once_make_one_message(ledger: Ledger) -> None:
    add_rule(ledger, rule())
    barrier = threading.Barrier(4)

    def look_at_once(_number: int) -> int:
        barrier.wait()
        return record_alarms(ledger, list_rules(ledger), [STALE, BREAK])

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(look_at_once, range(4)))
    assert sum(made) == len(list_notifications(ledger)) == 2


def test_a_look_that_is_killed_makes_all_or_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rule(ledger, rule())
    real, calls = outbox._insert, []

    def killed(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(outbox, "_insert", killed)
    with pytest.raises(KeyboardInterrupt):
        look(ledger, STALE, BREAK)
    monkeypatch.undo()
    assert list_notifications(ledger) == []
    assert look(ledger, STALE, BREAK) == ["ops break", "ops stale"]


# ---------------------------------------------------------------- the outbox


def test_an_attempt_that_fails_is_repeated_until_the_message_is_given_up(ledger: Ledger, clock: MovableClock) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE)
    waits = []
    while claimed := claim_notifications(ledger, 10):
        (one,) = claimed
        at = clock()
        state = settle(ledger, one, "HTTP 500", wait=timedelta(0))
        if state is State.DEAD:
            break
        (pending,) = list_notifications(ledger, State.PENDING)
        clock.at = pending.next_at
        waits.append(clock() - at)
    assert tuple(waits) == BACKOFF
    (dead,) = list_notifications(ledger, State.DEAD)
    assert (dead.attempts, dead.error, dead.ended_at) == (len(BACKOFF) + 1, "HTTP 500", clock())
    assert count_states(ledger) == {"ops": {State.DEAD: 1}}


def test_a_receiver_may_ask_for_a_longer_wait_or_end_it(ledger: Ledger, clock: MovableClock) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE, BREAK)
    first, second = claim_notifications(ledger, 10)
    assert settle(ledger, first, "HTTP 429", wait=2 * HOUR) is State.PENDING
    assert settle(ledger, second, "HTTP 410", wait=timedelta(0), is_final=True) is State.DEAD
    (pending,) = list_notifications(ledger, State.PENDING)
    assert pending.next_at == NOW + 2 * HOUR


def test_a_message_whose_sender_was_killed_is_sent_by_another(ledger: Ledger, clock: MovableClock) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE)
    (claimed,) = claim_notifications(ledger, 10)
    assert claim_notifications(ledger, 10) == []
    clock.move(CLAIM)
    (again,) = claim_notifications(ledger, 10)
    assert (again.id, again.message, again.attempts) == (claimed.id, claimed.message, 2)
    settle(ledger, claimed, "", wait=timedelta(0))  # the first one was only slow: it must not end the second's attempt
    assert [one.state for one in list_notifications(ledger)] == [State.PENDING]
    assert settle(ledger, again, "", wait=timedelta(0)) is State.SENT


def test_dead_letters_are_replayed_under_their_ids(ledger: Ledger) -> None:
    add_rule(ledger, rule("one"))
    add_rule(ledger, rule("two"))
    look(ledger, STALE, BREAK)
    for claimed in claim_notifications(ledger, 10):
        settle(ledger, claimed, "HTTP 410", wait=timedelta(0), is_final=True)
    dead = list_notifications(ledger, State.DEAD)
    assert len(dead) == 4
    assert replay(ledger, [dead[0].id]) == 1
    with pytest.raises(NotFound, match="there is no dead letter"):
        replay(ledger, [dead[1].id, dead[0].id])
    assert len(list_notifications(ledger, State.DEAD)) == 3, "all of them or none"
    (again,) = claim_notifications(ledger, 10)
    assert (again.id, again.attempts) == (dead[0].id, 1)
    assert replay(ledger, rule="two") + replay(ledger) == 3
    assert list_notifications(ledger, State.DEAD) == []


def test_a_rule_goes_together_with_its_messages(ledger: Ledger) -> None:
    add_rule(ledger, rule("one"))
    add_rule(ledger, rule("two"))
    look(ledger, STALE, BREAK)
    (first, *_) = claim_notifications(ledger, 1)
    settle(ledger, first, "", wait=timedelta(0))
    unsent = {one.rule: 0 for one in list_notifications(ledger)}
    for one in list_notifications(ledger, State.PENDING):
        unsent[one.rule] += 1
    assert {name: remove_rule(ledger, name) for name in unsent} == unsent
    assert list_notifications(ledger) == []
    with pytest.raises(NotFound):
        remove_rule(ledger, "one")
    add_rule(ledger, rule("one"))
    assert look(ledger, STALE) == ["one stale"]


def test_messages_that_were_sent_long_ago_are_deleted(ledger: Ledger, clock: MovableClock) -> None:
    add_rule(ledger, rule())
    look(ledger, STALE, BREAK)
    first, second = claim_notifications(ledger, 10)
    settle(ledger, first, "", wait=timedelta(0))
    settle(ledger, second, "HTTP 410", wait=timedelta(0), is_final=True)
    outbox.delete_sent(ledger)
    assert len(list_notifications(ledger)) == 2
    clock.move(31 * 24 * HOUR)
    outbox.delete_sent(ledger)
    assert [one.state for one in list_notifications(ledger)] == [State.DEAD], "dead letters are kept"


# ---------------------------------------------------------------- the notifier


@dataclass
class SenderDouble:
    """Stores messages, or fails."""

    errors: list[Exception] = field(default_factory=list)
    sent: list[tuple[str, Message]] = field(default_factory=list)

    def of(self, _rule: Rule) -> Sender:
        return self

    def send(self, id_: str, message: Message, _now: datetime) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((id_, message))


def fails_and_breaks(ledger: Ledger) -> None:
    """A source that is refused and stale, and a failed backup."""
    add_source(ledger, account="a", base_url="https://p.test", credentials={}, since=NOW - 240 * HOUR, paced=True)
    commit_slice(ledger, "a", Slice(NOW - 240 * HOUR, NOW - 99 * HOUR), read_at=NOW, received=[])
    record_run(ledger, Run("a", NOW, NOW, 0, 0, 0, 0, "HTTP 500"))
    record_failed_backup(ledger, "/backup", error="no space left", every=HOUR)


def test_the_notifier_tells_what_status_says(ledger: Ledger) -> None:
    fails_and_breaks(ledger)
    sender, warnings = SenderDouble(), list[str]()
    notifier = Notifier(ledger, warnings.append, sender.of)
    assert notifier.look() == 0, "there is no rule"
    add_rule(ledger, rule(kinds=frozenset(AlarmKind)))
    assert notifier.look() == notifier.send_due() == len(sender.sent)
    told = {message.kind: message for _, message in sender.sent}
    assert {"stale", "failed", "backup_failed", "backup_old"} <= told.keys()
    assert told["stale"].reason == "nothing after 2026-01-06T09:00:00Z is complete"
    assert (told["backup_failed"].account, told["backup_failed"].reason) == (
        "",
        "the last backup failed: /backup: no space left",
    )
    assert notifier.look() == notifier.send_due() == 0
    assert warnings == []


def test_one_process_looks_at_a_time(ledger: Ledger, clock: MovableClock) -> None:
    fails_and_breaks(ledger)
    add_rule(ledger, rule())
    first, second = (Notifier(ledger, print, SenderDouble().of) for _ in range(2))
    assert first.look() > 0
    remove_rule(ledger, "ops")
    add_rule(ledger, rule())
    assert second.look() == 0, "the first one has the lease"
    clock.move(3 * LEASE_LIFE)
    assert second.look() > 0, "the first one is gone"


def test_what_a_sender_raises_is_an_attempt_that_failed(ledger: Ledger, clock: MovableClock) -> None:
    fails_and_breaks(ledger)
    add_rule(ledger, rule(kinds=frozenset({AlarmKind.STALE})))
    sender = SenderDouble([DeliveryError("HTTP 500"), KeyError("a defect")])
    warnings: list[str] = []
    notifier = Notifier(ledger, warnings.append, sender.of)
    notifier.look()
    for error in ("HTTP 500", "KeyError: 'a defect'"):
        assert notifier.send_due() == 0
        (pending,) = list_notifications(ledger, State.PENDING)
        assert pending.error == error
        clock.at = pending.next_at
    assert notifier.send_due() == 1


def test_a_thread_tells_and_goes_on_where_the_ledger_cannot_be_used(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real receiver, verified with the library; and an error of the ledger before it, which is said once."""
    fails_and_breaks(ledger)
    told = threading.Event()
    monkeypatch.setattr("liushui.notify.notifier.SEND_INTERVAL_S", 1)
    monkeypatch.setattr("liushui.notify.notifier.LOOK_INTERVAL_S", 1)
    failures = [LedgerError("the ledger is busy")] * 2
    real = outbox.has_rules

    def has_rules(asked: Ledger) -> bool:
        if failures:
            raise failures.pop()
        return real(asked)

    monkeypatch.setattr("liushui.notify.notifier.has_rules", has_rules)
    warnings: list[str] = []
    secret = new_secret()
    with http_receiver() as receiver:
        settings = {"url": receiver.url(), "secret": secret, "allow_private": "yes"}
        wanted = rule(kinds=frozenset({AlarmKind.STALE}))._replace(settings=settings)
        add_rule(ledger, wanted)

        # The receiver checks the time of the attempt, so the ledger's clock must be right.
        live = ledger.with_clock(lambda: datetime.now(UTC))
        with Notifier(live, warnings.append) as notifier:
            for _ in range(600):
                notifier.wake()
                if receiver.received:
                    break
                told.wait(0.1)
        (request,) = receiver.received
        assert json.loads(request.body)["type"] == "alarm.stale"
        assert Webhook(secret).verify(request.body, request.headers)["data"]["account"] == "a"
    assert warnings == ["notifications: the ledger is busy"]
    (sent,) = list_notifications(ledger)
    assert (sent.state, sent.id) == (State.SENT, request.headers["webhook-id"])


def test_the_end_of_a_sync_is_looked_at_without_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_and_breaks(ledger)
    monkeypatch.setattr("liushui.notify.notifier.LOOK_INTERVAL_S", 86_400)
    monkeypatch.setattr("liushui.notify.notifier.SEND_INTERVAL_S", 1)
    looked = threading.Event()

    def has_rules(asked: Ledger) -> bool:
        looked.set()
        return outbox.has_rules(asked)

    monkeypatch.setattr("liushui.notify.notifier.has_rules", has_rules)
    sender = SenderDouble()
    with Notifier(ledger, print, sender.of) as notifier:
        assert looked.wait(60), "the first look"
        add_rule(ledger, rule(kinds=frozenset({AlarmKind.STALE})))
        notifier.observe(SyncEnded("a", SyncResult("a")))
        for _ in range(600):
            if sender.sent:
                break
            time.sleep(0.1)
    assert [message.kind for _, message in sender.sent] == ["stale"]


def test_every_kind_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/notifications.md").read_text(encoding="utf-8")
    for kind in RULE_KINDS.values():
        name = f"**{kind.value}**" if kind in DEFAULT_KINDS else kind.value
        assert f"| {name} |" in page
    assert len(BACKOFF) + 1 == 10, "ten attempts, as the page says"
