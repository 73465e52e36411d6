"""Longbridge's documented limits and error codes, as data. MAPPING.md says where each of them is documented."""

from collections.abc import Mapping
from typing import Final

from liushui.errors import AuthError, ProviderError, Refused
from liushui.providers._longbridge import rules

NAME: Final = "longbridge"

RULES = rules.RULES
"""The limits of the service, as this generation's documentation states them."""

ERRORS: Final[Mapping[int, type[ProviderError]]] = {**rules.GATEWAY_ERRORS, 202201: AuthError, 202202: Refused}
