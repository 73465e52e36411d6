"""WeCom fund flow, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from liushui.errors import (
    AuthError,
    NotRepresentable,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    WireError,
    short_repr,
)
from liushui.flow import Category, Direction, Flow, Kind, side_of
from liushui.money import DIGITS_MAX, EXACT, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.wecom.rules import RULES
from liushui.providers.wecom.wire import Envelope, FundFlow, FundFlows, Group, Token
from liushui.wire.decoding import (
    DECODE_ERRORS,
    RowReader,
    excerpt,
    identity_digest,
    identity_digests,
    or_none,
    parse_choice,
    parse_code,
)
from liushui.wire.errors import provider_error
from liushui.wire.ranges import parse_steps, steps_to_us, to_steps

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

_IN = Direction.IN.value
_SIDE_VALUES = {code: side.value for code, side in SIDES.items()}
_KIND_VALUES = {code: kind.value for code, kind in KINDS.items()}
_FEN_END = 10**FEN_DIGITS_MAX
_row = RowReader(FundFlow, "a fund flow", nested_fields=lambda row: len(or_none(row.group_list) or ()))
_fund_flows = msgspec.json.Decoder(FundFlows)
_token = msgspec.json.Decoder(Token)
_encode = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- answers


def extract_rows(document: bytes) -> Sequence[bytes]:
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
    except DECODE_ERRORS as error:
        if status >= 500:
            raise Unavailable(f"HTTP {status}, {excerpt(answer)}", retry_after_s=retry_after_s) from error
        raise WireError(
            "answer", f"expected the JSON envelope with HTTP {status}, got {excerpt(answer)}: {error}"
        ) from error
    if found.errcode == 0 and status == 200:
        return found
    message = found.errmsg or f"HTTP {status}"
    raise provider_error(ERRORS, message, code=found.errcode, status=status, retry_after_s=retry_after_s)


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that does not fit."""
    return DecodedRow(to_flow(_row.read(row)), row, None)


def to_flow(row: FundFlow) -> Flow:
    """Read one row. Raises WireError naming the field that does not fit."""
    side = parse_choice("fund_flow_type", row.fund_flow_type, SIDES)
    kind = KINDS.get(row.transaction_type)
    if row.transaction_amount < 0:
        raise WireError("transaction_amount", f"expected 0 or more, got {short_repr(row.transaction_amount)}")
    amount = _yuan("transaction_amount", row.transaction_amount if side is Direction.IN else -row.transaction_amount)
    facts = (row.mch_id, row.request_no, row.transaction_type, row.fund_flow_type)
    other = None if kind else parse_code("transaction_type", row.transaction_type)
    balance = or_none(row.account_balance)
    at = parse_steps("timestamp", row.timestamp, RULES.resolution)
    return Flow(
        identity=identity_digest(facts),
        at=at,
        amount=amount,
        currency=CURRENCY,
        direction=side,
        kind=kind or Kind.OTHER,
        category=Category.CASH,
        subaccount=row.mch_id,
        balance_after=None if balance is None else _yuan("account_balance", balance),
        ref=row.request_no,
        order_ref=or_none(row.out_trade_no),
        note=or_none(row.remark),
        detail=_detail(other, or_none(row.operator_userid), _names(row)) or None,
    )


def _names(row: FundFlow) -> tuple[str, ...] | None:
    """The rule groups that a row belongs to."""
    groups = or_none(row.group_list)
    return None if groups is None else tuple([group.group_name for group in groups])


def _detail(transaction_type: int | None, operator: str | None, groups: tuple[str, ...] | None) -> dict[str, object]:
    """What no other provider has. `transaction_type`: one that no kind stands for."""
    values = {TRANSACTION_TYPE: transaction_type, OPERATOR: operator, GROUPS: None if groups is None else list(groups)}
    return {name: value for name, value in values.items() if value is not None}


@lru_cache(1_000)
def _detail_text(operator: str | None, groups: tuple[str, ...] | None) -> str | None:
    """The details of a row of a kind that we know, as JSON. A few people and groups move most of the money."""
    detail = _detail(None, operator, groups)
    return _encode(detail).decode() if detail else None


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """What `read` says of rows that are all of the ordinary kind."""
    found = _row.read_many(rows)
    if found is None:
        return None
    codes = [row.transaction_type for row in found]
    sides = [row.fund_flow_type for row in found]
    fen = [row.transaction_amount for row in found]
    balances = [or_none(row.account_balance) for row in found]
    request_nos = [row.request_no for row in found]
    mch_ids = [row.mch_id for row in found]
    at_us = steps_to_us([row.timestamp for row in found], RULES.resolution)
    known = KINDS.keys() >= set(codes) and SIDES.keys() >= set(sides)
    if at_us is None or not known or min(fen) < 0 or max(fen) >= _FEN_END:
        return None
    kept = [balance for balance in balances if balance is not None]
    if kept and not -_FEN_END < min(kept) <= max(kept) < _FEN_END:
        return None
    return FlowColumns(
        identity=identity_digests(zip(mch_ids, request_nos, codes, sides, strict=True)),
        at_us=at_us,
        subaccount=mch_ids,
        amount=[
            _yuan_text(part if _SIDE_VALUES[side] == _IN else -part) for part, side in zip(fen, sides, strict=True)
        ],
        currency=[CURRENCY] * len(found),
        direction=[_SIDE_VALUES[side] for side in sides],
        kind=[_KIND_VALUES[code] for code in codes],
        category=[Category.CASH.value] * len(found),
        label=[""] * len(found),
        balance_after=[None if balance is None else _yuan_text(balance) for balance in balances],
        ref=request_nos,
        order_ref=[or_none(row.out_trade_no) for row in found],
        note=[or_none(row.remark) for row in found],
        detail=[_detail_text(or_none(row.operator_userid), _names(row)) for row in found],
    )


def _yuan_text(fen: int) -> str:
    """`_yuan` of a number within bounds, as text."""
    digits = f"{abs(fen):03}"
    return f"{'-' if fen < 0 else ''}{digits[:-FEN_PLACES]}.{digits[-FEN_PLACES:]}"


def _yuan(field: str, fen: int) -> Decimal:
    """A number of fen in yuan, exact, with two decimal places."""
    if abs(fen) >= _FEN_END:
        raise WireError(field, f"expected at most {FEN_DIGITS_MAX} digits, got {short_repr(fen)}")
    return Decimal(fen).scaleb(-FEN_PLACES, EXACT)


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. What this wire cannot say is left out: MAPPING.md.

    Raises NotRepresentable for money that is no whole number of fen.
    """
    del language  # no word of this wire is translated
    if flow.currency != CURRENCY:
        raise NotRepresentable("currency", f"expected {CURRENCY}, got {short_repr(flow.currency)}")
    detail = flow.detail or {}
    operator, groups, code = detail.get(OPERATOR), detail.get(GROUPS), detail.get(TRANSACTION_TYPE)
    return _encode(
        FundFlow(
            timestamp=to_steps(flow.at, RULES.resolution),
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
    """Yuan as a number of fen. Raises NotRepresentable where there is a part of one."""
    fen = yuan.scaleb(FEN_PLACES, EXACT)
    if fen != fen.to_integral_value():
        raise NotRepresentable(
            field, f"expected at most {FEN_PLACES} decimal places of {CURRENCY}, got {to_plain_string(yuan)}"
        )
    return int(fen)
