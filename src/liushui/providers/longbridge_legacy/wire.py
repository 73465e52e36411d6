"""Longbridge's first draft on the wire: path and structs. Field names are the provider's."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from liushui.providers._longbridge.wire import CashFlowRow

PATH: Final = "/v1/trade/asset/GetCashFlowHistory"


class CashFlow(CashFlowRow[int], kw_only=True, gc=False):
    """One row. `business_time` is an integer."""


class RequestBody(msgspec.Struct):
    """The body of a request. The document mixes types: a number may be an integer or text."""

    start_time: int | str
    end_time: int | str
    page: int | str
    size: int | str
    business_type: int | str | None | UnsetType = UNSET
    symbol: str | None | UnsetType = UNSET
