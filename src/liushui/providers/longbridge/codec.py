"""Converts Longbridge's rows to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from liushui.instant import parse_unix_seconds
from liushui.providers._longbridge.codec import ClientLimits, RowCodec
from liushui.providers._longbridge.wire import parse_page
from liushui.providers.longbridge.rules import ERRORS, RULES
from liushui.providers.longbridge.wire import CashFlow
from liushui.wire.ranges import parse_integers, steps_to_us
from liushui.wire.transport import NO_HEADERS, Answer

LANGUAGE: Final = "zh-HK"
"""The client always requests this language. A row that is read twice is then identical, including its label."""

CLIENT_LIMITS: Final = ClientLimits(
    mantissa_max=2**96 - 1,
    decimals_max=28,
    since=datetime(1, 1, 3, tzinfo=UTC),
    until=datetime(9999, 12, 31, tzinfo=UTC),
)
"""The official clients silently round further decimals, and lose the whole page if an amount is larger. They show times
in their machine's time zone. They lose the page if a time there is outside the years 1 to 9999."""


def _times_to_us(texts: Sequence[str]) -> list[int] | None:
    seconds = parse_integers(texts)
    return None if seconds is None else steps_to_us(seconds, RULES.resolution)


_rows = RowCodec(
    CashFlow,
    parse_time=parse_unix_seconds,
    times_to_us=_times_to_us,
    write_time=str,
    language=LANGUAGE,
    limits=CLIENT_LIMITS,
)
read, read_many, write = _rows.read, _rows.read_many, _rows.write


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document), ERRORS)
