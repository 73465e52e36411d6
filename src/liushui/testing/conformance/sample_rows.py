"""Rows for both ends of a provider: its golden rows, and rows that its codec writes from invented flows.

By the provider's rules, all of them have times that can be read now.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.provider import UNSERVABLE, DecodedRow, Provider, Slice
from liushui.rules import DayDocument, IdKeyset, Paging, RangeOnly, Rules
from liushui.testing.conformance.assertions import ensure
from liushui.testing.conformance.odd_values import parameter_value
from liushui.testing.golden import cases, samples_of
from liushui.wire.ranges import from_steps, to_steps

ROWS: Final = 120
"""The number of rows of each account. It is more than one page of most providers."""
SPAN: Final = timedelta(days=20)
"""Invented rows are in the newest part of the readable range, or in less if a request must be shorter."""
TRIES_MAX: Final = 100
"""The number of flows that are tried for each row. The API may not be able to represent most of them."""
INSTANTS: Final = 50
"""The number of instants that the rows share, so that most instants have several rows."""

AMOUNTS: Final = ("0.00", "0.01", "-0.01", "12.50", "-248.60", "1000", "-7", "99999999.99", "0.00000001", "-1.230")


def golden_rows(provider: Provider) -> list[DecodedRow]:
    """Every row of the golden pairs that can be decoded."""
    decoded: list[DecodedRow] = []
    for _, wire, _ in cases(samples_of(provider)):
        for row in provider.codec.extract_rows(wire.read_bytes()):
            try:
                decoded.append(provider.codec.read(row))
            except WireError:
                continue
    ensure(bool(decoded), f"{samples_of(provider)}: no row of its answers can be decoded")
    return decoded


def whole_range(rules: Rules[Paging], now: datetime) -> Slice:
    """Return the range that a first sync would read now. Both ends are whole steps of the provider's clock."""
    begin, end = rules.provable(now)
    step = rules.resolution
    first = to_steps(max(begin, rules.history_start) - timedelta(microseconds=1), step) + 1
    return Slice(from_steps(first, step), from_steps(to_steps(min(end, now), step), step))


def recent_range(rules: Rules[Paging], now: datetime) -> Slice:
    """The newest part of the whole range, short enough for one request."""
    since, until = whole_range(rules, now)
    length = min(SPAN, rules.slice_max or SPAN)
    return Slice(max(since, until - length), until)


def provider_rows(provider: Provider, now: datetime) -> list[DecodedRow]:
    """Rows as the provider serves them: golden rows, golden rows moved to another time, and invented ones."""
    since, until = whole_range(provider.rules, now)
    golden = golden_rows(provider)
    random = Random(1)  # noqa: S311 - the same rows in each run
    instants = _instants(provider.rules, now, random)
    servable = [decoded for decoded in golden if decoded.served != UNSERVABLE]
    rows = [decoded.served or decoded.row for decoded in servable if since <= decoded.flow.at < until]
    records = {_record_of(row, provider.rules) for row in rows}
    for _ in range(TRIES_MAX * ROWS):
        if len(rows) >= _row_count(provider.rules):
            break
        moved = _with_other_record_id(random.choice(golden).flow, random)._replace(at=random.choice(instants))
        written = _written(provider, random.choice((moved, invented_flow(golden, instants, random))))
        for row in written:
            record = _record_of(row, provider.rules)
            if provider.rules.id_field is None or record not in records:
                rows.append(row)
                records.add(record)
    ensure(len(rows) > 1, f"{provider.name} cannot write flows like its own golden ones")
    if provider.rules.id_field is None:
        rows += rows[-2:]  # they are equal in every byte, but each is a separate flow
    return [provider.codec.read(row) for row in rows]


def foreign_flows(provider: Provider, now: datetime) -> list[Flow]:
    """Flows of other providers, of every kind that this provider can write. Their times are finer than its clock."""
    golden = golden_rows(provider)
    random = Random(2)  # noqa: S311 - the same flows in each run
    instants = _instants(provider.rules, now, random)
    flows: list[Flow] = []
    for _ in range(TRIES_MAX * ROWS):
        if len(flows) >= _row_count(provider.rules):
            break
        flow = invented_flow(golden, instants, random)
        flow = flow._replace(at=flow.at + random.choice((0, 1)) * provider.rules.resolution // 3)
        if _written(provider, flow):
            flows.append(flow)
    ensure(len(flows) > 1, f"{provider.name} cannot write flows in the currencies of its own golden rows")
    return flows + flows[-2:]  # they are equal in every field, but each is a separate flow


def invented_flow(golden: Sequence[DecodedRow], instants: Sequence[datetime], random: Random) -> Flow:
    """Return a flow in a currency of the golden rows. Half of these flows are plain, half are as odd as possible."""
    like = random.choice(golden).flow
    number = random.randrange(10**9)
    plain = Flow(
        identity=f"made up {number}",
        at=random.choice(instants),
        amount=Decimal(random.choice((-1, 1)) * (number + 1)).scaleb(-2),
        currency=like.currency,
        label="Made up",
        subaccount=like.subaccount,
        symbol=like.symbol,
        ref=str(number),
    )
    odd = plain._replace(
        amount=Decimal(random.choice(AMOUNTS)),
        direction=random.choice(list(Direction)),
        kind=random.choice(list(Kind)),
        category=random.choice(list(Category)),
        subaccount=random.choice(("", "margin", like.subaccount)),
        symbol=random.choice((None, "", "AAPL.US", "700.HK", "BTCUSDT", like.symbol)),
        note=random.choice((None, "", '備註 " \\ \n 😀')),
        balance_after=random.choice((None, Decimal("1000.00"))),
        ref=random.choice((None, "", "R-1", str(number))),
        order_ref=random.choice((None, "O-1")),
    )
    return random.choice((plain, odd))


def _with_other_record_id(flow: Flow, random: Random) -> Flow:
    """Return the flow as another record of the provider, if the provider's record id is its identity."""
    if flow.ref is None or flow.ref != flow.identity:
        return flow
    other = f"{flow.ref}{random.randrange(10**9)}"
    return flow._replace(identity=other, ref=other)


def _row_count(rules: Rules[Paging]) -> int:
    """Return the number of rows of an account; without further pages, few enough for one page."""
    if isinstance(rules.paging, DayDocument):
        return ROWS // 4  # each answer has all rows of a day, independent of the page size
    return min(ROWS, rules.paging.size_max // 3) if isinstance(rules.paging, RangeOnly) else ROWS


def _instants(rules: Rules[Paging], now: datetime, random: Random) -> list[datetime]:
    """Whole steps of the provider's clock: the first and the last of the recent range, and others between them."""
    since, until = recent_range(rules, now)
    step = rules.resolution
    steps = (until - since) // step
    return [since + at * step for at in (0, steps - 1, *(random.randrange(steps) for _ in range(INSTANTS - 2)))]


def _record_of(row: bytes, rules: Rules[Paging]) -> bytes | str:
    """Return what no other row of an account with record ids has: the id if pages begin after an id, else the row
    itself."""
    if rules.id_field is not None and isinstance(rules.paging, IdKeyset):
        return parameter_value(row, rules.id_field)
    return row


def _written(provider: Provider, flow: Flow) -> list[bytes]:
    """Return the flow's row, or nothing if the API cannot represent it."""
    try:
        return [provider.codec.write(flow)]
    except NotRepresentable:
        return []
