"""A way to wake a thread that waits for sockets."""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["Waker"]


class Waker:
    """Wakes a thread that waits for sockets."""

    def __init__(self) -> None:
        self._ring, self._bell = socket.socketpair()
        self._ring.settimeout(0)
        self._bell.settimeout(0)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """For selectors: readable once the waker was rung."""
        return self._bell.fileno()

    def ring(self) -> None:
        """Wake it; nothing happens if it is gone."""
        with self._lock, contextlib.suppress(OSError):
            self._ring.send(b"!")

    def silence(self) -> None:
        """Forget the rings so far."""
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)

    def close(self) -> None:
        """Free the sockets."""
        with self._lock:
            self._ring.close()
            self._bell.close()
