"""The pages of notification rules: who is notified about which alarms, and on which channel."""

from contextlib import suppress

from litestar import get, post
from litestar.response import Response

from liushui.errors import AlreadyExists, ConfigError, NotFound
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import account_names
from liushui.ledger.jobs.notifications import DEFAULT_KINDS, NAME_MAX, RULE_KINDS, Channel, State, count_states
from liushui.notify.rules import GAP_AFTER_H, GAP_AFTER_MAX_H, Address, make_rule, send_test
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import OWNER, CurrentPage, Page, redirect
from liushui.services import notifications
from liushui.services.access import ExceedsPrincipal


@get("/notifications", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def show_rules(page: CurrentPage) -> Response[str]:
    """The rules, and how many of their messages are pending, were sent, or were given up."""
    return _index(page)


@get("/notifications/new", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def new_rule(page: CurrentPage) -> Response[str]:
    """Show the empty form for a rule."""
    kinds = [kind.value for kind in DEFAULT_KINDS]
    all_ = "yes" if page.principal.accounts is None else ""
    return _form(
        page, {"channel": Channel.WEBHOOK.value, "kinds": kinds, "gap_after": str(GAP_AFTER_H), "all": all_}, {}
    )


@post("/notifications", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def add_rule(page: CurrentPage) -> Response[str]:
    """Add a rule, and show a new secret this once."""
    form = Form(page)
    name, channel = form.text("name"), form.one_of("channel", list(Channel))
    kinds, accounts = form.some_of("kinds", list(RULE_KINDS)), _accounts(form)
    gap_hours = _hours(form)
    if name is not None and channel is not None and gap_hours is not None and not form.is_wrong:
        try:
            rule, secret = make_rule(
                name,
                _address(form, Channel(channel)),
                kinds=[RULE_KINDS[kind] for kind in kinds],
                accounts=accounts,
                gap_hours=gap_hours,
                created_at=page.ledger.clock(),
                created_by=page.principal.token,
            )
            notifications.add_rule(page.ledger, page.principal, rule)
        except AlreadyExists:
            form.wrong("name", page.say("A rule with this name already exists."))
        except ExceedsPrincipal as error:
            form.wrong("accounts", str(error))
        except ConfigError as error:
            form.wrong(_field_of(error), str(error))
        else:
            if secret is None:
                return redirect("/notifications")
            return page.render("notifications/created.html", rule=rule, secret=secret)
    return _form(page, {**page.form, "kinds": kinds, "accounts": accounts or ()}, form.errors)


@post("/notifications/test", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def test_rule(page: CurrentPage) -> Response[str]:
    """Send a test message by a rule, and show the outcome."""
    try:
        rule = notifications.find_rule(page.ledger, page.principal, page.form.get("rule", ""))
    except NotFound:
        return redirect("/notifications")
    return _index(page, tested=rule.name, error=send_test(page.ledger, rule).error)


@post("/notifications/remove", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def remove_rule(page: CurrentPage) -> Response[str]:
    """Remove a rule and its messages."""
    with suppress(NotFound):  # sending a form twice is not an error
        notifications.remove_rule(page.ledger, page.principal, page.form.get("rule", ""))
    return redirect("/notifications")


def _index(page: Page, *, tested: str = "", error: str = "") -> Response[str]:
    counts = count_states(page.ledger)
    rules = [
        (rule, [counts.get(rule.name, {}).get(state, 0) for state in State])
        for rule in notifications.visible_rules(page.ledger, page.principal)
    ]
    kinds = {kind: page.labels.rule_kind(kind) for kind in RULE_KINDS.values()}
    return page.render("notifications/index.html", rules=rules, kinds=kinds, tested=tested, error=error)


def _address(form: Form, channel: Channel) -> Address:
    """Return the receiver of messages. Only the fields of the chosen channel count."""
    secret, allow_private = form.typed("secret"), form.ticked("allow_private")
    match channel:
        case Channel.WEBHOOK:
            return Address(webhook=form.typed("webhook"), secret=secret, allow_private=allow_private)
        case Channel.NTFY:
            return Address(ntfy=form.typed("ntfy"), secret=secret, allow_private=allow_private)
        case Channel.EMAIL:
            return Address(
                emails=form.typed("email").replace(",", " ").split(),
                smtp=form.typed("smtp"),
                sender=form.typed("from"),
                secret=secret,
                allow_private=allow_private,
            )


FIELDS = frozenset({"name", "webhook", "ntfy", "email", "smtp", "from", "secret", "allow_private", "accounts"})
"""The fields of the form that errors name."""


def _field_of(error: ConfigError) -> str:
    """Return the field of an error. Each error of a rule begins with its field."""
    name = str(error).partition(":")[0]
    return name if name in FIELDS else "channel"


def _accounts(form: Form) -> list[str] | None:
    """The chosen accounts. None: all of them."""
    if form.ticked("all"):
        return None
    return form.some_of("accounts", _account_names(form.page))


def _account_names(page: Page) -> list[str]:
    with page.ledger.reading() as connection:
        return [name for name in account_names(connection) if page.sees(name)]


def _hours(form: Form) -> int | None:
    typed = form.typed("gap_after")
    if typed.isascii() and typed.isdecimal() and len(typed) < 6 and int(typed) <= GAP_AFTER_MAX_H:
        return int(typed)
    form.wrong("gap_after", form.page.say("Expected a number of hours, at most %(most)s.", most=GAP_AFTER_MAX_H))
    return None


def _form(page: Page, values: dict[str, object], errors: dict[str, str]) -> Response[str]:
    say = page.say
    channels = [
        (Channel.WEBHOOK.value, say("Webhook")),
        (Channel.NTFY.value, "ntfy"),
        (Channel.EMAIL.value, say("E-mail")),
    ]
    return page.render(
        "notifications/form.html",
        status=422 if errors else 200,
        channels=channels,
        kinds=[(name, page.labels.rule_kind(kind)) for name, kind in RULE_KINDS.items()],
        accounts=_account_names(page),
        may_allow_private=page.may(OWNER),
        name_max=NAME_MAX,
        values=values,
        errors=errors,
    )
