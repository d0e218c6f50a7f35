"""What the transports ask of a socket."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from typing import Any, TypeAlias

__all__ = ["SocketOption", "is_readable", "shut_down"]

SocketOption: TypeAlias = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


def is_readable(sock: Any) -> bool:  # noqa: ANN401 - what an event loop wraps a socket in, too
    """Say whether a read would not have to wait."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


def shut_down(sock: socket.socket) -> None:
    """End both directions; a thread that is blocked on the socket goes on at once."""
    with suppress(OSError):  # it is not connected any more, or is closed
        # Not the method of SSLSocket, which would take the TLS state from under a reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
