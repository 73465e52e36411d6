"""Converts WeCom's fund flow rows to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET

from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Category, Direction, Flow, Kind, side_of
from liushui.money import DIGITS_MAX, EXACT, to_plain_string
from liushui.provider import UNSERVABLE, DecodedRow, FlowColumns
from liushui.providers.wecom.rules import RULES
from liushui.providers.wecom.wire import FundFlow, Group, parse_page
from liushui.wire.decoding import RowReader, identity_digest, identity_digests, or_none, parse_choice, parse_code
from liushui.wire.ranges import parse_steps, steps_to_us, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

CURRENCY: Final = "CNY"
FEN_PLACES: Final = 2
"""Decimal places of an amount in yuan: one fen is 0.01 CNY."""
FEN_PER_YUAN: Final = 10**FEN_PLACES
FEN_DIGITS_MAX: Final = DIGITS_MAX - FEN_PLACES
"""The largest number of digits of an amount in fen. In yuan, with point and sign, it still fits in DIGITS_MAX
characters."""

DIRECTIONS = {1: Direction.IN, 2: Direction.OUT}
DIRECTION_CODES = {direction: code for code, direction in DIRECTIONS.items()}
KINDS = {1: Kind.REFUND, 2: Kind.FEE, 3: Kind.RECEIPT, 4: Kind.WITHDRAWAL, 5: Kind.OTHER}
KIND_CODES = {kind: code for code, kind in KINDS.items()}

OPERATOR: Final = "wecom:operator_userid"
GROUPS: Final = "wecom:group_list"
TRANSACTION_TYPE: Final = "wecom:transaction_type"
"""Keys in Flow.detail for the operator, the names of the rule groups, and a transaction_type that is not in KINDS."""

FEN_MAX: Final = 2**53 - 1
"""The largest amount and balance that is served. Clients that hold numbers as doubles silently misread larger ones.
Clients that hold them as 64-bit integers lose the page from 2^63 on."""

_IN = Direction.IN.value
_DIRECTION_VALUES = {code: direction.value for code, direction in DIRECTIONS.items()}
_KIND_VALUES = {code: kind.value for code, kind in KINDS.items()}
_FEN_END = 10**FEN_DIGITS_MAX
_row = RowReader(FundFlow, "a fund flow", nested_fields=lambda row: len(or_none(row.group_list) or ()))
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[0]


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    fund_flow, documented = _row.read_lenient(row)
    is_servable = max(fund_flow.transaction_amount, abs(or_none(fund_flow.account_balance) or 0)) <= FEN_MAX
    return DecodedRow(to_flow(fund_flow), row, documented if is_servable else UNSERVABLE)


def to_flow(row: FundFlow) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    direction = parse_choice("fund_flow_type", row.fund_flow_type, DIRECTIONS)
    kind = KINDS.get(row.transaction_type)
    if row.transaction_amount < 0:
        raise WireError("transaction_amount", f"expected 0 or more, got {short_repr(row.transaction_amount)}")
    fen = row.transaction_amount if direction is Direction.IN else -row.transaction_amount
    amount = _yuan("transaction_amount", fen)
    facts = (row.mch_id, row.request_no, row.transaction_type, row.fund_flow_type)
    unknown_type = None if kind else parse_code("transaction_type", row.transaction_type)
    balance = or_none(row.account_balance)
    at = parse_steps("timestamp", row.timestamp, RULES.resolution)
    return Flow(
        identity=identity_digest(facts),
        at=at,
        amount=amount,
        currency=CURRENCY,
        direction=direction,
        kind=kind or Kind.OTHER,
        category=Category.CASH,
        subaccount=row.mch_id,
        balance_after=None if balance is None else _yuan("account_balance", balance),
        ref=row.request_no,
        order_ref=or_none(row.out_trade_no),
        note=or_none(row.remark),
        detail=_detail(unknown_type, or_none(row.operator_userid), _group_names(or_none(row.group_list))) or None,
    )


def _group_names(groups: Sequence[Group] | None) -> tuple[str, ...] | None:
    return None if groups is None else tuple([group.group_name for group in groups])


def _detail(transaction_type: int | None, operator: str | None, groups: tuple[str, ...] | None) -> dict[str, object]:
    """Return Flow.detail. `transaction_type` is None or a type that is not in KINDS."""
    values = {TRANSACTION_TYPE: transaction_type, OPERATOR: operator, GROUPS: None if groups is None else list(groups)}
    return {name: value for name, value in values.items() if value is not None}


@lru_cache(1_000)
def _detail_text(operator: str | None, groups: tuple[str, ...] | None) -> str | None:
    """Return Flow.detail of a row of a known kind, as JSON. Cached, because an account has few operators and groups."""
    detail = _detail(None, operator, groups)
    return _encode(detail).decode() if detail else None


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows of known kinds together. Returns None if `read` has to read one of them."""
    columns = _row.read_stated(rows)
    if columns is None:
        return None
    field = dict(zip(FundFlow.__struct_fields__, columns, strict=True))
    types, directions, fen = field["transaction_type"], field["fund_flow_type"], field["transaction_amount"]
    has_known_codes = KINDS.keys() >= set(types) and DIRECTIONS.keys() >= set(directions)
    at_us = steps_to_us(field["timestamp"], RULES.resolution)
    if at_us is None or not has_known_codes or min(fen) < 0 or max(fen) > FEN_MAX:
        return None
    balances = field["account_balance"]
    stated_balances = [balance for balance in balances if balance is not None]
    if stated_balances and not -FEN_MAX <= min(stated_balances) <= max(stated_balances) <= FEN_MAX:
        return None
    direction = list(map(_DIRECTION_VALUES.__getitem__, directions))
    groups = list(map(_group_names, field["group_list"]))
    return FlowColumns(
        identity=identity_digests(zip(field["mch_id"], field["request_no"], types, directions, strict=True)),
        at_us=at_us,
        subaccount=field["mch_id"],
        amount=[
            _yuan_text(magnitude if value == _IN else -magnitude)
            for magnitude, value in zip(fen, direction, strict=True)
        ],
        currency=[CURRENCY] * len(rows),
        direction=direction,
        kind=list(map(_KIND_VALUES.__getitem__, types)),
        category=[Category.CASH.value] * len(rows),
        label=[""] * len(rows),
        balance_after=[None if balance is None else _yuan_text(balance) for balance in balances],
        ref=field["request_no"],
        order_ref=field["out_trade_no"],
        note=field["remark"],
        detail=list(map(_detail_text, field["operator_userid"], groups)),
    )


def _yuan_text(fen: int) -> str:
    """Return `_yuan` as plain text. The number has to be within bounds."""
    sign, magnitude = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{magnitude // FEN_PER_YUAN}.{magnitude % FEN_PER_YUAN:02}"


def _yuan(field: str, fen: int) -> Decimal:
    """Return fen as yuan: exact, always with two decimal places."""
    if abs(fen) >= _FEN_END:
        raise WireError(field, f"expected at most {FEN_DIGITS_MAX} digits, got {short_repr(fen)}")
    return Decimal(fen).scaleb(-FEN_PLACES, EXACT)


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

    Raises NotRepresentable for an amount that is not in CNY, not a whole number of fen, or more than FEN_MAX.
    """
    del language  # this API has codes, which are not translated
    if flow.currency != CURRENCY:
        raise NotRepresentable("currency", f"expected {CURRENCY}, got {short_repr(flow.currency)}")
    detail = flow.detail or {}
    operator, groups, code = detail.get(OPERATOR), detail.get(GROUPS), detail.get(TRANSACTION_TYPE)
    return _encode(
        FundFlow(
            timestamp=to_steps(flow.at, RULES.resolution),
            request_no=flow.identity if flow.ref is None else flow.ref,
            transaction_type=code if isinstance(code, int) else KIND_CODES.get(flow.kind, KIND_CODES[Kind.OTHER]),
            fund_flow_type=DIRECTION_CODES[side_of(flow)],
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
    """Return yuan as fen. Raises NotRepresentable for a fraction of a fen, and for more than clients can hold."""
    fen = yuan.scaleb(FEN_PLACES, EXACT)
    if fen != fen.to_integral_value():
        raise NotRepresentable(
            field, f"expected at most {FEN_PLACES} decimal places of {CURRENCY}, got {to_plain_string(yuan)}"
        )
    if abs(fen) > FEN_MAX:
        most = _yuan_text(FEN_MAX)
        raise NotRepresentable(
            field, f"expected at most {most} {CURRENCY}, which all clients can hold, got {to_plain_string(yuan)}"
        )
    return int(fen)
