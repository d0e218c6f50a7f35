"""A future whose task goes on at once, in the callback that brings what it waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["ImmediateFuture"]


class ImmediateFuture(asyncio.Future[None]):
    """What one task awaits, and nobody else; `arrive` wakes it.

    asyncio's futures wake their task in the event loop's next round: one round to hear of the
    bytes, another one, with a system call of its own, to hand them on. That second round is a fifth
    of what a live event costs apart from the system's own work. Everything but `arrive` is as in
    asyncio.

    What makes it safe:

    - A task that awaits a future calls its ``add_done_callback`` with its own wakeup, also if the
      future is of a subclass and the task is the one in C. That is documented only by its tests,
      so ours hold it on every version of Python and on uvloop. Whoever comes second is served as
      by asyncio.
    - The task runs inside the callback of the event loop, in its own context, as it would a round
      later. It must not run inside another task: `arrive` asks for that, and then waits a round.
    - The callback is the last thing that `data_received` does, so that whatever the task does to
      the connection, closing it included, finds nothing half done. What the task raises stays in
      the task; ``KeyboardInterrupt`` and ``SystemExit`` leave the event loop from here as they
      leave it from any callback.
    """

    _wake: Callable[[Any], object] | None = None
    _context: Context | None = None

    def arrive(self) -> None:
        """Be done, and let the task go on before this returns; called by the event loop."""
        wake, context, self._wake = self._wake, self._context, None
        super().set_result(None)
        if wake is None or context is None:
            return
        if asyncio.current_task(self.get_loop()) is None:
            context.run(wake, self)
        else:  # a loop that runs callbacks inside a task: two tasks cannot run at a time
            self.get_loop().call_soon(wake, self, context=context)

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """Note how to wake the task that awaits this; called by the task."""
        if self._wake is None and not self.done():
            self._wake, self._context = fn, context
        else:
            super().add_done_callback(fn, context=context)

    def set_result(self, result: None) -> None:
        """Be done; the task goes on in the next round."""
        self._leave_to_asyncio()
        super().set_result(result)

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        """Fail; the task goes on in the next round."""
        self._leave_to_asyncio()
        super().set_exception(exception)

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ANN401 - as in asyncio
        """Be cancelled; the task goes on in the next round."""
        self._leave_to_asyncio()
        return super().cancel(msg)

    def _leave_to_asyncio(self) -> None:
        if self._wake is not None:
            super().add_done_callback(self._wake, context=self._context)
            self._wake = None
