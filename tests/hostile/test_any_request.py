"""Requests that no page makes: every route with extreme dates, broken texts and wrong methods. None is an internal
error."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from litestar.routes import HTTPRoute

from liushui.export.formats import FORMATS
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.server.security_headers import ERROR_HEADERS
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger
from tests.web.visitor import SAME_SITE, Answer, Visitor, visiting

ENDLESS: Final = "/api/v1/events"
ENDS_THE_VISIT: Final = ("/logout", "/keys/sessions", "/login")
OTHER_DOWNLOADS: Final = tuple(f"/flows/download.{one.address}" for one in FORMATS.values() if one.address != "csv")
SEED: Final = 20_260_101
READ_NO_QUERY: Final = ("/static", "/providers", "/api/v1/docs", "/api/v1/openapi.json")
ENDS_OF_TIME: Final = ("0001-01-01", "9999-12-31")
PATH_TEXTS: Final = (
    "a",
    "nobody",
    "0001-01",
    "9999-12",
    "10000-01",
    "9999-12-31",
    "%00",
    "a%00b",
    "%FF",
    "%0A",
    "..",
    "x" * 300,
)
QUERY_TEXTS: Final = (
    *("", "\0", "a\0b", "\x1b[2J", "\u202e", "9" * 400, "-1", "NaN", "1e999999", "≈ 88", "≈ NaN", "≈ 1e1000000"),
    *("0001-01", "9999-12", "2026-02-30", "Mars/Base", "UTC", "nobody", "a", "[]", "{}", "1", "day", "all"),
)
NAMES: Final = (
    *("account", "after", "all", "amount_max", "amount_min", "amount_near", "as_of", "at", "before", "by", "category"),
    *("code", "columns", "currency", "cursor", "direction", "finding", "from", "id", "key", "kind", "limit", "month"),
    *("next", "order", "period", "row", "since", "state", "subaccount", "text", "to", "unit", "until", "user", "view"),
    *("year", "zone"),
)
"""Parameters of the page and the API."""
DATES: Final = ("at", "since", "until", "from", "to", "as_of", "month", "day", "year", "period", "after", "before")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Visitor]:
    """A visitor who is logged in, with flows of one account."""
    ledger = new_ledger(tmp_path, "a")
    commit_read(ledger, hours(0, 48), make_row("one", 1), make_row("two", 2, "-5"))
    with visiting(ledger) as visitor:
        visitor.log_in()
        yield visitor
    ledger.close()


def routes(visitor: Visitor, *methods: str) -> list[tuple[str, str]]:
    """Each route with its parameters in braces, and its method."""
    found = {
        (str(method), route.path_format)
        for route in visitor.client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in map(str, handler.http_methods)
    }
    return sorted(one for one in found if one[0] in methods and one[1] != ENDLESS)


def filled(path: str, text: str) -> str:
    """A route's path with a text for each of its parameters."""
    return re.sub(r"\{[^}]*\}", lambda _: text, path)


def faults_of(answer: Answer) -> list[str]:
    """What is wrong with an answer: an internal error, or an error without the headers of errors."""
    if answer.status_code < 400:
        return []
    faults = [f"{answer.status_code}"] if answer.status_code >= 500 else []
    # The reference of the API has its own policy, because its program needs inline styles.
    faults += [f"no {name}" for name in ERROR_HEADERS if name not in answer.headers]
    return faults if answer.headers.get("cache-control") == "no-store" else [*faults, "may be cached"]


def test_no_date_is_too_early_or_too_late(guest: Visitor) -> None:
    bearer, found = bearer_of(guest.ledger), []
    for _, path in routes(guest, "GET"):
        if path.startswith((*ENDS_THE_VISIT, *READ_NO_QUERY, *OTHER_DOWNLOADS)):
            continue
        headers = bearer if path.startswith("/api/") else {}
        named = re.sub(r"\{(account|name)[^}]*\}", "a", path)
        for account in ("a", "9999-12", "0001-01") if "{" in named else ("a",):
            address = filled(named, account)
            for text in ENDS_OF_TIME:
                for name in DATES if account == "a" else ("at",):
                    url = f"{address}?{name}={quote(text)}"
                    found += [(fault, url) for fault in faults_of(guest.client.get(url, headers=headers))]
    assert not found


def bearer_of(ledger: Ledger) -> dict[str, str]:
    """The header of a token with every right."""
    token = create_token(ledger, names=None, scopes=list(Scope), calls_per_minute=1_000_000)
    return {"authorization": f"Bearer {token.text}"}


def requests_of(visitor: Visitor) -> Iterator[tuple[str, str, dict[str, str]]]:
    """For each route some requests: method, address, and form."""
    chance = random.Random(SEED)
    for method, path in routes(visitor, "GET", "POST", "PUT", "PATCH", "DELETE"):
        if path.startswith(ENDS_THE_VISIT):
            continue
        for _ in range(6):
            query = "&".join(f"{chance.choice(NAMES)}={quote(chance.choice(QUERY_TEXTS))}" for _ in range(3))
            form = {chance.choice(NAMES): chance.choice(QUERY_TEXTS) for _ in range(4)}
            sent = method if chance.random() < 0.8 else chance.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
            yield sent, f"{filled(path, chance.choice(PATH_TEXTS))}?{query}", form


def test_no_request_is_an_internal_error(guest: Visitor) -> None:
    bearer = bearer_of(guest.ledger)
    token, found = guest.token(), []
    for method, address, form in requests_of(guest):
        headers = bearer if address.startswith("/api/") else SAME_SITE
        if method in ("GET", "HEAD"):
            answer = guest.client.request(method, address, headers=headers)
        elif address.startswith("/api/"):
            answer = guest.client.request(method, address, headers=headers, json=form)
        else:
            answer = guest.client.request(method, address, headers=headers, data={"csrf_token": token, **form})
        found += [(fault, method, address, form) for fault in faults_of(answer)]
    assert not found
