"""serve: 50-row pages over HTTP from `liushui serve`, against a conventional service, and nginx with the same bytes.

One load for all: signed requests over 32 keep-alive connections, one thread, which shares the machine with the server.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from bench.environment import environment, version_of
from bench.load import Generator, Load, Request, fetch
from bench.pages import DEPTH, PAGES, ROWS, Page, check_pages, random_pages, signed, times_of
from bench.peers.nginx import static_pages
from bench.process import LIUSHUI, PYTHON, BenchError, Server, run, serving
from bench.results import Outcome, Ratio, Series
from bench.setting import ACCOUNT, Setting
from bench.tools import tool
from liushui.testing.server import free_port

BAR_CONVENTIONAL: Final = 10.0
BAR_DATASETTE: Final = 10.0
BAR_STATIC: Final = 0.15
CONNECTIONS: Final = 32
WORKERS: Final = 2
WHAT: Final = f"{ROWS}-row pages, {CONNECTIONS} connections"


class Contestant(NamedTuple):
    """A server that is asked. `credentials` None: its requests are not signed."""

    name: str
    server: Server
    credentials: Mapping[str, str] | None
    requests: Sequence[Request] = ()

    def requests_for(self, pages: Sequence[Page]) -> Sequence[Request]:
        """What to send, signed now."""
        return self.requests if self.credentials is None else signed(pages, self.credentials)


def measure(setting: Setting) -> Outcome:
    """Pages a second of each, once a round, in turn."""
    outcome = Outcome("serve")
    outcome.notes.append(
        f"serve: {PAGES} different requests over random ranges of the account, page 1 to {DEPTH}. Each was checked "
        "once to return a full page. The load generator shares the machine's cores with the server"
    )
    load = load_generator(setting, outcome)
    pages = random_pages(times_of(setting.data(setting.options.flows)))
    with ExitStack() as stack:
        contestants = list(_contestants(setting, outcome, pages, stack))
        found: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
        cpu_us: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
        for contestant in contestants:  # the first answers are slower
            load.run(contestant.server, contestant.requests_for(pages), connections=CONNECTIONS, seconds=1)
        for number in range(setting.options.rounds):
            setting.say(f"serve, round {number + 1}")
            for contestant in contestants:
                requests, seconds = contestant.requests_for(pages), setting.options.seconds
                before_s = contestant.server.cpu_s()
                answered = load.run(contestant.server, requests, connections=CONNECTIONS, seconds=seconds)
                took_s = contestant.server.cpu_s() - before_s
                found[contestant.name].append(answered)
                cpu_us[contestant.name].append(took_s * 1_000_000 / answered.requests)
    _report(outcome, found, fast=load.wrk is not None)
    _report_cpu(outcome, cpu_us)
    return outcome


def load_generator(setting: Setting, outcome: Outcome) -> Generator:
    """What makes the load here."""
    wrk = tool("wrk", install=setting.options.install, say=setting.say)
    if wrk is None:
        outcome.notes.append(
            f"{outcome.name}: wrk is not here, so a slower Python program makes the load: "
            "fast servers look slower than they are"
        )
    return Generator(wrk, setting.folder)


@contextmanager
def liushui_serve(setting: Setting, flows: int | None = None) -> Iterator[Contestant]:
    """`liushui serve` over a collected ledger, and a key of it that is held to no rate."""
    ledger, port = setting.ledger(flows), free_port()
    key = setting.new_key(ledger)
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", str(WORKERS), "--port", str(port)]
    log = setting.folder / f"serve-{ledger.stem}.log"
    with serving([*command, "--socket-port", str(free_port())], port=port, log=log) as server:
        yield Contestant("liushui serve", server, key)


def _contestants(setting: Setting, outcome: Outcome, pages: Sequence[Page], stack: ExitStack) -> Iterator[Contestant]:
    ours = stack.enter_context(liushui_serve(setting))
    bodies = fetch(ours.server, ours.requests_for(pages))
    times = check_pages(ours.name, bodies)
    yield ours
    if find_spec("fastapi") and find_spec("uvicorn"):
        other = stack.enter_context(_conventional(setting))
        if check_pages(other.name, fetch(other.server, other.requests_for(pages))) != times:
            raise BenchError(f"{other.name} answers other pages than {ours.name}")
        yield other
        yield from _datasette(setting, outcome, pages, times, stack)
    else:
        outcome.notes.append("serve: FastAPI and Uvicorn are not installed: that peer was skipped, and datasette too")
    nginx = tool("nginx", install=setting.options.install, say=setting.say)
    if nginx:
        server, requests = stack.enter_context(static_pages(nginx, setting.folder / "nginx", bodies))
        if fetch(server, requests) != bodies:
            raise BenchError("nginx answers other bytes than it was given")
        yield Contestant("nginx, static", server, None, requests)
    else:
        outcome.notes.append("serve: nginx is not here and could not be installed: that peer was skipped")


@contextmanager
def _conventional(setting: Setting) -> Iterator[Contestant]:
    rows, database = setting.data(setting.options.flows).file, setting.folder / "conventional.db"
    setting.say("filling the conventional service's tables")
    made = run([PYTHON, "-m", "bench.peers.conventional", str(rows), str(database)])
    credentials = msgspec.json.decode(made.output, type=dict[str, str])
    port = free_port()
    command = [PYTHON, "-m", "uvicorn", "bench.peers.conventional:app", "--workers", str(WORKERS)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    env, log = {"LIUSHUI_BENCH_DATABASE": str(database)}, setting.folder / "conventional.log"
    with serving(command, port=port, env=env, log=log) as server:
        yield Contestant("FastAPI, ORM", server, credentials)


def _datasette(
    setting: Setting, outcome: Outcome, pages: Sequence[Page], times: Sequence[Sequence[str]], stack: ExitStack
) -> Iterator[Contestant]:
    """datasette over the conventional service's table, where it can be had: the same rows, in a shape of its own."""
    python = environment("datasette", install=setting.options.install, say=setting.say)
    if python is None:
        outcome.notes.append("serve: datasette is not here and could not be installed: that peer was skipped")
        return
    port = free_port()
    command = [python, "-m", "uvicorn", "bench.peers.browse:app", "--workers", str(WORKERS), "--no-access-log"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    env = {"LIUSHUI_BENCH_DATABASE": str(setting.folder / "conventional.db")}
    server = stack.enter_context(serving(command, port=port, env=env, log=setting.folder / "datasette.log"))
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
    outcome.notes.append(f"serve: datasette {version_of(python, 'datasette')} checks no signature and looks up no key")
    yield Contestant("datasette", server, None, requests)


class _Row(msgspec.Struct):
    business_time: int


def _report(outcome: Outcome, found: Mapping[str, Sequence[Load]], *, fast: bool) -> None:
    """`fast`: the load could follow the fastest contestant; else its ratio is shown, and held against no bar."""
    bars = {"FastAPI, ORM": BAR_CONVENTIONAL, "datasette": BAR_DATASETTE} | (
        {"nginx, static": BAR_STATIC} if fast else {}
    )
    rates = {who: Series(WHAT, who, "pages/s", [load.rate for load in loads]) for who, loads in found.items()}
    ours, *peers = rates.values()
    for peer in peers:
        bar = bars.get(peer.who)
        outcome.ratios.append(Ratio(f"serve ÷ {peer.who}", ours, peer, bar, "at least" if bar else "reported"))
    outcome.figures += [ours]
    for who, loads in found.items():
        outcome.figures.append(Series(f"{WHAT}, p50", who, "ms", [load.p50_us / 1_000 for load in loads]))
        outcome.figures.append(Series(f"{WHAT}, p99", who, "ms", [load.p99_us / 1_000 for load in loads]))
        outcome.figures.append(Series("the load's own share of a core", who, "%", [load.busy * 100 for load in loads]))


def _report_cpu(outcome: Outcome, cpu_us: Mapping[str, Sequence[float]]) -> None:
    """What the servers alone took for a page: other programs on the machine hardly move it, unlike the rates."""
    if not all(value for values in cpu_us.values() for value in values):
        return
    what = "the server's processor time for a page"
    ours, *peers = (Series(what, who, "µs", values) for who, values in cpu_us.items())
    outcome.ratios += [Ratio(f"processor time for a page: {peer.who} ÷ ours", peer, ours) for peer in peers]
