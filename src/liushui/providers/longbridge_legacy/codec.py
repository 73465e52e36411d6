"""Longbridge's first draft, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from liushui.errors import AuthError, ProviderError, RateLimited, Refused
from liushui.providers._longbridge.codec import RowCodec
from liushui.providers._longbridge.envelope import rows_in, rows_listed
from liushui.providers._longbridge.rules import GATEWAY_ERRORS
from liushui.providers.longbridge_legacy.rules import RULES
from liushui.providers.longbridge_legacy.wire import CashFlow
from liushui.wire.decoding import DECODE_ERRORS
from liushui.wire.ranges import parse_steps, steps_to_us
from liushui.wire.transport import Answer

LANGUAGE: Final = "zh-CN"
"""The language of the document's sample. Names arrive in one, so that a row read twice is the same to the letter."""

BAD_REQUEST, FORBIDDEN, NOT_FOUND, LIMITED = 1470400, 1470403, 1470404, 1470429

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    BAD_REQUEST: Refused,
    FORBIDDEN: AuthError,
    NOT_FOUND: Refused,
    LIMITED: RateLimited,
    **GATEWAY_ERRORS,
}

_fields = msgspec.json.Decoder(dict[str, Raw])


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one answer, or of `data` alone, as the document prints it.

    Raises WireError, or ProviderError by class where the answer is an error.
    """
    if _is_data_alone(document):
        return rows_listed("answer", document)
    return rows_in(Answer(200, {}, document), ERRORS)


_rows = RowCodec(
    CashFlow,
    instant_of=lambda field, seconds: parse_steps(field, seconds, RULES.resolution),
    many_us=lambda seconds: steps_to_us(seconds, RULES.resolution),
    seconds_of=int,
    language=LANGUAGE,
)
read, read_many, write = _rows.read, _rows.read_many, _rows.write


def _is_data_alone(document: bytes) -> bool:
    try:
        fields = _fields.decode(document)
    except DECODE_ERRORS:
        return False
    return "list" in fields and "code" not in fields
