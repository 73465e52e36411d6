"""`liushui notify`: rules, tests, dead letters; and the messages that a running server sends."""

import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from liushui.instant import system_clock
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.backups import record_failed_backup
from liushui.ledger.jobs.notifications import CLAIM, State, list_notifications
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.notify.notifier import Notifier
from liushui.provider import Slice
from liushui.testing.empty_ledger import create_ledger
from tests.cli.commands import result, run
from tests.cli.test_backups import PATIENCE_S, running, wait_until
from tests.notify.receivers import HttpReceiver, http_receiver, mail_server

DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a paused source that is stale, and a backup that failed."""
    path, now = tmp_path / "ledger.db", system_clock()
    ledger = create_ledger(str(path))
    make_account(ledger, "a", "longbridge", "UTC")
    add_source(ledger, account="a", base_url="http://127.0.0.1:9", credentials={}, since=now - 9 * DAY, paced=True)
    commit_slice(ledger, "a", Slice(now - 9 * DAY, now - 5 * DAY), read_at=now, received=[])
    record_failed_backup(ledger, "/backup", error="no space left", every=DAY)
    ledger.close()
    return path


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def test_a_webhook_from_its_rule_to_its_receiver(path: Path, receiver: HttpReceiver) -> None:
    added = result(path, "notify", "add", "ops", "--webhook", receiver.url(), "--allow-private")
    assert added["secret"].startswith("whsec_")
    assert added["target"] == f"http://127.0.0.1:{receiver.port}/…"
    (listed,) = result(path, "notify", "list")
    assert "secret" not in listed
    assert (listed["name"], listed["accounts"], listed["gap_after_h"], listed["pending"]) == ("ops", None, 24, 0)
    tested = result(path, "notify", "test", "ops")
    (request,) = receiver.received
    assert (tested["result"], tested["id"]) == ("accepted", request.headers["webhook-id"])
    assert Webhook(added["secret"]).verify(request.body, request.headers)["type"] == "alarm.test"
    receiver.statuses = [500]
    failed = result(path, "notify", "test", "ops", returncode=1)
    assert (failed["result"], failed["error"]) == ("failed", "HTTP 500: the receiver's own words")
    assert run(path, "notify", "remove", "ops").stderr == "removed ops\n"
    assert result(path, "notify", "list") == []
    entries = [(one["action"], one["subject"], one["outcome"]) for one in result(path, "audit")]
    assert sorted(entries) == [("notify add", "ops", "done"), ("notify remove", "ops", "done")]


def test_a_secret_from_a_file_or_standard_input(path: Path, receiver: HttpReceiver, tmp_path: Path) -> None:
    secret = "whsec_" + "QUJD" * 8
    (tmp_path / "secret").write_text(f"{secret}\n")
    for name, file, given in (("file", str(tmp_path / "secret"), ""), ("input", "-", secret)):
        words = ("notify", "add", name, "--webhook", receiver.url(), "--allow-private", "--secret", file)
        done = run(path, *words, stdin=given)
        assert done.returncode == 0, done.stderr
        assert secret not in done.stdout + done.stderr
        result(path, "notify", "test", name)
        Webhook(secret).verify(receiver.received[-1].body, receiver.received[-1].headers)


def test_ntfy_and_e_mail(path: Path, receiver: HttpReceiver) -> None:
    result(path, "notify", "add", "phone", "--ntfy", receiver.url("/topic"), "--allow-private", "--kind", "stale")
    result(path, "notify", "test", "phone")
    assert json.loads(receiver.received[0].body)["topic"] == "topic"
    with mail_server() as server:
        words = (
            "--email",
            "ops@example.com",
            "--from",
            "liushui@example.com",
            "--smtp",
            f"smtp://127.0.0.1:{server.port}",
        )
        result(path, "notify", "add", "mail", *words, "--allow-private")
        result(path, "notify", "test", "mail")
        assert [envelope.rcpt_tos for envelope in server.received] == [["ops@example.com"]]
    listed = {one["name"]: one for one in result(path, "notify", "list")}
    assert listed["mail"]["target"] == "ops@example.com"
    assert listed["phone"]["kinds"] == ["stale"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "channel: expected one of --webhook, --ntfy and --email"),
        (("--webhook", "https://x", "--ntfy", "https://x/y"), "channel: expected one of"),
        (("--email", "a@b.example"), "email: expected together with --smtp and --from"),
        (("--webhook", "https://x", "--smtp", "smtp://y"), "email: expected together with"),
        (("--webhook", "https://u:p@x/"), "webhook: expected https://HOST"),
        (("--webhook", "https://x/", "--account", "nobody"), "account: there is none named 'nobody'"),
        (("--webhook", "https://x/", "--secret", "/no/such"), "secret: /no/such cannot be read"),
        (("--webhook", "https://x/", "--kind", "sale"), "kind: expected one of refused, failed, "),
    ],
)
def test_wrong_options_are_named(path: Path, words: tuple[str, ...], message: str) -> None:
    done = run(path, "notify", "add", "ops", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}"), done.stderr
    assert "u:p" not in done.stderr
    assert result(path, "notify", "list") == []


def test_a_private_address_needs_to_be_allowed(path: Path, receiver: HttpReceiver) -> None:
    result(path, "notify", "add", "ops", "--webhook", receiver.url())
    failed = result(path, "notify", "test", "ops", returncode=1)
    assert failed["error"] == "127.0.0.1 has a private address (127.0.0.1): --allow-private allows it"
    assert receiver.received == []


def test_dead_letters_are_listed_and_replayed(path: Path, receiver: HttpReceiver) -> None:
    """A server makes the messages, the receiver says that it is gone, and later that it is back."""
    words = ("--webhook", receiver.url(), "--allow-private", "--kind", "stale", "--kind", "backup_failed")
    secret = result(path, "notify", "add", "ops", *words)["secret"]
    receiver.statuses = [410, 410]
    with running(path, "sync", "--on-request"):
        wait_until(lambda: len(result(path, "notify", "dead-letters")) == 2, "two dead letters")
    dead = {one["kind"]: one for one in result(path, "notify", "dead-letters")}
    assert dead["stale"]["error"] == "HTTP 410: the receiver's own words"
    assert dead["backup_failed"]["reason"] == "the last backup failed: /backup: no space left"
    assert result(path, "notify", "replay", dead["stale"]["id"]) == {"replayed": 1}
    assert run(path, "notify", "replay", "msg_x").returncode == 2
    with running(path, "sync", "--on-request"):
        wait_until(lambda: len(receiver.received) >= 3, "the message again")
        wait_until(lambda: result(path, "notify", "list")[0]["sent"] == 1, "its end")
    again = receiver.received[2]
    assert again.headers["webhook-id"] == dead["stale"]["id"]
    Webhook(secret).verify(again.body, again.headers)
    assert len(receiver.received) == 3, "the alarms were told before"
    assert result(path, "notify", "replay", "--rule", "ops") == {"replayed": 1}


def test_a_server_that_is_killed_leaves_each_message_to_the_next_one(path: Path, receiver: HttpReceiver) -> None:
    """Killed after its first message. Each alarm has one message, under one id, however often it was sent."""
    words = ("--webhook", receiver.url(), "--allow-private", "--kind", "stale", "--kind", "backup_failed")
    result(path, "notify", "add", "ops", *words)
    with running(path, "serve", "--port", "0", "--socket-port", "0", "--workers", "1") as process:
        wait_until(lambda: len(receiver.received) >= 1, "a message")
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    ledger = open_ledger(str(path))
    # A message that the killed process was sending is sent when its claim has expired.
    later = ledger.with_clock(lambda: system_clock() + CLAIM)
    Notifier(later, print).send_due()
    wait_until(lambda: all(one.state is State.SENT for one in list_notifications(ledger)), "the end of every message")
    by_kind = {one.message.kind: one.id for one in list_notifications(ledger)}
    assert by_kind.keys() == {"stale", "backup_failed"}
    assert {request.headers["webhook-id"] for request in receiver.received} == set(by_kind.values())
    ledger.close()
