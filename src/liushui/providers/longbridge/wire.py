"""Longbridge cash flow, the shapes on the wire: field names are theirs."""

import msgspec
from msgspec import UNSET, Raw, UnsetType


class CashFlow(msgspec.Struct, kw_only=True, gc=False):
    """One row, as lenient as real input: the document's sample has no business_type, its table says codes are text."""

    transaction_flow_name: str
    direction: int | str
    business_type: int | str | UnsetType = UNSET
    balance: str
    currency: str
    business_time: str
    symbol: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


class CashFlows(msgspec.Struct):
    """`data` of an answer: the rows, each byte for byte."""

    list: list[Raw]


class Envelope(msgspec.Struct):
    """Every answer. `message` is missing in the document's sample; `data` is missing or null in errors."""

    code: int
    message: str | None = None
    data: Raw = Raw(b"null")


class SocketToken(msgspec.Struct):
    """`data` of /v1/socket/token: a one-time password, how many sockets a key may have, how many it has."""

    otp: str
    limit: int
    online: int
