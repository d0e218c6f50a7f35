"""What a task that reads waits for: it goes on at once, in the callback that brings the bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

__all__ = ["ImmediateFuture"]


class ImmediateFuture:
    """What one task awaits, again and again, and nobody else; `arrive` wakes it.

    asyncio's futures wake their task in the event loop's next round: one round to hear of the
    bytes, another one, with a system call of its own, to hand them on. That second round is a fifth
    of what a live event costs apart from the system's own work. And each of them serves once: to
    make one for every read, and to have it done, is a tenth.

    So this is a future of asyncio's only in so far as a task asks for one (`asyncio.isfuture`): it
    has the attributes by which a task that awaits it is told to stop, how to be woken and what came
    of it, and by which whoever cancels the task cancels the wait. What became of a wait is known
    only to the task that waited.

    What makes it safe:

    - What a task asks of a future is the same since Python 3.7, but is documented only by its
      tests. So ours hold it on every version of Python and on uvloop.
    - The task runs inside the callback of the event loop, in its own context, as it would a round
      later. It must not run inside another task: `arrive` asks for that, and then waits a round.
    - The callback is the last thing that `data_received` does, so that whatever the task does to
      the connection, closing it included, finds nothing half done. What the task raises stays in
      the task; ``KeyboardInterrupt`` and ``SystemExit`` leave the event loop from here as they
      leave it from any callback.

    Attributes:
        waiting: Whether a task waits, and nothing has ended that.
        cancelled: Whether the last wait was ended by cancelling the task.
    """

    __slots__ = (
        *("_asyncio_future_blocking", "_context", "_error", "_loop", "_wake"),
        *("cancelled", "waiting"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self._wake: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None
        self.waiting = self.cancelled = False

    def arrive(self) -> None:
        """Let the task go on before this returns; called by the event loop."""
        wake, context = self._wake, self._context
        if wake is None or context is None or asyncio.current_task(self._loop) is not None:
            self.wake()  # no task has it yet, or one runs: two cannot run at a time
            return
        self.waiting = False
        self._wake = self._context = None
        context.run(wake, self)

    def wake(self, error: BaseException | None = None) -> None:
        """Let the task go on in the next round, or fail there with this error."""
        if not self.waiting:
            return
        self.waiting = False
        self._error = error
        wake, context = self._wake, self._context
        self._wake = self._context = None
        if wake is not None:
            self._loop.call_soon(wake, self, context=context)

    def done(self) -> bool:
        """Say whether nobody waits, as anyio asks what a task waits for."""
        return not self.waiting

    # -- What the task calls ---------------------------------------------------------------------

    def __await__(self) -> Generator[ImmediateFuture, None, None]:
        """Wait."""
        self.waiting, self.cancelled = True, False
        self._asyncio_future_blocking = True
        yield self

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """Note how to wake the task."""
        if self.waiting:
            self._wake, self._context = fn, context
        else:  # it was over before the task had it
            self._loop.call_soon(fn, self, context=context)

    def result(self) -> None:
        """Raise what the wait has failed with, if it has."""
        if self._error is None:
            return
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def cancel(self, msg: object = None) -> bool:
        """End the wait, as the task is cancelled."""
        if not self.waiting:
            return False
        self.cancelled = True
        self.wake(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True
