"""One connection for a thread: bytes in, bytes out, TLS if it is asked for.

A read waits in the system, with a time limit, and ends at once if another thread shuts the socket
down. So TLS is the one without I/O, and the socket is never anything but a socket.
"""

from __future__ import annotations

import errno
import math
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.http import CLOSED_HERE, TOO_LATE
from resilient_sse._values.library import HTTPX
from resilient_sse.transports._sockets import (
    RECEIVED_AT_ONCE,
    is_readable,
    set_receive_timeout,
    shut_down,
)
from resilient_sse.transports._threads.watchdog import watchdog
from resilient_sse.transports._tls import TLS, Sessions

if TYPE_CHECKING:
    import socket
    import ssl

    from resilient_sse._values.library import Library, TransportError

__all__ = ["SyncStream"]

_ANSWERED_WITHIN: Final = 1.0  # seconds
_OURS: Final = (None, errno.EAGAIN)
_ADDRESSES: Final = {"client_addr": "getsockname", "server_addr": "getpeername"}


class SyncStream:
    """A connection, in the shape of ``httpcore.NetworkStream``.

    It raises the exceptions of the library whose client it is for. `Dial` makes one. It belongs to
    one thread, but for `abort`.

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

    # -- Reading -------------------------------------------------------------------------------

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
        return data[:max_bytes]

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
        while not tls.ended and (data := self._receive(seconds)):
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
            return self._library.ReadError(CLOSED_HERE)
        if self._late:
            return self._library.ReadTimeout(TOO_LATE)
        # With another number it is the system's own timeout: TCP has given up.
        if isinstance(error, TimeoutError | BlockingIOError) and error.errno in _OURS:
            return self._library.ReadTimeout(TOO_LATE)
        return self._library.ReadError(str(error))

    def _set_limit(self, seconds: float | None) -> None:
        if seconds is not None and seconds <= 0:  # to a socket that means something else
            raise TimeoutError
        set_receive_timeout(self._sock, seconds)
        self.limit = seconds
        if seconds is not None:
            watchdog.watch(self, seconds)

    # -- Writing -------------------------------------------------------------------------------

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it.

        Args:
            buffer: What to send.
            timeout: Seconds that the other end may take none of it; None for no limit.

        Raises:
            httpx.WriteTimeout: It took longer.
            httpx.WriteError: The connection is broken.
        """
        try:
            self._limit_writes(timeout)
            rest = memoryview(buffer if self._tls is None else self._tls.encrypt(buffer))
            while rest:
                rest = rest[self._sock.send(rest) :]
        except TimeoutError as error:
            raise self._library.WriteTimeout("the write timed out") from error
        except OSError as error:
            raise self._library.WriteError(str(error)) from error

    def _limit_writes(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)
        self.limit = math.nan  # so that the next read sets its own

    # -- TLS -----------------------------------------------------------------------------------

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str,
        timeout: float | None = None,
        sessions: Sessions | None = None,
    ) -> SyncStream:
        """Speak TLS from here on.

        Args:
            ssl_context: What to trust.
            server_hostname: Whom the certificate must name.
            timeout: Seconds; None for no limit.
            sessions: What may be resumed.

        Raises:
            httpx.ConnectError: The handshake failed.
            httpx.ConnectTimeout: It took too long.
        """
        tls = TLS(ssl_context, server_hostname, sessions or Sessions())
        until = math.inf if timeout is None else monotonic() + timeout
        try:
            self._shake_hands(tls, until)
        except self._library.ReadTimeout as error:
            late = f"no TLS connection within {timeout} s"
            raise self._library.ConnectTimeout(late) from error
        except self._library.ReadError as error:
            raise self._library.ConnectError(str(error)) from error
        if not tls.established:
            why = str(tls.error or "the server left during the handshake")
            raise self._library.ConnectError(why) from tls.error
        self._tls = tls
        return self

    def _shake_hands(self, tls: TLS, until: float) -> None:
        tls.shake_hands()
        self._answer(tls)
        while not (tls.established or tls.ended):
            data = self._receive(None if until == math.inf else until - monotonic())
            if not data:
                return
            self._unread += tls.receive(data)
            self._answer(tls)

    # -- The end -------------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection, from any thread; a read that is pending in another one fails."""
        self._aborted = True
        shut_down(self._sock)

    def close(self) -> None:
        """Close the connection."""
        self.abort()
        self._sock.close()

    # -- Looking inside ------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the connection is open and nothing is unread."""
        return not self.get_extra_info("is_readable")

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as in httpcore
        """Return a fact about the connection, or None.

        Args:
            info: ``socket``, ``ssl_object``, ``client_addr``, ``server_addr`` or ``is_readable``.
        """
        if info == "ssl_object":
            return self._tls and self._tls.object
        if info == "is_readable":
            return self._aborted or bool(self._unread) or is_readable(self._sock)
        if info in _ADDRESSES:
            address: Any = getattr(self._sock, _ADDRESSES[info])()
            return address if isinstance(address, str) else address[:2]
        return self._sock if info == "socket" else None
