"""WeCom fund flow, the paths and shapes on the wire: field names are theirs."""

from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

T = TypeVar("T")

GET_TOKEN: Final = "/cgi-bin/gettoken"  # noqa: S105 - a path
GET_FUND_FLOW: Final = "/cgi-bin/externalpay/get_fund_flow"


class Group(msgspec.Struct, gc=False):
    """One of the rule groups that a flow belongs to."""

    group_name: str


class FundFlow(msgspec.Struct, kw_only=True, gc=False):
    """One row. What may be missing may be null as well, and the two say the same."""

    timestamp: int
    request_no: str
    transaction_type: int
    fund_flow_type: int
    transaction_amount: int
    account_balance: int | None | UnsetType = UNSET
    out_trade_no: str | None | UnsetType = UNSET
    mch_id: str
    operator_userid: str | None | UnsetType = UNSET
    group_list: list[Group] | None | UnsetType = UNSET
    remark: str | None | UnsetType = UNSET


class Envelope(msgspec.Struct):
    """Every answer. An error has nothing else."""

    errcode: int
    errmsg: str | None = None


class FundFlows(Envelope):
    """A page: the rows, each byte for byte. The last one has no cursor, or an empty one."""

    next_cursor: str | None = None
    fund_flow_list: list[Raw] | UnsetType = UNSET


class Token(Envelope):
    """What gettoken answers: a token, and for how many seconds it is good."""

    access_token: str = ""
    expires_in: int = 0


class Asked(msgspec.Struct, kw_only=True):
    """The body of a request for a page. Numbers may come as text: MAPPING.md."""

    begin_time: int | str
    end_time: int | str
    mch_id: str | None | UnsetType = UNSET
    cursor: str | None | UnsetType = UNSET
    limit: int | str | None | UnsetType = UNSET
