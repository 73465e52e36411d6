"""serve: 50-row pages over HTTP from `liushui serve`, against a conventional service, and nginx with the same bytes.

All get the same load: signed requests over 32 keep-alive connections, from one thread on the server's own machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from bench.context import ACCOUNT, BenchContext
from bench.load import Generator, Load, Request, fetch
from bench.pages import DEPTH, PAGES, ROWS, Page, check_pages, random_pages, signed, times_of
from bench.peers.nginx import static_pages
from bench.process import LIUSHUI, PYTHON, BenchError, Server, run, serving
from bench.programs import find_program, peer_environment, version_of
from bench.results import Measurement, Ratio, Series
from liushui.testing.processes import free_port

BAR_CONVENTIONAL: Final = 10.0
BAR_DATASETTE: Final = 10.0
BAR_STATIC: Final = 0.15
CONNECTIONS: Final = 32
WORKERS: Final = 2
WHAT: Final = f"{ROWS}-row pages, {CONNECTIONS} connections"


class Contestant(NamedTuple):
    """A measured server. If `credentials` is None, its requests are not signed."""

    name: str
    server: Server
    credentials: Mapping[str, str] | None
    requests: Sequence[Request] = ()

    def requests_for(self, pages: Sequence[Page]) -> Sequence[Request]:
        """The requests for pages, signed now."""
        return self.requests if self.credentials is None else signed(pages, self.credentials)


def measure(context: BenchContext) -> Measurement:
    """Pages a second of each contestant, in turn, once a round."""
    measurement = Measurement("serve")
    measurement.notes.append(
        f"serve: {PAGES} different requests over random ranges of the account, page 1 to {DEPTH}. Each was checked "
        "once to return a full page. The load generator shares the machine's cores with the server"
    )
    load = load_generator(context, measurement)
    pages = random_pages(times_of(context.data(context.options.flows)))
    with ExitStack() as stack:
        contestants = list(_contestants(context, measurement, pages, stack))
        found: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
        cpu_us: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
        for contestant in contestants:  # the first answers are slower
            load.run(contestant.server, contestant.requests_for(pages), connections=CONNECTIONS, seconds=1)
        for number in range(context.options.rounds):
            context.log(f"serve, round {number + 1}")
            for contestant in contestants:
                requests, seconds = contestant.requests_for(pages), context.options.seconds
                before_s = contestant.server.cpu_s()
                answered = load.run(contestant.server, requests, connections=CONNECTIONS, seconds=seconds)
                took_s = contestant.server.cpu_s() - before_s
                found[contestant.name].append(answered)
                cpu_us[contestant.name].append(took_s * 1_000_000 / answered.requests)
    _report(measurement, found, fast=load.wrk is not None)
    _report_cpu(measurement, cpu_us)
    return measurement


def load_generator(context: BenchContext, measurement: Measurement) -> Generator:
    """The load generator of this machine."""
    wrk = find_program("wrk", install=context.options.install, log=context.log)
    if wrk is None:
        measurement.notes.append(
            f"{measurement.name}: wrk is not here, so a slower Python program makes the load: "
            "fast servers look slower than they are"
        )
    return Generator(wrk, context.folder)


@contextmanager
def liushui_serve(context: BenchContext, flows: int | None = None) -> Iterator[Contestant]:
    """`liushui serve` over a synced ledger, and a key without a rate limit."""
    ledger, port = context.ledger(flows), free_port()
    key = context.new_key(ledger)
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", str(WORKERS), "--port", str(port)]
    log = context.folder / f"serve-{ledger.stem}.log"
    with serving([*command, "--socket-port", str(free_port())], port=port, log=log) as server:
        yield Contestant("liushui serve", server, key)


def _contestants(
    context: BenchContext, measurement: Measurement, pages: Sequence[Page], stack: ExitStack
) -> Iterator[Contestant]:
    ours = stack.enter_context(liushui_serve(context))
    bodies = fetch(ours.server, ours.requests_for(pages))
    times = check_pages(ours.name, bodies)
    yield ours
    if find_spec("fastapi") and find_spec("uvicorn"):
        other = stack.enter_context(_conventional(context))
        if check_pages(other.name, fetch(other.server, other.requests_for(pages))) != times:
            raise BenchError(f"{other.name} answers other pages than {ours.name}")
        yield other
        yield from _datasette(context, measurement, pages, times, stack)
    else:
        measurement.notes.append(
            "serve: FastAPI and Uvicorn are not installed: that peer was skipped, and datasette too"
        )
    nginx = find_program("nginx", install=context.options.install, log=context.log)
    if nginx:
        server, requests = stack.enter_context(static_pages(nginx, context.folder / "nginx", bodies))
        if fetch(server, requests) != bodies:
            raise BenchError("nginx answers other bytes than it was given")
        yield Contestant("nginx, static", server, None, requests)
    else:
        measurement.notes.append("serve: nginx is not here and could not be installed: that peer was skipped")


@contextmanager
def _conventional(context: BenchContext) -> Iterator[Contestant]:
    rows, database = context.data(context.options.flows).file, context.folder / "conventional.db"
    context.log("filling the conventional service's tables")
    made = run([PYTHON, "-m", "bench.peers.conventional", str(rows), str(database)])
    credentials = msgspec.json.decode(made.output, type=dict[str, str])
    port = free_port()
    command = [PYTHON, "-m", "uvicorn", "bench.peers.conventional:app", "--workers", str(WORKERS)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    env, log = {"LIUSHUI_BENCH_DATABASE": str(database)}, context.folder / "conventional.log"
    with serving(command, port=port, env=env, log=log) as server:
        yield Contestant("FastAPI, ORM", server, credentials)


def _datasette(
    context: BenchContext,
    measurement: Measurement,
    pages: Sequence[Page],
    times: Sequence[Sequence[str]],
    stack: ExitStack,
) -> Iterator[Contestant]:
    """datasette over the conventional service's table, if it can be installed: the same rows in its own format."""
    python = peer_environment("datasette", install=context.options.install, log=context.log)
    if python is None:
        measurement.notes.append("serve: datasette is not here and could not be installed: that peer was skipped")
        return
    port = free_port()
    command = [python, "-m", "uvicorn", "bench.peers.browse:app", "--workers", str(WORKERS), "--no-access-log"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    env = {"LIUSHUI_BENCH_DATABASE": str(context.folder / "conventional.db")}
    server = stack.enter_context(serving(command, port=port, env=env, log=context.folder / "datasette.log"))
    requests = [
        Request(
            "/conventional/page.json?_shape=array&"
            + urlencode(
                {"account": ACCOUNT, "since": page.since, "until": page.until, "skip": (page.number - 1) * ROWS}
            ),
            {},
        )
        for page in pages
    ]
    answers = [msgspec.json.decode(body, type=list[_Row]) for body in fetch(server, requests)]
    if [[str(row.business_time) for row in rows] for rows in answers] != times:
        raise BenchError("datasette answers other pages than liushui")
    measurement.notes.append(
        f"serve: datasette {version_of(python, 'datasette')} checks no signature and looks up no key"
    )
    yield Contestant("datasette", server, None, requests)


class _Row(msgspec.Struct):
    business_time: int


def _report(measurement: Measurement, found: Mapping[str, Sequence[Load]], *, fast: bool) -> None:
    """`fast` says whether the load generator keeps up with the fastest contestant. If it does not, that ratio has no
    bar."""
    bars = {"FastAPI, ORM": BAR_CONVENTIONAL, "datasette": BAR_DATASETTE} | (
        {"nginx, static": BAR_STATIC} if fast else {}
    )
    rates = {who: Series(WHAT, who, "pages/s", [load.rate for load in loads]) for who, loads in found.items()}
    ours, *peers = rates.values()
    for peer in peers:
        bar = bars.get(peer.who)
        measurement.ratios.append(Ratio(f"serve ÷ {peer.who}", ours, peer, bar, "at least" if bar else "reported"))
    measurement.figures += [ours]
    for who, loads in found.items():
        measurement.figures.append(Series(f"{WHAT}, p50", who, "ms", [load.p50_us / 1_000 for load in loads]))
        measurement.figures.append(Series(f"{WHAT}, p99", who, "ms", [load.p99_us / 1_000 for load in loads]))
        measurement.figures.append(
            Series("the load's own share of a core", who, "%", [load.busy * 100 for load in loads])
        )


def _report_cpu(measurement: Measurement, cpu_us: Mapping[str, Sequence[float]]) -> None:
    """The processor time of the servers for a page. Unlike the rates, other programs hardly affect it."""
    if not all(value for values in cpu_us.values() for value in values):
        return
    what = "the server's processor time for a page"
    ours, *peers = (Series(what, who, "µs", values) for who, values in cpu_us.items())
    measurement.ratios += [Ratio(f"processor time for a page: {peer.who} ÷ ours", peer, ours) for peer in peers]
