"""Changes to JSON documents, byte for byte: the rest stays unchanged. Pure."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

EMPTY_LIST_MARKER: Final = b'"liushui:empty-list"'
"""Marks a list of rows that is to be replaced. It is the only element of the list."""
TOTAL_MARKER: Final = 987_654_321_012
"""Marks a total that is to be removed; it replaces the total."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING: Final = rb'"(?:[^"\\]|\\.)*"'
_SYNTAX: Final = re.compile(_STRING + rb"|[\[\]{}]")
_MESSAGE_MEMBER: Final = re.compile(rb'(?P<name>,?\s*"(?:message|msg|errmsg)"\s*:\s*)' + _STRING)
_TOKEN: Final = re.compile(_STRING + rb"|-?[0-9][0-9.eE+-]*")
_WHOLE_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_NUMERIC_TEXT: Final = re.compile(rb'(?<!\\)"(-?(?:0|[1-9][0-9]{0,17}))"(?!\s*:)')
_MARKED_LIST: Final = rb"\[" + re.escape(EMPTY_LIST_MARKER) + rb"\]"
_MARKED_MEMBER: Final = re.compile(rb",?\s*" + _STRING + rb"\s*:\s*" + _MARKED_LIST)
_TOTAL_MEMBER: Final = re.compile(rb",?\s*" + _STRING + rb'\s*:\s*"?%d"?' % TOTAL_MARKER)


def fields_of(document: bytes) -> Mapping[str, bytes]:
    """The values of a JSON object, byte for byte. Raises msgspec.MsgspecError for anything else."""
    return {name: bytes(value) for name, value in _fields.decode(document).items()}


def with_field(document: bytes, name: str, value: bytes | None) -> bytes:
    """The object with another value in a field. If the value is None, the object without the field. The value need not
    be JSON."""
    fields = dict(fields_of(document))
    if value is None:
        fields.pop(name, None)
    else:
        fields[name] = value
    return b"{" + b",".join(b"%b:%b" % (msgspec.json.encode(key), kept) for key, kept in fields.items()) + b"}"


def with_message(document: bytes, message: bytes | None) -> bytes:
    """The document with another message, or without a message if it is None. The rest need not be JSON."""

    def changed(member: re.Match[bytes]) -> bytes:
        outside = _SYNTAX.findall(document[: member.start()])
        depth = sum(map(outside.count, (b"{", b"["))) - sum(map(outside.count, (b"}", b"]")))
        if depth != 1:
            return member[0]
        return b"" if message is None else member["name"] + message

    return _MESSAGE_MEMBER.sub(changed, document).replace(b"{,", b"{", 1)


def whole_numbers_as_text(document: bytes) -> bytes:
    """The document with quotes around every whole number. Other numbers stay."""

    def quoted(token: re.Match[bytes]) -> bytes:
        return b'"%b"' % token[0] if _WHOLE_NUMBER.fullmatch(token[0]) else token[0]

    return _TOKEN.sub(quoted, document)


def numeric_text_as_numbers(document: bytes) -> bytes:
    """The document with texts of whole numbers of up to 18 digits changed to numbers."""
    return _NUMERIC_TEXT.sub(rb"\1", document)


def with_null_list(document: bytes) -> bytes:
    """The document with null in place of a marked list. A list that is not a member stays, empty."""
    return re.sub(_MARKED_LIST, b"[]", re.sub(rb":\s*" + _MARKED_LIST, b":null", document))


def without_list(document: bytes) -> bytes:
    """The document without the member that has the marked list. A list that is not a member stays, empty."""
    return re.sub(_MARKED_LIST, b"[]", _without(_MARKED_MEMBER, EMPTY_LIST_MARKER, document))


def without_total(document: bytes) -> bytes:
    """The document without the member that has the marked total."""
    return _without(_TOTAL_MEMBER, b"%d" % TOTAL_MARKER, document)


def _without(member: re.Pattern[bytes], marker: bytes, document: bytes) -> bytes:
    if marker not in document:  # most documents have no marker, and the pattern would search every text in them
        return document
    changed, count = member.subn(b"", document)
    return changed.replace(b"{,", b"{") if count else document
