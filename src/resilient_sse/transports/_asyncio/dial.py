"""Opening a connection on asyncio, to a host that may have several addresses.

asyncio tries them side by side; this says after how long, and raises the client's exceptions.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.library import HTTPX
from resilient_sse.transports._asyncio.stream import AsyncioStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._values.library import Library
    from resilient_sse.transports._sockets import SocketOption

__all__ = ["dial"]

_HEAD_START: Final = 0.25  # of each address before the next one (RFC 8305 8)


async def dial(
    where: tuple[str, int] | str,
    *,
    within: float | None = None,
    local_address: str | None = None,
    socket_options: Iterable[SocketOption] = (),
    library: Library = HTTPX,
) -> AsyncioStream:
    """Open a connection.

    Args:
        where: Host and port, or the path of a Unix domain socket.
        within: Seconds; None for no limit.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.
        library: That of the client that it is for.

    Raises:
        httpx.ConnectError: It cannot be opened.
        httpx.ConnectTimeout: Nor within this time.
    """
    loop = asyncio.get_running_loop()
    stream = AsyncioStream(loop, library)
    try:
        async with asyncio.timeout(within):
            if isinstance(where, str):
                await loop.create_unix_connection(lambda: stream, where)
            else:
                options = _options(loop, where[0], local_address)
                await loop.create_connection(lambda: stream, *where, **options)
        sock = stream.get_extra_info("socket")
        for option in socket_options:
            sock.setsockopt(*option)
    except TimeoutError as error:
        stream.abort()
        raise library.ConnectTimeout(f"no connection within {within:g} s") from error
    except (OSError, UnicodeError) as error:
        stream.abort()
        raise library.ConnectError(str(error)) from error
    return stream


def _options(
    loop: asyncio.AbstractEventLoop, host: str, local_address: str | None
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if local_address is not None:
        options["local_addr"] = (local_address, 0)
    if isinstance(loop, asyncio.BaseEventLoop) and not _is_ip_address(host):
        options["happy_eyeballs_delay"] = _HEAD_START  # which other loops do not have
    return options


@functools.lru_cache(maxsize=256)
def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
