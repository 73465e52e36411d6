"""The commands that the ledger's audit log records, and their entries there."""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from liushui.ledger.engine import Ledger

AUDITED: Final = frozenset(
    {
        *("source add", "source credentials", "source remove", "source pause", "source resume"),
        *("account remove", "account rename"),
        *("import", "import undo", "balance state", "balance withdraw", "link confirm", "link reject"),
        *("quarantine retry", "quarantine discard", "rebuild", "certificate key create", "certificate create"),
        *("key create", "key revoke", "token create", "token revoke", "password set", "password remove", "login"),
        *("user add", "user role", "user password", "user identity", "user remove", "close"),
        *("oidc set", "oidc remove"),
        *("finding explain", "finding withdraw"),
        *("notify add", "notify remove", "notify replay"),
        *("view save", "view change", "view default", "view remove"),
    }
)
"""The commands that the audit log records."""
ACTIONS_OF_OPTIONS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "close": {"is_reopened": "close --reopen", "is_listed": None, "is_changes": None},
}
"""Parameters with which a command does something else, and the action that is then logged. None: it only reads."""
_IS_AUDITED: Final = "liushui.cli.audited.is_audited"


def system_user() -> str:
    """Return the name of the computer's user; without a name, as often in containers, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # which of them depends on Python's version
        return f"uid {os.getuid()}"


def audit_command(ledger: "Ledger") -> None:
    """Log the running command in the audit log, once, if it is in AUDITED. Its outcome is logged at its end."""
    context = click.get_current_context(silent=True)
    if context is None or context.meta.get(_IS_AUDITED):
        return
    command = context.command_path.partition(" ")[2]
    others = ACTIONS_OF_OPTIONS.get(command, {})
    action = next((action for parameter, action in others.items() if context.params.get(parameter)), command)
    if command in AUDITED and action is not None:
        context.meta[_IS_AUDITED] = True
        values = [context.params[param.name] for param in context.command.params if isinstance(param, click.Argument)]
        subject = " ".join(
            str(text)
            for value in values
            for text in (value if isinstance(value, tuple) else (value,))
            if text is not None
        )
        context.with_resource(_audited(ledger, action, subject))


@contextmanager
def _audited(ledger: "Ledger", name: str, subject: str) -> Iterator[None]:
    from liushui.ledger.access.audit import Face, begin_action, end_action

    who = f"command line ({system_user()})"
    action = begin_action(ledger, who=who, through=Face.COMMAND_LINE, action=name, subject=subject)
    try:
        yield
    except (click.exceptions.Exit, SystemExit):
        end_action(ledger, action, "done")
        raise
    except BaseException as error:
        end_action(ledger, action, f"failed ({type(error).__name__})")  # its text may quote a secret
        raise
    end_action(ledger, action, "done")
