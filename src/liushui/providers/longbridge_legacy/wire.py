"""Longbridge's first draft, the shapes on the wire: field names are theirs."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from liushui.providers._longbridge.codec import CashFlowRow

PATH: Final = "/v1/trade/asset/GetCashFlowHistory"


class CashFlow(CashFlowRow[int], kw_only=True, gc=False):
    """One row. Its `business_time` is an integer."""


class Asked(msgspec.Struct):
    """The body of a request. The document's types are mixed: a number may come as an integer or as its text."""

    start_time: int | str
    end_time: int | str
    page: int | str
    size: int | str
    business_type: int | str | None | UnsetType = UNSET
    symbol: str | None | UnsetType = UNSET
