"""Longbridge cash flow, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

from collections.abc import Mapping, Sequence
from typing import Final

from liushui.errors import AuthError, ProviderError, Refused
from liushui.instant import parse_unix_seconds
from liushui.providers._longbridge.codec import RowCodec
from liushui.providers._longbridge.envelope import rows_in
from liushui.providers._longbridge.rules import GATEWAY_ERRORS
from liushui.providers.longbridge.rules import RULES
from liushui.providers.longbridge.wire import CashFlow
from liushui.wire.ranges import parse_integers, steps_to_us
from liushui.wire.transport import Answer

LANGUAGE: Final = "zh-HK"
"""Names arrive in one language, so that a row read twice is the same to the letter."""

ERRORS: Final[Mapping[int, type[ProviderError]]] = {**GATEWAY_ERRORS, 202201: AuthError, 202202: Refused}


def _many_us(texts: Sequence[str]) -> list[int] | None:
    seconds = parse_integers(texts)
    return None if seconds is None else steps_to_us(seconds, RULES.resolution)


_rows = RowCodec(CashFlow, instant_of=parse_unix_seconds, many_us=_many_us, seconds_of=str, language=LANGUAGE)
read, read_many, write = _rows.read, _rows.read_many, _rows.write


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return rows_in(Answer(200, {}, document), ERRORS)
