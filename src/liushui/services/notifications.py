"""Notification rules of one principal: the rules that the page and the API let a user see, add and remove."""

from liushui.errors import AccountNotFound, NotFound, PermissionDenied, short_repr
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs import notifications
from liushui.ledger.jobs.notifications import Rule
from liushui.services.access import ExceedsPrincipal, Principal


def visible_rules(ledger: Ledger, principal: Principal) -> list[Rule]:
    """Return the rules about accounts that the principal may see, by name."""
    return [rule for rule in notifications.list_rules(ledger) if principal.sees_all(rule.accounts)]


def find_rule(ledger: Ledger, principal: Principal, name: str) -> Rule:
    """Return a rule that the principal may see. Raises NotFound."""
    for rule in visible_rules(ledger, principal):
        if rule.name == name:
            return rule
    raise NotFound(f"rule: there is none named {short_repr(name)}")


def add_rule(ledger: Ledger, principal: Principal, rule: Rule) -> None:
    """Store a rule that reports only what the principal may read, and that ends with the principal's token. Raises
    PermissionDenied if it would report more, AccountNotFound, AlreadyExists and ConfigError."""
    if Scope.READ not in principal.scopes:
        raise PermissionDenied("a rule tells about accounts; its creator, a token, may not read")
    if rule.accounts is None and principal.accounts is not None:
        raise ExceedsPrincipal("accounts", sorted(principal.accounts))
    if rule.settings.get("allow_private") and not principal.is_owner:
        raise PermissionDenied("allow_private: only an owner may allow addresses outside of the public internet")
    for account in rule.accounts or ():
        if not principal.sees(account):
            raise AccountNotFound(account)
    notifications.add_rule(ledger, rule)


def remove_rule(ledger: Ledger, principal: Principal, name: str) -> int:
    """Delete a rule that the principal may see, and its messages. Returns the number of unsent messages. Raises
    NotFound."""
    return notifications.remove_rule(ledger, find_rule(ledger, principal, name).name)
