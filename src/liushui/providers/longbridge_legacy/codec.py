"""Converts rows of Longbridge's first draft to flows and back.

Pure: no I/O, no clock. MAPPING.md has the table of fields.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from liushui.providers._longbridge.codec import RowCodec
from liushui.providers._longbridge.wire import parse_list, parse_page
from liushui.providers.longbridge_legacy.rules import ERRORS, RULES
from liushui.providers.longbridge_legacy.wire import CashFlow
from liushui.wire.decoding import DECODE_ERRORS
from liushui.wire.ranges import parse_steps, steps_to_us
from liushui.wire.transport import NO_HEADERS, Answer

LANGUAGE: Final = "zh-CN"
"""The language of the document's sample. The client always requests it. A row that is read twice is then identical,
including its label."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_rows = RowCodec(
    CashFlow,
    parse_time=lambda field, seconds: parse_steps(field, seconds, RULES.resolution),
    times_to_us=lambda seconds: steps_to_us(seconds, RULES.resolution),
    write_time=int,
    language=LANGUAGE,
)
read, read_many, write = _rows.read, _rows.read_many, _rows.write


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer, or of its `data` alone, as the document prints an answer.

    Raises WireError, or a ProviderError by class for an error answer.
    """
    if _is_data_alone(document):
        return parse_list("answer", document)
    return parse_page(Answer(200, NO_HEADERS, document), ERRORS)


def _is_data_alone(document: bytes) -> bool:
    try:
        fields = _fields.decode(document)
    except DECODE_ERRORS:
        return False
    return "list" in fields and "code" not in fields
