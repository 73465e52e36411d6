"""A write that is kept whole, or not at all."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response

from liushui.client import words
from liushui.client.words import Fault
from liushui.errors import ConfigError
from liushui.ledger import recording
from liushui.ledger.recording import Conflict, Keyed, KeyReused
from liushui.money import shown
from liushui.server.api.call import Call
from liushui.server.api.problems import Refusal, conflict, malformed, missing, unacceptable_body
from liushui.server.api.record_rows import RecordQuery, Row, differs, read_all, said_of

KEY_MAX: Final = 200
T = TypeVar("T")


def record_all(call: Call, asked: RecordQuery, media_type: str, body: bytes) -> Response[Any]:
    """Keep every row of a body in one transaction, and answer with what became of each. Raises a Refusal."""
    rows = read_all(media_type, body)
    keyed = _keyed(call, asked, body)
    by_account: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_account[row.account].append(row)
    for account in sorted(by_account):
        if not call.principal.sees(account):
            raise missing("account", account)
        _check_once(by_account[account])
    try:
        return _kept(call, rows, by_account, asked, keyed)
    except KeyReused as error:
        fault = Fault(
            parameter="Idempotency-Key",
            expected="a key of its own for each write",
            got="one under which something else was written",
        )
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency-Key: it was used before", [fault]) from error


def _kept(
    call: Call, rows: list[Row], by_account: dict[str, list[Row]], asked: RecordQuery, keyed: Keyed | None
) -> Response[Any]:
    """Keep the rows, and say what became of each."""
    _check_first(call, by_account, asked, keyed)
    flows = {account: [row.flow for row in of_it] for account, of_it in sorted(by_account.items())}
    try:
        done = _of_own(lambda: recording.record_all(call.ledger, flows, restate=asked.restate, keyed=keyed))
    except Conflict as error:
        raise conflict([differs(by_account[error.account], one) for one in error.differences]) from error
    again = all(one.again for one in done.values())
    outcomes = {
        row.place: outcome.value
        for account, of_it in by_account.items()
        for row, outcome in zip(of_it, done[account].outcomes, strict=True)
    }
    said = [said_of(row, outcomes[row.place]) for row in rows]
    count = list(outcomes.values()).count
    return call.answer(
        words.Recorded(
            added=count("added"),
            known=count("known"),
            restated=count("restated"),
            again=again and bool(rows),
            rows=said,
        )
    )


def _check_first(call: Call, by_account: dict[str, list[Row]], asked: RecordQuery, keyed: Keyed | None) -> None:
    """Where several accounts are written to, see first whether all of it can be, and say of each what cannot."""
    if len(by_account) < 2 or asked.restate:
        return
    faults = []
    for account, rows in sorted(by_account.items()):
        found = _of_own(partial(recording.conflicts, call.ledger, account, [row.flow for row in rows], keyed=keyed))
        faults += [differs(rows, one) for one in found]
    if faults:
        raise conflict(faults)


def _of_own(do: Callable[[], T]) -> T:
    """Do something with an account. One that is not there, or is none of one's own, is said."""
    try:
        return do()
    except ConfigError as error:
        status = HTTPStatus.NOT_FOUND if "there is none" in str(error) else HTTPStatus.CONFLICT
        raise Refusal(status, str(error)) from error


def _check_once(rows: Sequence[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.flow.identity in seen:
            raise unacceptable_body(f"{row.pointer}/reference", "each reference once in a write", row.flow.identity)
        seen.add(row.flow.identity)


def _keyed(call: Call, asked: RecordQuery, body: bytes) -> Keyed | None:
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        expected = f"1 to {KEY_MAX} printable characters"
        raise malformed([Fault(parameter="Idempotency-Key", expected=expected, got=shown(key))])
    return Keyed(call.principal.name, key, recording.digest_of(msgspec.json.encode(asked), body))
