"""The WebSocket port. Longbridge's official SDKs connect to it before they make HTTP calls, and wait for its pings."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PING_INTERVAL_S: Final = 20
"""`longport` gives a connection up after 120 s without a ping."""
MESSAGE_MAX: Final = 64 * 1024

Reply = Callable[[bytes], bytes | None]


class SocketServer:
    """Serves WebSockets on a separate port, in a thread with its own event loop. Granian cannot send pings."""

    def __init__(self, reply: Reply, host: str, port: int) -> None:
        self._reply, self._host, self._port = reply, host, port
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="socket", daemon=True)

    def start(self) -> None:
        """Return once the port is open. Raises OSError if it cannot be opened."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Close every connection and the port."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with serve(
            self._converse,
            self._host,
            self._port,
            ping_interval=PING_INTERVAL_S,
            max_size=MESSAGE_MAX,
            server_header=None,
        ):
            self._ready.set()
            await self._stop.wait()

    async def _converse(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                answer = self._reply(message) if isinstance(message, bytes) else None
                if answer is None:
                    await connection.close(1003)
                    return
                await connection.send(answer)
        except ConnectionClosed:
            return
