"""An HTTP/2 server: numbered events, from ``Last-Event-ID`` on, and faults."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Http2Server"]

_EVERY: Final = 0.005  # seconds from one event to the next
_STREAMS: Final = frozenset({"/events", "/quiet", "/end", "/goaway", "/fault", "/late"})
_FRAME_THAT_CANNOT_BE: Final = b"\0\0\1\0\0\0\0\0\0x"  # DATA of stream 0 (RFC 9113 6.1)


class Http2Server:
    """A server in a thread. ``/events`` is the stream; ``/quiet`` sends one event and is silent.

    ``/rst/CODE`` resets its stream after three events, ``/end`` ends it, ``/goaway`` ends its
    connection, and ``/fault`` breaks the protocol on it. ``/mute`` never answers, ``/late`` only
    when it is asked a second time. ``/refused`` is answered with 503 and a body without an end. Any
    other path is answered with 204.

    Args:
        limit: How many streams it allows on one connection.

    Attributes:
        connections: How many there were.
        open: The streams that are open.
        most: How many there were at a time.
        asked: The paths of all requests.
        frozen: The connections that have died silently: the server neither reads nor writes.
    """

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.connections = 0
        self.open: set[tuple[int, int]] = set()
        self.most = 0
        self.asked: list[str] = []
        self.frozen: set[int] = set()
        self.url = ""
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._over is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def freeze(self) -> None:
        """Have all connections that there are die silently."""
        self.frozen.update(range(1, self.connections + 1))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(PEM)
        tls.set_alpn_protocols(["h2"])
        made: set[_Connection] = set()
        server = await self._loop.create_server(
            lambda: _Connection(self, made), "127.0.0.1", 0, ssl=tls
        )
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._over.wait()
        server.close()
        for connection in list(made):
            connection.end()
        await asyncio.sleep(0.05)


class _Connection(asyncio.Protocol):
    def __init__(self, server: Http2Server, made: set[_Connection]) -> None:
        self._server = server
        self._made = made
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))

    def connection_made(self, transport: Any) -> None:
        self._made.add(self)
        self._transport = transport
        self._server.connections += 1
        self._number = self._server.connections
        limit = {SettingCodes.MAX_CONCURRENT_STREAMS: self._server.limit}
        self._http.local_settings = Settings(client=False, initial_values=limit)
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._is_frozen:
            return
        try:
            events = self._http.receive_data(data)
        except ProtocolError:
            self.end()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                stream: Any = event.stream_id
                headers: Any = dict(event.headers or ())
                task = asyncio.get_running_loop().create_task(self._answer(stream, headers))
                self._tasks[stream] = task
            elif isinstance(event, StreamReset):
                self._stop(event.stream_id)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._made.discard(self)
        for stream in list(self._tasks):
            self._stop(stream)

    def end(self) -> None:
        self._transport.abort()

    @property
    def _is_frozen(self) -> bool:
        return self._number in self._server.frozen

    def _stop(self, stream: Any) -> None:
        if task := self._tasks.pop(stream, None):
            task.cancel()

    def _flush(self) -> None:
        if not self._is_frozen and not self._transport.is_closing():
            self._transport.write(self._http.data_to_send())

    async def _answer(self, stream: int, headers: dict[str, str]) -> None:
        server, key = self._server, (self._number, stream)
        server.open.add(key)
        server.most = max(server.most, len([each for each in server.open if each[0] == key[0]]))
        try:
            await self._story(stream, headers[":path"], int(headers.get("last-event-id") or 0))
        finally:
            server.open.discard(key)

    async def _story(self, stream: int, path: str, last: int) -> None:
        self._server.asked.append(path)
        if path == "/mute" or (path == "/late" and self._server.asked.count(path) == 1):
            await asyncio.sleep(3600)
        if path == "/refused":
            self._do(lambda: self._http.send_headers(stream, [(":status", "503")]))
            await asyncio.sleep(3600)
        if path not in _STREAMS and not path.startswith("/rst/"):
            self._do(lambda: self._http.send_headers(stream, [(":status", "204")], end_stream=True))
            return
        about = [(":status", "200"), ("content-type", "text/event-stream")]
        self._do(lambda: self._http.send_headers(stream, about))
        for number in range(last + 1, 1_000_000):
            if number > last + 1 and path == "/quiet":
                await asyncio.sleep(3600)
            if number == last + 4 and path.startswith("/rst/"):
                code = int(path.removeprefix("/rst/"))
                self._do(partial(self._http.reset_stream, stream, error_code=code))
                return
            if number == last + 4 and path == "/end":
                self._do(partial(self._http.end_stream, stream))
                return
            if number == last + 4 and path == "/goaway":
                self._do(lambda: self._http.close_connection(last_stream_id=stream))
                self._transport.close()
                return
            if number == last + 4 and path == "/fault":
                self._transport.write(_FRAME_THAT_CANNOT_BE)
                return
            data = b"id: %d\ndata: %d\n\n" % (number, number)
            self._do(partial(self._http.send_data, stream, data))
            await asyncio.sleep(_EVERY)

    def _do(self, act: Callable[[], None]) -> None:
        with suppress(ProtocolError):
            act()
        self._flush()
