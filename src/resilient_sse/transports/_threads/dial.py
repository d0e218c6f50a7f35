"""Opening a connection to a host that may have several addresses, not all of which may answer.

Each address gets a quarter of a second before the next one is tried beside it (RFC 8305 5): a host
whose IPv6 leads nowhere costs that long, not the whole timeout.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import selectors
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from resilient_sse._values.http import CLOSED_HERE
from resilient_sse._values.library import HTTPX
from resilient_sse.transports._sockets import Selector, shut_down
from resilient_sse.transports._threads.stream import SyncStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resilient_sse._values.library import Library
    from resilient_sse.transports._sockets import SocketOption

__all__ = ["HEAD_START", "Address", "Dial", "addresses_of", "in_turns"]

Address: TypeAlias = tuple[int, Any]
"""An address family, and an address as this family writes it."""

HEAD_START: Final = 0.25
"""Seconds of each address before the next one is tried beside it (RFC 8305 5)."""
_TCP: Final = (socket.AF_INET, socket.AF_INET6)
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, getattr(errno, "WSAEWOULDBLOCK", 0)})


class Dial:
    """Attempts to connect, the first of which to succeed counts.

    Args:
        local_address: The address to connect from; None for any.
        options: Arguments for ``socket.setsockopt``.
        library: That of the client that it is for.
    """

    def __init__(
        self,
        local_address: str | None,
        options: Iterable[SocketOption],
        library: Library = HTTPX,
    ) -> None:
        self._library = library
        self._local_address = local_address
        self._options = options
        self._pending: list[socket.socket] = []
        self._errors: list[OSError] = []
        self._aborted = False

    def abort(self) -> None:
        """Give up, from any thread."""
        self._aborted = True
        for sock in tuple(self._pending):
            shut_down(sock)

    def connect(self, where: tuple[str, int] | str, within: float | None = None) -> SyncStream:
        """Open a connection.

        Args:
            where: Host and port, or the path of a Unix domain socket.
            within: Seconds; None for no limit.

        Raises:
            httpx.ConnectError: It cannot be opened.
            httpx.ConnectTimeout: Nor within this time.
        """
        until = math.inf if within is None else monotonic() + within
        try:
            return SyncStream(self.race(addresses_of(where), until), self._library)
        except TimeoutError as error:
            raise self._library.ConnectTimeout(f"no connection within {within} s") from error
        except (OSError, UnicodeError) as error:
            raise self._library.ConnectError(str(error)) from error
        finally:
            self._errors.clear()  # their tracebacks hold the source, which may hold this

    def race(self, addresses: Sequence[Address], until: float) -> socket.socket:
        """Return a socket that is connected to one of the addresses.

        Args:
            addresses: Where to connect to, the best first.
            until: When to give up, on the clock ``time.monotonic``.

        Raises:
            TimeoutError: None of them answered in time.
            OSError: None of them can be reached; this is what came of the first.
        """
        with Selector() as waiting:
            try:
                for number, address in enumerate(addresses, start=1):
                    if self._aborted:
                        break
                    self._start(address, waiting)
                    last = number == len(addresses)
                    pause = until if last else min(until, monotonic() + HEAD_START)
                    if sock := self._wait(pause, waiting):
                        return sock
                raise self._failure()
            finally:
                for loser in self._pending:
                    loser.close()

    def _start(self, address: Address, waiting: selectors.BaseSelector) -> None:
        family, name = address
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            self._pending.append(sock)
            self._prepare(sock, family)
            code = sock.connect_ex(name)
            if code and code not in _UNDER_WAY:
                raise OSError(code, os.strerror(code))  # noqa: TRY301 - to be noted like the others
            waiting.register(sock, selectors.EVENT_WRITE, sock)
        except OSError as error:  # perhaps from a family that this machine does not have
            self._lost(sock, error)

    def _prepare(self, sock: socket.socket, family: int) -> None:
        sock.settimeout(0)
        set_option: Any = sock.setsockopt  # which has several signatures
        if family in _TCP:
            set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in self._options:
            set_option(*option)
        if self._local_address is not None:
            sock.bind((self._local_address, 0))

    def _wait(self, until: float, waiting: selectors.BaseSelector) -> socket.socket | None:
        """Wait for the first to succeed; None if time is over, or nobody is left."""
        while self._pending and not self._aborted:
            # At most that long, because not every system lets another thread end the wait.
            left = min(until - monotonic(), HEAD_START)
            if left <= 0:
                return None
            for key, _ in waiting.select(left):
                sock: socket.socket = key.data
                waiting.unregister(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    self._pending.remove(sock)
                    return sock
                self._lost(sock, OSError(code, os.strerror(code)))
        return None

    def _lost(self, sock: socket.socket | None, error: OSError) -> None:
        self._errors.append(error)
        if sock is not None:
            self._pending.remove(sock)
            sock.close()

    def _failure(self) -> OSError:
        if self._aborted:
            return ConnectionAbortedError(errno.ECONNABORTED, CLOSED_HERE)
        return TimeoutError() if self._pending else self._errors[0]


def addresses_of(where: tuple[str, int] | str) -> list[Address]:
    """Find the addresses of a host and port, or of the path of a Unix domain socket.

    Those of the preferred family and of the other one take turns (RFC 8305 4).

    Raises:
        OSError: If the name cannot be resolved.
        UnicodeError: If it cannot be a name.
    """
    if isinstance(where, str):
        return [(socket.AF_UNIX, where)]
    return in_turns(socket.getaddrinfo(*where, type=socket.SOCK_STREAM))


def in_turns(resolved: Iterable[tuple[Any, ...]]) -> list[Address]:
    """Return what `socket.getaddrinfo` found, the families in turns."""
    found: list[Address] = [(family, address) for family, *_, address in resolved]
    preferred = [address for address in found if address[0] == found[0][0]]
    others = [address for address in found if address not in preferred]
    turns = itertools.zip_longest(preferred, others)
    return [address for turn in turns for address in turn if address is not None]
