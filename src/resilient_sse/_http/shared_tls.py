"""TLS for several threads on one connection: no two calls of OpenSSL's at once.

Over HTTP/2 one thread waits for bytes while others send. OpenSSL allows no two calls for one
connection at a time, and Python's ``ssl`` makes them all the same (python/cpython issue 151508): a
read beside a write may tell of an end that never was, so that all streams of the connection are
resumed. So here a call never waits while it has the connection, but between two calls.
"""

from __future__ import annotations

import errno
import selectors
import ssl
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from resilient_sse.transports._sockets import Selector

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class SharedTLSSocket(ssl.SSLSocket):
    """A TLS socket that threads may read and write at the same time, each with its own limit."""

    _calls: threading.Lock
    _limits: threading.local

    @classmethod
    def take_over(cls, sock: Any) -> None:  # noqa: ANN401 - an `ssl.SSLSocket`, made into another
        """Make a socket that somebody else made and holds into one of these."""
        sock._calls, sock._limits = threading.Lock(), threading.local()  # noqa: SLF001 - its own then
        sock.__class__ = cls
        ssl.SSLSocket.settimeout(sock, 0)

    def __del__(self) -> None:
        """Close it, if httpcore has forgotten it.

        It forgets a connection that could not be made, which a second thread that waited for it
        then makes.
        """
        self.close()

    def settimeout(self, value: float | None, /) -> None:
        """Set for how many seconds this thread's calls may wait; None for no limit."""
        self._limits.seconds = value

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read some bytes; none at the end."""
        return self._alone(lambda: super(SharedTLSSocket, self).recv(buflen, flags))

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - as in ssl
        """Write some bytes; return how many."""
        return self._alone(lambda: super(SharedTLSSocket, self).send(data, flags))

    def _alone(self, call: Callable[[], T]) -> T:
        seconds: float | None = getattr(self._limits, "seconds", None)
        deadline = None if seconds is None else monotonic() + seconds
        while True:
            try:
                with self._calls:
                    return call()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ, deadline)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE, deadline)

    def _wait(self, event: int, deadline: float | None) -> None:
        number = self.fileno()
        if number < 0:
            raise OSError(errno.EBADF, "the connection was closed meanwhile")
        with Selector() as selector:
            selector.register(number, event)
            if not selector.select(None if deadline is None else max(0, deadline - monotonic())):
                msg = "no bytes came or went in time"
                raise TimeoutError(msg)


def share_tls(stream: Any) -> None:  # noqa: ANN401 - httpcore's
    """Make a blocking connection over TLS fit for several threads, if it speaks HTTP/2."""
    sock = stream.get_extra_info("socket")
    if type(sock) is ssl.SSLSocket and sock.selected_alpn_protocol() == "h2":
        SharedTLSSocket.take_over(sock)
