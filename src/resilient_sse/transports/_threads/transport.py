"""The blocking transport: which connection a request goes out on, and what becomes of it.

`dial` opens a connection, `stream` is one, and `_body` what is read from it after the head.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import BlockingTransport, kind_for
from resilient_sse.transports._base import TransportBase
from resilient_sse.transports._body import SyncBody
from resilient_sse.transports._request_exchange import RequestExchange, origin_of
from resilient_sse.transports._threads.dial import Dial
from resilient_sse.transports._threads.interrupt import interrupt_of
from resilient_sse.transports._threads.stream import SyncStream
from resilient_sse.transports._threads.watchdog import watchdog

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import HTTPRequest
    from resilient_sse._values.library import Response
    from resilient_sse.transports._request_exchange import Origin
    from resilient_sse.transports._threads.interrupt import InterruptHandle

__all__ = ["SyncTransport"]


class SyncTransport(TransportBase[SyncStream, float], BlockingTransport):
    """HTTP/1.1 for threads that read a stream for weeks.

    It takes the place of ``HTTPTransport`` of httpx or httpx2, and raises the same exceptions in
    the same situations: those of the library that the client is of. What it does not do: proxies,
    HTTP/2, the ``trace`` extension, a limit of connections, ``retries``, and client certificates
    given by path (load them into the context). Trailers are checked and dropped. Threads may share
    it.

    ```python
    client = httpx.Client(transport=SyncTransport())  # or httpx2.Client
    ```

    Args:
        verify: What to trust, as in httpx: True for the usual authorities, False for anything, or
            an ``ssl.SSLContext``. One context for all transports of a process saves memory.
        uds: The path of a Unix domain socket to connect to.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.
        keepalive_expiry: Seconds that a connection is kept for another request; 0 for not at all.
    """

    @without_locals
    def handle_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either library's
        """Send a request and return its response, whose body is read from the connection.

        Args:
            request: A request of httpx or of httpx2, as the response is then.

        Raises:
            httpx.TransportError: What the library's own transport raises in the same situation;
                for a request of httpx2 it is one of httpx2.
        """
        origin, handle = origin_of(request), interrupt_of(request)
        kept = self._take_idle(origin)
        while True:
            exchange = RequestExchange(request, origin)
            stream = kept or self._connect(exchange, handle)
            try:
                handle.covers(stream.abort)
                if origin.scheme == "https" and kept is None:
                    context, within = (
                        self._trust(origin.library),
                        handle.limit(request, "connect"),
                    )
                    stream.start_tls(context, origin.server_name, within, self._sessions)
                return self._round_trip(exchange, stream, handle)
            except BaseException as error:
                stream.close()
                if kept is None or not exchange.may_repeat(error):
                    raise
            kept = None

    def _connect(self, exchange: RequestExchange, handle: InterruptHandle) -> SyncStream:
        origin = exchange.origin
        dial = Dial(self._local_address, self._socket_options, origin.library)
        handle.covers(dial.abort)
        within = handle.limit(exchange.request, "connect")
        stream = dial.connect(self._uds or (origin.host, origin.port), within)
        with self._lock:
            self._streams.add(stream)
        return stream

    def _round_trip(
        self, exchange: RequestExchange, stream: SyncStream, handle: InterruptHandle
    ) -> Response:
        """Send a request, receive the head of its response, and leave the rest to the body."""
        library = exchange.library
        with suppress(library.WriteError):  # a server may answer before it has read everything
            _send(exchange, stream, handle)
        while not exchange.answered:
            exchange.receive(stream.receive(handle.limit(exchange.request, "read")))
        if exchange.rest:
            stream.unread(exchange.rest)
        body = kind_for(SyncBody, library.SyncByteStream)
        return exchange.response(body(exchange, stream, self._release), stream)

    def close(self) -> None:
        """End all connections, those included that another thread is reading from."""
        with self._lock:
            streams, idle, self._idle = tuple(self._streams), self._idle, {}
        for stream in streams:
            stream.abort()
        for waiting in idle.values():
            for stream in waiting:
                stream.close()
        watchdog.unwatch(streams)

    # -- Connections that wait for another request ----------------------------------------------

    def _release(self, origin: Origin, stream: SyncStream) -> None:
        if self._keepalive_expiry <= 0:
            stream.close()
            return
        with self._lock:
            self._drop_expired()
            until = monotonic() + self._keepalive_expiry
            self._idle.setdefault(origin, {})[stream] = until

    def _take_idle(self, origin: Origin) -> SyncStream | None:
        """Return the connection that was used last, if it is still good."""
        with self._lock:
            self._drop_expired()
            idle = self._idle.get(origin)
            while idle:
                stream, _ = idle.popitem()
                if stream.usable:
                    return stream
                stream.close()
        return None

    def _drop_expired(self) -> None:
        now = monotonic()
        for origin, idle in tuple(self._idle.items()):
            for stream, until in tuple(idle.items()):
                if until < now:
                    del idle[stream]
                    stream.close()
            if not idle:
                del self._idle[origin]


def _send(exchange: RequestExchange, stream: SyncStream, handle: InterruptHandle) -> None:
    ready = exchange.begin()
    if not exchange.in_memory:
        for chunk in exchange.body:
            stream.write(ready, handle.limit(exchange.request, "write"))
            ready = exchange.part(chunk)
    stream.write(ready + exchange.end(), handle.limit(exchange.request, "write"))
