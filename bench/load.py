"""The load generator: requests over keep-alive connections for some seconds, made by wrk or, without wrk, by Python."""

from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.process import PYTHON, ROOT, BenchError, Server, run


class Request(NamedTuple):
    """A request. Its body has no tab and no line break."""

    target: str
    """Path and query."""
    headers: Mapping[str, str]
    method: str = "GET"
    body: str = ""

    @property
    def line(self) -> str:
        """The request as the generators read it: separated by tabs, with `-` for an empty body."""
        headers = (f"{name}: {value}" for name, value in self.headers.items())
        return "\t".join([self.method, self.target, self.body or "-", *headers])


class Load(msgspec.Struct, frozen=True):
    """The result of a run. `bytes` includes the headers."""

    requests: int
    bytes: int
    duration_us: int
    p50_us: int
    p99_us: int
    failed: int
    busy: float = 0.0
    """The generator's share of a core. Near 1, the generator is the limit, not the server."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.duration_us * 1_000_000


class Generator(NamedTuple):
    """Generates the load with one thread: with wrk, or with Python if `wrk` is None."""

    wrk: str | None
    folder: Path

    def run(self, server: Server, requests: Sequence[Request], *, connections: int, seconds: float) -> Load:
        """Send the requests over and over. Raises BenchError if a request failed."""
        file = self.folder / "requests.txt"
        file.write_text("".join(f"{request.line}\n" for request in requests), encoding="utf-8")
        if self.wrk:
            command = [self.wrk, "--threads", "1", "--connections", str(connections), "--timeout", "30s"]
            command += ["--duration", f"{max(1, round(seconds))}s", "--script", str(ROOT / "bench" / "load.lua")]
            command += [server.url, "--", str(file)]
        else:
            command = [PYTHON, "-m", "bench.peers.load", str(server.port), str(file), str(connections), str(seconds)]
        took = run(command)
        found = msgspec.json.decode(took.output.splitlines()[-1], type=Load)
        if found.failed or not found.requests:
            raise BenchError(f"{found.failed} of {found.requests} requests to {server.url} failed")
        return msgspec.structs.replace(found, busy=took.cpu_s / took.wall_s)


def fetch(server: Server, requests: Sequence[Request]) -> list[bytes]:
    """The answers to requests, sent one after the other. Raises BenchError for any status but 200."""
    bodies = []
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    for request in requests:
        connection.request(request.method, request.target, request.body.encode() or None, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise BenchError(f"{server.url}{request.target}: HTTP {response.status}, {body[:200]!r}")
        bodies.append(body)
    connection.close()
    return bodies
