"""Accounts and flows of a program's own: one or many, as JSON or line by line, all or each for itself."""

import asyncio
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, post
from litestar.params import RawBody
from litestar.response import Stream

from liushui.client import words
from liushui.client.words import Fault
from liushui.errors import ConfigError
from liushui.instant import zone_named
from liushui.ledger import recording
from liushui.ledger.tokens import Scope
from liushui.money import shown
from liushui.server.access import needs
from liushui.server.api.asking import BODY, IN_LINES, QUERY, body_of, check_media_type, no_query
from liushui.server.api.call import call_of
from liushui.server.api.flows import accounts_said
from liushui.server.api.problems import Refusal, conflict, unacceptable_body
from liushui.server.api.record_all import record_all
from liushui.server.api.record_each import record_each
from liushui.server.api.record_rows import (
    JSON,
    LINES,
    RecordQuery,
    whole_body,
)


@post(
    "/accounts",
    guards=[needs(Scope.MANAGE)],
    sync_to_thread=True,
    status_code=HTTPStatus.OK,
    opt={BODY: words.MakeAccount},
)
def make_account(request: Request[Any, Any, Any], body: RawBody) -> Response[words.Account]:
    """Make an account of one's own. One that is there, in the same zone, is answered as it is."""
    call = call_of(request)
    no_query(request)
    wanted = body_of(body, request, words.MakeAccount)
    if not call.principal.sees(wanted.account):
        raise Refusal(HTTPStatus.FORBIDDEN, "this needs a token for all accounts, or for one of that name")
    try:
        zone_named(wanted.zone)
    except ConfigError as error:
        raise unacceptable_body("/zone", "an IANA time zone such as Asia/Hong_Kong", wanted.zone) from error
    try:
        recording.make_own_account(call.ledger, wanted.account, wanted.zone)
    except ConfigError as error:
        raise conflict([Fault(pointer="/account", expected="a new name", got=shown(wanted.account))]) from error
    (made,) = accounts_said(call, (wanted.account,))
    return call.answer(made)


@post(
    "/flows",
    guards=[needs(Scope.RECORD)],
    status_code=HTTPStatus.OK,
    opt={QUERY: RecordQuery, BODY: words.RecordFlow, IN_LINES: True},
)
async def record(request: Request[Any, Any, Any]) -> Response[words.Recorded] | Stream:
    """Record flows of accounts of one's own: one, an array, or a row a line.

    A reference that is known, with the same content, changes nothing; with other content it is a conflict, unless the
    write restates. With an Idempotency-Key the same write is done once, however often it is sent. With mode=each every
    row is answered by a line of its own, and a stream of any length takes little memory.
    """
    call = call_of(request)
    asked = call.query(RecordQuery)
    media_type = check_media_type(request, [JSON, LINES])
    if asked.mode == "each":
        return await record_each(call, asked, media_type)
    body = await whole_body(request)
    return await asyncio.to_thread(record_all, call, asked, media_type, body)
