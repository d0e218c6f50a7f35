"""The proxies that the environment names, and the hosts that it excepts from them.

httpx reads them too, but only unless it is given a transport, and it knows neither networks nor
addresses in brackets among the exceptions, which Kubernetes, OpenShift, VPNs and others put there.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar
from urllib.request import getproxies

from resilient_sse._values.library import AsyncBaseTransport, BaseTransport, InvalidURL
from resilient_sse._values.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.library import URL, Request, Response

T = TypeVar("T")
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES: Final = ("http", "https", "all")
_VARIABLES: Final = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


class Excepted(NamedTuple):
    """One entry of ``NO_PROXY``: a name with all below it, an address, or a network, and a port."""

    scheme: str
    host: str
    network: Network | None
    port: int | None

    def covers(self, url: URL) -> bool:
        """Say whether a URL is excepted by this."""
        if self.scheme not in {"", url.scheme} or self.port not in {None, url.port}:
            return False
        host = url.host.lower().rstrip(".")
        if self.network is not None:
            address = _address(host.partition("%")[0])
            return address is not None and address in self.network
        return host == self.host or host.endswith(f".{self.host}")


def excepted(entries: str) -> list[Excepted] | None:
    """Read the value of ``NO_PROXY``; None if it excepts everything."""
    given = [entry for entry in entries.replace(",", " ").lower().split() if entry]
    return None if "*" in given else [_entry(entry) for entry in given]


def _entry(entry: str) -> Excepted:
    scheme, _, rest = entry.rpartition("://")
    network = _network(rest.strip("[]"))
    if network is not None:
        return Excepted(scheme, "", network, None)
    host, port = rest, None
    head, _, tail = rest.rpartition(":")
    if tail.isascii() and tail.isdigit():
        host, port = head, int(tail)
    host = host.strip("[]")
    return Excepted(scheme, host.removeprefix("*").strip("."), _network(host), port)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=1)
def _proxies(*_variables: str | None) -> dict[str, str]:
    """Read the proxies anew when the environment changes.

    Going through all of the environment for every source is a tenth of what opening one costs.
    """
    return getproxies()


def mounts(
    through: Callable[[str], T], unless: Callable[[T, list[Excepted]], T]
) -> dict[str, T | None]:
    """Make the transports through the proxies of the environment, by httpx's URL patterns.

    Args:
        through: Makes a transport through the proxy with this URL.
        unless: Makes one that leaves the proxy out for the excepted.

    Raises:
        ValueError: If a proxy cannot be used; it names the variable.
    """
    proxies = _proxies(*(os.environ.get(name) for name in _VARIABLES))
    exceptions = excepted(proxies.get("no", ""))
    if exceptions is None:
        return {}
    made: dict[str, T | None] = {}
    for scheme in _SCHEMES:
        if url := proxies.get(scheme):
            transport = _through(through, scheme, url if "://" in url else f"http://{url}")
            made[f"{scheme}://"] = unless(transport, exceptions) if exceptions else transport
    return made


def _through(through: Callable[[str], T], scheme: str, url: str) -> T:
    try:
        return through(url)
    except (ValueError, ImportError, InvalidURL) as error:
        lower = f"{scheme}_proxy"
        variable = lower if lower in os.environ else lower.upper()
        why = str(error).replace(url, redact_url(url))
        raise ValueError(
            f"{variable} names a proxy that cannot be used, {redact_url(url)}: {why}"
        ) from None


class AsyncUnless(AsyncBaseTransport):
    """A transport through a proxy, but for the excepted."""

    def __init__(
        self,
        proxied: AsyncBaseTransport,
        direct: AsyncBaseTransport,
        exceptions: list[Excepted],
    ) -> None:
        self._proxied = proxied
        self._direct = direct
        self._exceptions = exceptions

    async def handle_async_request(self, request: Request) -> Response:
        """Send a request the one way or the other."""
        direct = any(each.covers(request.url) for each in self._exceptions)
        transport = self._direct if direct else self._proxied
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections to the proxy; the others are the client's own to close."""
        await self._proxied.aclose()


class Unless(BaseTransport):
    """A blocking transport through a proxy, but for the excepted."""

    def __init__(
        self, proxied: BaseTransport, direct: BaseTransport, exceptions: list[Excepted]
    ) -> None:
        self._proxied = proxied
        self._direct = direct
        self._exceptions = exceptions

    def handle_request(self, request: Request) -> Response:
        """Send a request the one way or the other."""
        direct = any(each.covers(request.url) for each in self._exceptions)
        transport = self._direct if direct else self._proxied
        return transport.handle_request(request)

    def close(self) -> None:
        """Close the connections to the proxy; the others are the client's own to close."""
        self._proxied.close()
