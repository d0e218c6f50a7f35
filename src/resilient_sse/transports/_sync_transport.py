"""The blocking transport: which connection a request goes out on, and what becomes of it.

`_sync_dial` opens a connection, `_sync_stream` is one, `_sync_exchange` sends a request over it and
reads the response.
"""

from __future__ import annotations

import functools
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

import httpx

from resilient_sse.transports._dialogue import is_repeatable, origin_of
from resilient_sse.transports._sync_dial import Dial
from resilient_sse.transports._sync_exchange import Limits, exchange
from resilient_sse.transports._tls import client_context
from resilient_sse.transports._wire import wire_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from resilient_sse.transports._dialogue import Origin
    from resilient_sse.transports._sockets import SocketOption
    from resilient_sse.transports._sync_stream import SyncStream
    from resilient_sse.transports._wire import Wire

__all__ = ["SyncTransport"]


class _Idle(NamedTuple):
    origin: Origin
    stream: SyncStream
    until: float


class SyncTransport(httpx.BaseTransport):
    """HTTP/1.1 for threads that read a stream for weeks.

    It takes the place of ``httpx.HTTPTransport`` and raises the same exceptions in the same
    situations. What it does not do: proxies, HTTP/2, the ``trace`` extension, and a limit of
    connections. Threads may share it.

    ```python
    client = httpx.Client(transport=SyncTransport())
    ```

    Args:
        verify: What to trust, as in httpx: True for the usual authorities, False for anything, or
            an ``ssl.SSLContext``. One context for all transports of a process saves memory.
        uds: The path of a Unix domain socket to connect to.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.
        keepalive_expiry: Seconds that a connection is kept for another request.
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
        self._verify = verify
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._keepalive_expiry = keepalive_expiry
        self._lock = threading.Lock()  # for what follows
        self._streams: WeakSet[SyncStream] = WeakSet()
        self._idle: list[_Idle] = []  # the one that was used last comes last

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is read from the connection.

        Raises:
            httpx.TransportError: What httpx's own transport raises in the same situation.
        """
        origin, wire = origin_of(request), wire_of(request)
        stream = self._take_idle(origin)
        if stream is not None and is_repeatable(request):
            # The server may close it in this very moment (RFC 9112 9.3.1).
            with suppress(httpx.ReadError, httpx.RemoteProtocolError):
                return self._exchange(origin, request, wire, stream)
            stream = None
        return self._exchange(origin, request, wire, stream)

    def _exchange(
        self, origin: Origin, request: httpx.Request, wire: Wire | None, stream: SyncStream | None
    ) -> httpx.Response:
        limits = Limits(request, wire)
        stream = stream or self._connect(origin, limits, wire)
        try:
            if wire is not None:
                wire.runs_over(stream)
            if stream.is_plain and origin.scheme == "https":
                context = self._ssl_context
                stream.start_tls(context, origin.server_name, limits.of("connect"))
            return exchange(request, stream, limits, functools.partial(self._release, origin))
        except BaseException:
            stream.close()
            raise

    def close(self) -> None:
        """End all connections, those included that another thread is reading from."""
        with self._lock:
            streams, idle, self._idle = tuple(self._streams), self._idle, []
        for stream in streams:
            stream.abort()
        for entry in idle:
            entry.stream.close()

    def _connect(self, origin: Origin, limits: Limits, wire: Wire | None) -> SyncStream:
        dial = Dial(self._local_address, self._socket_options)
        if wire is not None:
            wire.runs_over(dial)
        where = self._uds or (origin.host, origin.port)
        stream = dial.connect(where, limits.of("connect"))
        with self._lock:
            self._streams.add(stream)
        return stream

    @functools.cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return client_context(self._verify)

    # -- Connections that wait for another request ----------------------------------------------

    def _release(self, origin: Origin, stream: SyncStream) -> None:
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
