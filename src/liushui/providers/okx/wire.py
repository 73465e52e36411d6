"""OKX trading account bills on the wire: paths, structs, answers, signatures. Field names are the provider's."""

import hmac
import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, WireError
from liushui.providers.okx.rules import ERRORS, SUCCESS
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import decode_envelope, parse_tolerantly, provider_error
from liushui.wire.transport import Answer

RECENT_PATH: Final = "/api/v5/account/bills"
ARCHIVE_PATH: Final = "/api/v5/account/bills-archive"
TIME_PATH: Final = "/api/v5/public/time"

Text = str | None | UnsetType
"""Text. Empty, null and missing all mean that the field does not apply."""

_ROWS_AT: Final = ("data",)
_BILL_ID = re.compile(rb'"billId"\s*:\s*"?([0-9]{1,20})"?\s*[,}]')


def _wire_name(attribute: str) -> str:
    """Return the name of a field on the wire: `bal_chg` is balChg there, and `from_` is from."""
    head, *rest = attribute.rstrip("_").split("_")
    return head + "".join(map(str.capitalize, rest))


class Bill(msgspec.Struct, kw_only=True, gc=False, rename=_wire_name):
    """One row, in the order of the document's sample. All values are text."""

    bal: Text = UNSET
    bal_chg: str
    bill_id: str
    ccy: str
    cl_ord_id: Text = UNSET
    earn_amt: Text = UNSET
    earn_apr: Text = UNSET
    exec_type: Text = UNSET
    fee: Text = UNSET
    fill_fwd_px: Text = UNSET
    fill_idx_px: Text = UNSET
    fill_mark_px: Text = UNSET
    fill_mark_vol: Text = UNSET
    fill_px_usd: Text = UNSET
    fill_px_vol: Text = UNSET
    fill_time: Text = UNSET
    from_: Text = UNSET
    inst_id: Text = UNSET
    inst_type: Text = UNSET
    interest: Text = UNSET
    mgn_mode: Text = UNSET
    notes: Text = UNSET
    ord_id: Text = UNSET
    pnl: Text = UNSET
    pos_bal: Text = UNSET
    pos_bal_chg: Text = UNSET
    px: Text = UNSET
    sub_type: Text = UNSET
    sz: Text = UNSET
    tag: Text = UNSET
    to: Text = UNSET
    trade_id: Text = UNSET
    ts: str
    type: str


class Envelope(msgspec.Struct):
    """Any answer. `data` is a list of rows, each byte for byte, and empty in errors."""

    code: int
    msg: str | None = None
    data: Raw = Raw(b"null")


_envelope = msgspec.json.Decoder(Envelope, strict=False)  # a code is text
_rows = msgspec.json.Decoder(list[Raw] | None)


def parse_page(answer: Answer) -> Sequence[bytes]:
    """Return the rows of an answer, byte for byte. Raises WireError, or a ProviderError by code."""
    rows, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return rows if split is None else split


def _parse_page(answer: Answer) -> list[bytes]:
    envelope = decode_envelope(_envelope, answer)
    if envelope.code != SUCCESS or answer.status != 200:
        raise _error(envelope, answer)
    try:
        return copy_rows(_rows.decode(envelope.data))
    except DECODE_ERRORS as error:
        raise WireError("data", f"expected a list, got {excerpt(envelope.data)}: {error}") from error


def _error(envelope: Envelope, answer: Answer) -> ProviderError:
    return provider_error(ERRORS, envelope.msg, answer, code=envelope.code)


def bill_id_of(row: bytes) -> str | None:
    """Return the id of a row, even if its other fields cannot be read. Returns None if the id itself cannot be read."""
    ids = _BILL_ID.findall(row)
    return ids[0].decode() if len(ids) == 1 else None


def sign(*, secret: str, timestamp: str, method: str, path: str, query: str, body: bytes = b"") -> str:
    """Return the signature of a request, in Base64. `path` and `query` have to be exactly as sent."""
    target = f"{path}?{query}" if query else path
    message = f"{timestamp}{method.upper()}{target}".encode(errors="replace") + body
    return b64encode(hmac.digest(secret.encode(), message, sha256)).decode()
