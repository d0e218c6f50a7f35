"""The blocking transport: which connection a request goes out on, and what becomes of it.

`dial` opens a connection, `stream` is one, `round_trip` sends a request over it and
reads the response.
"""

from __future__ import annotations

import functools
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import BlockingTransport
from resilient_sse.transports._request_exchange import RequestExchange, origin_of
from resilient_sse.transports._threads.dial import Dial
from resilient_sse.transports._threads.interrupt import interrupt_of
from resilient_sse.transports._threads.round_trip import Limits, round_trip
from resilient_sse.transports._threads.watchdog import unwatch
from resilient_sse.transports._tls import Sessions, Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from resilient_sse._values.library import Library
    from resilient_sse.transports._request_exchange import Origin
    from resilient_sse.transports._sockets import SocketOption
    from resilient_sse.transports._threads.interrupt import InterruptHandle
    from resilient_sse.transports._threads.stream import SyncStream

__all__ = ["SyncTransport"]


class _Idle(NamedTuple):
    origin: Origin
    stream: SyncStream
    until: float


class SyncTransport(BlockingTransport):
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

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] = (),
        keepalive_expiry: float = 5.0,
    ) -> None:
        self._trust = Trust(verify)
        self._sessions = Sessions()
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._keepalive_expiry = keepalive_expiry
        self._lock = threading.Lock()  # for what follows
        self._streams: WeakSet[SyncStream] = WeakSet()
        self._idle: list[_Idle] = []  # the one that was used last comes last

    @without_locals
    def handle_request(self, request: Any) -> Any:  # noqa: ANN401 - either library's
        """Send a request and return its response, whose body is read from the connection.

        Args:
            request: A request of httpx or of httpx2, as the response is then.

        Raises:
            httpx.TransportError: What the library's own transport raises in the same situation;
                for a request of httpx2 it is one of httpx2.
        """
        origin, handle = origin_of(request), interrupt_of(request)
        release = functools.partial(self._release, origin)
        kept = self._take_idle(origin)
        while True:
            exchange = RequestExchange(request, origin.library)
            limits = Limits(exchange, handle)
            stream = kept or self._connect(origin, limits, handle)
            try:
                if handle is not None:
                    handle.covers(stream)
                if origin.scheme == "https" and stream.is_plain:
                    context = self._context(origin.library)
                    stream.start_tls(
                        context, origin.server_name, limits.of("connect"), self._sessions
                    )
                return round_trip(exchange, stream, limits, release)
            except BaseException as error:
                stream.close()
                if kept is None or not exchange.may_repeat(error):
                    raise
            kept = None

    def close(self) -> None:
        """End all connections, those included that another thread is reading from."""
        with self._lock:
            streams, idle, self._idle = tuple(self._streams), self._idle, []
        for stream in streams:
            stream.abort()
        for entry in idle:
            entry.stream.close()
        unwatch(streams)

    def _connect(
        self, origin: Origin, limits: Limits, handle: InterruptHandle | None
    ) -> SyncStream:
        dial = Dial(self._local_address, self._socket_options, origin.library)
        if handle is not None:
            handle.covers(dial)
        where = self._uds or (origin.host, origin.port)
        stream = dial.connect(where, limits.of("connect"))
        with self._lock:
            self._streams.add(stream)
        return stream

    def _context(self, library: Library) -> ssl.SSLContext:
        return self._trust.context(library)

    # -- Connections that wait for another request ----------------------------------------------

    def _release(self, origin: Origin, stream: SyncStream) -> None:
        if self._keepalive_expiry <= 0:
            stream.close()
            return
        entry = _Idle(origin, stream, monotonic() + self._keepalive_expiry)
        with self._lock:
            self._drop_expired()
            self._idle.append(entry)

    def _take_idle(self, origin: Origin) -> SyncStream | None:
        """Return the connection that was used last, if it is still good."""
        with self._lock:
            self._drop_expired()
            for entry in reversed(self._idle):
                if entry.origin == origin:
                    self._idle.remove(entry)
                    if entry.stream.usable:
                        return entry.stream
                    entry.stream.close()
        return None

    def _drop_expired(self) -> None:
        now = monotonic()
        while self._idle and self._idle[0].until < now:
            self._idle.pop(0).stream.close()
