"""One TCP connection on asyncio: bytes in, bytes out, TLS if it is asked for.

What arrives is kept until it is read; past a limit the socket is left alone until then. A read that
has to wait is one future, and costs neither a task nor a cancel scope. Its timeout is one timer for
the whole connection, which looks at its deadline when it goes off: to arm and disarm a timer for
every read costs more than the read.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.http import CLOSED_HERE, TOO_LATE
from resilient_sse._values.library import HTTPX
from resilient_sse.transports._asyncio.immediate_future import ImmediateFuture
from resilient_sse.transports._sockets import RECEIVED_AT_ONCE, is_readable
from resilient_sse.transports._tls import TLS, Sessions

if TYPE_CHECKING:
    import ssl

    from resilient_sse._values.library import Library

__all__ = ["AsyncioStream"]

_MOST_BUFFERED: Final = 64 * 1024
_ADDRESSES: Final = {"client_addr": "sockname", "server_addr": "peername"}


class AsyncioStream(asyncio.Protocol):
    """A connection, in the shape of ``httpcore.AsyncNetworkStream``.

    It raises the exceptions of the library whose client it is for.

    Attributes:
        ready: Whether `take` has something to say, so that there is no need to `wait`.
    """

    __slots__ = (
        "__weakref__", "_broken", "_cause", "_deadline", "_due", "_library", "_loop", "_open",
        "_over", "_paused", "_reading", "_received", "_size", "_timer", "_tls", "_transport",
        "_writing", "ready",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, library: Library = HTTPX) -> None:
        self._loop = loop
        self._library = library
        self._transport: Any = None
        self._open = False  # whether there is anything to abort, which asyncio allows only then
        self._tls: TLS | None = None
        self._writing: asyncio.Future[None] | None = None  # who waits to write, see `write`
        # What was received and is not read yet
        self.ready = False
        self._received: list[bytes] = []
        self._size = 0
        self._paused = False
        # The end: nothing more will be received, and why, unless it was clean
        self._over = False
        self._broken = ""
        self._cause: BaseException | None = None
        # Who waits, and until when
        self._reading = ImmediateFuture(loop)
        self._deadline = self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # -- Reading --------------------------------------------------------------------------------

    async def read(
        self,
        max_bytes: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in httpcore
    ) -> bytes:
        """Return what has been received, or wait for it; ``b""`` at the end.

        Args:
            max_bytes: At most so many; None for all there are.
            timeout: Seconds; None for no limit.

        Raises:
            httpx.ReadTimeout: Nothing came in time. The connection stays open.
            httpx.ReadError: The connection broke, or this side closed it.
        """
        if not self.ready:
            await self.wait(timeout)
        data = self.take()
        if max_bytes is not None and len(data) > max_bytes:
            self.unread(data[max_bytes:])
        return data[:max_bytes]

    def wait(self, seconds: float | None) -> ImmediateFuture:
        """Return what to await until there is something to `take`; the first half of `read`."""
        reading = self._reading
        if reading.waiting:
            raise RuntimeError("another task is reading from this connection")
        if seconds is None:
            self._deadline = math.inf
        elif not reading.cancelled:  # else this wait goes on with that one
            self._deadline = self._loop.time() + seconds
        if self._deadline < self._due:
            self._arm()
        return reading

    def take(self) -> bytes:
        """Return all that has been received, ``b""`` at the end; the second half of `read`."""
        received = self._received
        if not received:
            if self._broken:
                raise self._library.ReadError(self._broken) from self._cause
            return b""
        data = received[0] if len(received) == 1 else b"".join(received)
        received.clear()
        self._size = 0
        self.ready = self._over
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def unread(self, data: bytes) -> None:
        """Put back what was read too far."""
        self._received.insert(0, data)
        self._size += len(data)
        self.ready = True

    # -- The deadline of a read -----------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._deadline
        self._timer = self._loop.call_at(self._due, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        self._timer, self._due = None, math.inf
        if not self._reading.waiting or self._deadline == math.inf:
            return
        if self._deadline > self._loop.time():
            self._arm()
        else:
            self._reading.wake(self._library.ReadTimeout(TOO_LATE))

    # -- Writing --------------------------------------------------------------------------------

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
            sent, _ = await asyncio.wait([self._writing], timeout=timeout)
            if not sent:
                raise self._library.WriteTimeout("the write timed out")

    # -- TLS ------------------------------------------------------------------------------------

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
        except self._library.ReadTimeout as error:
            late = f"no TLS connection within {timeout} s"
            raise self._library.ConnectTimeout(late) from error
        finally:
            if not tls.established:
                self.abort()
        if not tls.established:
            cause = tls.error or self._cause
            why = str(cause or "the server left during the handshake")
            raise self._library.ConnectError(why) from cause
        return self

    # -- What asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport, self._open = transport, True
        with suppress(AttributeError):  # other event loops have it their way
            self._transport.max_size = RECEIVED_AT_ONCE
        # A write is over when all was handed to the system, as it is with httpx's own transport.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Keep the next bytes until they are read."""
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if not data:
                return
        self._received.append(data)
        self.ready = True
        reading = self._reading
        if reading.waiting:
            reading.arrive()
            return
        reading.cancelled = False  # the silence is over, also for a wait that was cancelled
        self._size += len(data)
        if self._size > _MOST_BUFFERED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _decrypt(self, tls: TLS, data: bytes) -> bytes:
        shaking_hands = not tls.established
        plain = tls.receive(data)
        if answer := tls.to_send():
            self._transport.write(answer)
        if shaking_hands and tls.established:
            self._reading.wake()
        if tls.ended:
            self._end(str(tls.error or ""), tls.error)
            self._transport.abort()
        return plain

    def eof_received(self) -> None:
        """Note the end; asyncio then closes the socket."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._open = False
        self._end(str(exc or ""), exc)

    def pause_writing(self) -> None:
        """Note that the other end does not take what is written; called by asyncio."""
        self._writing = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that all has been sent; called by asyncio."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.set_result(None)

    # -- The end --------------------------------------------------------------------------------

    def _end(self, broken: str = "", cause: BaseException | None = None) -> None:
        if not self._over:
            self._over, self._broken, self._cause = True, broken, cause
            self.ready = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reading.wake()
        self.resume_writing()

    def abort(self) -> None:
        """Close the connection at once; a read that is pending in another task fails."""
        self._received.clear()
        self._end(CLOSED_HERE)
        if self._open:
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

    # -- Looking inside -------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the connection is open and nothing is unread."""
        ours = self._loop is asyncio.get_running_loop()
        return ours and not self.get_extra_info("is_readable")

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as in httpcore
        """Return a fact about the connection, or None.

        Args:
            info: ``socket``, ``ssl_object``, ``client_addr``, ``server_addr`` or ``is_readable``.
        """
        if info == "ssl_object":
            return self._tls and self._tls.object
        if info == "is_readable":
            return self.ready or is_readable(self._transport.get_extra_info("socket"))
        if info in _ADDRESSES:
            address: Any = self._transport.get_extra_info(_ADDRESSES[info])
            return address if isinstance(address, str) else address[:2]
        return self._transport.get_extra_info("socket") if info == "socket" else None
