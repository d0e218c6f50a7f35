"""One TCP connection on asyncio: bytes in, bytes out, TLS if it is asked for.

How they come in, and wait until they are read, is the subject of `receiver`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse.transports._asyncio.receiver import Receiver
from resilient_sse.transports._sockets import is_readable
from resilient_sse.transports._tls import TLS, Sessions

if TYPE_CHECKING:
    import ssl

__all__ = ["AsyncioStream"]

_ADDRESSES: Final = {"client_addr": "sockname", "server_addr": "peername"}


class AsyncioStream(Receiver):
    """A connection, in the shape of ``httpcore.AsyncNetworkStream``.

    It raises the exceptions of the library whose client it is for. `dial` makes one.
    """

    __slots__ = ()

    # -- Writing -------------------------------------------------------------------------------

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - as in httpcore
    ) -> None:
        """Send all of it.

        Args:
            buffer: What to send.
            timeout: Seconds; None for no limit.

        Raises:
            httpx.WriteTimeout: The other end did not take it in time.
            httpx.WriteError: The connection is broken.
        """
        if self._over:
            raise self._library.WriteError(self._broken or "the other end closed the connection")
        self._transport.write(buffer if self._tls is None else self._tls.encrypt(buffer))
        if self._writing is not None:
            late = self._library.WriteTimeout("the write timed out")
            await self._wait(self._writing, timeout, late)

    async def _wait(
        self, waiter: asyncio.Future[None], seconds: float | None, error: Exception
    ) -> None:
        """Wait, once in the life of a connection, with a timer of its own."""
        if seconds is None:
            await waiter
            return
        timer = self._loop.call_later(seconds, _fail, waiter, error)
        try:
            await waiter
        finally:
            timer.cancel()

    def pause_writing(self) -> None:
        """Note that the other end does not take what is written; called by asyncio."""
        self._writing = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that all has been sent; called by asyncio."""
        writing, self._writing = self._writing, None
        if writing is not None and not writing.done():
            writing.set_result(None)

    # -- TLS -----------------------------------------------------------------------------------

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as in httpcore
        sessions: Sessions | None = None,
    ) -> AsyncioStream:
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
        tls = self._tls = TLS(ssl_context, server_hostname, sessions or Sessions())
        tls.shake_hands()
        self._transport.write(tls.to_send())
        try:
            await self.wait(timeout)
        except BaseException as error:
            self.abort()
            if isinstance(error, self._library.ReadTimeout):
                late = f"no TLS connection within {timeout} s"
                raise self._library.ConnectTimeout(late) from error
            raise
        if not tls.established:
            self.abort()
            cause = tls.error or self._cause
            why = str(cause or "the server left during the handshake")
            raise self._library.ConnectError(why) from cause
        return self

    # -- The end -------------------------------------------------------------------------------

    def abort(self) -> None:
        """Close the connection at once; a read that is pending in another task fails."""
        self._received.clear()
        if not self._over:
            self._end("the connection was closed on this side")
        if self._transport is not None:
            self._transport.abort()

    def discard(self) -> None:
        """Close the connection, whose event loop may be another one by now, or closed."""
        if self._loop is asyncio.get_running_loop():
            self.abort()
        else:
            with suppress(RuntimeError):  # it is closed, and asyncio says so of what it left open
                self._loop.call_soon_threadsafe(self.abort)

    async def aclose(self) -> None:
        """Close the connection at once; a read that is pending in another task fails."""
        closing = self._over  # then asyncio closes the socket in this round
        self.abort()
        if not closing:
            await asyncio.sleep(0)  # asyncio closes the socket in its next round

    # -- Looking inside ------------------------------------------------------------------------

    @property
    def is_plain(self) -> bool:
        """Whether there is no TLS."""
        return self._tls is None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the connection is open and nothing is unread."""
        return (
            not self._over
            and not self._received
            and self._loop is asyncio.get_running_loop()
            and not self.get_extra_info("is_readable")
        )

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as in httpcore
        """Return a fact about the connection, or None.

        Args:
            info: ``socket``, ``ssl_object``, ``client_addr``, ``server_addr`` or ``is_readable``.
        """
        if info == "ssl_object":
            return self._tls and self._tls.object
        if info == "is_readable":
            return self._over or is_readable(self._transport.get_extra_info("socket"))
        if info in _ADDRESSES:
            address: Any = self._transport.get_extra_info(_ADDRESSES[info])
            return address if isinstance(address, str) else address[:2]
        return self._transport.get_extra_info("socket") if info == "socket" else None


def _fail(waiter: asyncio.Future[None], error: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(error)
