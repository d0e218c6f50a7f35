"""The HTTP clients that a source makes for itself when it is not given one."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.request import getproxies

import httpx

from resilient_sse._cookies import Cookies
from resilient_sse._watched import on_trio
from resilient_sse.transports import AsyncioTransport, SyncTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


T = TypeVar("T")

# A pool's limit is for many short requests; a stream holds its connection for weeks.
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=None)
_PROXY_VARIABLES: Final = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
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


def default_async_client() -> httpx.AsyncClient:
    """Make the client of a `ReconnectingEventSource`, for the event loop that is running.

    Our own transport knows asyncio and no proxies; what it does not know goes over httpx's. So
    does everything if somebody has put a mock or a probe in its place, who would see nothing.
    """
    direct: httpx.AsyncBaseTransport
    if on_trio() or _is_patched(httpx.AsyncHTTPTransport, "AsyncConnectionPool"):
        direct = _async_transport()
    else:
        direct = AsyncioTransport(verify=_ssl_context(), socket_options=KEEPALIVE)
    return _AsyncClient(transport=direct, mounts=_mounts(_async_transport))


def default_client() -> httpx.Client:
    """Make the client of a `SyncReconnectingEventSource`, with the same choice of transport."""
    direct: httpx.BaseTransport
    if _is_patched(httpx.HTTPTransport, "ConnectionPool"):
        direct = _transport()
    else:
        direct = SyncTransport(verify=_ssl_context(), socket_options=KEEPALIVE)
    return _Client(transport=direct, mounts=_mounts(_transport))


class _AsyncClient(httpx.AsyncClient):
    @functools.cached_property
    def cookies(self) -> Cookies:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] - nobody sets them
        return Cookies()


class _Client(httpx.Client):
    @functools.cached_property
    def cookies(self) -> Cookies:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] - nobody sets them
        return Cookies()


def _is_patched(transport: type, pool: str) -> bool:
    """Say whether httpx's transport is not httpx's any more (respx, pytest-httpx, a tracer)."""
    is_async = issubclass(transport, httpx.AsyncBaseTransport)
    name = "handle_async_request" if is_async else "handle_request"
    # httpx imports httpcore when it needs it.
    layers: tuple[Any, ...] = (transport, getattr(sys.modules.get("httpcore"), pool, transport))
    methods = [getattr(layer, name) for layer in layers]
    return not all(
        isinstance(method, FunctionType) and method.__module__.startswith(("httpx.", "httpcore."))
        for method in methods
    )


def _async_transport(proxy: str | None = None) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(
        verify=_ssl_context(), limits=_LIMITS, socket_options=KEEPALIVE, proxy=proxy
    )


def _transport(proxy: str | None = None) -> httpx.HTTPTransport:
    return httpx.HTTPTransport(
        verify=_ssl_context(), limits=_LIMITS, socket_options=KEEPALIVE, proxy=proxy
    )


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Make the process's one TLS context: loading the certificates takes longer than a request."""
    return httpx.create_ssl_context()


@functools.lru_cache(maxsize=1)
def _proxies(*_variables: str | None) -> dict[str, str]:
    """Read the proxies anew when the environment changes.

    Going through all of the environment for every source is a tenth of what opening one costs.
    """
    return getproxies()


def _mounts(transport: Callable[[str], T]) -> dict[str, T | None]:
    """Read the proxies from the environment, as httpx does unless it is given a transport."""
    proxies = _proxies(*(os.environ.get(name) for name in _PROXY_VARIABLES))
    mounts: dict[str, T | None] = {
        f"{scheme}://": transport(address if "://" in address else f"http://{address}")
        for scheme in ("http", "https", "all")
        if (address := proxies.get(scheme))
    }
    for host in filter(None, map(str.strip, proxies.get("no", "").split(","))):
        if host == "*":
            return {}
        mounts[_pattern(host)] = None
    return mounts


def _pattern(host: str) -> str:
    """Write an entry of ``NO_PROXY`` as one of httpx's URL patterns."""
    if "://" in host:
        return host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"all://{host}" if host == "localhost" else f"all://*{host}"
    return f"all://[{host}]" if address.version == 6 else f"all://{host}"  # noqa: PLR2004 - IPv6
