"""The asynchronous driver: does the I/O that the session asks for, on asyncio and trio.

It holds no rule. What `aclose` and `reconnect` may have to interrupt is a read, which can be
aborted, or happens inside one cancel scope, `_scope`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from resilient_sse._drivers.async_request import answer, recovered
from resilient_sse._drivers.async_retries import Retries
from resilient_sse._drivers.async_saver import Saver
from resilient_sse._drivers.batches import Batches
from resilient_sse._drivers.optional_await import OptionalAwait
from resilient_sse._drivers.options import AsyncHTTPClient
from resilient_sse._drivers.retries import is_certain
from resilient_sse._drivers.source import Source, busy
from resilient_sse._http.body import notice
from resilient_sse._http.client import default_async_client
from resilient_sse._http.request import Requests
from resilient_sse._http.response import headers_of
from resilient_sse._http.slot import slot_of
from resilient_sse._http.watched import close, goes_on, watched
from resilient_sse._session.session import Do
from resilient_sse._values.failure import Attempt, Retry
from resilient_sse._values.frames import forget_locals
from resilient_sse.lifecycle import GapDetected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from resilient_sse._http.watched import Chunks
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["ReconnectingEventSource"]

T = TypeVar("T")


class ReconnectingEventSource(Source[AsyncHTTPClient]):
    __doc__ = Source.__doc__

    _chunks: Chunks | None = None
    _pulling = False
    _scope: anyio.CancelScope | None = None
    _pull_over: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        self._check_client("aclose", "it takes an asynchronous one, such as httpx.AsyncClient")
        self._enter()
        name = type(self).__name__
        self._saver = Saver(self._settings, self._saving, name, self._session.report)
        self._retries = Retries(f"{name}.connect", self._session.url, self._session.report)
        try:
            await self._saver.load()
        except BaseException:  # then the block is not entered, and so never left
            self._session.close("closed", self._now())
            raise
        if self._client is None:
            self._client = default_async_client()
        self._slot = slot_of(self._client, own=self._own_client)
        self._requests = Requests(self._client, self._settings)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left, self._inside = True, False
        if self._forked:
            return
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
        if self._quick is not None and (event := self._quick()) is not None:
            return event
        event = await self._pull(self._session.take)
        if event is None:
            raise StopAsyncIteration
        return event

    def batches(self) -> Batches:
        """Iterate lists of the events that came in together, for high-volume consumers.

        No list is empty. With ``auto_ack`` asking for the next list acknowledges all of the one
        before. It raises what iterating the source raises.
        """
        self._check_inside("async with")
        return Batches(self._pull, self._session.take_batch)

    async def aclose(self) -> None:
        """Close for good, from any task and in any state; the iteration ends normally.

        Nothing is delivered after it. It may be called again. In a forked child it does
        nothing: the source is the parent's.
        """
        if self._forked:
            return
        with self._session.deciding:  # hooks hear of it once nobody waits any more
            self._session.close("closed", self._now())
            self._interrupt()
        if self._entered and not self._pulling:  # else the task that pulls cleans up as it leaves
            await self._finish()

    def reconnect(self) -> Awaitable[None]:
        """Drop the connection or the wait now and connect at once, from any task.

        Events that were received are delivered first. What is returned may be awaited, and need
        not be. After the end of the stream this does nothing.

        Raises:
            RuntimeError: In a forked child.
        """
        self._check_process()
        self._session.request_reconnect()
        self._interrupt()
        return OptionalAwait()

    def ack(self, event: ServerSentEvent) -> Awaitable[None]:
        """Acknowledge an event, so that the saved cursor may move past it.

        The cursor is saved when the next event is asked for, or when what this returns is awaited.

        Raises:
            ValueError: If the event was not delivered, or is acknowledged already.
            RuntimeError: In a forked child.
        """
        self._check_process()
        if not self._entered:
            self._saving.ack(event)
            return OptionalAwait()
        self._saver.ack(event)
        return OptionalAwait(self._saver.save)

    def _fail(self, error: Exception) -> None:
        """End the source, from its event loop, with an error that the next pull raises."""
        with self._session.deciding:
            self._session.fail(error, self._now())
            self._interrupt()

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
        elif self._chunks is not None:
            self._chunks.abort()

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    async def _pull(self, take: Callable[[float], T | None]) -> T | None:
        """Return the next thing to hand out; None at the end of the stream."""
        if self._pulling or not self._inside:
            self._check_inside("async with")
            raise busy()
        self._pulling = True
        session, plain = self._session, self._plain
        try:
            while True:
                if not plain and self._must_save():
                    await self._save()
                if (self._ready or self._behind_comments or not plain) and (
                    due := take(self._now())
                ):
                    return due
                if session.finished:
                    await self._end()
                    return None
                chunks = self._chunks
                if not plain or chunks is None or session.reconnect_requested:
                    await self._step()
                    continue
                try:  # as `_read` does, whose coroutine would be 2 % of a live event
                    self._received(await chunks.__anext__())
                except BaseException as error:
                    if await self._ends_pull(error, chunks):
                        raise
        finally:
            self._pulling = False
            if self._pull_over is not None:
                self._pull_over.set()

    async def _end(self) -> None:
        """Clean up, and raise what the source ended with, once."""
        await self._finish()
        if self._saving.owed:
            await self._interruptible(partial(self._saver.save, patient=True))
        outcome = self._session.outcome()
        if outcome is not None:
            raise outcome

    def _must_save(self) -> bool:
        """Acknowledge what was handed out, and say whether the cursor is to be saved."""
        self._saving.acknowledge()
        return self._saving.is_due(self._now())

    async def _save(self) -> None:
        try:
            if self._saver.at_once:  # there is nothing to interrupt
                await self._saver.save()
            else:
                await self._interruptible(self._saver.save)
        except Exception as error:  # noqa: BLE001 - a lost cursor is the consumer's to see
            self._session.fail(error, self._now())

    async def _make_room(self) -> None:
        try:
            await self._saver.make_room()
        except Exception as error:  # noqa: BLE001 - a lost cursor is the consumer's to see
            self._session.fail(error, self._now())

    def _step(self) -> Awaitable[None]:
        """Do what the session says is next."""
        step = self._session.step(self._now(), is_certain)
        if step is Do.READ and self._chunks is not None:
            return self._read(self._chunks)
        if step is Do.MAKE_ROOM:
            return self._interruptible(self._make_room)
        if isinstance(step, Attempt):
            return self._connect(step)
        if isinstance(step, Retry):
            return self._interruptible(partial(self._wait, step))
        if isinstance(step, GapDetected):
            return self._interruptible(partial(self._recover, step))
        return self._drop()

    async def _interruptible(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step, until it is done or interrupted by `aclose` or `reconnect`."""
        try:
            with anyio.CancelScope() as self._scope:
                await step()
        finally:
            self._scope = None

    async def _read(self, chunks: Chunks) -> None:
        try:
            self._received(await chunks.__anext__())
        except BaseException as error:
            if await self._ends_pull(error, chunks):
                raise

    def _received(self, chunk: bytes) -> None:
        self._session.received(chunk, self._now())
        if self._retries.begun and self._session.progressed(self._now()):
            self._retries.over()

    async def _ends_pull(self, error: BaseException, chunks: Chunks) -> bool:
        """Act on what came instead of bytes, or because of them; say if it is to be raised."""
        if isinstance(error, StopAsyncIteration):
            self._slot.ended()
            failure = self._session.ended(self._now())
            if failure is not None:
                await self._drop(failure)
            return False
        if isinstance(error, Exception):  # the session knows which are failures
            await self._drop(error)
            return False
        if not goes_on(chunks, error):  # cancelled, which breaks most connections
            await self._drop()
        return True

    async def _wait(self, retry: Retry) -> None:
        if await self._retries.wait(retry):
            self._session.waited()
        else:
            self._session.give_up(self._now())

    async def _recover(self, gap: GapDetected) -> None:
        """Have the program's function put right what a gap left out."""
        session = self._session
        try:
            cursor = await recovered(self._settings, gap)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            session.lost(error, self._now())
        else:
            session.recovered(cursor, self._now())

    async def _connect(self, attempt: Attempt) -> None:
        session = self._session
        until = anyio.current_time() + self._settings.connect_timeout
        scope = self._scope = anyio.CancelScope(deadline=until)
        try:
            response = await answer(self._requests, session, self._slot, attempt, scope)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            session.lost(error, self._now())
            return
        except BaseException as error:  # cancelled: these frames hold secrets
            forget_locals(error)
            raise
        finally:
            self._scope = None
        if response is None:
            return
        self._response = response
        headers = headers_of(response)
        if session.connected(response.status_code, headers, self._now()):
            place = self._slot.answered(response)
            self._chunks = watched(response, self._settings.idle_timeout, place)
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
            cut = response is not None and self._slot.left(error, self._settings.idle_timeout)
            self._session.lost(error, self._now())
        if cut and response is not None:
            await notice(response)

    async def _finish(self) -> None:
        self._retries.over()
        try:
            await self._drop()
        finally:
            if self._own_client and self._client is not None:
                client, self._client = self._client, None
                with anyio.CancelScope(shield=True):
                    await client.aclose()
