"""The server of the benchmarks over TLS 1.3, with session tickets.

    python -m benchmarks._tls_server

It prints its port and serves until its standard input ends. Over HTTP/1.1 it serves what `Server`
does, except ``/paced``; over HTTP/2 every stream gets an event a second.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

from benchmarks._event_server import trusted
from benchmarks._server import TICK, TOKEN, Server


class _Http2(asyncio.Protocol):
    """One connection; every stream is answered alike."""

    def __init__(self) -> None:
        self._http = H2Connection(H2Configuration(client_side=False))
        self._streams: list[int] = []
        self._ticking: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - with TLS it is no Transport
        self._transport = transport
        self._http.initiate_connection()
        self._flush()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, RequestReceived):
                stream: Any = event.stream_id
                about = [(":status", "200"), ("content-type", "text/event-stream")]
                self._http.send_headers(stream, about)
                self._http.send_data(stream, TOKEN)
                self._streams.append(stream)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._ticking is not None:
            self._ticking.cancel()

    def _flush(self) -> None:
        self._transport.write(self._http.data_to_send())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for stream in self._streams:
                with suppress(ProtocolError):  # it was left
                    self._http.send_data(stream, TOKEN)
            self._flush()


class _Either(asyncio.Protocol):
    """Becomes one of both, as the handshake says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        speaks_http2 = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        chosen = _Http2() if speaks_http2 else Server()
        transport.set_protocol(chosen)
        chosen.connection_made(transport)


async def main() -> None:
    """Serve until standard input ends."""
    tls = trusted()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Either, "127.0.0.1", 0, backlog=4096, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
