"""Longbridge cash flow, the shapes on the wire: field names are theirs."""

from typing import Final

import msgspec

from liushui.providers._longbridge.codec import CashFlowRow

PATH: Final = "/v1/asset/cashflow"


class CashFlow(CashFlowRow[str], kw_only=True, gc=False):
    """One row. Its `business_time` is text."""


class SocketToken(msgspec.Struct):
    """`data` of /v1/socket/token: a one-time password, how many sockets a key may have, how many it has."""

    otp: str
    limit: int
    online: int
