"""Converts Stripe's balance transactions to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Category, Flow, Kind
from liushui.instant import MAX_INSTANT, MIN_INSTANT, from_us, to_us
from liushui.money import DIGITS_MAX, EXACT, to_plain_string
from liushui.provider import UNSERVABLE, DecodedRow, FlowColumns
from liushui.providers.stripe.rules import PLACES, RULES
from liushui.providers.stripe.wire import BalanceTransaction, FeeDetail, Source, parse_page
from liushui.wire.decoding import RowReader, identity_digest, or_none
from liushui.wire.flow_batches import read_columns
from liushui.wire.ranges import parse_steps, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

OBJECT: Final = "balance_transaction"
PAYMENTS: Final = "payments"
BALANCE_TYPES: Final = (PAYMENTS, "issuing", "refund_and_dispute_prefunding", "risk_reserved")

REPORTING_CATEGORY: Final = "stripe:reporting_category"
GROSS: Final = "stripe:gross"
FEE: Final = "stripe:fee"
FEE_DETAILS: Final = "stripe:fee_details"
EXCHANGE_RATE: Final = "stripe:exchange_rate"
"""Keys in Flow.detail. Every received row has the first one. Amounts are text, negative for money that was paid."""

MINOR_MAX: Final = 2**53 - 1
"""The largest amount in minor units that is served. Clients that hold numbers as doubles silently misread larger
ones."""

TYPES: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.RECEIPT: ("charge", "charge"),
    Kind.REFUND: ("refund", "refund"),
    Kind.WITHDRAWAL: ("payout", "payout"),
    Kind.DEPOSIT: ("topup", "topup"),
    Kind.TRANSFER: ("transfer", "transfer"),
    Kind.FEE: ("stripe_fee", "fee"),
    Kind.TAX: ("tax_fee", "tax"),
    Kind.ADJUSTMENT: ("adjustment", "other_adjustment"),
}
"""The type and the reporting_category that are written for each kind."""
OTHER_TYPE: Final = ("other", "other_adjustment")
"""The type and reporting_category for every other kind."""

_KINDS: Final[Mapping[str, Kind]] = {
    "charge": Kind.RECEIPT,
    "payment": Kind.RECEIPT,
    "refund": Kind.REFUND,
    "refund_failure": Kind.REFUND,
    "payment_refund": Kind.REFUND,
    "payment_failure_refund": Kind.REFUND,
    "payment_reversal": Kind.REFUND,
    "connect_collection_transfer": Kind.TRANSFER,
    "stripe_fee": Kind.FEE,
    "stripe_fx_fee": Kind.FEE,
    "tax_fee": Kind.TAX,
    "tax_fund": Kind.TAX,
}
_KINDS_BY_BEGINNING: Final = (
    ("payout_minimum_balance_", Kind.ADJUSTMENT),
    ("payout", Kind.WITHDRAWAL),
    ("topup", Kind.DEPOSIT),
    ("transfer", Kind.TRANSFER),
    ("inbound_transfer", Kind.TRANSFER),
    ("application_fee", Kind.FEE),
    ("reserve", Kind.ADJUSTMENT),
)
_KINDS_BY_END: Final = (("_hold", Kind.ADJUSTMENT), ("_release", Kind.ADJUSTMENT))
_ADJUSTMENTS: Final[Mapping[str, Kind]] = {
    "dispute": Kind.REFUND,
    "dispute_reversal": Kind.REFUND,
    "partial_capture_reversal": Kind.REFUND,
    "fee": Kind.FEE,
}
"""The kinds of the type `adjustment`, by reporting_category."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PLACE = re.compile(r"txn_([0-9a-f]{16})[0-9a-f]{32}")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,99}")
_RATE = re.compile(rb"-?[0-9][0-9.eE+-]{0,63}")
_FEE_FIELDS: Final = len(FeeDetail.__struct_fields__)
_MICROSECOND = timedelta(microseconds=1)
_row = RowReader(
    BalanceTransaction, "a balance transaction", nested_fields=lambda row: _FEE_FIELDS * len(row.fee_details)
)
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[0]


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    transaction, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(transaction), row, documented if _is_servable(transaction) else UNSERVABLE)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    return read_columns(rows, _row, _to_served_flow)


def _to_served_flow(row: BalanceTransaction) -> Flow:
    """Return `to_flow` of a row that is served as received. Raises WireError for other rows too."""
    if not _is_servable(row):
        raise WireError("amount", f"expected at most {MINOR_MAX} minor units, got more")
    if row.exchange_rate is not UNSET and bytes(row.exchange_rate)[:1] == b'"':
        raise WireError("exchange_rate", "expected a number, got text")
    return to_flow(row)


def _is_servable(row: BalanceTransaction) -> bool:
    """Whether clients can hold all amounts of a row. Its fees have to be valid."""
    largest = max(abs(row.amount), abs(row.fee), abs(row.net))
    return largest <= MINOR_MAX and all(abs(_fee_amount(detail)) <= MINOR_MAX for detail in row.fee_details)


def to_flow(row: BalanceTransaction) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    if _ID.fullmatch(row.id) is None:
        raise WireError("id", f"expected an id of 1 to 255 letters, digits, _ and -, got {short_repr(row.id)}")
    if row.net != row.amount - row.fee:
        raise WireError(
            "net", f"expected amount - fee, which is {short_repr(row.amount)} - {short_repr(row.fee)}, got {row.net}"
        )
    currency = row.currency.upper()
    return Flow(
        identity=row.id,
        at=parse_steps("created", row.created, RULES.resolution),
        amount=_major("net", row.net, "currency", currency),
        currency=currency,
        kind=kind_of(row.type, row.reporting_category),
        category=Category.CASH,
        label=row.type,
        subaccount=PAYMENTS if row.balance_type is UNSET else row.balance_type,
        settled_at=parse_steps("available_on", row.available_on, RULES.resolution),
        ref=row.id,
        order_ref=row.source.id if isinstance(row.source, Source) else or_none(row.source),
        note=or_none(row.description),
        detail=_detail(row, currency),
    )


def kind_of(type_: str, reporting_category: str) -> Kind:
    """Return the kind of a row. The list of types is open."""
    if type_ == "adjustment":
        return _ADJUSTMENTS.get(reporting_category, Kind.ADJUSTMENT)
    if type_ in _KINDS:
        return _KINDS[type_]
    for beginning, kind in _KINDS_BY_BEGINNING:
        if type_.startswith(beginning):
            return kind
    return next((kind for end, kind in _KINDS_BY_END if type_.endswith(end)), Kind.OTHER)


def _detail(row: BalanceTransaction, currency: str) -> dict[str, object]:
    """Return Flow.detail: the legs of a row with a fee, and values without a field in Flow."""
    detail: dict[str, object] = {REPORTING_CATEGORY: row.reporting_category}
    if row.fee or row.fee_details:
        detail[GROSS] = to_plain_string(_major("amount", row.amount, "currency", currency))
        detail[FEE] = to_plain_string(_major("fee", -row.fee, "currency", currency))
    if row.fee_details:
        detail[FEE_DETAILS] = [_fee_record(fee) for fee in row.fee_details]
    rate = b"null" if row.exchange_rate is UNSET else bytes(row.exchange_rate)
    if rate != b"null":
        if _RATE.fullmatch(rate) is None:
            raise WireError("exchange_rate", f"expected a number or null, got {short_repr(rate[:60].decode())}")
        detail[EXCHANGE_RATE] = rate.decode()
    return detail


def _fee_record(fee: FeeDetail) -> dict[str, object]:
    """Return a fee as Flow.detail has it."""
    currency = fee.currency.upper()
    return {
        "amount": to_plain_string(_major("fee_details", -_fee_amount(fee), "fee_details", currency)),
        "application": fee.application,
        "currency": currency,
        "description": fee.description,
        "type": fee.type,
    }


def _fee_amount(fee: FeeDetail) -> int:
    """Return the amount of a fee in minor units."""
    if isinstance(fee.amount, int):
        return fee.amount
    if _WHOLE.fullmatch(fee.amount) is None:
        raise WireError("fee_details", f"expected an amount that is an integer, got {short_repr(fee.amount)}")
    return int(fee.amount)


def _major(field: str, minor: int, currency_field: str, currency: str) -> Decimal:
    """Return an amount in minor units as an exact amount of the currency, with all decimal places that Stripe gives the
    currency."""
    places = PLACES.get(currency)
    if places is None:
        raise WireError(
            currency_field, f"expected a currency whose minor unit is known, got {short_repr(currency.lower())}"
        )
    if abs(minor) >= 10 ** (DIGITS_MAX - places):
        raise WireError(field, f"expected at most {DIGITS_MAX - places} digits, got {short_repr(minor)}")
    return Decimal(minor).scaleb(-places, EXACT)


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

    Raises NotRepresentable if the service does not have the currency, or if the amount is finer than the currency's
    minor unit or exceeds MINOR_MAX.
    """
    del language  # the service has one language
    detail = flow.detail or {}
    reporting_category = detail.get(REPORTING_CATEGORY)
    is_own = isinstance(reporting_category, str)
    type_, category = TYPES.get(flow.kind, OTHER_TYPE)
    net = _minor("amount", flow.amount, flow.currency)
    fee = -_minor("fee", Decimal(str(detail.get(FEE, "0"))), flow.currency)
    if abs(net + fee) > MINOR_MAX:
        raise NotRepresentable("amount", f"expected at most {MINOR_MAX} minor units before fees, got {net + fee}")
    created = to_steps(flow.at, RULES.resolution)
    available_on = created if flow.settled_at is None else to_steps(flow.settled_at, RULES.resolution)
    rate = detail.get(EXCHANGE_RATE)
    return _encode(
        BalanceTransaction(
            id=flow.ref if is_own and flow.ref else place_id(flow),
            object=OBJECT,
            amount=net + fee,
            available_on=available_on,
            balance_type=flow.subaccount if is_own or flow.subaccount in BALANCE_TYPES else PAYMENTS,
            created=created,
            currency=flow.currency.lower(),
            description=flow.note,
            exchange_rate=Raw(rate.encode()) if isinstance(rate, str) else Raw(b"null"),
            fee=fee,
            fee_details=_fee_details(detail.get(FEE_DETAILS)),
            net=net,
            reporting_category=reporting_category if isinstance(reporting_category, str) else category,
            source=flow.order_ref,
            status="pending" if available_on > created else "available",
            type=flow.label if is_own else type_,
        )
    )


def _fee_details(details: object) -> list[FeeDetail]:
    return [
        FeeDetail(
            amount=-_minor("fee_details", Decimal(fee["amount"]), fee["currency"]),
            application=or_none(fee.get("application")),
            currency=fee["currency"].lower(),
            description=or_none(fee.get("description")),
            type=fee["type"],
        )
        for fee in (details if isinstance(details, list) else ())
    ]


def _minor(field: str, amount: Decimal, currency: str) -> int:
    """Return an amount in minor units."""
    places = PLACES.get(currency)
    if places is None:
        raise NotRepresentable("currency", f"expected a currency that Stripe has, got {short_repr(currency)}")
    minor = amount.scaleb(places, EXACT)
    if minor != minor.to_integral_value():
        raise NotRepresentable(
            field, f"expected at most {places} decimal places of {currency}, got {to_plain_string(amount)}"
        )
    if abs(minor) > MINOR_MAX:
        raise NotRepresentable(
            field,
            f"expected at most {MINOR_MAX} minor units, which all clients can hold, got {to_plain_string(amount)}",
        )
    return int(minor)


# ---------------------------------------------------------------- ids of other providers' flows


def place_id(flow: Flow) -> str:
    """Return the id for a flow of another provider. It contains the flow's instant, so that the server can find the
    flow again."""
    at_us = (flow.at - MIN_INSTANT) // _MICROSECOND
    facts = (flow.identity,) if flow.identity else (flow.ref, flow.kind.value, str(flow.balance_after))
    return f"txn_{at_us:016x}{identity_digest(facts)}"


def instant_in(id_: str) -> datetime | None:
    """Return the instant in an id that `place_id` made. Returns None for another form of id."""
    match = _PLACE.fullmatch(id_)
    if match is None:
        return None
    at_us = to_us(MIN_INSTANT) + int(match[1], 16)
    return from_us(at_us) if at_us <= to_us(MAX_INSTANT) else None
