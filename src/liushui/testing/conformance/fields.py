"""JSON objects field by field, each value as it stands: rows and envelopes that a check looks into or changes."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

MISFITS: Final = (None, b"null", b"true", b'"liushui"', b"{}")
"""What in the place of a list, an object or a code is none; None: it is missing."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def fields_of(document: bytes) -> Mapping[str, bytes]:
    """The values of a JSON object, as they stand. Raises msgspec.MsgspecError for what is none."""
    return {name: bytes(value) for name, value in _fields.decode(document).items()}


def with_field(document: bytes, name: str, value: bytes | None) -> bytes:
    """The object with another value in a field; without the field, where that is None."""
    fields = {known: msgspec.Raw(as_it_is) for known, as_it_is in fields_of(document).items() if known != name}
    if value is not None:
        fields[name] = msgspec.Raw(value)
    return msgspec.json.encode(fields)


def with_unknown(document: bytes) -> bytes:
    """The object with one field more, every other byte as it is."""
    return document.rstrip()[:-1] + b',"liushui_unheard_of":{"list":[1,null,"}"]}}'


def damaged(document: bytes) -> Iterator[bytes]:
    """The object, again and again, each time with one thing missing or misfitting, at any depth but in its lists."""
    for name, value in fields_of(document).items():
        for other in MISFITS:
            yield with_field(document, name, other)
        if value.startswith(b"{"):
            for inner in damaged(value):
                yield with_field(document, name, inner)


def value_of(row: bytes, name: str) -> str:
    """What stands in a field of a row, as a parameter would have it; nothing, where it does not."""
    value = fields_of(row).get(name, b"null")
    if value.startswith(b'"'):
        return _text.decode(value)
    return "" if value == b"null" else value.decode()
