"""Rules for notifications: who is notified about which alarms."""

from http import HTTPStatus

from litestar import Response
from litestar.params import JSONBody

from liushui.client import models
from liushui.client.models import Fault
from liushui.ledger.access.tokens import Scope
from liushui.ledger.jobs.notifications import Rule, State, count_states
from liushui.notify.rules import Address, make_rule, parse_kind, send_test
from liushui.server.api.context import Context
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import ProblemError
from liushui.services import notifications
from liushui.services.access import ExceedsPrincipal

PATH = "/notification-rules"


@endpoint("GET", PATH, scope=Scope.MANAGE, operation_id="notification_rules")
def list_rules(context: Context) -> Response[models.NotificationRules]:
    """The rules about accounts that the caller may see, with the numbers of their messages. Secrets are not shown."""
    counts = count_states(context.ledger)
    rules = notifications.visible_rules(context.ledger, context.principal)
    return context.answer(
        models.NotificationRules(rules=[_rule_model(rule, counts.get(rule.name, {})) for rule in rules])
    )


@endpoint("POST", PATH, scope=Scope.MANAGE, status=HTTPStatus.CREATED, operation_id="add_notification_rule")
def add_rule(context: Context, data: JSONBody[models.AddNotificationRule]) -> Response[models.AddedNotificationRule]:
    """Add a rule with exactly one channel: webhook, ntfy or email.

    A webhook without a secret gets a new one, which only this answer contains. The rule reports only what the caller
    may read. It is removed when the caller's token is revoked or expires.
    """
    address = Address(
        webhook=data.webhook or "",
        ntfy=data.ntfy or "",
        emails=data.email,
        smtp=data.smtp or "",
        sender=data.sender or "",
        secret=data.secret or "",
        allow_private=data.allow_private,
    )
    try:
        rule, secret = make_rule(
            data.name,
            address,
            kinds=[parse_kind(kind.value) for kind in data.kinds],
            accounts=data.accounts,
            gap_hours=data.gap_after_h,
            created_at=context.ledger.clock(),
            created_by=context.principal.token,
        )
        notifications.add_rule(context.ledger, context.principal, rule)
    except ExceedsPrincipal as error:
        fault = Fault(pointer=f"/{error.field}", expected=f"some of {', '.join(error.allowed)}", got="all of them")
        raise ProblemError(HTTPStatus.FORBIDDEN, str(error), [fault]) from error
    added = models.AddedNotificationRule(rule=_rule_model(rule, {}), secret=secret)
    return context.answer(added, HTTPStatus.CREATED)


@endpoint(
    "POST",
    f"{PATH}/{{name:str}}/test",
    scope=Scope.MANAGE,
    operation_id="test_notification_rule",
)
def test_rule(context: Context, name: PathText) -> Response[models.NotificationTest]:
    """Send a test message through a rule. The answer has the outcome, and may take half a minute."""
    rule = notifications.find_rule(context.ledger, context.principal, name)
    id_, error = send_test(context.ledger, rule)
    return context.answer(models.NotificationTest(id=id_, accepted=not error, error=error or None))


@endpoint(
    "DELETE",
    f"{PATH}/{{name:str}}",
    scope=Scope.MANAGE,
    status=HTTPStatus.NO_CONTENT,
    operation_id="remove_notification_rule",
)
def remove_rule(context: Context, name: PathText) -> None:
    """Remove a rule and its unsent messages."""
    notifications.remove_rule(context.ledger, context.principal, name)


def _rule_model(rule: Rule, counts: dict[State, int]) -> models.NotificationRule:
    return models.NotificationRule(
        name=rule.name,
        channel=rule.channel.value,
        target=rule.target,
        kinds=sorted(rule.kinds),
        accounts=None if rule.accounts is None else sorted(rule.accounts),
        gap_after_h=rule.gap_hours,
        created_at=rule.created_at,
        created_by=rule.created_by,
        pending=counts.get(State.PENDING, 0),
        sent=counts.get(State.SENT, 0),
        dead=counts.get(State.DEAD, 0),
    )
