"""The asynchronous driver: does the I/O that the session asks for, on asyncio and trio.

It holds no rule. What `aclose` and `reconnect` may have to interrupt is a read, which can be
aborted, or happens inside one cancel scope, `_scope`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

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
from resilient_sse._session.session import Do, Over
from resilient_sse._values.failure import Attempt, Retry
from resilient_sse._values.frames import forget_locals
from resilient_sse.lifecycle import GapDetected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from resilient_sse._http.watched import Chunks
    from resilient_sse._session.session import Step
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["ReconnectingEventSource"]


class ReconnectingEventSource(Source[AsyncHTTPClient]):
    __doc__ = Source.__doc__

    _chunks: Chunks | None = None
    _pulling = False
    _scope: anyio.CancelScope | None = None
    _pull_over: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        self._check_client("aclose", "it takes an asynchronous one, such as httpx.AsyncClient")
        self._enter()
        name, report = type(self).__name__, self._hooks.report
        self._saver = Saver(self._settings, self._saving, name, report)
        self._retries = Retries(f"{name}.connect", self._settings.shown_url, report)
        try:
            await self._saver.load()
            if self._client is None:
                self._client = default_async_client()
            self._slot = slot_of(self._client, own=self._own_client)
            self._requests = Requests(self._client, self._settings, self._hooks.inject_headers)
        except BaseException:  # then the block is not entered, and so never left
            self._session.close(self._now())
            raise
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
        events = await self._pull(1)
        if not events:
            raise StopAsyncIteration
        return events[0]

    def batches(self) -> Batches:
        """Iterate lists of the events that came in together, for high-volume consumers.

        No list is empty. With ``auto_ack`` asking for the next list acknowledges all of the one
        before. It raises what iterating the source raises.
        """
        self._check_inside("async with")
        return Batches(self._pull)

    async def aclose(self) -> None:
        """Close for good, from any task and in any state; the iteration ends normally.

        Nothing is delivered after it. It may be called again. In a forked child it does
        nothing: the source is the parent's.
        """
        if self._forked:
            return
        self._session.close(self._now(), wake=self._interrupt)
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
        Without a cursor store this does nothing.

        Raises:
            ValueError: If the event was not delivered, or is acknowledged already.
            RuntimeError: In a forked child.
        """
        self._check_process()
        if not self._entered:
            self._saving.ack(event, self._now())
            return OptionalAwait()
        self._saver.ack(event)
        return OptionalAwait(self._saver.save)

    def _fail(self, error: Exception) -> None:
        """End the source, from its event loop, with an error that the next pull raises."""
        self._session.close(self._now(), error=error, wake=self._interrupt)

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
        elif self._chunks is not None:
            self._chunks.abort()

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    async def _pull(self, most: int | None) -> list[ServerSentEvent]:
        """Return the next events, at most so many if that is said; none at the end."""
        if self._pulling or not self._inside:
            self._check_inside("async with")
            raise busy()
        self._pulling = True
        session, plain = self._session, self._plain
        try:
            while True:
                if not plain and self._saving.ack(None, self._now()):
                    await self._save()
                if (self._ready or self._behind_comments or not plain) and (
                    events := self._take(most)
                ):
                    return events
                chunks = self._chunks
                if not plain or chunks is None or session.interrupted:
                    step = session.step(self._now(), is_certain)
                    if isinstance(step, Over):
                        await self._end(step)
                        return []
                    await self._do(step)
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

    async def _end(self, over: Over) -> None:
        """Raise what the source ended with."""
        if over.save:
            await self._interruptible(partial(self._saver.save, patient=True))
        if over.error is not None:
            raise over.error

    async def _save(self, *, patient: bool = False) -> None:
        try:
            if self._saver.at_once and not patient:  # there is nothing to interrupt
                await self._saver.save()
            else:
                await self._interruptible(partial(self._saver.save, patient=patient))
        except Exception as error:  # noqa: BLE001 - a lost cursor is the consumer's to see
            self._session.close(self._now(), error=error)

    async def _await_ack(self) -> None:
        await self._saver.await_ack()

    def _do(self, step: Step) -> Awaitable[None]:
        """Do what the session says is next."""
        doing: Awaitable[None]
        match step:
            case Do.READ if self._chunks is not None:
                doing = self._read(self._chunks)
            case Do.AWAIT_ACK:
                doing = self._interruptible(self._await_ack)
            case Do.SAVE:
                doing = self._save(patient=True)
            case Do.CLEAN_UP:
                doing = self._finish()
            case Attempt():
                doing = self._connect(step)
            case Retry():
                doing = self._interruptible(partial(self._wait, step))
            case GapDetected():
                doing = self._interruptible(partial(self._recover, step))
            case _:
                doing = self._drop()
        return doing

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

    def _received(self, chunk: bytes | None) -> None:
        if self._session.received(chunk, self._now()) and self._retries.begun:
            self._retries.over()

    async def _ends_pull(self, error: BaseException, chunks: Chunks) -> bool:
        """Act on what came instead of bytes, or because of them; say if it is to be raised."""
        if isinstance(error, StopAsyncIteration):
            self._slot.ended()
            try:
                self._received(None)
            except Exception as failure:  # noqa: BLE001 - likewise
                await self._drop(failure)
            return False
        if isinstance(error, Exception):  # the session knows which are failures
            await self._drop(error)
            return False
        if not goes_on(chunks, error):  # cancelled, which breaks most connections
            await self._drop()
        return True

    async def _wait(self, retry: Retry) -> None:
        again = await self._retries.wait(retry)
        self._session.waited(self._now(), again=again)

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
