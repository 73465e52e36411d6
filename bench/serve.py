"""serve: 50-row pages over HTTP from `liushui serve`, against a conventional service, and nginx with the same bytes.

One load for all: signed requests over 32 keep-alive connections, one thread, which shares the machine with the server.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Final, NamedTuple

import msgspec

from bench.load import Generator, Load, Request, fetch
from bench.pages import DEPTH, PAGES, ROWS, Page, check_pages, random_pages, signed, times_of
from bench.peers.nginx import static_pages
from bench.process import LIUSHUI, PYTHON, BenchError, Server, run, serving
from bench.results import Outcome, Ratio, Series
from bench.setting import Setting
from bench.tools import tool
from liushui.testing.server import free_port

BAR_CONVENTIONAL: Final = 10.0
BAR_STATIC: Final = 0.1
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
        f"serve: {PAGES} different requests, ranges anywhere in the account, page 1 to {DEPTH}; each was seen to be "
        "answered with a full page before; the load shares the machine's cores with the server"
    )
    load = load_generator(setting, outcome)
    pages = random_pages(times_of(setting.data(setting.options.flows)))
    with ExitStack() as stack:
        contestants = list(_contestants(setting, outcome, pages, stack))
        found: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
        for contestant in contestants:  # the first answers are slower
            load.run(contestant.server, contestant.requests_for(pages), connections=CONNECTIONS, seconds=1)
        for number in range(setting.options.rounds):
            setting.say(f"serve, round {number + 1}")
            for contestant in contestants:
                requests, seconds = contestant.requests_for(pages), setting.options.seconds
                answered = load.run(contestant.server, requests, connections=CONNECTIONS, seconds=seconds)
                found[contestant.name].append(answered)
    _report(outcome, found, fast=load.wrk is not None)
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
def liushui_serve(setting: Setting) -> Iterator[Contestant]:
    """`liushui serve` over the collected ledger, and a key of it that is held to no rate."""
    ledger, port = setting.ledger(), free_port()
    key = setting.new_key(ledger)
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", str(WORKERS), "--port", str(port)]
    with serving([*command, "--socket-port", str(free_port())], port=port, log=setting.folder / "serve.log") as server:
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
    else:
        outcome.notes.append("serve: FastAPI and Uvicorn are not installed: that peer was skipped")
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


def _report(outcome: Outcome, found: Mapping[str, Sequence[Load]], *, fast: bool) -> None:
    """`fast`: the load could follow the fastest contestant; else its ratio is shown, and held against no bar."""
    bars = {"FastAPI, ORM": BAR_CONVENTIONAL} | ({"nginx, static": BAR_STATIC} if fast else {})
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
