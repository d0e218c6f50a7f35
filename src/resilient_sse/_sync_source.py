"""The blocking driver: does the I/O that the session asks for, in the thread that iterates.

It holds no rule; it is `_async_source` in the other language. What `close` and `reconnect` have
to interrupt from another thread is a blocked read, and shutting the socket down does that. As the
session knows no threads, `_deciding` is held while it decides; hooks and policies run under it,
and may call back.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import stamina

from resilient_sse import _body
from resilient_sse._batches import SyncBatches
from resilient_sse._client import default_client
from resilient_sse._http._request import set_read_timeout
from resilient_sse._http._response import headers_of
from resilient_sse._retry_loop import retry_loop
from resilient_sse._source import Source, busy
from resilient_sse._sync_request import answer
from resilient_sse._sync_saver import SyncSaver
from resilient_sse.transports._wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from resilient_sse._event import ServerSentEvent

__all__ = ["SyncReconnectingEventSource"]

_CLEAN_UP_SECONDS: Final = 10.0  # how long closing a connection and a client may take
T = TypeVar("T")


class SyncReconnectingEventSource(Source):
    __doc__ = Source.__doc__

    _chunks: Iterator[bytes] | None = None

    def __enter__(self) -> Self:
        self._check_client("__enter__", "it takes a blocking one, such as httpx.Client")
        if not self._entered:
            self._pulling = threading.Lock()
            self._deciding = threading.RLock()
            self._wire = Wire(lambda: self._session.interrupted)
            name = type(self).__name__
            self._saver = SyncSaver(self._settings, self._saving, name, self._deciding)
        self._enter()
        try:
            self._saver.load()
        except BaseException:  # then the block is not entered, and so never left
            self.close()
            raise
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
        try:
            self._saver.save_last()
        finally:
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

    def batches(self) -> SyncBatches:
        """Iterate lists of the events that came in together, for high-volume consumers.

        No list is empty. With ``auto_ack`` asking for the next list acknowledges all of the one
        before. It raises what iterating the source raises.
        """
        self._check_inside("with")
        return SyncBatches(self._pull, self._session.take_batch)

    def close(self) -> None:
        """Close for good, from any thread; the iteration ends normally.

        Nothing is delivered after it. It may be called again.
        A blocked read ends at once; a wait before the next attempt ends when it expires.
        """
        if not self._entered:
            self._session.close("closed", self._now())
            return
        with self._deciding:
            self._session.close("closed", self._now())
            self._saver.wake()
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
        self._saver.ack(event)
        # A save under way is not waited for: a hook may acknowledge, too. It goes on with this.
        if self._left:  # nobody else will begin one
            self._saver.save(wait=False)
        else:
            self._saver.save_if_due(wait=False)

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    def _pull(self, take: Callable[[float], T | None]) -> T:
        self._check_inside("with")
        # After the end it is held by whoever cleans up, which takes a moment.
        if not self._pulling.acquire(timeout=_CLEAN_UP_SECONDS if self._session.finished else 0):
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
                    if self._saving.owed:
                        self._saver.save(patient=True)
                    raise StopIteration
                self._step()
        finally:
            self._pulling.release()

    def _acknowledge(self) -> None:
        with self._deciding:
            self._saving.acknowledge()
        self._saver.save_if_due()

    def _step(self) -> None:
        """Choose what to do next: make room, drop the connection, open one, or read from it."""
        if not self._plain and self._saving.full:
            self._saver.make_room()
        elif self._session.must_drop:
            self._drop()
        elif self._chunks is None:
            self._open()
        else:
            self._read(self._chunks)

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

        def connect(_url: str) -> None:
            self._session.raise_pending()
            self._connect()

        self._session.begin_opening()
        loop = retry_loop(connect, f"{type(self).__name__}.connect", self._retry_delay)
        try:
            loop(self._session.url)
        except Exception as error:
            with self._deciding:
                outcome = self._session.conclude(error, self._now())
            if outcome is None:
                return
            if outcome is error:
                raise
            raise outcome from outcome.__cause__

    def _retry_delay(self, error: Exception) -> float | bool:
        with self._deciding:
            seconds = self._session.retry_delay(error, self._now())
            if not stamina.is_testing():  # then stamina may not retry, and does not wait
                self._session.announce_retry()
            if seconds and self._session.interrupted:  # by a hook: a thread's wait cannot be ended
                return 0.0
        return seconds

    def _connect(self) -> None:
        """Make one attempt, unless it is interrupted."""
        session = self._session
        with self._deciding:
            attempt = None if session.finished else session.begin_attempt(self._now())
        if attempt is None or session.finished:  # closed during the wait, or by a hook
            return
        response = answer(self._client, self._settings, session, self._wire, attempt)
        if response is None:
            return
        self._response = response
        self._wire.carries(response)
        headers = headers_of(response)
        with self._deciding:
            connected = session.connected(response.status_code, headers, self._now())
        if connected:
            set_read_timeout(response, self._settings.idle_timeout)
            self._chunks = _body.chunks(response)
        else:
            self._drop()

    def _drop(self, error: Exception | None = None) -> None:
        """Close the open response, if there is one, and tell the session why."""
        response, self._response, self._chunks = self._response, None, None
        try:
            if response is not None:
                with suppress(Exception):
                    response.close()
        finally:  # also after a KeyboardInterrupt
            with self._deciding:
                bug = self._session.lost(error, self._now())
        if bug:
            raise bug

    def _finish(self) -> None:
        try:
            self._drop()
        finally:
            if self._own_client and self._client is not None:
                self._client.close()
