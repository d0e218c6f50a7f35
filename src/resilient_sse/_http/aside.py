"""Calls that are made in a thread of their own, so that whoever waits for one can leave.

A blocking read over HTTP/2 cannot be ended by shutting its socket down, as over HTTP/1.1: others
read from it. So another thread reads, and stays behind until the connection has something for it or
ends; it is a daemon, and ends with the connection.
"""

from __future__ import annotations

import errno
import queue
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from resilient_sse._http.disorder import in_order
from resilient_sse._values.http import CLOSED_HERE, TOO_LATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse._http.multiplexed import Multiplexed
    from resilient_sse._values.library import Library

T = TypeVar("T")


class Aside:
    """One thread that makes calls, one after the other, until it is left.

    Args:
        library: Whose exceptions to raise when nothing comes of a call.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._pending: Future[Any] = Future()
        self._aborted = False
        self._thread: threading.Thread | None = None

    def do(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """Make a call, and return what it returns.

        Raises:
            httpx.ReadTimeout: Or httpx2's: it takes longer.
            httpx.ReadError: Or httpx2's: somebody called `abort`.
        """
        pending: Future[T] = Future()
        self._pending = pending
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="resilient_sse h2", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # none can be started now: the attempt has failed
                raise OSError(errno.EAGAIN, str(error)) from error
            self._thread = thread
        self._calls.put((pending, call))
        if self._aborted:  # just before there was something to abort
            self.abort()
        try:
            return pending.result(seconds)
        except TimeoutError:
            late = self.library.ReadTimeout(TOO_LATE)
            with suppress(InvalidStateError):
                pending.set_exception(late)
            return pending.result()

    def abort(self) -> None:
        """Have whoever waits wait no longer, from any thread."""
        self._aborted = True
        with suppress(InvalidStateError):
            self._pending.set_exception(self.library.ReadError(CLOSED_HERE))

    def leave(self) -> None:
        """Have the thread end as soon as its call does."""
        self._calls.put(None)

    def _run(self) -> None:
        while (asked := self._calls.get()) is not None:
            _answer(*asked)


def _answer(pending: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is for whoever waits
        del call  # its request has secrets, and this frame is seen in the traceback
        with suppress(InvalidStateError):
            pending.set_exception(error)
        return
    try:
        pending.set_result(result)
    except InvalidStateError:  # a response that nobody waits for any more
        with suppress(Exception):
            result.close()


def chunks_aside(
    chunks: Iterator[bytes],
    aside: Aside,
    seconds: float | None,
    multiplexed: Multiplexed,
) -> Iterator[bytes]:
    """Read the chunks of a body over HTTP/2 aside.

    Args:
        chunks: The body.
        aside: Reads them.
        seconds: How long a read may take; None for no limit.
        multiplexed: The connection, to be told that bytes came.
    """
    read = partial(next, chunks, None)
    try:
        while (chunk := aside.do(read, seconds)) is not None:
            multiplexed.came()
            yield chunk
    except Exception as error:  # noqa: BLE001 - it is the session's to see
        failure = in_order(error, aside.library)
        raise failure from failure.__cause__
