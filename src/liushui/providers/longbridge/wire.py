"""Longbridge on the wire: paths and structs. Field names are the provider's."""

from typing import Final

import msgspec

from liushui.providers._longbridge.wire import CashFlowRow

PATH: Final = "/v1/asset/cashflow"
SOCKET_TOKEN_PATHS: Final = ("/v1/socket/token", "/v2/socket/token")


class CashFlow(CashFlowRow[str], kw_only=True, gc=False):
    """One row. `business_time` is text."""


class SocketToken(msgspec.Struct):
    """`data` of a socket token: a one-time password, the limit of open sockets for a key, and how many it has open."""

    otp: str
    limit: int
    online: int
