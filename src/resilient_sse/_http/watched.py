"""Reading a body under watch: a pending read ends when it is aborted, or when nothing comes.

A cancel scope around every read, and a timeout of the client's own inside it, cost more than all
else that happens between socket and consumer. On asyncio this does without: it cancels the task
that waits, as `asyncio.timeout` does, and one timer a connection looks at the deadline.

Cancelling a task is a request that others may make at the same moment. So it is counted: the read
was ended by this side alone if the task's count of cancellations is what it was, plus one; then the
count is put back (`uncancel`) and the reason raised in its place. If there are more, somebody else
wants the task to end, and its cancellation goes on. Only a task that waits is cancelled: one that
runs, which calls `abort` itself, would be hit wherever it waits next.
"""

from __future__ import annotations

import asyncio
import math
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from resilient_sse._http import body as _body
from resilient_sse._http.request import limit_reads
from resilient_sse._values.http import CLOSED_HERE, TOO_LATE
from resilient_sse._values.library import library_of
from resilient_sse.transports._body import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from resilient_sse._http.multiplexed import Multiplexed
    from resilient_sse._values.http_messages import HTTPResponse
    from resilient_sse._values.library import Library


def watched(
    response: HTTPResponse,
    seconds: float | None,
    multiplexed: Multiplexed | None = None,
) -> Chunks:
    """Return the chunks of a response's body, which may be aborted from another task.

    Args:
        response: The response.
        seconds: How long a read may wait for a byte; None for no limit.
        multiplexed: The connection, if it is one of HTTP/2.
    """
    chunks = _body.async_chunks(response)
    if isinstance(chunks, Body):  # which does both by itself
        limit_reads(response.request, seconds)
        chunks.outlasts_cancellation = True
        return chunks
    limit_reads(response.request, None)
    limit = math.inf if seconds is None else seconds
    kind = InScope if on_trio() else OnTask
    made = kind(chunks, limit, library_of(response))
    made.multiplexed = multiplexed
    return made


async def close(response: HTTPResponse, chunks: Chunks | None) -> None:
    """Close a response whose body may have been read under watch."""
    if isinstance(chunks, OnTask | InScope):
        await _body.close(response, chunks.let_go())
    else:
        await _body.close(response)


def goes_on(chunks: Chunks, error: BaseException) -> bool:
    """Say whether the next read can go on after one that ended with this error.

    A read from our own transport that is cancelled has taken nothing. The generators that other
    transports read through are over.
    """
    cancelled = isinstance(error, asyncio.CancelledError)
    return cancelled and isinstance(chunks, Body) and chunks.outlasts_cancellation


def on_trio() -> bool:
    """Say whether this task is one of trio's."""
    # Another thread may be half-way through importing trio; then this one runs nothing of it.
    lowlevel: Any = getattr(sys.modules.get("trio"), "lowlevel", None)
    return lowlevel is not None and lowlevel.in_trio_task()


class _Watch:
    def __init__(self, chunks: AsyncIterator[bytes], seconds: float, library: Library) -> None:
        self._chunks = chunks
        self._seconds = seconds
        self._library = library
        self.multiplexed: Multiplexed | None = None  # over HTTP/2, to be told that bytes came

    def let_go(self) -> AsyncIterator[bytes]:
        """Stop watching; return what is to be closed."""
        chunks = self._chunks
        # An error's traceback may hold this for long, and httpxr closes only what nobody holds.
        del self._chunks
        return chunks


class OnTask(_Watch):
    """Interrupts a read by cancelling its task once, and taking that back (`asyncio.timeout`)."""

    def __init__(self, chunks: AsyncIterator[bytes], seconds: float, library: Library) -> None:
        super().__init__(chunks, seconds, library)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None  # while it reads
        self._why: Exception | None = None
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    async def __anext__(self) -> bytes:
        task: Any = asyncio.current_task(self._loop)
        self._task = task
        cancelling = task.cancelling()
        self._deadline = monotonic() + self._seconds
        if self._timer is None and self._seconds < math.inf:
            self._timer = self._loop.call_later(self._seconds, self._look_at_deadline)
        try:
            chunk = await self._chunks.__anext__()
            if self.multiplexed is not None:
                self.multiplexed.came()
            return chunk  # noqa: TRY300 - what was raised is looked at
        except asyncio.CancelledError:
            if self._why is None or task.cancelling() > cancelling + 1:
                raise  # somebody else wants it to end, too
            raise self._why from None
        finally:
            self._task = None
            if self._why is not None:
                self._why = None
                task.uncancel()

    def abort(self) -> None:
        """Have the read that is pending in another task fail."""
        self._interrupt(self._library.ReadError(CLOSED_HERE))

    def let_go(self) -> AsyncIterator[bytes]:
        """Stop watching; return what is to be closed."""
        if self._timer is not None:
            self._timer.cancel()
        return super().let_go()

    def _look_at_deadline(self) -> None:
        self._timer = None
        if self._task is None:
            return
        left = self._deadline - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_deadline)
        else:
            self._interrupt(self._library.ReadTimeout(TOO_LATE))

    def _interrupt(self, why: Exception) -> None:
        # A task that is not waiting, but runs, would be cancelled wherever it waits next.
        waits = self._task is not None and self._task is not asyncio.current_task(self._loop)
        if self._task is not None and waits and self._why is None:
            self._why = why
            self._task.cancel()


class InScope(_Watch):
    """Interrupts a read by a cancel scope around it, which is what trio has."""

    def __init__(self, chunks: AsyncIterator[bytes], seconds: float, library: Library) -> None:
        super().__init__(chunks, seconds, library)
        self._scope: anyio.CancelScope | None = None  # while it reads
        self._aborted = False

    async def __anext__(self) -> bytes:
        deadline = anyio.current_time() + self._seconds
        try:
            with anyio.CancelScope(deadline=deadline) as self._scope:
                chunk = await self._chunks.__anext__()
                if self.multiplexed is not None:
                    self.multiplexed.came()
                return chunk
        finally:
            self._scope = None
        http = self._library
        raise http.ReadError(CLOSED_HERE) if self._aborted else http.ReadTimeout(TOO_LATE)

    def abort(self) -> None:
        """Have the read that is pending in another task fail."""
        self._aborted = True
        if self._scope is not None:
            self._scope.cancel()


Chunks: TypeAlias = Body | OnTask | InScope
