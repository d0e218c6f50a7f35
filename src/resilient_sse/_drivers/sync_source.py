"""The blocking driver: does the I/O that the session asks for, in the thread that iterates.

It holds no rule; it takes the steps of `async_source`, in the same order, and a test compares what
both tell the session. What `close` and `reconnect` have to interrupt from another thread is a
blocked read, and shutting the socket down does that; or a wait, which is left behind
(`sync_retries`).
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from resilient_sse._drivers.batches import SyncBatches
from resilient_sse._drivers.options import HTTPClient
from resilient_sse._drivers.retries import is_certain
from resilient_sse._drivers.source import Source, busy
from resilient_sse._drivers.sync_request import answer, recovered
from resilient_sse._drivers.sync_retries import SyncRetries
from resilient_sse._drivers.sync_saver import SyncSaver
from resilient_sse._http import body as _body
from resilient_sse._http.aside import Aside, chunks_aside
from resilient_sse._http.client import default_client
from resilient_sse._http.request import Requests, lift_timeouts, set_read_timeout
from resilient_sse._http.response import headers_of
from resilient_sse._http.slot import slot_of
from resilient_sse._session.session import Do, Over
from resilient_sse._values.failure import Attempt, Retry
from resilient_sse._values.frames import forget_locals
from resilient_sse.lifecycle import ConnectionState, GapDetected
from resilient_sse.transports._threads.interrupt import InterruptHandle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from resilient_sse._session.session import Step
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import HTTPResponse

__all__ = ["SyncReconnectingEventSource"]

_CLEAN_UP_SECONDS: Final = 10.0  # how long closing a connection and a client may take
_LOOKS_EVERY: Final = 0.005


class SyncReconnectingEventSource(Source[HTTPClient]):
    __doc__ = Source.__doc__

    _awaits = False
    _chunks: Iterator[bytes] | None = None
    _aside: Aside | None = None  # what reads them over HTTP/2

    def __enter__(self) -> Self:
        self._check_client("__enter__", "it takes a blocking one, such as httpx.Client")
        if not self._entered:
            self._pulling = threading.Lock()
            name, report = type(self).__name__, self._hooks.report
            self._interrupt_handle = InterruptHandle(self._is_interrupted)
            self._saver = SyncSaver(self._settings, self._saving, name, self._lock, report)
            shown = self._settings.shown_url
            self._retries = SyncRetries(f"{name}.connect", shown, report, self._is_interrupted)
        self._enter()
        try:
            self._saver.load()
            if self._client is None:
                self._client = default_client()
            self._slot = slot_of(self._client, own=self._own_client)
            self._requests = Requests(self._client, self._settings, self._hooks.inject_headers)
        except BaseException:  # then the block is not entered, and so never left
            self._session.close(self._now())
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left, self._inside = True, False
        if self._forked:
            return
        try:
            self._saver.save_last()
        finally:
            self._stop()
            # Another thread may pull, and is about to leave; but one that the store keeps, which
            # has had its time, cleans up when it comes back.
            self._clean_up(wait=not self._saver.busy)

    def __iter__(self) -> Self:
        self._check_inside("with")
        return self

    def __next__(self) -> ServerSentEvent:
        if self._ready:
            try:  # an exit of `suppress` would double what an event of a backlog costs
                return self._ready.pop()
            except IndexError:  # another thread closed the source this very moment
                pass
        if self._quick is not None and (event := self._quick()) is not None:
            return event
        events = self._pull(1)
        if not events:
            raise StopIteration
        return events[0]

    def batches(self) -> SyncBatches:
        """Iterate lists of the events that came in together, for high-volume consumers.

        No list is empty. With ``auto_ack`` asking for the next list acknowledges all of the one
        before. It raises what iterating the source raises.
        """
        self._check_inside("with")
        return SyncBatches(self._pull)

    def close(self) -> None:
        """Close for good, from any thread; the iteration ends normally.

        Nothing is delivered after it. It may be called again.
        A blocked read and a wait before the next attempt end at once. In a forked child it does
        nothing: the source is the parent's.
        """
        if self._forked:
            return
        if not self._entered:
            self._session.close(self._now())
            return
        self._stop()
        self._clean_up(wait=False)

    def _stop(self) -> None:
        self._session.close(self._now(), wake=self._interrupt)

    def _clean_up(self, *, wait: bool) -> None:
        if wait or not self._pulling.locked():  # else the thread that pulls cleans up
            with self._pulling:
                self._finish()

    def reconnect(self) -> None:
        """Drop the connection or the wait now and connect at once, from any thread.

        Events that were received are delivered first. After the end of the stream this does
        nothing.

        Raises:
            RuntimeError: In a forked child.
        """
        self._check_process()
        if not self._entered:
            return
        self._session.request_reconnect()
        self._interrupt()

    def _fail(self, error: Exception) -> None:
        """End the source with an error, from any thread; the next pull raises it."""
        self._session.close(self._now(), error=error, wake=self._interrupt)

    def _interrupt(self) -> None:
        self._saver.wake(over=self._is_over())
        self._retries.wake()
        self._interrupt_handle.interrupt()

    def ack(self, event: ServerSentEvent) -> None:
        """Acknowledge an event, from any thread, and save the cursor if it moves.

        Without a cursor store this does nothing.

        Raises:
            ValueError: If the event was not delivered, or is acknowledged already.
            RuntimeError: Before the block is entered, and in a forked child.
        """
        self._check_process()
        if not self._entered:
            self._check_inside("with")
        is_due = self._saver.ack(event)
        # Once the block is left nobody else begins a save. One that is under way is not waited for:
        # a hook may acknowledge, too. It goes on with this.
        if is_due or self._left:
            self._saver.save(wait=False)

    # -- Pulling: I/O until there is something to hand out -------------------------------------

    def _is_interrupted(self) -> bool:
        return self._session.interrupted

    def _is_over(self) -> bool:
        return self._session.state is ConnectionState.CLOSED

    def _pull(self, most: int | None) -> list[ServerSentEvent]:
        """Return the next events, at most so many if that is said; none at the end."""
        if not self._inside:
            self._check_inside("with")
        session, plain = self._session, self._plain
        if self._pulling.locked() and not self._is_clean():
            raise busy()
        # Only `with` is safe from a signal handler that raises: between `acquire` and ``try`` one
        # would leave it locked, and nobody could leave the block. Two threads that come here in
        # the same moment wait for each other.
        with self._pulling:
            while True:
                if not plain:
                    self._acknowledge()
                if (self._ready or self._behind_comments or not plain) and (
                    events := self._take(most)
                ):
                    return events
                chunks = self._chunks
                if plain and chunks is not None and not session.interrupted:
                    self._read(chunks)
                    continue
                step = session.step(self._now(), is_certain)
                if isinstance(step, Over):
                    self._end(step)
                    return []
                self._do(step)

    def _is_clean(self) -> bool:
        """Wait, after the end, for whoever cleans up, which takes a moment."""
        until = monotonic() + _CLEAN_UP_SECONDS
        while self._is_over() and monotonic() < until:
            if not self._pulling.locked():
                return True
            sleep(_LOOKS_EVERY)
        return False

    def _end(self, over: Over) -> None:
        """Raise what the source ended with."""
        if over.save:
            self._saver.save(patient=True)
        if over.error is not None:
            raise over.error

    def _acknowledge(self) -> None:
        with self._lock:
            is_due = self._saving.ack(None, self._now())
        if is_due:
            self._save()

    def _save(self, *, patient: bool = False) -> None:
        try:
            self._saver.save(patient=patient)
        except Exception as error:  # noqa: BLE001 - a lost cursor is the consumer's to see
            self._session.close(self._now(), error=error)

    def _await_ack(self) -> None:
        self._saver.await_ack()

    def _do(self, step: Step) -> None:
        """Do what the session says is next."""
        match step:
            case Do.READ if self._chunks is not None:
                self._read(self._chunks)
            case Do.AWAIT_ACK:
                self._await_ack()
            case Do.SAVE:
                self._save(patient=True)
            case Do.CLEAN_UP:
                self._finish()
            case Attempt():
                self._connect(step)
            case Retry():
                self._wait(step)
            case GapDetected():
                self._recover(step)
            case _:
                self._drop()

    def _read(self, chunks: Iterator[bytes]) -> None:
        try:
            try:
                chunk: bytes | None = chunks.__next__()
            except StopIteration:
                self._slot.ended()
                chunk = None
            if self._session.received(chunk, self._now()) and self._retries.begun:
                self._retries.over()
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            self._drop(error)
        except BaseException:  # KeyboardInterrupt, which breaks the connection
            self._drop()
            raise

    def _wait(self, retry: Retry) -> None:
        again = self._retries.wait(retry)
        if not (again and self._retries.woken):  # what woke it comes first, or the rest of the wait
            self._session.waited(self._now(), again=again)

    def _recover(self, gap: GapDetected) -> None:
        """Have the program's function put right what a gap left out."""
        session = self._session
        try:
            cursor = recovered(self._settings, gap)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            session.lost(error, self._now())
        else:
            session.recovered(cursor, self._now())

    def _connect(self, attempt: Attempt) -> None:
        session = self._session
        try:
            handle = self._interrupt_handle
            response = answer(self._requests, session, handle, self._slot, attempt)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            session.lost(error, self._now())
            return
        except BaseException as error:  # interrupted: these frames hold secrets
            forget_locals(error)
            raise
        if response is None:
            return
        self._response = response
        self._interrupt_handle.covers_response(response)
        headers = headers_of(response)
        if session.connected(response.status_code, headers, self._now()):
            self._chunks = self._chunks_of(response)
        else:
            self._drop()

    def _chunks_of(self, response: HTTPResponse) -> Iterator[bytes]:
        idle, place = self._settings.idle_timeout, self._slot.answered(response)
        if place is None:
            set_read_timeout(response, idle)
            return _body.chunks(response)
        lift_timeouts(response.request)  # which would end all that is on the connection
        self._aside = Aside(self._settings.library)
        self._interrupt_handle.covers(self._aside.abort)
        return chunks_aside(_body.chunks(response), self._aside, idle, place)

    def _drop(self, error: Exception | None = None) -> None:
        """Close the open response, if there is one, and tell the session why."""
        response, self._response, self._chunks = self._response, None, None
        try:
            # While the interpreter ends the system closes it: httpx would take the time, for which
            # CPython 3.13.0 has no datetime any more and dies of a segmentation fault.
            if response is not None and not sys.is_finalizing():
                with suppress(Exception):
                    response.close()
        finally:  # also after a KeyboardInterrupt
            cut = response is not None and self._slot.left(error, self._settings.idle_timeout)
            aside, self._aside = self._aside, None
            if aside is not None:
                aside.leave()
            self._session.lost(error, self._now())
        if cut and response is not None:
            _body.notice_here(response)

    def _finish(self) -> None:
        self._retries.close()
        try:
            self._drop()
        finally:
            if self._own_client and self._client is not None:
                client, self._client = self._client, None
                client.close()
