"""The receiving half of a connection for a thread: it waits in the system, with a time limit.

Another thread may shut the socket down at any moment, and a read then ends at once.
"""

from __future__ import annotations

import errno
import math
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from resilient_sse._values.library import HTTPX
from resilient_sse.transports._sockets import RECEIVED_AT_ONCE, limit_reads, shut_down
from resilient_sse.transports._threads.watchdog import watch

if TYPE_CHECKING:
    import socket

    from resilient_sse._values.library import Library, TransportError
    from resilient_sse.transports._tls import TLS

__all__ = ["SyncReceiver"]

_CLOSED_HERE: Final = "the connection was closed on this side"
_TOO_LATE: Final = "no bytes came in time"
_ANSWERED_WITHIN: Final = 1.0  # seconds
_OURS: Final = (None, errno.EAGAIN)


class SyncReceiver:
    """The side of a connection that one thread reads.

    Attributes:
        limit: Seconds that a read may take; None for no limit.
        reading_until: When the read under way is to end; infinity without one.
    """

    __slots__ = (
        *("__weakref__", "_aborted", "_late", "_library", "_sock", "_tls", "_unread"),
        *("limit", "reading_until"),
    )

    def __init__(self, sock: socket.socket, library: Library = HTTPX) -> None:
        """Take over a connected socket, for a client of this library."""
        self._sock = sock
        self._library = library
        self.limit: float | None = math.nan
        self.reading_until = math.inf
        self._late = False
        self._tls: TLS | None = None
        self._unread = b""
        self._aborted = False

    def read(self, max_bytes: int | None = None, timeout: float | None = None) -> bytes:
        """Return what has been received, or wait for it; ``b""`` at the end.

        Args:
            max_bytes: At most so many; None for all there are.
            timeout: Seconds; None for no limit.

        Raises:
            httpx.ReadTimeout: Nothing came in time. The connection stays open.
            httpx.ReadError: The connection broke, or this side closed it.
        """
        data = self.receive(timeout)
        if max_bytes is not None and len(data) > max_bytes:
            self.unread(data[max_bytes:])
            data = data[:max_bytes]
        return data

    def receive(self, seconds: float | None) -> bytes:
        """Read all there is, as `read` does; a call less for each read of a body."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        if self._tls is not None:
            return self._receive_by(self._tls, seconds)
        return self._receive(seconds)

    def unread(self, data: bytes) -> None:
        """Put back what was read too far."""
        self._unread = data + self._unread

    def _receive(self, seconds: float | None) -> bytes:
        try:
            if seconds != self.limit:
                self._set_limit(seconds)
            if seconds is not None:
                self.reading_until = monotonic() + seconds
            data = self._sock.recv(RECEIVED_AT_ONCE)
        except OSError as error:
            raise self._read_error(error) from error
        finally:
            self.reading_until = math.inf
        if not data and (self._aborted or self._late):
            raise self._read_error(OSError())
        return data

    def overdue(self) -> None:
        """End a read that outlasts its limit; a signal made it begin anew."""
        self._late = True
        shut_down(self._sock)

    def _receive_by(self, tls: TLS, seconds: float | None) -> bytes:
        """Receive what the other end said within TLS."""
        while not tls.ended:
            data = self._receive(seconds)
            if not data:
                return b""
            plain = tls.receive(data)
            self._answer(tls)
            if plain:
                return plain
        if tls.error is not None:
            raise self._library.ReadError(str(tls.error)) from tls.error
        return b""

    def _answer(self, tls: TLS) -> None:
        """Send what TLS has to say by itself."""
        if answer := tls.to_send():
            with suppress(OSError):  # whoever reads on will hear of it, after what came before
                self._limit_writes(_ANSWERED_WITHIN)
                self._sock.sendall(answer)

    def _read_error(self, error: OSError) -> TransportError:
        if self._aborted:
            return self._library.ReadError(_CLOSED_HERE)
        if self._late:
            return self._library.ReadTimeout(_TOO_LATE)
        # With another number it is the system's own timeout: TCP has given up.
        if isinstance(error, TimeoutError | BlockingIOError) and error.errno in _OURS:
            return self._library.ReadTimeout(_TOO_LATE)
        return self._library.ReadError(str(error))

    # -- Time limits ---------------------------------------------------------------------------

    def _set_limit(self, seconds: float | None) -> None:
        if seconds is not None and seconds <= 0:  # to a socket that means something else
            raise TimeoutError
        limit_reads(self._sock, seconds)
        self.limit = seconds
        if seconds is not None:
            watch(self, seconds)

    def _limit_writes(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)
        self.limit = math.nan  # so that the next read sets its own
