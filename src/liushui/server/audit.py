"""Enters a request in the audit log before its handler runs, and its status before the answer is sent."""

import asyncio
from contextlib import suppress
from typing import Final

from litestar.types import Message, Scope

from liushui.errors import LedgerError
from liushui.ledger.access.audit import Action, Face, begin_action, end_action
from liushui.ledger.engine import Ledger
from liushui.services.access import Principal

ACTION: Final = "liushui_audited"
"""The key in a request's state of its entry in the audit log."""

OWNER: Final = "owner"
"""Whom a session without a user or a token acts for."""
NOT_AUDITED: Final = "not_audited"
"""The key in a handler's `opt` that keeps it out of the log: what it does is in the ledger with its author anyway."""
DONE, REFUSED, FAILED = "done", "refused", "failed"


async def begin_audit(scope: Scope, ledger: Ledger, principal: Principal, face: Face) -> None:
    """Enter a request whose handler is about to run. Raises LedgerError: then the handler must not run."""
    handler = scope["route_handler"]
    action = await asyncio.to_thread(
        begin_action,
        ledger,
        who=OWNER if principal.token is None else principal.name,
        through=face,
        action=handler.handler_name.rpartition(".")[2].replace("_", " "),
        subject=scope["path"],
    )
    scope["state"][ACTION] = (ledger, action)


async def end_audit(message: Message, scope: Scope) -> None:
    """Enter the outcome of a request. A hook that runs before an answer is sent."""
    if message["type"] != "http.response.start" or ACTION not in scope["state"]:
        return
    ledger, action = scope["state"].pop(ACTION)
    with suppress(LedgerError):  # the entry stays without an outcome
        await asyncio.to_thread(_end, ledger, action, message["status"])


def _end(ledger: Ledger, action: Action, status: int) -> None:
    outcome = DONE if status < 400 else REFUSED if status < 500 else FAILED
    end_action(ledger, action, outcome if status < 400 else f"{outcome} ({status})")
