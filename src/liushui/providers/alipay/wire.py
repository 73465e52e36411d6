"""Alipay account log on the wire: path, structs, signed requests, signed answers. Field names are the provider's."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import WireError
from liushui.providers.alipay.rules import ERRORS, SUCCESS
from liushui.wire.decoding import DECODE_ERRORS, check_lengths, copy_rows, excerpt, parse_integer, split_rows
from liushui.wire.errors import parse_tolerantly, provider_error
from liushui.wire.rsa import is_signed, sign
from liushui.wire.transport import Answer

PATH: Final = "/gateway.do"
METHOD: Final = "alipay.data.bill.accountlog.query"
RESPONSE: Final = f"{METHOD.replace('.', '_')}_response"
"""The name of the answer to the account log method."""
ERROR_RESPONSE: Final = "error_response"
"""The name of the answer to a method that does not exist."""
BUSINESS: Final = "biz_content"
SIGNATURE_TYPE: Final = "RSA2"
CHARSET: Final = "utf-8"
FORM_TYPE: Final = f"application/x-www-form-urlencoded;charset={CHARSET}"
CHINA: Final = timezone(timedelta(hours=8))
"""The offset of all times. Times on the wire state no offset."""

TOTAL_MAX: Final = 10**15
_ROWS_AT: Final = (RESPONSE, "detail_list")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)

Text = str | None | UnsetType
"""Text. Empty, null and missing all mean that the field does not apply."""
Number = str | int | None
"""A number as text. The text may also not be a number."""


class AccountLog(msgspec.Struct, kw_only=True, gc=False):
    """One row. All values are text. Time, amount and direction are required."""

    account_log_id: Text = UNSET
    trans_dt: str
    trans_amount: str
    direction: str
    balance: Text = UNSET
    type: Text = UNSET
    biz_desc: Text = UNSET
    alipay_order_no: Text = UNSET
    merchant_order_no: Text = UNSET
    biz_orig_no: Text = UNSET
    biz_nos: Text = UNSET
    merchant_out_refund_no: Text = UNSET
    other_account: Text = UNSET
    trans_memo: Text = UNSET
    store_name: Text = UNSET
    bill_source: Text = UNSET
    complement_info: Text = UNSET


class Envelope(msgspec.Struct):
    """Any answer: a page or a general error, and the signature over its bytes."""

    page: Raw | UnsetType = msgspec.field(name=RESPONSE, default=UNSET)
    error: Raw | UnsetType = msgspec.field(name=ERROR_RESPONSE, default=UNSET)
    sign: str | None = None

    @property
    def signed(self) -> Raw | None:
        """Return the signed part."""
        return next((part for part in (self.page, self.error) if isinstance(part, Raw)), None)


class Page(msgspec.Struct):
    """A page of rows, each as received, byte for byte; or an error. An empty list may be absent."""

    code: str | int
    msg: str | None = None
    sub_code: str | None = None
    sub_msg: str | None = None
    page_no: Number = None
    total_size: Number = None
    detail_list: list[Raw] | None = None


class Code(msgspec.Struct):
    """The code of an answer. Other members are not decoded."""

    code: str | int


_envelope = msgspec.json.Decoder(Envelope)
_page = msgspec.json.Decoder(Page)
_code = msgspec.json.Decoder(Code)


# ---------------------------------------------------------------- answers


def parse_page(answer: Answer, key: RSAPublicKey | None = None) -> tuple[Page, list[bytes]]:
    """Return the page in an answer, and its rows.

    `key` is the platform's public key, which verifies the answer first. It is None for saved answers.

    Raises WireError, or a ProviderError by class. The WireError names `sign` if the platform has not signed the answer.
    """
    if key is not None:
        verify(answer.body, key)
    page, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return page, copy_rows(page.detail_list) if split is None else split


def _parse_page(answer: Answer) -> Page:
    try:
        signed = _envelope.decode(answer.body).signed
        if signed is None:
            raise WireError("answer", f"expected {RESPONSE}, got {excerpt(answer.body)}")
        page = _page.decode(signed)
    except DECODE_ERRORS as error:
        if answer.status != 200:
            raise provider_error(ERRORS, f"HTTP {answer.status}, {excerpt(answer.body)}", answer, code=None) from error
        raise WireError("answer", f"expected {RESPONSE}, got {excerpt(answer.body)}: {error}") from error
    code = str(page.code)
    if code == SUCCESS and answer.status == 200:
        return page
    message = ": ".join(part for part in (page.msg, page.sub_msg) if part)
    raise provider_error(ERRORS, message, answer, code=page.sub_code if page.sub_code in ERRORS else code)


def parse_total(total: Number) -> int | None:
    """Return the number of rows on all pages, or None if the answer does not state it. Raises WireError."""
    if total is None or total == "":
        return None
    return parse_integer("total_size", str(total), least=0, most=TOTAL_MAX)


def verify(body: bytes, key: RSAPublicKey) -> None:
    """Check that the platform has signed an answer.

    Errors pass, because an error about an unknown app has no signature. A body that is not an answer passes too: its
    parser reports what is wrong. Raises WireError.
    """
    signed, signature = _signed_part(body)
    if signed is None or _is_error(signed):
        return
    if not signature:
        raise WireError("sign", "expected the platform's signature of the answer, got none")
    if not is_signed(key, signed, signature):
        raise WireError(
            "sign",
            "the answer is not signed by the key in alipay_public_key. Check that it is Alipay's public key "
            "(支付宝公钥), not the app's own (应用公钥), and that nothing on the way changes answers",
        )


def _signed_part(body: bytes) -> tuple[memoryview | None, str | None]:
    """Return the signed bytes and the signature. Each is None if the body has none. Rows in the bytes may be invalid
    JSON.

    The bytes are not copied, because an answer may be large. Raises Untrustworthy for a row that is too large.
    """
    try:
        envelope = _envelope.decode(body)
        return None if envelope.signed is None else memoryview(envelope.signed), envelope.sign
    except DECODE_ERRORS:
        split = split_rows(body, _ROWS_AT)
    if split is None:
        return None, None
    check_lengths(split.rows)
    try:
        envelope = _envelope.decode(split.rest)
    except DECODE_ERRORS:
        return None, None
    if envelope.signed is None:
        return None, None
    # The rest and the body differ only inside the signed part. They are equal before and after it.
    begin = split.rest.find(bytes(envelope.signed))
    after = len(split.rest) - begin - len(envelope.signed)
    return memoryview(body)[begin : len(body) - after], envelope.sign


def _is_error(signed: memoryview) -> bool:
    try:
        return str(_code.decode(signed).code) != SUCCESS
    except DECODE_ERRORS:
        return False


def signed_answer(name: str, content: bytes, key: RSAPrivateKey | None) -> bytes:
    """Build the body of an answer. The content comes first, because public clients look for its end before `sign`."""
    if key is None:
        return b'{"%b":%b}' % (name.encode(), content)
    return b'{"%b":%b,"sign":"%b"}' % (name.encode(), content, sign(key, content).encode())


# ---------------------------------------------------------------- requests


def signed_text(params: Mapping[str, str]) -> bytes:
    """Return the text that a request's signature covers: the parameters by name, without `sign` and without empty
    values."""
    pairs = (f"{name}={value}" for name, value in sorted(params.items()) if value and name != "sign")
    return "&".join(pairs).encode(errors="replace")


def sign_request(params: Mapping[str, str], key: RSAPrivateKey) -> str:
    """Return the signature of a request with these parameters."""
    return sign(key, signed_text(params))


# ---------------------------------------------------------------- times


def parse_time(field: str, text: str) -> datetime:
    """Return the instant of a local time in China, such as `2026-11-01 09:15:02`. Raises WireError naming `field`."""
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise WireError(field, f"expected yyyy-MM-dd HH:mm:ss, got {text[:40]!r}")


def write_time(at: datetime) -> str:
    """Return an instant as a local time in China, truncated to whole seconds. Raises OverflowError after the year
    9999."""
    return at.astimezone(CHINA).replace(tzinfo=None).isoformat(" ", "seconds")
