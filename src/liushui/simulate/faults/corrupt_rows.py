"""Rows damaged so that their dialect cannot read them: a field is gone, or is of another type, or is no UTF-8. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from liushui.errors import WireError
from liushui.provider import Codec

MISFITS: Final = (b"null", b"true", b"{}", b'"?"')
"""What stands in a field that has another type than it should."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def damaged(row: bytes, form: int, codec: Codec) -> bytes:
    """The row with the damage of that form, or the next one that its dialect cannot pass over.

    The page that it stands on is still JSON, and its other rows are as they were.
    """
    forms = list(_forms(row))
    turn = form % len(forms)
    for broken in forms[turn:] + forms[:turn]:
        try:
            codec.read(broken)
        except WireError:
            return broken
    return _no_utf8(row)


def _forms(row: bytes) -> Iterator[bytes]:
    fields = {name: bytes(value) for name, value in _fields.decode(row).items()}
    for name in fields:
        yield _object({other: value for other, value in fields.items() if other != name})
        for misfit in MISFITS:
            yield _object({**fields, name: misfit})
        yield _no_utf8(row)


def _object(fields: dict[str, bytes]) -> bytes:
    return msgspec.json.encode({name: msgspec.Raw(value) for name, value in fields.items()})


def _no_utf8(row: bytes) -> bytes:
    """The row with a byte in it that no UTF-8 text has, in a text or, where there is none, in a name."""
    before, quote, rest = row.rpartition(b'"')
    return before + b"\xff" + quote + rest
