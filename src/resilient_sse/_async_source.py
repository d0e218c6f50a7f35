"""The asynchronous driver: does the I/O that the session asks for, on asyncio and trio.

It holds no rule. What `aclose` and `reconnect` may have to interrupt is a read, which can be
aborted, or happens inside one cancel scope, `_scope`.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx
import stamina

from resilient_sse import _body, _http
from resilient_sse._client import default_async_client
from resilient_sse._settled import Settled
from resilient_sse._source import LAST_SAVE_SECONDS, Source, busy
from resilient_sse._watched import close, watched
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import Attempt
    from resilient_sse._saving import Operation
    from resilient_sse._watched import Chunks

__all__ = ["ReconnectingEventSource"]

T = TypeVar("T")


class ReconnectingEventSource(Source):
    __doc__ = Source.__doc__

    _chunks: Chunks | None = None
    _pulling = False
    _scope: anyio.CancelScope | None = None
    _pull_over: anyio.Event | None = None
    _acked: anyio.Event | None = None
    _saving: anyio.Lock
    _saves_at_once = False

    async def __aenter__(self) -> Self:
        self._check_client("aclose", "it takes an asynchronous one, such as httpx.AsyncClient")
        self._enter()
        if self._settings.cursor is not None:
            self._saving = anyio.Lock(fast_acquire=True)
            self._saves_at_once = getattr(self._settings.cursor, "saves_at_once", False)
            await self._load_cursor()
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
        if self._settings.cursor is not None:
            with anyio.move_on_after(LAST_SAVE_SECONDS, shield=True), suppress(CursorError):
                await self._save_cursor()  # at worst what it would save comes again
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
        """Iterate lists of the events that came in together, for high-volume consumers."""
        self._check_inside("async with")
        return Batches(self._pull, self._session.take_batch)

    async def aclose(self) -> None:
        """Close for good, from any task and in any state; the iteration ends normally."""
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
        self._session.ack(event)
        if self._acked is not None:
            self._acked.set()
        return Settled(self._save_cursor)

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
        session = self._session
        try:
            while True:
                if not self._plain:
                    session.acknowledge()
                    if session.save_is_due(self._now()):
                        await self._save_due()
                if (self._ready or not self._plain) and (due := take(self._now())):
                    return due
                if session.finished:
                    await self._finish()
                    if session.owes_save:
                        await self._interruptible(partial(self._save_cursor, patient=True))
                    raise StopAsyncIteration
                await self._step()
        finally:
            self._pulling = False
            if self._pull_over is not None:
                self._pull_over.set()

    def _step(self) -> Awaitable[None]:
        """Choose what to do next: make room, drop the connection, open one, or read from it."""
        if not self._plain and self._session.full:
            return self._interruptible(self._make_room)
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

    async def _make_room(self) -> None:
        """Wait for an acknowledgement or for the store."""
        if self._session.awaits_ack:
            self._acked = anyio.Event()
            await self._acked.wait()
        else:
            await self._save_cursor(patient=True)

    async def _read(self, chunks: Chunks) -> None:
        error: Exception
        try:
            self._session.received(await chunks.__anext__())
        except StopAsyncIteration:
            error = self._session.ended()
        except Exception as exc:  # noqa: BLE001 - the session knows which are failures
            error = exc
        except BaseException:  # cancelled, which breaks the connection
            await self._drop()
            raise
        else:
            return
        await self._drop(error)

    async def _open(self) -> None:
        """Open a connection, in one fresh retry loop of stamina's."""
        session = self._session

        def delay(error: Exception) -> float | bool:
            seconds = session.retry_delay(error, self._now())
            if not stamina.is_testing():  # then stamina may not retry, and does not wait
                session.announce_retry()
            return seconds

        async def connect(_url: str) -> None:  # the argument is for stamina's hooks to show
            session.raise_pending()
            await self._connect()

        connect.__module__, connect.__qualname__ = "resilient_sse", f"{type(self).__name__}.connect"
        try:
            await stamina.retry(on=delay, attempts=None, timeout=None)(connect)(session.url)
        except Exception as error:
            outcome = session.conclude(error, self._now())
            if outcome is None:
                return
            if outcome is error:
                raise
            raise outcome from outcome.__cause__

    async def _connect(self) -> None:
        """Make one attempt."""
        limit = self._settings.connect_timeout
        attempt = self._session.begin_attempt(self._now())
        response: Any = None
        with anyio.move_on_after(limit):
            try:
                response = await self._answer(attempt)
            except Exception as error:  # noqa: BLE001 - the session knows which are failures
                failure = _http.as_failure(error)
                raise failure from failure.__cause__
        if response is None:
            msg = f"no response headers within {limit:g} s"
            raise httpx.ReadTimeout(msg)
        self._response = response
        headers = _http.headers_of(response)
        if not self._session.connected(response.status_code, headers, self._now()):
            await self._drop()
            return
        self._chunks = watched(response, self._settings.idle_timeout)

    async def _answer(self, attempt: Attempt) -> Any:  # noqa: ANN401 - the client's own
        """Send the request and follow its redirects, to a response that can be gone on with."""
        sending = await self._prepare(attempt)
        while True:
            _http.lift_read_timeout(sending.request)
            options = _http.send_options(self._settings, sending)
            response = await self._client.send(sending.request, **options)
            verdict = _http.judge(sending, response, self._settings.content_type)
            if verdict is None:
                return response
            if isinstance(verdict, _http.Refusal):
                raise verdict.error(response, await _excerpt(response))
            await _body.close(response)
            sending = verdict

    async def _prepare(self, attempt: Attempt) -> _http.Sending:
        request = _http.build_request(self._client, self._settings, attempt)
        built = dict(request.headers)
        if self._settings.prepare_request is not None:
            returned = await _settle(self._settings.prepare_request(request, attempt))
            request = _http.prepared(returned, request)
        self._session.sending(request.method)
        return _http.on_its_way(self._settings, built, request)

    async def _drop(self, error: Exception | None = None) -> None:
        """Close the open response, if there is one, and tell the session why."""
        response, self._response = self._response, None
        chunks, self._chunks = self._chunks, None
        if response is not None:
            await close(response, chunks)
        if bug := self._session.lost(error, self._now()):
            raise bug

    async def _finish(self) -> None:
        await self._drop()
        if self._own_client and self._client is not None:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    # -- The cursor store ----------------------------------------------------------------------

    async def _load_cursor(self) -> None:
        store: Any = self._settings.cursor
        load = getattr(store, "aload", store.load)

        async def use() -> None:
            if cursor := await _settle(load(self._settings.cursor_key)):
                self._session.resume_from(cursor)

        try:
            await self._with_store("load", use, patient=True)
        except BaseException:  # then the block is not entered, and so never left
            self._session.close("closed", self._now())
            raise

    async def _save_due(self) -> None:
        if self._saves_at_once:  # there is nothing to interrupt
            await self._save_cursor()
        else:
            await self._interruptible(self._save_cursor)

    async def _save_cursor(self, *, patient: bool = False) -> None:
        """Save the newest acknowledged cursor, one save at a time."""
        store: Any = self._settings.cursor
        if store is None:
            return
        save = getattr(store, "asave", store.save)

        async def use() -> None:
            if (cursor := self._session.begin_save()) is not None:
                await _settle(save(self._settings.cursor_key, cursor))
                self._session.saved(cursor)

        if self._saves_at_once:  # so none can be under way
            await self._with_store("save", use, patient=patient)
            return
        async with self._saving:
            await self._with_store("save", use, patient=patient)

    async def _with_store(
        self, operation: Operation, use: Callable[[], Awaitable[None]], *, patient: bool
    ) -> None:
        """Use the store; once it fails, in a retry loop of stamina's."""
        session = self._session
        try:
            await use()
        except Exception as error:  # noqa: BLE001 - the session decides
            pending = [error]
        else:
            return

        def delay(error: Exception) -> float | bool:
            return session.store_delay(operation, error, self._now(), patient=patient)

        async def store(_key: str) -> None:  # the argument is for stamina's hooks to show
            if pending:
                raise pending.pop()
            await use()

        store.__module__, store.__qualname__ = "resilient_sse", f"{type(self).__name__}.{operation}"
        try:
            await stamina.retry(on=delay, attempts=None, timeout=None)(store)(session.cursor_key)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            outcome = session.store_outcome(operation, error, self._now())
            if outcome is not None:
                raise outcome from outcome.__cause__


class Batches:
    """Iterates lists of events; made by `ReconnectingEventSource.batches`."""

    def __init__(
        self,
        pull: Callable[
            [Callable[[float], list[ServerSentEvent]]], Awaitable[list[ServerSentEvent]]
        ],
        take: Callable[[float], list[ServerSentEvent]],
    ) -> None:
        self._pull = pull
        self._take = take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ServerSentEvent]:
        return await self._pull(self._take)


async def _settle(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
    """Await what a function that may be sync or async returned."""
    return await result if inspect.isawaitable(result) else result


async def _excerpt(response: Any) -> bytes:  # noqa: ANN401
    """Read the beginning of a body that nobody asked for, and close the response."""
    seconds = _http.excerpt_seconds(anyio.current_effective_deadline() - anyio.current_time())
    _http.set_read_timeout(response, seconds)
    raw = response.aiter_bytes if _body.is_read(response) else response.aiter_raw
    body, chunks = b"", aiter(raw())
    try:
        with suppress(Exception), anyio.move_on_after(seconds):
            while len(body) < _http.EXCERPT_BYTES:
                body += await anext(chunks)
    finally:
        await _body.close(response, chunks)
    return body[: _http.EXCERPT_BYTES]
