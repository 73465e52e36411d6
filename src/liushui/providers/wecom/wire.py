"""WeCom fund flow on the wire: paths, structs, answers. Field names are the provider's."""

from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import WireError
from liushui.providers.wecom.rules import ERRORS
from liushui.wire.decoding import copy_rows
from liushui.wire.errors import decode_envelope, parse_tolerantly, provider_error
from liushui.wire.transport import Answer

TOKEN_PATH: Final = "/cgi-bin/gettoken"  # noqa: S105 - a path
PATH: Final = "/cgi-bin/externalpay/get_fund_flow"


class Group(msgspec.Struct, gc=False):
    """A rule group that a flow belongs to."""

    group_name: str


class FundFlow(msgspec.Struct, kw_only=True, gc=False):
    """One row. An optional field may be missing or null, which mean the same."""

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
    """Any answer. An error has no other members."""

    errcode: int
    errmsg: str | None = None


class FundFlows(Envelope):
    """A page: the rows, each byte for byte. On the last page the cursor is empty or absent.

    An empty list may be null or absent.
    """

    next_cursor: str | None = None
    fund_flow_list: list[Raw] | None = None


class Token(Envelope):
    """The answer of gettoken: an access token, and its life in seconds."""

    access_token: str = ""
    expires_in: int | None = None


class RequestBody(msgspec.Struct, kw_only=True):
    """The body of a request for a page. Numbers may be text (see MAPPING.md)."""

    begin_time: int | str
    end_time: int | str
    mch_id: str | None | UnsetType = UNSET
    cursor: str | None | UnsetType = UNSET
    limit: int | str | None | UnsetType = UNSET


# ---------------------------------------------------------------- answers

E = TypeVar("E", bound=Envelope)

_fund_flows = msgspec.json.Decoder(FundFlows, strict=False)  # numbers may be text
_token = msgspec.json.Decoder(Token, strict=False)
_ROWS_AT: Final = ("fund_flow_list",)


def parse_page(answer: Answer) -> tuple[list[bytes], str | None]:
    """Return the rows of an answer, and the cursor of the next page. Raises WireError, or a ProviderError by class."""
    page, split = parse_tolerantly(lambda part: _parse(_fund_flows, part), answer, _ROWS_AT)
    return copy_rows(page.fund_flow_list) if split is None else split, page.next_cursor or None


def parse_token(answer: Answer) -> Token:
    """Return the access token in an answer of gettoken. Raises WireError, or a ProviderError by class."""
    token = _parse(_token, answer)
    if not token.access_token:
        raise WireError("access_token", "expected a token, got none")
    return token


def _parse(decoder: msgspec.json.Decoder[E], answer: Answer) -> E:
    """Return an answer with errcode 0. Raises WireError, or a ProviderError by code and HTTP status."""
    envelope = decode_envelope(decoder, answer)
    if envelope.errcode == 0 and answer.status == 200:
        return envelope
    raise provider_error(ERRORS, envelope.errmsg, answer, code=envelope.errcode)
