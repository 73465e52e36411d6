"""Sending: messages at real receivers, refusals, and the texts of errors."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from socket import create_server
from typing import Final

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from liushui.errors import ConfigError, LiushuiError, Refused
from liushui.instant import system_clock
from liushui.ledger.jobs.notifications import message_of
from liushui.ledger.read.status import Alarm, AlarmKind, Severity
from liushui.notify import channels, connect
from liushui.notify.channels import DeliveryError, EmailSender, NtfySender, WebhookSender
from tests.notify.receivers import HOST, HttpReceiver, certificate, http_receiver, mail_server

AT: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
ALARM: Final = Alarm(
    Severity.BAD, AlarmKind.GAP, "券商 A", number=3, day=date(2026, 1, 7), detail="HTTP 500\r\nBcc: x@y"
)
MESSAGE: Final = message_of(ALARM, AT)
ID: Final = "msg_0123"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def webhook(receiver: HttpReceiver, secret: str | None = None) -> WebhookSender:
    return WebhookSender(receiver.url(), secret or channels.new_secret(), allow_private=True)


# ---------------------------------------------------------------- webhooks


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-11))])
def test_a_receiver_verifies_a_webhook_with_the_library(receiver: HttpReceiver, zone: timezone) -> None:
    secret = channels.new_secret()
    webhook(receiver, secret).send(ID, MESSAGE, system_clock().astimezone(zone))
    (request,) = receiver.received
    assert request.headers["content-type"] == "application/json"
    payload = Webhook(secret).verify(request.body, request.headers)
    assert payload["type"] == "alarm.gap"
    assert payload["timestamp"] == "2026-01-10T12:00:00Z"
    assert payload["data"] == {
        "id": ID,
        "account": "券商 A",
        "kind": "gap",
        "severity": "bad",
        "reason": ALARM.reason,
        "number": 3,
        "day": "2026-01-07",
        "at": None,
        "resolved": False,
    }
    for wrong_secret, body in ((channels.new_secret(), request.body), (secret, request.body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong_secret).verify(body, request.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_success_is_one(receiver: HttpReceiver, status: int) -> None:
    receiver.statuses = [status]
    webhook(receiver).send(ID, MESSAGE, system_clock())


@pytest.mark.parametrize(
    ("status", "headers", "reason", "wait_s", "is_final"),
    [
        (500, {}, "HTTP 500: the receiver's own words", 0, False),
        (429, {"retry-after": "120"}, "HTTP 429: the receiver's own words", 120, False),
        (503, {"retry-after": "999999999"}, "HTTP 503: the receiver's own words", 0, False),
        (503, {"retry-after": "99999999"}, "HTTP 503: the receiver's own words", 86_400, False),
        (410, {}, "HTTP 410: the receiver's own words", 0, True),
    ],
)
def test_a_failure_says_why(
    receiver: HttpReceiver, status: int, headers: dict[str, str], reason: str, wait_s: int, is_final: bool
) -> None:
    receiver.statuses, receiver.headers = [status], headers
    with pytest.raises(DeliveryError) as raised:
        webhook(receiver).send(ID, MESSAGE, system_clock())
    assert str(raised.value) == reason
    assert (raised.value.wait, raised.value.is_final) == (timedelta(seconds=wait_s), is_final)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: HttpReceiver, status: int) -> None:
    receiver.statuses, receiver.headers = [status], {"location": receiver.url("/elsewhere")}
    with pytest.raises(DeliveryError, match=f"^HTTP {status}: a redirect, which is not followed$"):
        webhook(receiver).send(ID, MESSAGE, system_clock())
    assert [request.path for request in receiver.received] == ["/hook"]


def test_secrets_are_checked() -> None:
    assert channels.check_secret(channels.new_secret())
    for secret in ("whsec_" + "QUJD" * 8, channels.new_secret().rstrip("=")):
        assert channels.check_secret(secret) == secret
    for secret in ("", "whsec_", "whsec_QUJD", "whsec_" + "QUJD" * 40, "whsec_" + "?" * 40):
        with pytest.raises(ConfigError, match=r"^secret: expected whsec_ and 24 to 64 bytes in base64, got \d+ char"):
            channels.check_secret(secret)


# ---------------------------------------------------------------- ntfy


def test_a_message_is_published_to_a_topic(receiver: HttpReceiver) -> None:
    url = channels.check_topic_url(receiver.url("/prefix/my-topic"))
    NtfySender(url, "tk_secret", allow_private=True).send(ID, MESSAGE, AT)
    NtfySender(receiver.url("/topic"), "", allow_private=True).send(ID, MESSAGE, AT)
    first, second = receiver.received
    assert (first.path, first.headers["authorization"]) == ("/prefix/", "Bearer tk_secret")
    published = json.loads(first.body)
    assert published["topic"] == "my-topic"
    assert published["title"] == "liushui: 券商 A: gap"
    assert published["message"].startswith("券商 A: 3 days from 2026-01-07 on are not complete: HTTP 500")
    assert (published["priority"], published["tags"]) == (4, ["rotating_light"])
    assert (second.path, "authorization" in second.headers) == ("/", False)


@pytest.mark.parametrize("path", ["", "/", "/a/b/", "/topic?x=1", "/a.b", "/" + "x" * 65])
def test_a_url_that_is_not_a_topic_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^ntfy: expected "):
        channels.check_topic_url(f"https://ntfy.sh{path}")


# ---------------------------------------------------------------- e-mail


def email(port: int, *to: str, scheme: str = "smtp", user: str = "", password: str = "") -> EmailSender:
    sign = f"{user}@" if user else ""
    url = channels.check_smtp_url(f"{scheme}://{sign}{HOST}:{port}")
    return EmailSender(url, password, "liushui@example.com", to or ("ops@example.com",), allow_private=True)


def test_a_mail_arrives_whole_and_cannot_be_given_headers() -> None:
    """The provider's error has a line break and a header after it: neither becomes one of the mail's."""
    with mail_server() as server:
        email(server.port, "ops@example.com", "cfo@example.com").send(ID, MESSAGE, AT)
        (envelope,) = server.received
    assert envelope.rcpt_tos == ["ops@example.com", "cfo@example.com"]
    mail = message_from_bytes(envelope.original_content or b"", policy=default)
    assert mail["subject"] == "liushui: 券商 A: gap"
    assert (mail["from"], mail["to"]) == ("liushui@example.com", "ops@example.com, cfo@example.com")
    assert mail["message-id"] == f"<{ID}@example.com>"
    assert mail["date"].datetime == AT
    assert mail["bcc"] is None
    text = mail.get_content()
    assert "券商 A: 3 days from 2026-01-07 on are not complete: HTTP 500" in text
    assert "2026-01-10T12:00:00Z" in text


def test_a_password_is_sent_under_tls_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    user, password = "me", "s3cr3t"
    with mail_server(user, password, starttls=context) as server:
        email(server.port, user=user, password=password).send(ID, MESSAGE, AT)
        assert len(server.received) == 1
        with pytest.raises(DeliveryError, match=r"^SMTP 535: "):
            email(server.port, user="me", password="wrong").send(ID, MESSAGE, AT)
    with mail_server(tls=context) as server:
        email(server.port, scheme="smtps").send(ID, MESSAGE, AT)
        assert len(server.received) == 1
    with mail_server() as server, pytest.raises(DeliveryError, match="offers no TLS"):
        email(server.port, user=user, password=password).send(ID, MESSAGE, AT)


def test_a_certificate_that_is_not_trusted_ends_the_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    context, _ = certificate(tmp_path)
    with mail_server(starttls=context) as server, pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        email(server.port).send(ID, MESSAGE, AT)
    with http_receiver(context) as receiver:
        sender = WebhookSender(receiver.url(scheme="https"), channels.new_secret(), allow_private=True)
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
            sender.send(ID, MESSAGE, AT)
        assert receiver.received == []


def test_a_webhook_under_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with http_receiver(context) as receiver:
        WebhookSender(receiver.url(scheme="https"), channels.new_secret(), allow_private=True).send(ID, MESSAGE, AT)
        assert len(receiver.received) == 1


def test_a_refused_recipient_is_named() -> None:
    with mail_server() as server:
        with pytest.raises(DeliveryError, match=r"^the server refuses x@refused\.example: 550 5\.1\.1 no such user$"):
            email(server.port, "x@refused.example").send(ID, MESSAGE, AT)
        assert server.received == []


@pytest.mark.parametrize(
    "url", ["smtp.example.com", "http://x", "smtp://", "smtp://u:p@x", "smtp://x/path", "smtp://x:0", "smtp://ü"]
)
def test_a_url_that_is_not_an_smtp_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^smtp: expected smtps://\[USER@\]HOST") as raised:
        channels.check_smtp_url(url)
    assert "u:p" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "ops", "@x", "a@", "a@b,c@d", "Ops <a@b>", "a@b\nBcc: c@d", "ü@b"])
def test_a_text_that_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^email: expected an e-mail address such as"):
        channels.check_mail_address("email", text)


# ---------------------------------------------------------------- addresses


PRIVATE: Final = (
    *(
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ),
    *("0.0.0.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:1::1"),
)
PUBLIC: Final = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1")


def test_private_addresses_are_told_from_public_ones() -> None:
    assert [text for text in PRIVATE if connect.is_public(ip_address(text))] == []
    assert [text for text in PUBLIC if not connect.is_public(ip_address(text))] == []


@pytest.mark.parametrize("host", [HOST, "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_refused_however_it_is_written(receiver: HttpReceiver, host: str) -> None:
    sender = WebhookSender(f"http://{host}:{receiver.port}/", channels.new_secret(), allow_private=False)
    with pytest.raises(DeliveryError, match=r"--allow-private allows it$|cannot be found"):
        sender.send(ID, MESSAGE, AT)
    with pytest.raises(DeliveryError, match=r"--allow-private allows it$"):
        EmailSender(f"smtp://{HOST}:{receiver.port}", "", "a@b.example", ("c@d.example",), allow_private=False).send(
            ID, MESSAGE, AT
        )
    assert receiver.received == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked and private afterwards (DNS rebinding) is looked up once only."""
    lookups: list[str] = []

    def look_up(host: str, port: int, **_options: object) -> list[object]:
        lookups.append(host)
        address = "192.0.2.1" if len(lookups) > 1 else HOST
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr("liushui.notify.connect.socket.getaddrinfo", look_up)
    with pytest.raises(Refused, match=r"rebinding\.example has a private address \(127\.0\.0\.1\)"):
        connect.connect("rebinding.example", 80, allow_private=False)
    assert lookups == ["rebinding.example"]


def test_a_receiver_that_never_ends_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends a byte now and then, so that no read times out: the whole delivery has a limit."""
    monkeypatch.setattr(connect, "TOTAL_TIMEOUT_S", 0.5)
    ended = threading.Event()
    with create_server((HOST, 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while not ended.wait(0.05):
                        connection.sendall(b"H")
                except OSError:  # the sender has left
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://{HOST}:{server.getsockname()[1]}/"
        with pytest.raises(DeliveryError, match=f"^no answer from {HOST}: "):
            WebhookSender(url, channels.new_secret(), allow_private=True).send(ID, MESSAGE, AT)
        ended.set()
        thread.join()


def test_nobody_who_listens_is_an_error_of_one_line(free_ports: object) -> None:
    (port,) = free_ports(1)  # type: ignore[operator]
    for sender in (
        WebhookSender(f"http://{HOST}:{port}/", channels.new_secret(), allow_private=True),
        EmailSender(f"smtp://{HOST}:{port}", "", "a@b.example", ("c@d.example",), allow_private=True),
        WebhookSender("http://nowhere.invalid/", channels.new_secret(), allow_private=True),
    ):
        with pytest.raises(DeliveryError) as raised:
            sender.send(ID, MESSAGE, AT)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://u:p@x/", "https://x/#a", "https://x/ y", "x", "https://ü/"]
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(LiushuiError, match=r"^webhook: expected https://HOST") as raised:
        connect.parse_url("webhook", url)
    assert "u:p" not in str(raised.value)
