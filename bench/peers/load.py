"""A load generator for machines without wrk. It is slower, so fast servers look slower than they are.

`python -m bench.peers.load PORT REQUESTS CONNECTIONS SECONDS`. Prints the same values as load.lua.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Final

_LENGTH: Final = b"content-length:"
_CHUNK: Final = 1 << 16


class _Caller(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._left = 0
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._load.over():
            self._load.failed += 1

    def data_received(self, data: bytes) -> None:
        self._load.bytes += len(data)
        if self._left:
            self._left -= len(data)
        else:
            head, found, body = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            self._head = b""
            self._load.failed += not head.startswith(b"HTTP/1.1 200")
            self._left = _length(head) - len(body)
        if self._left == 0:
            self._load.latencies.append(time.perf_counter() - self._begun)
            self._ask()

    def _ask(self) -> None:
        if self._transport is not None and not self._load.over():
            self._begun = time.perf_counter()
            self._transport.write(next(self._load.requests))


class _Load:
    """The results of all connections."""

    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self.requests = cycle(requests)
        self.latencies: list[float] = []
        self.bytes = self.failed = 0
        self._end = time.perf_counter() + seconds

    def over(self) -> bool:
        return time.perf_counter() >= self._end


def _length(head: bytes) -> int:
    lower = head.lower()
    begin = lower.find(_LENGTH)
    return int(lower[begin + len(_LENGTH) :].partition(b"\r\n")[0]) if begin >= 0 else 0


def _request(line: str, port: int) -> bytes:
    method, target, body, *headers = line.split("\t")
    content = b"" if body == "-" else body.encode()
    head = [f"{method} {target} HTTP/1.1", f"host: 127.0.0.1:{port}", *headers, f"content-length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


async def _main(requests: list[bytes], port: int, connections: int, seconds: float) -> None:
    load = _Load(requests, seconds)
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Caller(load), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    took_us = (time.perf_counter() - begun) * 1_000_000
    times = sorted(load.latencies) or [0.0]
    found = {"requests": len(load.latencies), "bytes": load.bytes, "duration_us": int(took_us), "failed": load.failed}
    found |= {f"p{part}_us": int(times[len(times) * part // 100] * 1_000_000) for part in (50, 99)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    where, lines = int(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
    every = [_request(line, where) for line in lines]
    asyncio.run(_main(every, where, int(sys.argv[3]), float(sys.argv[4])))
