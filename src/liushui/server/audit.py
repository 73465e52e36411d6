"""Writes a request to the audit log before its handler runs, and its status before the answer is sent."""

import asyncio
from contextlib import suppress
from typing import Final

from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from liushui.errors import LedgerError
from liushui.ledger.access.audit import Action, Face, begin_action, end_action
from liushui.ledger.engine import Ledger
from liushui.services.access import Principal

ACTION: Final = "liushui_audited"
"""Key in a request's state of its audit log entry."""

OWNER: Final = "owner"
"""The actor of a session without a user or a token."""
NOT_AUDITED: Final = "not_audited"
"""Key in a handler's `opt` that keeps it out of the log: it changes nothing, or the ledger records its author
anyway."""
ACTIONS: Final = {
    "accounts.add_stated_balance": "balance state",
    "accounts.rename_account": "account rename",
    "accounts.withdraw_stated_balance": "balance withdraw",
    "credentials.create_key": "key create",
    "credentials.create_token": "token create",
    "credentials.revoke_key": "key revoke",
    "credentials.revoke_token": "token revoke",
    "findings.explain": "finding explain",
    "findings.withdraw": "finding withdraw",
    "flows.decide_finding_of_flow": "finding decide",
    "flows.decide_link_of_flow": "link decide",
    "imports.change_reading": "import check",
    "imports.drop_upload": "import drop",
    "imports.import_upload": "import",
    "imports.undo": "import undo",
    "imports.upload_file": "import check",
    "keys.create_key": "key create",
    "keys.create_token": "token create",
    "keys.end_sessions": "logout",
    "keys.revoke_key": "key revoke",
    "keys.revoke_token": "token revoke",
    "links.decide": "link decide",
    "month_end.close_account_month": "close",
    "month_end.create_key": "certificate key create",
    "month_end.reopen_account_month": "close --reopen",
    "notifications.add_rule": "notify add",
    "notifications.remove_rule": "notify remove",
    "notifications.test_rule": "notify test",
    "periods.close": "close",
    "periods.reopen": "close --reopen",
    "record.create_account": "account add",
    "review.decide_findings": "finding decide",
    "sample_data.add_sample_data": "sample data add",
    "sample_data.remove_sample_data": "sample data remove",
    "sources.add_source": "source add",
    "sources.pause_source": "source pause or resume",
    "sources.remove_source": "source remove",
    "sources.replace_credentials": "source credentials",
    "sources.request_sync": "sync",
    "sources.sync_source": "sync",
    "sources.test_new_source": "source test",
    "sources.test_source": "source test",
    "stated_balances.add_stated_balance": "balance state",
    "stated_balances.withdraw_stated_balance": "balance withdraw",
    "users.change_identity": "user identity",
    "users.change_password": "user password",
    "users.change_user": "user role",
    "users.create_user": "user add",
    "users.delete_user": "user remove",
    "views.change_view": "view change",
    "views.choose_default": "view default",
    "views.overwrite_view": "view save",
    "views.remove_view": "view remove",
    "views.save_view": "view save",
    "welcome.set_first_password": "password set",
}
"""The action in the log of handlers that change something. If a command does the same, the action has the command's
name. Other handlers use their own name, in words."""
LOGIN: Final = "log in"
"""The action of a login; the login handler writes it itself."""
DONE, REFUSED, FAILED = "done", "refused", "failed"


async def begin_audit(scope: Scope, ledger: Ledger, principal: Principal, face: Face) -> None:
    """Log a request whose handler is about to run. Raises LedgerError; then the handler must not run."""
    handler = scope["route_handler"]
    action = await asyncio.to_thread(
        begin_action,
        ledger,
        who=OWNER if principal.token is None else principal.name,
        through=face,
        action=ACTIONS.get(handler_of(handler), handler.handler_name.replace("_", " ")),
        subject=scope["path"],
    )
    scope["state"][ACTION] = (ledger, action)


def handler_of(handler: BaseRouteHandler) -> str:
    """Return a handler's name in ACTIONS: its module and its name."""
    function = getattr(handler.fn, "func", handler.fn)  # Litestar wraps handlers that run in threads
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


async def end_audit(message: Message, scope: Scope) -> None:
    """Log the outcome of a request. This hook runs before an answer is sent."""
    if message["type"] != "http.response.start" or ACTION not in scope["state"]:
        return
    ledger, action = scope["state"].pop(ACTION)
    with suppress(LedgerError):  # the entry stays without an outcome
        await asyncio.to_thread(_end, ledger, action, message["status"])


def _end(ledger: Ledger, action: Action, status: int) -> None:
    outcome = DONE if status < 400 else REFUSED if status < 500 else FAILED
    end_action(ledger, action, outcome if status < 400 else f"{outcome} ({status})")
