"""HTTP requests and responses as values, independent of any server or client library."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from liushui.errors import WireError

JSON_HEADERS: Final = [("content-type", "application/json")]

QUERY_PARAMS_MAX: Final = 100
"""Most parameters that a query may have."""

_NEEDS_DECODING = re.compile(r"[^0-9A-Za-z=&._~-]")
"""Characters with a meaning of their own in a query, such as % and +. Most queries of real clients have none."""


class Request(NamedTuple):
    """One HTTP request.

    Signatures cover `path` and `query`: the query is exactly as sent, the path without escapes, of which documented
    paths have none. Header names are in lower case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    route: str = ""
    """The path as the provider's document prints it: without a mount prefix, and without doubled slashes."""
    trace: str = ""
    """A fresh request id, for providers that return one in each answer."""

    def query_params(self) -> dict[str, str]:
        """The decoded query parameters; of a repeated name the first. Raises WireError if they cannot be decoded."""
        if self.query.count("&") < QUERY_PARAMS_MAX and not _NEEDS_DECODING.search(self.query):
            pairs = [pair.partition("=")[::2] for pair in self.query.split("&") if pair]
        else:
            try:
                pairs = parse_qsl(self.query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMS_MAX)
            except (ValueError, UnicodeError) as error:
                raise WireError("query", f"expected URL-encoded parameters, got {self.query[:80]!r}") from error
        return dict(reversed(pairs))


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
