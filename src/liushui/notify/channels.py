"""Ways to send messages: Standard Webhooks, e-mail, and ntfy topics."""

import smtplib
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from http import HTTPStatus
from secrets import token_bytes
from socket import socket
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from liushui.errors import ConfigError, LiushuiError, Refused, short_repr
from liushui.instant import to_iso
from liushui.ledger.jobs.notifications import Channel, Message, Rule, webhook_payload
from liushui.notify import connect
from liushui.output_text import terminal_text

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - no password, but what all secrets begin with
SECRET_BYTES: Final = range(24, 65)
"""The shortest and the longest secret of a webhook, as Standard Webhooks requires."""

TEXT_MAX: Final = 2_000
ERROR_MAX: Final = 300


class DeliveryError(LiushuiError):
    """A message could not be sent. `wait`: how long the receiver wants no further attempt. `is_final`: no attempt will
    succeed."""

    def __init__(self, reason: str, *, wait: timedelta = timedelta(0), is_final: bool = False) -> None:
        super().__init__(terminal_text(reason)[:ERROR_MAX])
        self.wait, self.is_final = wait, is_final


class Sender(Protocol):
    """Sends messages to one address."""

    def send(self, id_: str, message: Message, now: datetime) -> None:
        """Send a message. Raises DeliveryError."""
        ...


def sender_of(rule: Rule) -> Sender:
    """Return the sender of a rule's messages."""
    settings = rule.settings
    allow_private = settings.get("allow_private") == "yes"
    match rule.channel:
        case Channel.WEBHOOK:
            return WebhookSender(settings["url"], settings["secret"], allow_private)
        case Channel.NTFY:
            return NtfySender(settings["url"], settings.get("token", ""), allow_private)
        case Channel.EMAIL:
            to = tuple(settings["to"].split(","))
            return EmailSender(settings["smtp"], settings.get("password", ""), settings["from"], to, allow_private)


def title_of(message: Message) -> str:
    """A message in a few words, on one line."""
    about = message.account or "ledger"
    event = f"{message.kind.replace('_', ' ')}{' resolved' if message.is_resolved else ''}"
    return terminal_text(f"liushui: {about}: {event}")[:200]


def text_of(message: Message) -> str:
    """A message in full, in English."""
    about = f"{message.account}: " if message.account else ""
    return terminal_text(f"{about}{message.reason}")[:TEXT_MAX]


# ---------------------------------------------------------------- webhooks


def new_secret() -> str:
    """A secret that signs webhooks."""
    return f"{SECRET_PREFIX}{b64encode(token_bytes(32)).decode()}"


def check_secret(text: str) -> str:
    """Return a secret that signs webhooks, in the format of Standard Webhooks. Raises ConfigError, without showing the
    secret."""
    encoded = text.removeprefix(SECRET_PREFIX)
    try:
        # The padding may be missing: the libraries that verify signatures accept that too.
        secret = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        secret = b""
    if len(secret) not in SECRET_BYTES:
        expected = f"{SECRET_PREFIX} and {SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} bytes in base64"
        raise ConfigError(f"secret: expected {expected}, got {len(text)} characters that are not that")
    return text


@dataclass(frozen=True)
class WebhookSender:
    """Sends signed webhooks."""

    url: str
    secret: str
    allow_private: bool

    def send(self, id_: str, message: Message, now: datetime) -> None:
        """Send a message. The signature contains the time of the attempt. Raises DeliveryError."""
        from standardwebhooks import Webhook  # imported here because most commands send no messages

        body = webhook_payload(id_, message)
        # The library drops the offset of a time instead of converting it, so it must be in UTC.
        at = now.astimezone(UTC).replace(microsecond=0)
        headers = {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(id_, at, body.decode()),
        }
        _post(self.url, body, headers, allow_private=self.allow_private)


# ---------------------------------------------------------------- ntfy

_PRIORITIES: Final = {"bad": 4, "warn": 3, "note": 2}
_TAGS: Final = {"bad": "rotating_light", "warn": "warning", "note": "information_source"}


@dataclass(frozen=True)
class NtfySender:
    """Publishes to a topic of an ntfy server."""

    url: str
    """The topic's URL, such as https://ntfy.sh/topic."""
    token: str
    allow_private: bool

    def send(self, id_: str, message: Message, now: datetime) -> None:  # noqa: ARG002 - the protocol's
        """Publish a message. Raises DeliveryError."""
        parts = urlsplit(self.url)
        folder, _, topic = parts.path.rpartition("/")
        # The message is JSON, sent to the server's root: a title in a header would have to be ASCII.
        body = msgspec.json.encode(
            {
                "topic": topic,
                "title": title_of(message),
                "message": text_of(message),
                "priority": _PRIORITIES.get(message.severity, 3),
                "tags": ["white_check_mark" if message.is_resolved else _TAGS.get(message.severity, "bell")],
            }
        )
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        root = urlunsplit((parts.scheme, parts.netloc, f"{folder}/", "", ""))
        _post(root, body, headers, allow_private=self.allow_private)


def check_topic_url(text: str) -> str:
    """The URL of a topic. Raises ConfigError."""
    parts = connect.parse_url("ntfy", text)
    topic = parts.path.rpartition("/")[2]
    if not topic or parts.query or len(topic) > 64 or not all(sign.isalnum() or sign in "-_" for sign in topic):
        expected = "the URL of a topic, such as https://ntfy.sh/my-topic"
        raise ConfigError(f"ntfy: expected {expected}, got {short_repr(text)}")
    return text


def _post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> None:
    try:
        reply = connect.post(url, body, headers, allow_private=allow_private)
    except LiushuiError as error:
        raise DeliveryError(str(error)) from error
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    reason = f"HTTP {reply.status}"
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        reason += ": a redirect, which is not followed"
    elif reply.text.strip():
        reason += f": {reply.text.strip()}"
    # A receiver answers 410 when it no longer exists.
    is_final = reply.status == HTTPStatus.GONE
    raise DeliveryError(reason, wait=_retry_after(reply.headers.get("retry-after", "")), is_final=is_final)


def _retry_after(header: str) -> timedelta:
    """Return the wait that a receiver asks for, at most a day. If it names a date, the usual waits apply."""
    seconds = int(header) if header.isascii() and header.isdecimal() and len(header) < 9 else 0
    return min(timedelta(seconds=seconds), timedelta(days=1))


# ---------------------------------------------------------------- e-mail


@dataclass(frozen=True)
class EmailSender:
    """Sends e-mail through an SMTP server. smtps:// uses TLS from the start; smtp:// uses STARTTLS if the server offers
    it."""

    url: str
    password: str
    sender: str
    to: Sequence[str]
    allow_private: bool

    def send(self, id_: str, message: Message, now: datetime) -> None:
        """Send a message to all addresses. Raises DeliveryError."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = parts.port or (465 if parts.scheme == "smtps" else 587)
        try:
            connection = connect.connect(host, port, allow_private=self.allow_private)
            with connect.limited(connection):
                is_secure = parts.scheme == "smtps"
                client = _Smtp(host, port, connect.encrypted(connection, host) if is_secure else connection)
                with client:
                    self._log_in(client, unquote(parts.username or ""), is_secure=is_secure)
                    client.send_message(self._mail(id_, message, now))
        except smtplib.SMTPRecipientsRefused as error:
            refused = "; ".join(f"{to}: {code} {_text(said)}" for to, (code, said) in error.recipients.items())
            raise DeliveryError(f"the server refuses {refused}") from error
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"SMTP {error.smtp_code}: {_text(error.smtp_error)}") from error
        except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
            raise DeliveryError(f"no mail by {host}: {error}") from error
        except LiushuiError as error:
            raise DeliveryError(str(error)) from error

    def _log_in(self, client: smtplib.SMTP, user: str, *, is_secure: bool) -> None:
        client.ehlo()
        if not is_secure and client.has_extn("starttls"):
            client.starttls(context=ssl.create_default_context())  # without a context smtplib checks no certificate
            client.ehlo()
            is_secure = True
        if user:
            if not is_secure:
                raise Refused("the SMTP server offers no TLS, and the password is not sent without it")
            client.login(user, self.password)

    def _mail(self, id_: str, message: Message, now: datetime) -> EmailMessage:
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["Subject"] = title_of(message)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(now.astimezone(UTC))
        # The id is the same in every attempt, so that the receiver recognises a mail that arrives twice.
        mail["Message-ID"] = f"<{id_}@{Address(addr_spec=self.sender).domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        when = f"\n\n{to_iso(message.at)}, message {id_}\n"
        mail.set_content(text_of(message) + when)
        return mail


class _Smtp(smtplib.SMTP):
    """An SMTP client over a connection that is already open. The host name is used only for TLS."""

    def __init__(self, host: str, port: int, connection: socket) -> None:
        self._connection = connection
        super().__init__(host, port, local_hostname="liushui")

    def _get_socket(self, host: str, port: int, timeout: object) -> socket:  # noqa: ARG002 - smtplib's hook
        return self._connection


def check_smtp_url(text: str) -> str:
    """The URL of an SMTP server. Raises ConfigError, without showing a password in it."""
    expected = "smtps://[USER@]HOST[:PORT] or smtp://…, with the password in --secret"
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0 and parts.password is None
    except ValueError:
        is_usable = False
    if not is_usable or parts.path.strip("/") or parts.query or not text.isascii() or not text.isprintable():
        raise ConfigError(f"smtp: expected {expected}, got {short_repr(text.rpartition('@')[2])}")
    return text


def check_mail_address(name: str, text: str) -> str:
    """An e-mail address without a display name. Raises ConfigError."""
    try:
        address = Address(addr_spec=text)
        is_usable = address.username and address.domain and address.addr_spec == text
    except Exception:  # the parser raises several kinds, IndexError among them
        is_usable = False
    if not is_usable or "," in text or not text.isascii() or not text.isprintable():
        raise ConfigError(f"{name}: expected an e-mail address such as ops@example.com, got {short_repr(text)}")
    return text


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
