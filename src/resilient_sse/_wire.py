"""The socket under a blocking connection, to be cut from another thread."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


class Wire:
    """Learns of the socket through httpcore's ``trace`` extension and can shut it down.

    A thread that is blocked in a read on the socket then gets its end at once. If there is no
    socket yet, it is shut down as soon as it is connected.
    """

    def __init__(self) -> None:
        self._stream: Any = None
        self._cut = False

    def renew(self) -> None:
        """Forget that it was cut: the next connection is wanted."""
        self._cut = False

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """Take note of a new connection; this is a request's ``trace`` extension."""
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
            if self._cut:
                self.cut()

    def carries(self, response: Any) -> None:  # noqa: ANN401 - the client's own
        """Take note of the connection of a response, from a client that has no ``trace``."""
        self._stream = response.extensions.get("network_stream", self._stream)

    def cut(self) -> None:
        """Shut the socket down, now or when there is one."""
        self._cut = True
        stream = self._stream
        if stream is None:
            return
        with suppress(OSError):  # it may be closed already
            # Not the method of SSLSocket, which would take the TLS state from under the reader.
            socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    @contextmanager
    def deadline(self, seconds: float) -> Generator[threading.Event]:
        """Cut the wire after some seconds; the event that this yields then is set."""
        cut = threading.Event()

        def run() -> None:
            cut.set()
            self.cut()

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        timer.start()
        try:
            yield cut
        finally:
            timer.cancel()
            timer.join()
