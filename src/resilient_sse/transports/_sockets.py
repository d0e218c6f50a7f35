"""What the transports ask of a socket."""

from __future__ import annotations

import math
import selectors
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final, TypeAlias

__all__ = [
    "RECEIVED_AT_ONCE",
    "Selector",
    "SocketOption",
    "is_readable",
    "set_receive_timeout",
    "shut_down",
]

SocketOption: TypeAlias = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

Selector: Final[Any] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""Waits for a few sockets: one system call, where that of `DefaultSelector` makes five.

And it takes no file descriptor, of which there may be none left.
"""

# Small events of one read then stay in the processor's nearer caches, and too few of them live at a
# time to keep the garbage collector busy: a backlog twice as fast as with 64 KB. Of events of a
# kilobyte it costs a tenth.
RECEIVED_AT_ONCE: Final = 24 * 1024

# Python waits for a socket with a timeout before it reads from it: two system calls for each read.
# Linux can do both in one, but wakes up to a hundredth of a second early.
_BY_THE_SYSTEM: Final = sys.platform == "linux" and sys.maxsize > 2**32
_TIMEVAL: Final = "ll"
_EARLY: Final = 0.01


def set_receive_timeout(sock: socket.socket, seconds: float | None) -> None:
    """Have reads fail with `TimeoutError` or `BlockingIOError` after some seconds; None: never."""
    if not _BY_THE_SYSTEM:
        sock.settimeout(seconds)
        return
    part, whole = (0.0, 0.0) if seconds is None else math.modf(seconds + _EARLY)
    sock.settimeout(None)
    timeval = struct.pack(_TIMEVAL, int(whole), int(part * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)


def is_readable(sock: Any) -> bool:  # noqa: ANN401 - what an event loop wraps a socket in, too
    """Say whether a read would not have to wait."""
    with Selector() as selector:
        selector.register(sock.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


def shut_down(sock: socket.socket) -> None:
    """End both directions; a thread that is blocked on the socket goes on at once."""
    with suppress(OSError):  # it is not connected any more, or is closed
        # Not the method of SSLSocket, which would take the TLS state from under a reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
