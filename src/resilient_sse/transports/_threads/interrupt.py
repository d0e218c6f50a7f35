"""How another thread interrupts the connection of a blocking source, also while it is opened.

A thread that waits in a system call cannot be cancelled; only its socket can be shut down under it.
Our own transport knows of an `InterruptHandle`: it asks how much time is left, and says what it
connects, from the first moment on. Of httpx's transport only the ``trace`` extension tells
anything: there the time limit needs a timer, a thread that shuts the socket down.
"""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.http import CONNECTION_MADE
from resilient_sse._values.library import library_of
from resilient_sse.transports._sockets import shut_down

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse

_EXTENSION: Final = "resilient_sse.interrupt"


class InterruptHandle:
    """The connection under way, whatever it is at the moment, to be cut from another thread.

    Args:
        interrupted: Says whether this side wants it to end.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted
        self._abort: Callable[[], None] | None = None
        self._until: float | None = None
        self._timer: threading.Timer | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        """The extensions of a request by which a transport learns of this handle."""
        return {_EXTENSION: self, "trace": self._trace}

    def covers(self, abort: Callable[[], None]) -> None:
        """Take note of how to end, from any thread, what is under way from now on."""
        self._abort = abort
        if self._interrupted() or self._late:  # whoever interrupted did not know of this
            abort()

    def covers_response(self, response: HTTPResponse) -> None:
        """Take note of the connection of a response, whatever transport it came from."""
        stream = response.extensions.get("network_stream")
        if stream is not None:
            self._abort = _abort_of(stream)

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        """Take note of what httpx's transport does; this is a request's ``trace`` extension."""
        if self._timer is None and self._until is not None:
            self._timer = threading.Timer(self._until - monotonic(), self.interrupt)
            self._timer.daemon = True
            try:
                self._timer.start()
            except RuntimeError as error:  # none can be started now: the attempt has failed
                raise OSError(errno.EAGAIN, str(error)) from error
        if name.endswith(CONNECTION_MADE):
            self.covers(_abort_of(info["return_value"]))

    def interrupt(self) -> None:
        """Abort the connection, if there is one."""
        if self._abort is not None:
            self._abort()

    @contextmanager
    def deadline(self, seconds: float) -> Generator[None]:
        """Have whatever is opened within the block end after some seconds."""
        self._abort = None
        self._until = monotonic() + seconds
        try:
            yield
        except BaseException:
            self._abort = None  # there is nothing to abort, and it holds what failed
            raise
        finally:
            self._until = None
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
                if timer.is_alive():  # else a signal handler or the system kept it from starting
                    timer.join()

    @property
    def time_left(self) -> float | None:
        """The seconds up to the deadline; None without one."""
        return None if self._until is None else self._until - monotonic()

    def limit(self, request: HTTPRequest, step: str) -> float | None:
        """Return the seconds that a step of a request may take; None for no limit.

        Args:
            request: The request.
            step: ``connect``, ``write`` or ``read``.

        Raises:
            httpx.TimeoutException: The time for all of them is over.
        """
        seconds: float | None = request.extensions.get("timeout", {}).get(step)
        left = self.time_left
        if left is None:
            return seconds
        if left <= 0:
            too_late = getattr(library_of(request), f"{step.title()}Timeout")
            raise too_late("the time for the request is over")
        return left if seconds is None else min(seconds, left)

    def overdue(self, error: Exception) -> bool:
        """Say whether the deadline explains an error better than the error does.

        One from before the request was sent says more: that it was not.
        """
        http = library_of(error)
        not_sent = (http.ConnectError, http.ConnectTimeout, http.PoolTimeout)
        return self._late and not isinstance(error, not_sent)

    @property
    def _late(self) -> bool:
        return self._until is not None and monotonic() >= self._until


def interrupt_of(request: HTTPRequest) -> InterruptHandle:
    """Return the handle that a request was given, or one by which nobody interrupts."""
    handle: InterruptHandle | None = request.extensions.get(_EXTENSION)
    return handle or InterruptHandle(lambda: False)


def _abort_of(stream: Any) -> Callable[[], None]:  # noqa: ANN401 - httpcore's, or our own
    """Find out how to end a connection."""
    abort: Callable[[], None] | None = getattr(stream, "abort", None)
    return abort or partial(shut_down, stream.get_extra_info("socket"))
