"""WOO X Pro futures transactions on the wire: path, structs, answers. Field names are the provider's."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, WireError
from liushui.providers.wooxpro.rules import BANNED, BANNED_STATUS, ERRORS, REFUSALS, SUCCESS
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import parse_tolerantly, provider_error
from liushui.wire.transport import Answer, parse_retry_after

PATH: Final = "/contract/private/transaction-history"
SUCCESS_MESSAGE: Final = "Ok"
_ROWS_AT: Final = ("data",)


class Transaction(msgspec.Struct, kw_only=True, gc=False):
    """One row. It accepts the variants of real data: the document's sample has no flow_type, and time may be a
    number."""

    symbol: str | None | UnsetType = UNSET
    flow_type: int | UnsetType = UNSET
    type: str
    amount: str
    asset: str
    account: str
    time: str | int
    tran_id: str


class Envelope(msgspec.Struct):
    """Any answer. `data` is a list of rows, each byte for byte; in errors it has no meaning."""

    code: int
    message: str | None = None
    data: Raw = Raw(b"null")
    trace: str | None = None


_envelope = msgspec.json.Decoder(Envelope, strict=False)  # a code may be text
_rows = msgspec.json.Decoder(list[msgspec.Raw] | None)


def parse_page(answer: Answer) -> Sequence[bytes]:
    """Return the rows of an answer, byte for byte. There are none if `data` is null or absent.

    Only the code decides whether the call succeeded. Raises WireError, or a ProviderError by code and HTTP status.
    """
    rows, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return rows if split is None else split


def _parse_page(answer: Answer) -> list[bytes]:
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status != 200:
            raise _error(answer, f"HTTP {answer.status}, {excerpt(answer.body)}") from error
        raise WireError("answer", f"expected the JSON envelope, got {excerpt(answer.body)}") from error
    if answer.status != 200 or envelope.code != SUCCESS:
        raise _error(answer, envelope.message, code=envelope.code, trace=envelope.trace)
    data = envelope.data
    try:
        # The code has already shown success. Messages are for people, and services change them.
        return copy_rows(_rows.decode(data))
    except DECODE_ERRORS as error:
        raise WireError("data", f"expected a list, got {excerpt(data)}: {error}") from error


def _error(answer: Answer, message: str | None, *, code: int | None = None, trace: str | None = None) -> ProviderError:
    """Return the error in an error answer. A banned client has to wait longer than a client that is over the rate."""
    if code not in ERRORS and answer.status == BANNED_STATUS:
        code = BANNED
    wait_s = parse_retry_after(answer.headers.get("x-bm-ratelimit-reset"))
    if code == BANNED:
        wait_s = REFUSALS.per.total_seconds()
    return provider_error(ERRORS, message, answer, code=code, trace=trace, retry_after_s=wait_s)
