"""Notification rules as people enter them: they are checked, and tried with a test message."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from liushui.errors import ConfigError, short_repr
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.notifications import DEFAULT_KINDS, RULE_KINDS, Channel, Message, Rule, RuleKind, new_id

GAP_AFTER_H: Final = 24
"""How long a gap must have been open before it is reported, in hours. The following syncs fill most gaps sooner."""
GAP_AFTER_MAX_H: Final = 24 * 366


class Address(NamedTuple):
    """The receiver of messages, on exactly one channel: a webhook's URL, an ntfy topic's URL, or e-mail addresses."""

    webhook: str = ""
    ntfy: str = ""
    emails: Sequence[str] = ()
    smtp: str = ""
    """For e-mail: the URL of the server."""
    sender: str = ""
    """For e-mail: the address in From."""
    secret: str = ""
    """The secret that signs webhooks, the SMTP password, or ntfy's token. If empty, a webhook gets a new secret, and
    the others get none."""
    allow_private: bool = False
    """Whether the address may be outside of the public internet."""


class Trial(NamedTuple):
    """The outcome of a test message. `error` is empty if the receiver accepted it."""

    id: str
    error: str


def make_rule(
    name: str,
    address: Address,
    *,
    kinds: Collection[RuleKind] = (),
    accounts: Collection[str] | None = None,
    gap_hours: int = GAP_AFTER_H,
    created_at: datetime,
    created_by: str | None = None,
) -> tuple[Rule, str | None]:
    """Return a rule, and the new secret if it is for a webhook without one. Raises ConfigError, which names the field.

    `kinds` empty: DEFAULT_KINDS. `accounts` None: all of them. `created_by`: the id of the token that creates the rule.
    """
    # imported here: servers can show rules without importing the code that sends mail
    from liushui.notify import channels, connect

    if sum(map(bool, (address.webhook, address.ntfy, address.emails))) != 1:
        raise ConfigError("channel: expected exactly one of webhook, ntfy and email")
    if bool(address.emails) != bool(address.smtp) or bool(address.emails) != bool(address.sender):
        raise ConfigError("email: expected together with its server and its sender")
    settings = {"allow_private": "yes"} if address.allow_private else {}
    new_secret = None
    if address.webhook:
        new_secret = None if address.secret else channels.new_secret()
        secret = new_secret or channels.check_secret(address.secret)
        settings |= {"url": connect.parse_url("webhook", address.webhook).geturl(), "secret": secret}
        channel, target = Channel.WEBHOOK, _shown(address.webhook)
    elif address.ntfy:
        settings |= {"url": channels.check_topic_url(address.ntfy), **_optional("token", address.secret)}
        channel, target = Channel.NTFY, _shown(address.ntfy)
    else:
        to = [channels.check_mail_address("email", one) for one in address.emails]
        settings |= {"smtp": channels.check_smtp_url(address.smtp), "to": ",".join(to)}
        settings |= {"from": channels.check_mail_address("from", address.sender)}
        settings |= _optional("password", address.secret)
        channel, target = Channel.EMAIL, ", ".join(to)
    chosen, names = frozenset(kinds) or DEFAULT_KINDS, None if accounts is None else frozenset(accounts)
    rule = Rule(name, channel, target, settings, chosen, names, gap_hours, created_at, created_by)
    return rule, new_secret


def parse_kind(text: str) -> RuleKind:
    """What a rule reports, by its name. Raises ConfigError."""
    if text not in RULE_KINDS:
        raise ConfigError(f"kind: expected one of {', '.join(RULE_KINDS)}, got {short_repr(text)}")
    return RULE_KINDS[text]


def send_test(ledger: Ledger, rule: Rule) -> Trial:
    """Send a test message by a rule now. It takes at most as long as a delivery may."""
    from liushui.notify import channels

    now, id_ = ledger.clock(), new_id()
    message = Message("test", "", "note", f"this is a test of the rule {rule.name}: nothing is wrong", now)
    try:
        channels.sender_of(rule).send(id_, message, now)
    except channels.DeliveryError as failure:
        return Trial(id_, str(failure))
    return Trial(id_, "")


def _optional(name: str, value: str) -> dict[str, str]:
    return {name: value} if value else {}


def _shown(url: str) -> str:
    """Return the part of a URL that may be shown. Its path may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
