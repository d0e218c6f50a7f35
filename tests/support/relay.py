"""A relay between client and server, which can fall silent as a firewall's does."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Self

__all__ = ["Relay"]


class Relay:
    """Hands on what comes, in a thread.

    Args:
        port: The server's.

    Attributes:
        port: Its own.
        connections: How many it was asked for.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self.port = 0
        self.connections = 0
        self._frozen = 0  # so many connections, from the first on, hand on nothing any more
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def freeze(self) -> None:
        """Have all connections that there are hand on nothing any more."""
        self._frozen = self.connections

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._over.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        there = await asyncio.open_connection("127.0.0.1", self._server)
        ways = ((reader, there[1]), (there[0], writer))
        tasks = [asyncio.create_task(self._hand_on(*way, number)) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in (there[1], writer):
                end.close()

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if number > self._frozen:
                    writer.write(data)
                    await writer.drain()
