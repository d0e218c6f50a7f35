"""One connection for a thread: bytes in, bytes out, TLS if it is asked for.

TLS is the one without I/O, so that the socket is never anything but a socket, to be shut down from
any thread. How bytes come in is the subject of `receiver`.
"""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING, Any

from resilient_sse.transports._sockets import is_readable, shut_down
from resilient_sse.transports._threads.receiver import SyncReceiver
from resilient_sse.transports._tls import TLS, Sessions

if TYPE_CHECKING:
    import ssl

__all__ = ["SyncStream"]


class SyncStream(SyncReceiver):
    """A connection, in the shape of ``httpcore.NetworkStream``.

    It raises the exceptions of the library whose client it is for. `Dial` makes one. It belongs to
    one thread, but for `abort`.
    """

    __slots__ = ()

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
    def is_plain(self) -> bool:
        """Whether there is no TLS."""
        return self._tls is None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the connection is open and nothing is unread."""
        return not (self._aborted or self._unread or is_readable(self._sock))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as in httpcore
        """Return a fact about the connection, or None.

        Args:
            info: ``socket``, ``ssl_object``, ``client_addr``, ``server_addr`` or ``is_readable``.
        """
        match info:
            case "socket":
                return self._sock
            case "ssl_object":
                return self._tls and self._tls.object
            case "is_readable":
                return self._aborted or bool(self._unread) or is_readable(self._sock)
            case "client_addr":
                return _short(self._sock.getsockname())
            case "server_addr":
                return _short(self._sock.getpeername())
            case _:
                return None


def _short(address: Any) -> Any:  # noqa: ANN401 - every family has its own
    return address if isinstance(address, str) else address[:2]
