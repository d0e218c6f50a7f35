"""Opening a connection to a host that may have several addresses, as the blocking `Dial` does it.

asyncio has this too (``happy_eyeballs_delay``), but forgets the socket of a connection that was
made just as its task is cancelled: it stays open until the garbage collector comes by. Here nobody
but one coroutine has sockets, and it closes what it does not return, whenever and however it ends.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse.transports._threads.dial import HEAD_START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_sse.transports._threads.dial import Address

__all__ = ["Dial"]

_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EINTR, errno.EWOULDBLOCK})


class Dial:
    """Attempts to connect, the first of which to succeed counts.

    Args:
        loop: An event loop that can wait for a file descriptor.
        local_address: The address to connect from; None for any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, local_address: str | None) -> None:
        self._loop = loop
        self._local_address = local_address
        self._pending: dict[socket.socket, Any] = {}  # where each of them is to be connected to
        self._connected: socket.socket | None = None
        self._errors: list[OSError] = []
        self._news = asyncio.Event()

    async def race(self, addresses: Sequence[Address]) -> socket.socket:
        """Return a socket that is connected to one of the addresses.

        Args:
            addresses: Where to connect to, the best first.

        Raises:
            OSError: None of them can be reached.
        """
        try:
            for number, address in enumerate(addresses, start=1):
                self._start(*address)
                await self._wait(None if number == len(addresses) else HEAD_START)
                if self._connected is not None:
                    del self._pending[self._connected]
                    return self._connected
            raise _together(self._errors)
        finally:
            self._errors.clear()  # their tracebacks hold this frame
            for sock in self._pending:
                self._loop.remove_writer(sock)
                sock.close()

    def _start(self, family: int, address: Any) -> None:  # noqa: ANN401 - see `Address`
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            self._pending[sock] = address
            sock.settimeout(0)
            if self._local_address is not None:
                sock.bind((self._local_address, 0))
            code = sock.connect_ex(address)
        except OSError as error:  # perhaps from a family that this machine does not have
            self._lost(sock, error)
        else:
            if code in _UNDER_WAY:
                self._loop.add_writer(sock, self._look_at, sock)
            else:
                self._came(sock, code)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the first to succeed, but not if nobody is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._pending and self._connected is None:
                    self._news.clear()
                    await self._news.wait()

    def _look_at(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        self._came(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _came(self, sock: socket.socket, code: int) -> None:
        """Note what became of an attempt."""
        if code:
            # What asyncio says.
            self._lost(sock, OSError(code, f"Connect call failed {self._pending[sock]}"))
        else:
            self._connected = self._connected or sock
        self._news.set()

    def _lost(self, sock: socket.socket | None, error: OSError) -> None:
        self._errors.append(error)
        if sock is not None:
            del self._pending[sock]
            sock.close()


def _together(errors: list[OSError]) -> OSError:
    """Return one error for all, as asyncio does."""
    stories = [str(error) for error in errors]
    if len(set(stories)) == 1:
        return errors[0]
    return OSError(f"Multiple exceptions: {', '.join(stories)}")
