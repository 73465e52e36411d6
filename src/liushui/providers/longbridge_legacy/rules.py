"""The limits and error codes of Longbridge's first draft, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Refused
from liushui.providers._longbridge import rules

NAME: Final = "longbridge_legacy"

RULES = rules.RULES
"""The draft states no limits, so those of the current service are assumed. Its requests always have page and size."""

BAD_REQUEST, FORBIDDEN, NOT_FOUND, LIMITED = 1470400, 1470403, 1470404, 1470429

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    BAD_REQUEST: Refused,
    FORBIDDEN: AuthError,
    NOT_FOUND: Refused,
    LIMITED: RateLimited,
    **rules.GATEWAY_ERRORS,
}
