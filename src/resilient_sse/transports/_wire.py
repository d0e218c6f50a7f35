"""The connection of a blocking source while it opens: it has a time limit, and may be cut.

Our own transport knows of a `Wire`: it asks how much time is left, and says what it connects, from
the first moment on. Of httpx's transport only the ``trace`` extension tells anything. So a wire
that is traced takes the time with a timer, a thread that cuts; any other needs no thread.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx

from resilient_sse.transports._sockets import shut_down

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_EXTENSION: Final = "resilient_sse.wire"
_OPENED: Final = (".connect_tcp.complete", ".start_tls.complete")


class Line(Protocol):
    """What a wire runs over."""

    def abort(self) -> None:
        """End it, from any thread; a read that is pending in another one fails."""


class Wire:
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
        """The extensions of a request by which a transport learns of this wire."""
        return {_EXTENSION: self, "trace": self._trace}

    def runs_over(self, line: Line) -> None:
        """Take note of what can be aborted from now on."""
        self._abort = line.abort
        if self._interrupted():  # whoever cut the wire did not know of this line
            line.abort()

    def carries(self, response: Any) -> None:  # noqa: ANN401 - the client's own
        """Take note of the connection of a response, whatever transport it came from."""
        stream = response.extensions.get("network_stream")
        if stream is not None:
            self._abort = _abort_of(stream)

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        """Take note of what httpx's transport does; this is a request's ``trace`` extension."""
        if self._timer is None and self._until is not None:
            self._timer = self._start_timer(self._until - monotonic())
        if name.endswith(_OPENED):
            self._abort = _abort_of(info["return_value"])

    def cut(self) -> None:
        """End what it runs over, if there is anything."""
        if self._abort is not None:
            self._abort()

    @contextmanager
    def deadline(self, seconds: float) -> Generator[None]:
        """Have whatever the wire does within the block end after some seconds."""
        self._abort = None
        self._until = monotonic() + seconds
        try:
            yield
        finally:
            self._until = None
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
                timer.join()

    @property
    def time_left(self) -> float | None:
        """The seconds up to the deadline; None without one."""
        return None if self._until is None else self._until - monotonic()

    def overdue(self, error: Exception) -> bool:
        """Say whether the deadline explains an error better than the error does.

        One in connecting says more: that the request was not sent.
        """
        late = self._until is not None and monotonic() >= self._until
        return late and not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))

    def _start_timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        return timer


def wire_of(request: Any) -> Wire | None:  # noqa: ANN401 - of any client
    """Return the wire that a request was given, if it was."""
    wire: Wire | None = request.extensions.get(_EXTENSION)
    return wire


def _abort_of(stream: Any) -> Callable[[], None]:  # noqa: ANN401 - httpcore's, or our own
    """Find out how to end a connection."""
    abort: Callable[[], None] | None = getattr(stream, "abort", None)
    return abort or partial(shut_down, stream.get_extra_info("socket"))
