"""HTTP as values: a request and a response, without a server or a client behind them."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from liushui.errors import WireError

QUERY_PARAMS_MAX: Final = 100

_NEEDS_DECODING = re.compile(r"[^0-9A-Za-z=&._~-]")
"""What stands in a query only encoded, or with a meaning of its own. Most queries of real clients have none of it."""


JSON_HEADERS: Final = [("content-type", "application/json")]
"""Headers of a body in JSON."""


class Request(NamedTuple):
    """One request. `path` and `query` are raw, for signatures are made over them; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    route: str = ""
    """The path as the provider's document prints it: without a mount prefix or doubled slashes."""
    trace: str = ""
    """A fresh id, for dialects that name one in each answer."""

    def query_params(self) -> dict[str, str]:
        """The query's parameters, decoded; of a repeated one the first. Raises WireError where it cannot be decoded."""
        if self.query.count("&") < QUERY_PARAMS_MAX and not _NEEDS_DECODING.search(self.query):
            pairs = [pair.partition("=")[::2] for pair in self.query.split("&") if pair]
            return dict(reversed(pairs))
        try:
            pairs = parse_qsl(self.query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMS_MAX)
        except (ValueError, UnicodeError) as error:
            raise WireError("query", f"expected URL-encoded parameters, got {self.query[:80]!r}") from error
        found: dict[str, str] = {}
        for name, value in pairs:
            found.setdefault(name, value)
        return found


class Response(NamedTuple):
    """One answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
