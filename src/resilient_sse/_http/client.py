"""The HTTP clients that a source makes for itself when it is not given one."""

from __future__ import annotations

import functools
import math
import os
import socket
import ssl
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._http.cookies import Cookies
from resilient_sse._http.proxies import AsyncUnless, Unless, mounts
from resilient_sse._http.watched import on_trio
from resilient_sse._values.library import (
    AsyncBaseTransport,
    AsyncClient,
    AsyncHTTPTransport,
    BaseTransport,
    Client,
    HTTPTransport,
    Library,
    Limits,
    create_ssl_context,
)
from resilient_sse.transports import AsyncioTransport, SyncTransport

if TYPE_CHECKING:
    from collections.abc import Callable

# A pool's limit is for many short requests; a stream holds its connection for weeks.
_LIMITS: Final = Limits(max_connections=None, max_keepalive_connections=None)
# A peer that vanished is found within 30 + 3 * 10 seconds, without any heartbeat.
# TCP_KEEPALIVE is what macOS calls TCP_KEEPIDLE.
_KEEPALIVE_TIMES: Final = (
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPALIVE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)
KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in _KEEPALIVE_TIMES
        if hasattr(socket, name)
    ),
)


def default_async_client(verify: ssl.SSLContext | None = None) -> AsyncClient:
    """Make the client of a `ReconnectingEventSource`, for the event loop that is running.

    Our own transport knows asyncio and no proxies; what it does not know goes over httpx's. So
    does everything if somebody has put a mock or a probe in its place, who would see nothing.

    Args:
        verify: What to trust; by default the usual authorities.
    """

    def over_httpx(proxy: str | None = None) -> AsyncBaseTransport:
        # Not before it is needed: what cannot be read then is a failure, which may pass.
        return async_transport(verify or _ssl_context(), proxy)

    direct: AsyncBaseTransport
    if on_trio() or _is_patched(AsyncHTTPTransport, "AsyncConnectionPool"):
        direct = over_httpx()
    elif verify is None:
        direct = _AsyncioTransport(socket_options=KEEPALIVE)
    else:
        direct = AsyncioTransport(verify=verify, socket_options=KEEPALIVE)
    mounted = mounts(over_httpx, lambda proxied, but: AsyncUnless(proxied, direct, but))
    return _AsyncClient(transport=direct, mounts=mounted)


def async_client_over(transport: AsyncBaseTransport) -> AsyncClient:
    """Make a client that sends everything this way, whatever proxies the environment names."""
    return _AsyncClient(transport=transport)


def default_client() -> Client:
    """Make the client of a `SyncReconnectingEventSource`, with the same choice of transport."""
    direct: BaseTransport
    if _is_patched(HTTPTransport, "ConnectionPool"):
        direct = _transport()
    else:
        direct = _SyncTransport(socket_options=KEEPALIVE)
    mounted = mounts(_transport, lambda proxied, but: Unless(proxied, direct, but))
    return _Client(transport=direct, mounts=mounted)


class _AsyncioTransport(AsyncioTransport):
    def _context(self, library: Library) -> ssl.SSLContext:  # noqa: ARG002 - it is our own client
        return _ssl_context()


class _SyncTransport(SyncTransport):
    def _context(self, library: Library) -> ssl.SSLContext:  # noqa: ARG002 - it is our own client
        return _ssl_context()


class _AsyncClient(AsyncClient):
    @functools.cached_property
    def cookies(self) -> Cookies:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] - nobody sets them
        return Cookies()


class _Client(Client):
    @functools.cached_property
    def cookies(self) -> Cookies:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] - nobody sets them
        return Cookies()


def _is_patched(transport: type, pool: str) -> bool:
    """Say whether httpx's transport is not httpx's any more (respx, pytest-httpx, a tracer)."""
    is_async = issubclass(transport, AsyncBaseTransport)
    name = "handle_async_request" if is_async else "handle_request"
    # httpx imports httpcore when it needs it.
    layers: tuple[Any, ...] = (transport, getattr(sys.modules.get("httpcore"), pool, transport))
    methods = [getattr(layer, name) for layer in layers]
    return not all(
        isinstance(method, FunctionType) and method.__module__.startswith(("httpx.", "httpcore."))
        for method in methods
    )


def async_transport(context: ssl.SSLContext, proxy: str | None = None) -> AsyncBaseTransport:
    """Make httpx's transport, which knows proxies."""
    return AsyncHTTPTransport(verify=context, limits=_LIMITS, socket_options=KEEPALIVE, proxy=proxy)


def _transport(proxy: str | None = None) -> BaseTransport:
    return HTTPTransport(
        verify=_ssl_context(), limits=_LIMITS, socket_options=KEEPALIVE, proxy=proxy
    )


def _ssl_context() -> ssl.SSLContext:
    """Return the process's one TLS context: loading certificates takes longer than a request."""
    return _authorities.context()


class Authorities:
    """Whom to trust: read once, and anew after the file was replaced, as it is within a year.

    Looking at a file may block, so a thread does it, at the most once a minute; the connection that
    brings it about still trusts what was read before.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._file: tuple[object, ...] = ()
        self._looked_at = -math.inf

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts them."""
        if self._context is None:
            self._looked_at = monotonic()
            self._context = create_ssl_context()
            _start(self._remember)
        elif monotonic() - self._looked_at >= _LOOKED_AT_EVERY:
            self._looked_at = monotonic()
            _start(self._renew)
        return self._context

    def _remember(self) -> None:
        self._file = _bundle()

    def _renew(self) -> None:
        found = _bundle()
        # Without the file httpx may trust others: 0.27 takes its own list then.
        if found and found != self._file:
            with suppress(OSError, ssl.SSLError):  # half a file is read again in a minute
                self._context = create_ssl_context()
                self._file = found


_LOOKED_AT_EVERY: Final = 60.0
_authorities: Final = Authorities()


def _start(look: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # no thread can be started now: it is looked at in a minute
        threading.Thread(target=look, name="resilient_sse ca", daemon=True).start()


def _bundle() -> tuple[object, ...]:
    """Identify the file that httpx reads the authorities from; empty if there is none now."""
    certifi: Any = sys.modules.get("certifi")  # which httpx imports when it needs it
    path = Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
    try:
        about = path.stat()
    except OSError:
        return ()
    return path, about.st_ino, about.st_size, about.st_mtime_ns
