"""The blocking driver: does the I/O that the session asks for, in the thread that iterates.

It holds no rule; it is `_async_source` in the other language. What `close` and `reconnect` have
to interrupt from another thread is a blocked read, and shutting the socket down does that. As the
session knows no threads, `_deciding` is held while it decides; hooks and policies run under it,
and may call back.
"""

from __future__ import annotations

import inspect
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import stamina

from resilient_sse import _body, _http
from resilient_sse._client import default_client
from resilient_sse._source import CLEAN_UP_SECONDS, Source, busy
from resilient_sse.errors import CursorError
from resilient_sse.transports._wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import Attempt
    from resilient_sse._saving import Operation

__all__ = ["SyncReconnectingEventSource"]

T = TypeVar("T")


class SyncReconnectingEventSource(Source):
    __doc__ = Source.__doc__

    _chunks: Iterator[bytes] | None = None

    def __enter__(self) -> Self:
        self._check_client("__enter__", "it takes a blocking one, such as httpx.Client")
        if not self._entered:
            self._pulling = threading.Lock()
            self._deciding = threading.RLock()
            self._acked = threading.Condition(self._deciding)
            self._saving = threading.Lock()
            self._wire = Wire(lambda: self._session.interrupted)
        self._enter()
        self._load_cursor()
        if self._client is None:
            self._client = default_client()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        with suppress(CursorError):
            self._save_cursor()  # at worst what it would save comes again
        self.close()
        with self._pulling:  # another thread, which is about to leave
            self._finish()

    def __iter__(self) -> Self:
        self._check_inside("with")
        return self

    def __next__(self) -> ServerSentEvent:
        if not self._ready:
            return self._pull(self._session.take)
        try:
            return self._ready.pop()
        except IndexError:  # another thread closed the source this very moment
            return self._pull(self._session.take)

    def batches(self) -> Batches:
        """Iterate lists of the events that came in together, for high-volume consumers."""
        self._check_inside("with")
        return Batches(self._pull, self._session.take_batch)

    def close(self) -> None:
        """Close for good, from any thread; the iteration ends normally.

        A blocked read ends at once; a wait before the next attempt ends when it expires.
        """
        if not self._entered:
            self._session.close("closed", self._now())
            return
        with self._deciding:
            self._session.close("closed", self._now())
            self._acked.notify_all()
        self._wire.cut()
        if self._pulling.acquire(blocking=False):  # else the thread that pulls cleans up
            try:
                self._finish()
            finally:
                self._pulling.release()

    def reconnect(self) -> None:
        """Drop the connection and connect at once, from any thread.

        Events that were received are delivered first. A blocked read ends at once; a wait before
        the next attempt ends when it expires. After the end of the stream this does nothing.
        """
        if not self._entered:
            return
        with self._deciding:
            self._session.request_reconnect()
            self._wire.cut()

    def ack(self, event: ServerSentEvent) -> None:
        """Acknowledge an event, from any thread, and save the cursor if it moves.

        Raises:
            ValueError: If the event was not delivered, or is acknowledged already.
        """
        if not self._entered:
            self._check_inside("with")
        with self._deciding:
            self._session.ack(event)
            self._acked.notify_all()
        # A save under way is not waited for: a hook may acknowledge, too. It goes on with this.
        if self._left:  # nobody else will begin one
            self._save_cursor(wait=False)
        else:
            self._save_if_due(wait=False)

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    def _pull(self, take: Callable[[float], T | None]) -> T:
        self._check_inside("with")
        # After the end it is held by whoever cleans up, which takes a moment.
        if not self._pulling.acquire(timeout=CLEAN_UP_SECONDS if self._session.finished else 0):
            raise busy()
        try:
            while True:
                if not self._plain:
                    self._acknowledge()
                if self._ready or not self._plain:
                    with self._deciding:
                        due = take(self._now())
                    if due:
                        return due
                if self._plain and self._chunks is not None and not self._session.interrupted:
                    self._read(self._chunks)
                    continue
                if self._session.finished:
                    self._finish()
                    if self._session.owes_save:
                        self._save_cursor(patient=True)
                    raise StopIteration
                self._advance()
        finally:
            self._pulling.release()

    def _acknowledge(self) -> None:
        with self._deciding:
            self._session.acknowledge()
        self._save_if_due()

    def _advance(self) -> None:
        """Open a connection or read from it, or wait for room to do so."""
        if not self._plain and self._session.full:
            self._make_room()
            return
        if self._session.must_drop:
            self._drop()
        if self._chunks is None:
            self._open()
        else:
            self._read(self._chunks)

    def _make_room(self) -> None:
        """Wait for an acknowledgement or for the store."""
        with self._deciding:
            self._acked.wait_for(lambda: not self._session.awaits_ack)
        self._save_cursor(patient=True)

    def _read(self, chunks: Iterator[bytes]) -> None:
        error: Exception
        try:
            chunk = next(chunks)
            with self._deciding:
                self._session.received(chunk)
        except StopIteration:
            error = self._session.ended()
        except Exception as exc:  # noqa: BLE001 - the session knows which are failures
            error = exc
        except BaseException:  # KeyboardInterrupt, which breaks the connection
            self._drop()
            raise
        else:
            return
        self._drop(error)

    def _open(self) -> None:
        """Open a connection, in one fresh retry loop of stamina's."""
        session = self._session

        def delay(error: Exception) -> float | bool:
            with self._deciding:
                seconds = session.retry_delay(error, self._now())
                if not stamina.is_testing():  # then stamina may not retry, and does not wait
                    session.announce_retry()
                if seconds and session.interrupted:  # by a hook: a thread's wait cannot be ended
                    return 0.0
            return seconds

        def connect(_url: str) -> None:  # the argument is for stamina's hooks to show
            session.raise_pending()
            self._connect()

        connect.__module__, connect.__qualname__ = "resilient_sse", f"{type(self).__name__}.connect"
        try:
            stamina.retry(on=delay, attempts=None, timeout=None)(connect)(session.url)
        except Exception as error:
            with self._deciding:
                outcome = session.conclude(error, self._now())
            if outcome is None:
                return
            if outcome is error:
                raise
            raise outcome from outcome.__cause__

    def _connect(self) -> None:
        """Make one attempt, unless it is interrupted."""
        session, limit = self._session, self._settings.connect_timeout
        with self._deciding:
            attempt = None if session.finished else session.begin_attempt(self._now())
        if attempt is None or session.finished:  # closed during the wait, or by a hook
            return
        with self._wire.deadline(limit):
            try:
                response = self._answer(attempt)
            except Exception as error:
                if session.interrupted:
                    return
                if self._wire.overdue(error):
                    msg = f"no response headers within {limit:g} s"
                    raise httpx.ReadTimeout(msg) from error
                failure = _http.as_failure(error)
                raise failure from failure.__cause__
        self._response = response
        self._wire.carries(response)
        headers = _http.headers_of(response)
        with self._deciding:
            connected = session.connected(response.status_code, headers, self._now())
        if not connected:
            self._drop()
            return
        _http.set_read_timeout(response, self._settings.idle_timeout)
        self._chunks = _body.chunks(response)

    def _answer(self, attempt: Attempt) -> Any:  # noqa: ANN401 - the client's own
        """Send the request and follow its redirects, to a response that can be gone on with."""
        sending = self._prepare(attempt)
        while True:
            options = _http.send_options(self._settings, sending)
            response = self._client.send(sending.request, **options)
            verdict = _http.judge(sending, response, self._settings.content_type)
            if verdict is None:
                return response
            if isinstance(verdict, _http.Refusal):
                raise verdict.error(response, _excerpt(response, self._wire.time_left or 0.0))
            response.close()
            sending = verdict

    def _prepare(self, attempt: Attempt) -> _http.Sending:
        request = _http.build_request(self._client, self._settings, attempt)
        request.extensions.update(self._wire.extensions)
        built = dict(request.headers)
        if self._settings.prepare_request is not None:
            returned = _settled(self._settings.prepare_request(request, attempt))
            request = _http.prepared(returned, request)
        self._session.sending(request.method)
        return _http.on_its_way(self._settings, built, request)

    def _drop(self, error: Exception | None = None) -> None:
        """Close the open response, if there is one, and tell the session why."""
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            with suppress(Exception):
                response.close()
        with self._deciding:
            bug = self._session.lost(error, self._now())
        if bug:
            raise bug

    def _finish(self) -> None:
        self._drop()
        if self._own_client and self._client is not None:
            self._client.close()

    # -- The cursor store ----------------------------------------------------------------------

    def _load_cursor(self) -> None:
        store: Any = self._settings.cursor
        if store is None:
            return

        def use() -> None:
            if cursor := _settled(store.load(self._settings.cursor_key)):
                self._session.resume_from(cursor)

        try:
            self._with_store("load", use, patient=True)
        except BaseException:  # then the block is not entered, and so never left
            self.close()
            raise

    def _save_if_due(self, *, wait: bool = True) -> None:
        with self._deciding:
            due = self._session.save_is_due(self._now())
        if due:
            self._save_cursor(wait=wait)

    def _save_cursor(self, *, patient: bool = False, wait: bool = True) -> None:
        """Save the newest acknowledged cursor, one save at a time."""
        store: Any = self._settings.cursor
        if store is None:
            return

        tried: str | None = None

        def use() -> None:
            nonlocal tried
            if (cursor := self._unsaved()) is not None:
                tried = cursor
                _settled(store.save(self._settings.cursor_key, cursor))
                with self._deciding:
                    self._session.saved(cursor)

        while self._saving.acquire(blocking=wait):
            try:
                self._with_store("save", use, patient=patient)
            finally:
                self._saving.release()
            if self._unsaved() in {None, tried}:
                return  # else another thread acknowledged meanwhile, and did not wait

    def _unsaved(self) -> str | None:
        with self._deciding:
            return self._session.begin_save()

    def _with_store(self, operation: Operation, use: Callable[[], None], *, patient: bool) -> None:
        """Use the store; once it fails, in a retry loop of stamina's."""
        session = self._session
        try:
            use()
        except Exception as error:  # noqa: BLE001 - the session decides
            pending = [error]
        else:
            return

        def delay(error: Exception) -> float | bool:
            with self._deciding:
                return session.store_delay(operation, error, self._now(), patient=patient)

        def store(_key: str) -> None:  # the argument is for stamina's hooks to show
            if pending:
                raise pending.pop()
            use()

        store.__module__, store.__qualname__ = "resilient_sse", f"{type(self).__name__}.{operation}"
        try:
            stamina.retry(on=delay, attempts=None, timeout=None)(store)(session.cursor_key)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            with self._deciding:
                outcome = session.store_outcome(operation, error, self._now())
            if outcome is not None:
                raise outcome from outcome.__cause__


class Batches:
    """Iterates lists of events; made by `SyncReconnectingEventSource.batches`."""

    def __init__(
        self,
        pull: Callable[[Callable[[float], list[ServerSentEvent]]], list[ServerSentEvent]],
        take: Callable[[float], list[ServerSentEvent]],
    ) -> None:
        self._pull = pull
        self._take = take

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[ServerSentEvent]:
        return self._pull(self._take)


def _settled(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
    """Refuse what only an asynchronous source could await."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        msg = "a blocking source takes plain functions, and this one returned an awaitable"
        raise TypeError(msg)
    return result


def _excerpt(response: Any, left: float) -> bytes:  # noqa: ANN401
    """Read the beginning of a body that nobody asked for, and close the response."""
    seconds = _http.excerpt_seconds(left)
    _http.set_read_timeout(response, seconds)
    raw = response.iter_bytes if _body.is_read(response) else response.iter_raw
    body, until = b"", monotonic() + seconds
    try:
        with suppress(Exception):
            for chunk in raw():
                body += chunk
                if len(body) >= _http.EXCERPT_BYTES or monotonic() > until:
                    break
    finally:
        response.close()
    return body[: _http.EXCERPT_BYTES]
