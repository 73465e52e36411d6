"""Rows to hold: a provider's own samples, and rows that its codec writes of made-up flows, at times readable now."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.provider import DecodedRow, Provider, Slice
from liushui.rules import Paging, RangeOnly, Rules
from liushui.testing.conformance.ensure import ensure
from liushui.testing.golden import cases, samples_of
from liushui.wire.ranges import from_steps, to_steps

MADE_UP: Final = 120
"""Rows that are made up, of each sort: more than one page of most providers."""
SPAN: Final = timedelta(days=20)
"""The newest part of what can be read, where made-up rows are. Shorter where a request may not be so long."""
TRIES_MAX: Final = 100
"""How many flows are tried for each row: a wire may have no words for most of them."""
MOMENTS: Final = 50
"""Instants that they share: most of them have several rows."""

AMOUNTS: Final = ("0.00", "0.01", "-0.01", "12.50", "-248.60", "1000", "-7", "99999999.99", "0.00000001", "-1.230")


def samples(provider: Provider) -> list[DecodedRow]:
    """Every row of the golden pairs that can be read."""
    found: list[DecodedRow] = []
    for _, wire, _ in cases(samples_of(provider)):
        for row in provider.codec.extract_rows(wire.read_bytes()):
            try:
                found.append(provider.codec.read(row))
            except WireError:
                continue
    ensure(bool(found), f"{samples_of(provider)}: no row of its answers can be read")
    return found


def whole(rules: Rules[Paging], now: datetime) -> Slice:
    """All that can be read now and that a first sync would ask for, from one whole step to another."""
    begin, end = rules.provable(now)
    step = rules.resolution
    first = to_steps(max(begin, rules.history_start) - timedelta(microseconds=1), step) + 1
    return Slice(from_steps(first, step), from_steps(to_steps(min(end, now), step), step))


def recent(rules: Rules[Paging], now: datetime) -> Slice:
    """The newest part of it, short enough for one request."""
    since, until = whole(rules, now)
    length = min(SPAN, rules.slice_max or SPAN)
    return Slice(max(since, until - length), until)


def received(provider: Provider, now: datetime) -> list[DecodedRow]:
    """Rows of the provider: its samples that can be read now, those moved to where they can be, and made-up ones."""
    since, until = whole(provider.rules, now)
    known = samples(provider)
    random = Random(1)  # noqa: S311 - the same rows in each run
    moments = _moments(provider.rules, now, random)
    rows = [came.served or came.row for came in known if since <= came.flow.at < until]
    for _ in range(TRIES_MAX * MADE_UP):
        if len(rows) >= _many(provider.rules):
            break
        moved = random.choice(known).flow._replace(at=random.choice(moments))
        rows += _written(provider, random.choice((moved, made_up(known, moments, random))))
    ensure(len(rows) > 1, f"{provider.name} cannot say flows that are like its own")
    rows += rows[-2:]  # equal in every byte: they are two flows each
    return [provider.codec.read(row) for row in rows]


def foreign(provider: Provider, now: datetime) -> list[Flow]:
    """Flows that came from elsewhere, of every sort that the provider's wire can say. Their clock is finer than its."""
    known = samples(provider)
    random = Random(2)  # noqa: S311 - the same flows in each run
    moments = _moments(provider.rules, now, random)
    flows: list[Flow] = []
    for _ in range(TRIES_MAX * MADE_UP):
        if len(flows) >= _many(provider.rules):
            break
        flow = made_up(known, moments, random)
        flow = flow._replace(at=flow.at + random.choice((0, 1)) * provider.rules.resolution // 3)
        if _written(provider, flow):
            flows.append(flow)
    ensure(len(flows) > 1, f"{provider.name} cannot say flows in currencies of its own samples")
    return flows


def made_up(known: Sequence[DecodedRow], moments: Sequence[datetime], random: Random) -> Flow:
    """A flow in a currency of the samples, which the wire has words for: half of them plain, half as odd as can be."""
    like = random.choice(known).flow
    number = random.randrange(10**9)
    plain = Flow(
        identity=f"made up {number}",
        at=random.choice(moments),
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


def _many(rules: Rules[Paging]) -> int:
    """How many rows are held: where there are no further pages, few enough for one."""
    return min(MADE_UP, rules.paging.size_max // 3) if isinstance(rules.paging, RangeOnly) else MADE_UP


def _moments(rules: Rules[Paging], now: datetime, random: Random) -> list[datetime]:
    """Instants of whole steps: the first and the last of the newest part, and others between them."""
    since, until = recent(rules, now)
    step = rules.resolution
    steps = (until - since) // step
    return [since + at * step for at in (0, steps - 1, *(random.randrange(steps) for _ in range(MOMENTS - 2)))]


def _written(provider: Provider, flow: Flow) -> list[bytes]:
    """The flow's row, in a list; an empty one where the wire has no words for it."""
    try:
        return [provider.codec.write(flow)]
    except NotRepresentable:
        return []
