"""Ten thousand malformed requests.

Each must get a valid answer, and no answer may look like a failure of the server.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Final, cast
from urllib.parse import parse_qsl

import msgspec

from liushui.errors import LiushuiError, ProviderError, Unavailable, WireError
from liushui.http import Request, Response
from liushui.provider import MOUNT, Client, PageRequest, Provider
from liushui.providers import load_providers
from liushui.rules import DayDocument
from liushui.server.rsgi_app import DialectRouter
from liushui.testing.conformance.assertions import ensure
from liushui.testing.conformance.both_ends import Checks, MemoryPair, has_rows
from liushui.testing.conformance.odd_values import (
    ODD_JSON,
    ODD_TEXTS,
    break_bytes,
    break_text,
    odd_json,
    odd_text,
)
from liushui.testing.transport import Exchange

REQUESTS: Final = 5_000
"""Requests of each kind."""
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "", "TRACE")
HEADERS: Final = ("content-type", "accept-language", "accept", "range", "host", "cookie", "x-forwarded-for", "expect")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RequestChecks(Checks):
    """How a server handles requests. A failed check names the seed and the number of its request."""

    seed: ClassVar[int] = 1

    def test_signed_requests_with_odd_parameters(self, memory: MemoryPair) -> None:
        """The client signs correctly, but with parameters that no client would send."""
        endpoint, judge = memory.endpoint, Judge(memory)
        names = [*judge.names, *(one.parameter for one in self.provider.rules.filters), "liushui_unheard_of"]

        async def ask(client: Client) -> None:
            for number in range(self._count):
                random = self._random("signed", number)
                part = {random.choice(names): self._odd(random, judge) for _ in range(random.randrange(1, 4))}
                size = random.choice((0, 1, 50, endpoint.size_max, endpoint.size_max + 1, -1, 10**30))
                memory.transport.exchanges.clear()
                try:
                    await client.fetch_page(
                        PageRequest(endpoint.recent, size, params=part, newest=random.choice((True, False)))
                    )
                except LiushuiError:
                    pass  # the answer is checked below
                except Exception as error:
                    if not memory.transport.exchanges and not all(isinstance(value, str) for value in part.values()):
                        continue  # a client may refuse parameters that are not text
                    error.add_note(f"seed {self.seed}, signed request {number}: {part!r}")
                    raise
                ensure(
                    bool(memory.transport.exchanges),
                    f"seed {self.seed}, signed request {number} was not sent: {part!r}",
                )
                for exchange in memory.transport.exchanges:
                    judge.check(exchange, f"seed {self.seed}, signed request {number}")

        memory.run(ask)

    def test_broken_requests(self, memory: MemoryPair) -> None:
        """A client's requests with changed methods, paths, queries, headers and bodies."""
        judge = Judge(memory)
        dialects = DialectRouter({**load_providers(), self.provider.name: self.provider}, memory.reader)
        for number in range(self._count):
            random = self._random("broken", number)
            request = broken(random, random.choice(judge.requests), judge.names, self.provider)
            found = dialects.find(request.path)
            route = found[1] if found and found[0].name == self.provider.name else request.path
            request = request._replace(route=route)
            try:
                response = dialects.answer(self.provider, request)
            except Exception as error:
                error.add_note(f"seed {self.seed}, broken request {number}: {request!r}")
                raise
            judge.check(Exchange(request, response), f"seed {self.seed}, broken request {number}")

    @property
    def _count(self) -> int:
        """Return the number of requests of each kind. It is small if each answer contains all rows of a day."""
        return REQUESTS // 10 if isinstance(self.provider.rules.paging, DayDocument) else REQUESTS

    def _odd(self, random: Random, judge: "Judge") -> str:
        """Return a value for a parameter: any JSON if parameters are sent in a JSON body, otherwise text."""
        return cast("str", random.choice(ODD_JSON)) if judge.sends_json and random.randrange(2) else odd_text(random)

    def _random(self, kind: str, number: int) -> Random:
        """Return the generator of one request, so that the request can be repeated without the earlier ones."""
        return Random(f"{self.seed} {kind} {number}")  # noqa: S311 - the same requests in each run


class Judge:
    """Decides whether an answer is one that the provider could give."""

    def __init__(self, memory: MemoryPair) -> None:
        """Let a client fetch a page. This shows which requests it sends, and which routes have rows."""
        self._provider = memory.endpoint.provider
        memory.run(lambda client: client.fetch_page(PageRequest(memory.endpoint.recent, memory.endpoint.at_least(10))))
        self.requests = [exchange.request for exchange in memory.transport.exchanges]
        self.sends_json = any(_is_object(request.body) for request in self.requests)
        self.names = sorted({name for request in self.requests for name in _names(request)})
        self._row_routes = {
            (exchange.request.method, exchange.request.route)
            for exchange in memory.transport.exchanges
            if has_rows(self._provider, exchange.response.body)
        }
        ensure(bool(self._row_routes), "no answer to a client that asked for a page is one of rows")

    def check(self, exchange: Exchange, what: str) -> None:
        """Raise AssertionError for an invalid answer, or for an answer that reports a failure of the server."""
        request, response = exchange
        fault = self._fault(request, response)
        ensure(not fault, f"{what}: {fault}: {request!r} was answered with {response.status} {response.body[:300]!r}")

    def _fault(self, request: Request, response: Response) -> str:
        if not 200 <= response.status < 500:
            return "an HTTP status of a server that is broken"
        if not all(f"{name}{value}".isascii() and f"{name}{value}".isprintable() for name, value in response.headers):
            return "a header that HTTP cannot carry"
        try:
            self._provider.codec.extract_rows(response.body)
        except Unavailable:
            return "an error that says that the server is broken"
        except ProviderError:
            return ""
        except WireError as error:
            leads_on = (request.method, request.route) not in self._row_routes and response.status == 200
            return "" if leads_on and _is_object(response.body) else f"no answer of this provider ({error})"
        return "" if response.status == 200 else "rows with an HTTP status of an error"


def broken(random: Random, request: Request, names: Sequence[str], provider: Provider) -> Request:
    """The request with one to three of its parts changed."""
    for _ in range(random.randrange(1, 4)):
        match random.randrange(7):
            case 0:
                request = request._replace(method=random.choice(METHODS))
            case 1:
                request = request._replace(path=_broken_path(random, request.path, provider))
            case 2:
                request = request._replace(query=break_text(random, request.query))
            case 3:
                request = request._replace(query=_odd_query(random, request.query, names))
            case 4 | 5:
                request = request._replace(headers=_broken_headers(random, request.headers))
            case _:
                request = request._replace(body=_broken_body(random, request.body, names))
    return request


def _names(request: Request) -> list[str]:
    """The names of a request's parameters, in its query and its body."""
    names = [name for name, _ in parse_qsl(request.query, keep_blank_values=True)]
    return names + (list(_object.decode(request.body)) if _is_object(request.body) else [])


def _is_object(body: bytes) -> bool:
    try:
        _object.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def _broken_path(random: Random, path: str, provider: Provider) -> str:
    others = [route.path for route in provider.server.routes]
    mounted = f"{MOUNT}{provider.name}{path}"
    return random.choice((f"/{path}", f"{path}/", mounted, path.upper(), break_text(random, path), *others))


def _odd_query(random: Random, query: str, names: Sequence[str]) -> str:
    """Return the query with one more parameter, or with one parameter twice. The value is not always encoded."""
    name = random.choice((*names, "liushui_unheard_of"))
    more = f"{name}={odd_text(random)}"
    return random.choice(
        (f"{more}&{query}", f"{query}&{more}", more, query.replace("&", ";"), query.replace("=", "[]="))
    )


def _broken_headers(random: Random, headers: Mapping[str, str]) -> dict[str, str]:
    changed = dict(headers)
    name = random.choice((*changed, *HEADERS))
    match random.randrange(3):
        case 0:
            changed.pop(name, None)
        case 1:
            changed[name] = break_text(random, changed.get(name, ""))
        case _:
            changed[name] = random.choice(ODD_TEXTS)
    return changed


def _broken_body(random: Random, body: bytes, names: Sequence[str]) -> bytes:
    if random.randrange(2) and _is_object(body):
        return odd_json(random, body, names)
    return break_bytes(random, body or random.choice((b"{}", b"[]", b"a=1", b"\xff")))
