"""The asynchronous driver: does the I/O that the session asks for, on asyncio and trio.

It holds no rule. What `aclose` and `reconnect` may have to interrupt is a read, which can be
aborted, or happens inside one cancel scope, `_scope`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import stamina

from resilient_sse._async_request import answer
from resilient_sse._async_saver import Saver
from resilient_sse._batches import Batches
from resilient_sse._client import default_async_client
from resilient_sse._http._response import headers_of
from resilient_sse._retry_loop import retry_loop
from resilient_sse._settled import Settled
from resilient_sse._source import Source, busy
from resilient_sse._watched import close, goes_on, watched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._watched import Chunks

__all__ = ["ReconnectingEventSource"]

T = TypeVar("T")


class ReconnectingEventSource(Source):
    __doc__ = Source.__doc__

    _chunks: Chunks | None = None
    _pulling = False
    _scope: anyio.CancelScope | None = None
    _pull_over: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        self._check_client("aclose", "it takes an asynchronous one, such as httpx.AsyncClient")
        self._enter()
        self._saver = Saver(self._settings, self._saving, type(self).__name__)
        try:
            await self._saver.load()
        except BaseException:  # then the block is not entered, and so never left
            self._session.close("closed", self._now())
            raise
        if self._client is None:
            self._client = default_async_client()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        try:
            await self._saver.save_last()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()
            if self._pulling:  # another task, which is about to leave
                self._pull_over = anyio.Event()
                await self._pull_over.wait()

    def __aiter__(self) -> Self:
        self._check_inside("async with")
        return self

    async def __anext__(self) -> ServerSentEvent:
        if self._ready:
            return self._ready.pop()
        return await self._pull(self._session.take)

    def batches(self) -> Batches:
        """Iterate lists of the events that came in together, for high-volume consumers.

        No list is empty. With ``auto_ack`` asking for the next list acknowledges all of the one
        before. It raises what iterating the source raises.
        """
        self._check_inside("async with")
        return Batches(self._pull, self._session.take_batch)

    async def aclose(self) -> None:
        """Close for good, from any task and in any state; the iteration ends normally.

        Nothing is delivered after it. It may be called again.
        """
        self._session.close("closed", self._now())
        self._interrupt()
        if not self._pulling:  # else the task that pulls cleans up as it leaves
            await self._finish()

    def reconnect(self) -> Awaitable[None]:
        """Drop the connection or the wait now and connect at once, from any task.

        Events that were received are delivered first. What is returned may be awaited, and need
        not be. After the end of the stream this does nothing.
        """
        self._session.request_reconnect()
        self._interrupt()
        return Settled()

    def ack(self, event: ServerSentEvent) -> Awaitable[None]:
        """Acknowledge an event, so that the saved cursor may move past it.

        The cursor is saved when the next event is asked for, or when what this returns is awaited.

        Raises:
            ValueError: If the event was not delivered, or is acknowledged already.
        """
        if not self._entered:
            self._saving.ack(event)
            return Settled()
        self._saver.ack(event)
        return Settled(self._saver.save)

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
        elif self._chunks is not None:
            self._chunks.abort()

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    async def _pull(self, take: Callable[[float], T | None]) -> T:
        self._check_inside("async with")
        if self._pulling:
            raise busy()
        self._pulling = True
        session, saving = self._session, self._saving
        try:
            while True:
                if not self._plain:
                    saving.acknowledge()
                    if saving.is_due(self._now()):
                        await self._save()
                if (self._ready or not self._plain) and (due := take(self._now())):
                    return due
                if session.finished:
                    await self._finish()
                    if saving.owed:
                        await self._interruptible(partial(self._saver.save, patient=True))
                    raise StopAsyncIteration
                await self._step()
        finally:
            self._pulling = False
            if self._pull_over is not None:
                self._pull_over.set()

    async def _save(self) -> None:
        if self._saver.at_once:  # there is nothing to interrupt
            await self._saver.save()
        else:
            await self._interruptible(self._saver.save)

    def _step(self) -> Awaitable[None]:
        """Choose what to do next: make room, drop the connection, open one, or read from it."""
        if not self._plain and self._saving.full:
            return self._interruptible(self._saver.make_room)
        if self._session.must_drop:
            return self._drop()
        if self._chunks is None:
            return self._interruptible(self._open)
        return self._read(self._chunks)

    async def _interruptible(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step, until it is done or interrupted by `aclose` or `reconnect`."""
        try:
            with anyio.CancelScope() as self._scope:
                await step()
        finally:
            self._scope = None

    async def _read(self, chunks: Chunks) -> None:
        error: Exception
        try:
            self._session.received(await chunks.__anext__())
        except StopAsyncIteration:
            error = self._session.ended()
        except Exception as exc:  # noqa: BLE001 - the session knows which are failures
            error = exc
        except BaseException as exc:  # cancelled, which breaks most connections
            if not goes_on(chunks, exc):
                await self._drop()
            raise
        else:
            return
        await self._drop(error)

    async def _open(self) -> None:
        """Open a connection, in one fresh retry loop of stamina's."""

        async def connect(_url: str) -> None:
            self._session.raise_pending()
            await self._connect()

        self._session.begin_opening()
        loop = retry_loop(connect, f"{type(self).__name__}.connect", self._retry_delay)
        try:
            await loop(self._session.url)
        except Exception as error:
            outcome = self._session.conclude(error, self._now())
            if outcome is None:
                return
            if outcome is error:
                raise
            raise outcome from outcome.__cause__

    def _retry_delay(self, error: Exception) -> float | bool:
        seconds = self._session.retry_delay(error, self._now())
        if not stamina.is_testing():  # then stamina may not retry, and does not wait
            self._session.announce_retry()
        return seconds

    async def _connect(self) -> None:
        """Make one attempt."""
        session = self._session
        attempt = session.begin_attempt(self._now())
        response = self._response = await answer(self._client, self._settings, session, attempt)
        headers = headers_of(response)
        if session.connected(response.status_code, headers, self._now()):
            self._chunks = watched(response, self._settings.idle_timeout)
        else:
            await self._drop()

    async def _drop(self, error: Exception | None = None) -> None:
        """Close the open response, if there is one, and tell the session why."""
        response, self._response = self._response, None
        chunks, self._chunks = self._chunks, None
        try:
            if response is not None:
                await close(response, chunks)
        finally:  # also if the task is cancelled meanwhile, of which no scope protects
            bug = self._session.lost(error, self._now())
        if bug:
            raise bug

    async def _finish(self) -> None:
        try:
            await self._drop()
        finally:
            if self._own_client and self._client is not None:
                with anyio.CancelScope(shield=True):
                    await self._client.aclose()
