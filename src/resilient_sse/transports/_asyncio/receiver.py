"""The receiving half of a connection on asyncio: what arrives is kept until it is read.

Past a limit the socket is left alone until then. A read that has to wait is one future, and costs
neither a task nor a cancel scope. Its timeout is one timer for the whole connection, which looks at
its deadline when it goes off: to arm and disarm a timer for every read costs more than the read.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.library import HTTPX
from resilient_sse.transports._asyncio.immediate_future import ImmediateFuture
from resilient_sse.transports._sockets import RECEIVED_AT_ONCE

if TYPE_CHECKING:
    from resilient_sse._values.library import Library
    from resilient_sse.transports._tls import TLS

__all__ = ["Receiver"]

_MOST_BUFFERED: Final = 64 * 1024


class Receiver(asyncio.Protocol):
    """The side of a connection that asyncio fills and one task reads.

    Attributes:
        ready: Whether `take` has something to say, so that there is no need to `wait`.
    """

    __slots__ = (
        "__weakref__", "_broken", "_cause", "_deadline", "_due", "_library", "_loop", "_over",
        "_paused", "_reading", "_received", "_size", "_timer", "_tls", "_transport", "_writing",
        "ready",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, library: Library = HTTPX) -> None:
        self._loop = loop
        self._library = library
        self._transport: Any = None
        self._tls: TLS | None = None
        self._writing: asyncio.Future[None] | None = None  # who waits to write, see `AsyncioStream`
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

    # -- What the reader calls -----------------------------------------------------------------

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

    # -- What asyncio calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport
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

    def eof_received(self) -> bool:
        """Note the end; asyncio then closes the socket."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end(str(exc or ""), exc)

    # -- The deadline --------------------------------------------------------------------------

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
            self._reading.wake(self._library.ReadTimeout("no bytes came in time"))

    # -- The end -------------------------------------------------------------------------------

    def _end(self, broken: str = "", cause: BaseException | None = None) -> None:
        if not self._over:
            self._over, self._broken, self._cause = True, broken, cause
            self.ready = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reading.wake()
        if self._writing is not None:
            self.resume_writing()
