"""WeCom fund flow, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, Unsayable, WireError
from liushui.flow import Category, Direction, Flow, Kind, side_of
from liushui.money import DIGITS_MAX, EXACT, plain, shown
from liushui.provider import Received
from liushui.providers.wecom.rules import RULES
from liushui.providers.wecom.wire import Envelope, FundFlow, FundFlows, Group, Token
from liushui.wire.faults import fault_of
from liushui.wire.fields import choice
from liushui.wire.ranges import instant_of, steps_since_epoch
from liushui.wire.rows import FAULTS, RowReader, code_of, excerpt, stated

CURRENCY: Final = "CNY"
FEN_PLACES: Final = 2
"""Decimal places of a yuan that one fen is."""
FEN_DIGITS_MAX: Final = DIGITS_MAX - FEN_PLACES
"""So that yuan, its point and its sign included, is no longer than any amount may be."""

SIDES = {1: Direction.IN, 2: Direction.OUT}
SIDE_CODES = {side: code for code, side in SIDES.items()}
KINDS = {1: Kind.REFUND, 2: Kind.FEE, 3: Kind.RECEIPT, 4: Kind.WITHDRAWAL, 5: Kind.OTHER}
KIND_CODES = {kind: code for code, kind in KINDS.items()}

OPERATOR: Final = "wecom:operator_userid"
GROUPS: Final = "wecom:group_list"
TRANSACTION_TYPE: Final = "wecom:transaction_type"
"""Keys in Flow.detail: who moved the money; the names of the rule groups; a transaction_type outside KINDS."""

ERRORS: dict[int, type[ProviderError]] = {
    -1: Unavailable,
    40001: AuthError,
    40013: AuthError,
    40014: AuthError,
    40058: Refused,
    41001: AuthError,
    41002: AuthError,
    41004: AuthError,
    42001: AuthError,
    45009: RateLimited,
    45033: RateLimited,
    48002: AuthError,
    60020: AuthError,
    301002: AuthError,
}

E = TypeVar("E", bound=Envelope)

_FEN_END = 10**FEN_DIGITS_MAX
_row = RowReader(FundFlow, "a fund flow")
_fund_flows = msgspec.json.Decoder(FundFlows)
_token = msgspec.json.Decoder(Token)
_encode = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- answers


def rows_of(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return page_of(document)[0]


def page_of(
    answer: bytes, *, status: int = 200, retry_after_s: float | None = None
) -> tuple[Sequence[bytes], str | None]:
    """The rows of one answer, and the cursor to go on from. Raises WireError, or ProviderError by class."""
    found = _answered(_fund_flows, answer, status=status, retry_after_s=retry_after_s)
    if found.fund_flow_list is UNSET:
        raise WireError("fund_flow_list", "expected a list, but missing")
    return [bytes(row) for row in found.fund_flow_list], found.next_cursor or None


def token_of(answer: bytes, *, status: int = 200, retry_after_s: float | None = None) -> Token:
    """The token that gettoken gave. Raises WireError, or ProviderError by class."""
    found = _answered(_token, answer, status=status, retry_after_s=retry_after_s)
    if not found.access_token:
        raise WireError("access_token", "expected a token, got none")
    return found


def _answered(decoder: msgspec.json.Decoder[E], answer: bytes, *, status: int, retry_after_s: float | None) -> E:
    """An answer with errcode 0. Raises WireError, or ProviderError by class."""
    try:
        found = decoder.decode(answer)
    except FAULTS as error:
        if status >= 500:
            raise Unavailable(f"HTTP {status}, {excerpt(answer)}") from error
        raise WireError(
            "answer", f"expected the JSON envelope with HTTP {status}, got {excerpt(answer)}: {error}"
        ) from error
    if found.errcode == 0 and status == 200:
        return found
    message = found.errmsg or f"HTTP {status}"
    raise fault_of(ERRORS, message, code=found.errcode, status=status, retry_after_s=retry_after_s)


# ---------------------------------------------------------------- reading


def read(row: bytes) -> Received:
    """Read one row. Raises WireError naming the field that does not fit."""
    return Received(to_flow(_row.read(row)), row, None)


def to_flow(row: FundFlow) -> Flow:
    """Read one row. Raises WireError naming the field that does not fit."""
    side = choice("fund_flow_type", row.fund_flow_type, SIDES)
    kind = KINDS.get(row.transaction_type)
    if row.transaction_amount < 0:
        raise WireError("transaction_amount", f"expected 0 or more, got {shown(row.transaction_amount)}")
    amount = _yuan("transaction_amount", row.transaction_amount if side is Direction.IN else -row.transaction_amount)
    facts = (row.mch_id, row.request_no, row.transaction_type, row.fund_flow_type)
    detail: dict[str, object] = {}
    if kind is None:
        detail[TRANSACTION_TYPE] = code_of("transaction_type", row.transaction_type)
    if (operator := stated(row.operator_userid)) is not None:
        detail[OPERATOR] = operator
    if (groups := stated(row.group_list)) is not None:
        detail[GROUPS] = [group.group_name for group in groups]
    balance = stated(row.account_balance)
    at = instant_of("timestamp", row.timestamp, RULES.resolution)
    return Flow(
        identity=blake2b(_encode(facts), digest_size=16).hexdigest(),
        at=at,
        amount=amount,
        currency=CURRENCY,
        direction=side,
        kind=kind or Kind.OTHER,
        category=Category.CASH,
        subaccount=row.mch_id,
        balance_after=None if balance is None else _yuan("account_balance", balance),
        ref=row.request_no,
        order_ref=stated(row.out_trade_no),
        note=stated(row.remark),
        detail=detail or None,
    )


def _yuan(field: str, fen: int) -> Decimal:
    """A number of fen in yuan, exact, with two decimal places."""
    if abs(fen) >= _FEN_END:
        raise WireError(field, f"expected at most {FEN_DIGITS_MAX} digits, got {shown(fen)}")
    return Decimal(fen).scaleb(-FEN_PLACES, EXACT)


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. What this wire cannot say is left out: MAPPING.md.

    Raises Unsayable for money that is no whole number of fen.
    """
    del language  # no word of this wire is translated
    if flow.currency != CURRENCY:
        raise Unsayable("currency", f"expected {CURRENCY}, got {shown(flow.currency)}")
    detail = flow.detail or {}
    operator, groups, code = detail.get(OPERATOR), detail.get(GROUPS), detail.get(TRANSACTION_TYPE)
    return _encode(
        FundFlow(
            timestamp=steps_since_epoch(flow.at, RULES.resolution),
            request_no=flow.identity if flow.ref is None else flow.ref,
            transaction_type=code if isinstance(code, int) else KIND_CODES.get(flow.kind, KIND_CODES[Kind.OTHER]),
            fund_flow_type=SIDE_CODES[side_of(flow)],
            transaction_amount=_fen("amount", flow.amount.copy_abs()),
            account_balance=UNSET if flow.balance_after is None else _fen("balance_after", flow.balance_after),
            out_trade_no=UNSET if flow.order_ref is None else flow.order_ref,
            mch_id=flow.subaccount,
            operator_userid=operator if isinstance(operator, str) else UNSET,
            group_list=[Group(str(name)) for name in groups] if isinstance(groups, list) else UNSET,
            remark=UNSET if flow.note is None else flow.note,
        )
    )


def _fen(field: str, yuan: Decimal) -> int:
    """Yuan as a number of fen. Raises Unsayable where there is a part of one."""
    fen = yuan.scaleb(FEN_PLACES, EXACT)
    if fen != fen.to_integral_value():
        raise Unsayable(field, f"expected at most {FEN_PLACES} decimal places of {CURRENCY}, got {plain(yuan)}")
    return int(fen)
