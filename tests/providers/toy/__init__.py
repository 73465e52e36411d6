"""A provider in one file, complete at both ends: a piggy bank, GET /toy/movements. Only our tests have it."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlencode

import msgspec

from liushui.conditions import one_of
from liushui.errors import NotRepresentable, WireError
from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.instant import EPOCH
from liushui.money import parse_decimal, to_plain_string
from liushui.provider import (
    CredentialField,
    DecodedRow,
    FlowQuery,
    FlowReader,
    Page,
    PageRequest,
    Provider,
    Route,
)
from liushui.rules import Cursor, Filter, Rate, Rules
from liushui.wire import transport
from liushui.wire.decoding import RowReader, parse_currency, parse_integer
from liushui.wire.errors import ErrorResponse, decode_envelope, parse_tolerantly, provider_error
from liushui.wire.ranges import from_steps, inclusive_ends, to_steps
from liushui.wire.transport import Answer, HttpConnection

NAME, PATH, NEXT = "toy", "/toy/movements", "x-toy-next"
MINUTE, MINUTES_MAX = timedelta(minutes=1), 10**8
PAGES, RATE, FILTERS = Cursor(10, 60), Rate(5, MINUTE), (Filter("coin", "coin"),)
RULES = Rules(PAGES, RATE, MINUTE, EPOCH, 60 * MINUTE, "UTC", filters=FILTERS, time_field="minute", id_field="nr")


class Movement(msgspec.Struct):  # `minute` counts from 1970
    nr: str
    minute: int
    coins: str
    coin: str
    why: str


class Envelope(msgspec.Struct):  # every answer; `error` is 0 where it has rows
    error: int
    reason: str = ""
    rows: list[msgspec.Raw] | None = None


class ToyCodec:  # wire rows <-> flows
    envelope = msgspec.json.Decoder(Envelope, strict=False)
    row = RowReader(Movement, "a movement")

    def extract_rows(self, document: bytes) -> Sequence[bytes]:
        return self.rows_of(Answer(200, {}, document))

    def rows_of(self, answer: Answer) -> Sequence[bytes]:
        rows, split = parse_tolerantly(self._parse, answer, ("rows",))
        return rows if split is None else split

    def _parse(self, answer: Answer) -> Sequence[bytes]:
        found = decode_envelope(self.envelope, answer)
        if found.error or answer.status != 200:  # the number of an error is its HTTP status
            answer = answer._replace(status=found.error or answer.status)
            raise provider_error({}, found.reason, answer, code=found.error)
        return [bytes(row) for row in found.rows or ()]

    def read(self, row: bytes) -> DecodedRow:
        found, documented = self.row.read_lenient(row)
        at = from_steps(parse_integer("minute", str(found.minute), least=0, most=MINUTES_MAX), MINUTE)
        amount, coin = parse_decimal("coins", found.coins), parse_currency("coin", found.coin)
        identity = found.nr.encode().hex()
        return DecodedRow(Flow(identity, at, amount, coin, label=found.why, ref=found.nr), row, documented)

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        minute = to_steps(flow.at, MINUTE)
        if not 0 <= minute <= MINUTES_MAX:
            raise NotRepresentable("minute", f"expected 1970 to 2160, got {flow.at}")
        # Several rows may share another provider's number. An identity belongs to one row.
        nr = flow.ref if flow.ref and flow.identity in ("", flow.ref.encode().hex()) else flow.identity
        return msgspec.json.encode(Movement(nr, minute, to_plain_string(flow.amount), flow.currency, flow.label))


class ToyClient:  # the end that pulls
    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"x-toy-key": transport.check_header_value("key", credentials["key"])}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)

    async def fetch_page(self, request: PageRequest) -> Page:
        if (ends := inclusive_ends(request.slice_, MINUTE)) is None:
            return Page(())
        given = {"first": max(0, ends[0]), "last": ends[1], "size": request.size, "from": request.page_token or ""}
        answer = await self._http.call("GET", PATH, query=urlencode({**given, **request.params}))
        return Page(ToyCodec().rows_of(answer), next_token=answer.headers.get(NEXT))

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()


class ToyServer:  # the end that answers
    routes: Sequence[Route] = (Route("GET", PATH),)

    def estimate_rows(self, request: Request) -> int:
        return RULES.paging.size_max

    def answer(self, request: Request, reader: FlowReader) -> Response:
        try:
            given = request.headers.get("x-toy-key", "")
            key = reader.find_key(NAME, given.partition(".")[0])
            if (request.method, request.route) != ("GET", PATH):
                raise ErrorResponse(404, 404, "nothing is here")
            if key is None or not hmac.compare_digest(given.encode(), key.credentials["key"].encode()):
                raise ErrorResponse(401, 401, "no such key")
            if key.expires_at and reader.now() >= key.expires_at:
                raise ErrorResponse(401, 401, "the key has expired")
            if not reader.admit(key, RULES.rate).admitted:
                raise ErrorResponse(429, 429, "too many calls")
            page = reader.read_page(NAME, query_of(request.query_params(), key.accounts), ToyCodec().write)
        except (WireError, ErrorResponse, NotRepresentable, ValueError) as error:
            status = error.status if isinstance(error, ErrorResponse) else 400
            return Response(status, [], msgspec.json.encode(Envelope(status, str(error))))
        cursor = [(NEXT, page.end_cursor.encode().hex())] if page.end_cursor else []
        return Response(200, cursor, b'{"error":0,"rows":[%b]}' % page.rows)


def query_of(given: Mapping[str, str], accounts: tuple[str, ...]) -> FlowQuery:
    """The parameters of a request. Raises WireError or ValueError."""
    first = parse_integer("first", given.get("first", ""), least=0, most=MINUTES_MAX)
    last = parse_integer("last", given.get("last", ""), least=first, most=MINUTES_MAX)
    size = parse_integer("size", given.get("size", "10"), least=1, most=RULES.paging.size_max)
    where = (one_of("currency", given["coin"]),) if given.get("coin") else ()
    since, until, place = from_steps(first, MINUTE), from_steps(last + 1, MINUTE), bytes.fromhex(given.get("from", ""))
    return FlowQuery(accounts, since, until, size, 0, place.decode(), newest=False, ascending=True, where=where)


PROVIDER = Provider(
    name=NAME,
    title="A toy",
    rules=RULES,
    codec=ToyCodec(),
    server=ToyServer(),
    credentials=(CredentialField("key", "Key", secret=True),),
    base_url="https://toy.example",
    connect=ToyClient,
    new_credentials=lambda random_bytes: {"key": f"{random_bytes(4).hex()}.{random_bytes(16).hex()}"},
    key_name=lambda credentials: credentials["key"].partition(".")[0],
    snippet="",
    auth="a key in a header",
    tested_with="itself",
)
