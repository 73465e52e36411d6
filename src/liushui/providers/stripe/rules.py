"""Stripe: documented limits, minor units and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import FeeLeg, Filter, IdKeyset, LinkRules, Rate, RecordId, Rules, Uniqueness

NAME: Final = "stripe"

RULES: Final = Rules(
    paging=IdKeyset(size_default=10, size_max=100),
    rate=Rate(calls=25, per=timedelta(seconds=1)),
    resolution=timedelta(seconds=1),
    history_start=datetime(2010, 1, 1, tzinfo=UTC),
    time_field="created",
    id_field="id",
    record_id=RecordId(Uniqueness.RECORD, fields=("id",)),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=5),
    zone="UTC",
    links=LinkRules(pays_out=True),
    filters=(Filter("type", "type"), Filter("currency", "currency")),
    balances=None,
    fee_legs=(FeeLeg("stripe:fee"),),
)

_TWO_PLACES: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP
CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD KES
KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD
PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
TTD TWD TZS UAH UGX USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_PLACES: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_PLACES: Final = "BHD JOD KWD OMR TND"

PLACES: Final[Mapping[str, int]] = {
    **dict.fromkeys(_TWO_PLACES.split(), 2),
    **dict.fromkeys(_NO_PLACES.split(), 0),
    **dict.fromkeys(_THREE_PLACES.split(), 3),
}
"""Decimal places of an amount in minor units, by currency. ISK and UGX have no minor unit, but have two places here,
because the service multiplies their amounts by 100."""

ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "account_invalid": AuthError,
    "api_key_expired": AuthError,
    "lock_timeout": RateLimited,
    "parameter_invalid_empty": Refused,
    "parameter_invalid_integer": Refused,
    "parameter_unknown": Refused,
    "platform_api_key_expired": AuthError,
    "rate_limit": RateLimited,
    "resource_missing": Refused,
    "secret_key_required": AuthError,
}
"""Error classes by the `code` of an error."""

ERROR_TYPES: Final[Mapping[str, type[ProviderError]]] = {
    "api_error": Unavailable,
    "authentication_error": AuthError,
    "card_error": Refused,
    "idempotency_error": Refused,
}
"""Error classes by the `type` of an error, if its `code` decides nothing. For other types the HTTP status decides."""
