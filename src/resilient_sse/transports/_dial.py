"""Opening a connection on asyncio, to a host that may have several addresses.

asyncio tries them side by side; this says after how long, and raises httpx's exceptions.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from typing import TYPE_CHECKING, Any, Final

import httpx

from resilient_sse.transports._stream import AsyncioStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.transports._sockets import SocketOption

__all__ = ["dial"]

_HEAD_START: Final = 0.25  # of each address before the next one (RFC 8305 8)


async def dial(
    where: tuple[str, int] | str,
    *,
    within: float | None = None,
    local_address: str | None = None,
    socket_options: Iterable[SocketOption] = (),
) -> AsyncioStream:
    """Open a connection.

    Args:
        where: Host and port, or the path of a Unix domain socket.
        within: Seconds; None for no limit.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.

    Raises:
        httpx.ConnectError: It cannot be opened.
        httpx.ConnectTimeout: Nor within this time.
    """
    stream = AsyncioStream(asyncio.get_running_loop())
    try:
        async with asyncio.timeout(within):
            await _connect(stream, where, local_address)
        for option in socket_options:
            stream.get_extra_info("socket").setsockopt(*option)
    except TimeoutError as error:
        stream.abort()
        raise httpx.ConnectTimeout(f"no connection within {within:g} s") from error
    except (OSError, UnicodeError) as error:
        stream.abort()
        raise httpx.ConnectError(str(error)) from error
    return stream


async def _connect(
    stream: AsyncioStream, where: tuple[str, int] | str, local_address: str | None
) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(where, str):
        await loop.create_unix_connection(lambda: stream, where)
        return
    host, port = where
    options: dict[str, Any] = {}
    if local_address is not None:
        options["local_addr"] = (local_address, 0)
    if isinstance(loop, asyncio.BaseEventLoop) and not _is_ip_address(host):
        options["happy_eyeballs_delay"] = _HEAD_START  # which other loops do not have
    await loop.create_connection(lambda: stream, host, port, **options)


@functools.lru_cache(maxsize=256)
def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
