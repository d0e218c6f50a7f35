"""The server of the end-to-end benchmarks: a process of its own that writes ready-made bytes.

    python -m benchmarks._server

It prints its port and serves until its standard input ends. The path says what is written:

- ``/blocks/NAME?n=N``: N events of the kind NAME, in chunks of 64 KB;
- ``/burst?n=N``: N events, one to a chunk, as fast as they are read;
- ``/paced?n=N&rate=R``: N events, R a second, one to a chunk and to a packet;
- ``/idle``: one event a second for ever;
- ``/drop``: one event and the end of the connection;
- ``/gaps``: the seconds from each such end to the next request, as JSON, and forgets them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import sys
import threading
import time
from time import perf_counter
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

__all__ = ["EVENTS", "Server"]

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
BLOCK = 64 * 1024
TOKEN = b'data: {"choices":[{"delta":{"content":" token"}}]}\n\n'
_RECORD = {
    "user": "Ada Lovelace",
    "tags": ["alpha", "beta"],
    "text": "The engine weaves algebraic patterns. " * 28,
}
EVENTS = {
    "tokens": TOKEN,
    "json": b"id: 1234567\nevent: update\ndata: " + json.dumps(_RECORD).encode() + b"\n\n",
}
TICK = 1.0


def chunk(data: bytes) -> bytes:
    """Frame one chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = chunk(b"")


@functools.lru_cache(maxsize=8)
def blocks(name: str, count: int) -> bytes:
    """Make a whole body of 64 KB chunks."""
    body = EVENTS[name] * count
    starts = range(0, len(body), BLOCK)
    return b"".join(chunk(body[start : start + BLOCK]) for start in starts) + LAST


@functools.lru_cache(maxsize=8)
def burst(count: int) -> bytes:
    """Make a whole body of one chunk per event."""
    return chunk(TOKEN) * count + LAST


class Server(asyncio.Protocol):
    """One connection; requests are taken as they come, without a body."""

    gaps: ClassVar[list[float]] = []
    dropped_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.task: asyncio.Task[None] | None = None
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self.answer(head.split(b" ", 2)[1].decode())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop writing."""
        if self.task is not None:
            self.task.cancel()

    def answer(self, target: str) -> None:
        """Write what the path asks for."""
        url = urlsplit(target)
        options = {name: int(value) for name, value in parse_qsl(url.query)}
        kind, _, name = url.path[1:].partition("/")
        if kind == "drop":
            self.drop()
        elif kind == "gaps":
            self.report()
        elif kind == "blocks":
            self.transport.write(HEAD + blocks(name, options["n"]))
        elif kind == "burst":
            self.transport.write(HEAD + burst(options["n"]))
        else:
            self.transport.write(HEAD)
            script = (
                self.idle()
                if kind == "idle"
                else asyncio.to_thread(self.paced, options["n"], options["rate"])
            )
            self.task = asyncio.create_task(script)

    def drop(self) -> None:
        """Note when the request came, send an event, note when the connection ends."""
        cls = type(self)
        if cls.dropped_at is not None:
            cls.gaps.append(perf_counter() - cls.dropped_at)
        self.transport.write(HEAD + chunk(TOKEN))
        asyncio.get_running_loop().call_later(0.005, self.hang_up)

    def hang_up(self) -> None:
        """End the connection in the middle of the body."""
        type(self).dropped_at = perf_counter()
        self.transport.abort()

    def report(self) -> None:
        """Send the measured gaps."""
        cls = type(self)
        body = json.dumps(cls.gaps).encode()
        cls.gaps.clear()
        cls.dropped_at = None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def paced(self, count: int, rate: int) -> None:
        """Write single events at a steady rate, from a thread: a loop's timers are too coarse."""
        begin, event = perf_counter(), chunk(TOKEN)
        sock = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        with sock, contextlib.suppress(OSError):  # the client may leave
            for number in range(count):
                time.sleep(max(0.0, begin + number / rate - perf_counter()))
                sock.send(event)
            sock.send(LAST)

    async def idle(self) -> None:
        """Write an event every second."""
        event = chunk(TOKEN)
        while True:
            await asyncio.sleep(TICK)
            self.transport.write(event)


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait, daemon=True).start()
    await over.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
