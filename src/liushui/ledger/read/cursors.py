"""Signed cursors, bound to one query and one caller; and flow keys, which name a flow in a URL."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from liushui.errors import ConfigError, short_repr
from liushui.ledger.access.vault import shared_secret
from liushui.ledger.engine import Ledger
from liushui.ledger.names import count_renames, current_names
from liushui.ledger.read.filters import FlowFilter, bound_text
from liushui.money import to_plain_string

_SIGNATURE_BYTES: Final = 16
_CURSOR_MAX: Final = 4_000
"""The most characters of a cursor that are decoded."""
EXPECTED: Final = "a cursor that an answer to this query gave"

T = TypeVar("T")


class CursorError(ConfigError):
    """The cursor was not issued for this query and caller."""

    def __init__(self, text: str) -> None:
        super().__init__(f"cursor: expected {EXPECTED}, got {short_repr(text)}")
        self.got = short_repr(text)


def sign_cursor(ledger: Ledger, query: str, position: object) -> str:
    """Return the cursor for a position. `query` identifies the query and the caller; the cursor is refused for any
    other."""
    body = msgspec.msgpack.encode(position)
    return _to_text(_signature(ledger, query, body) + body)


def read_cursor(ledger: Ledger, query: str, text: str, type_: type[T]) -> T:
    """Return the position of a cursor. Raises CursorError."""
    raw = b"" if len(text) > _CURSOR_MAX else _from_text(text)
    signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(ledger, query, body)):
        raise CursorError(text)
    return msgspec.msgpack.decode(body, type=type_)


def bound_to_names(ledger: Ledger, query: str) -> str:
    """Return the identification of a query whose positions name accounts. It changes when an account is renamed: the
    rows then have another order, so a cursor from before would skip rows or repeat them.

    Call it before the rows are read.
    """
    with ledger.querying() as queries:
        renames = count_renames(queries)
    return f"{query} after {renames} renames" if renames else query


def filter_digest(wanted: FlowFilter, *more: object) -> str:
    """Return a digest of a filter without its limit, for the cursors of its pages."""
    values = [
        bound_text(value) if name in ("since", "until") else value
        for name, value in wanted._replace(limit=None, keys=None)._asdict().items()
        if name not in ("amount_min", "amount_max")
    ]
    bounds = [None if bound is None else to_plain_string(bound) for bound in (wanted.amount_min, wanted.amount_max)]
    return sha256(msgspec.json.encode((values, bounds, *more))).hexdigest()[:16]


def flow_key(account: str, at_us: int, id_: str) -> str:
    """Return the key of a flow, usable in a URL. The key is not secret and gives no access."""
    return _to_text(msgspec.msgpack.encode((account, at_us, id_)))


def parse_flow_key(key: str) -> tuple[str, int, str] | None:
    """Return the account, time and id of a flow key. None: it is not a flow key."""
    try:
        found = msgspec.msgpack.decode(_from_text(key), type=tuple[str, int, str])
    except msgspec.MsgspecError:
        return None
    return found if flow_key(*found) == key and abs(found[1]) < 2**62 else None


def current_flow_key(ledger: Ledger, key: str) -> tuple[str, int, str] | None:
    """Return the same, with the current name of an account that was renamed since the key was given out."""
    parsed = parse_flow_key(key)
    if parsed is None:
        return None
    account, at_us, id_ = parsed
    with ledger.querying() as queries:
        return current_names(queries).get(account, account), at_us, id_


def _to_text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _from_text(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # also rejects text that is not ASCII
        return b""


def _signature(ledger: Ledger, query: str, body: bytes) -> bytes:
    return hmac.digest(_secret(ledger), query.encode() + b"\0" + body, "sha256")[:_SIGNATURE_BYTES]


@lru_cache(maxsize=8)
def _secret(ledger: Ledger) -> bytes:
    return shared_secret(ledger, "cursors")
