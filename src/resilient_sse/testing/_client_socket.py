"""The server's end of one TCP connection: never blocks for good, can be cut from outside."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import struct
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from resilient_sse.testing._waker import Waker
from resilient_sse.transports._sockets import Selector

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.testing._script import Ending

__all__ = ["ClientSocket", "Cut", "Gone"]

_T = TypeVar("_T")
_MOST_READS = 100  # what a socket may have received, and no more of a flood
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Gone(Exception):  # noqa: N818 - news, not an error
    """The client left."""


class Cut(Exception):  # noqa: N818 - news, not an error
    """Another thread wants this connection to end.

    Args:
        ending: In which way.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class ClientSocket:
    """One connected client.

    All methods except `wake` and `cut` belong to the thread that serves the client. They raise
    `Gone` when the client has left and `Cut` when `cut` was called.

    Args:
        sock: The accepted socket.
        number: The number of the connection, from 1.
    """

    def __init__(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self._socket = sock
        self._waker = Waker()
        self._cut: Ending | None = None
        self._unread = b""
        self._selector: selectors.BaseSelector = Selector()
        self._fd = sock.fileno()  # stays the same when TLS wraps the socket
        self._selector.register(self._fd, _READ)
        self._selector.register(self._waker, _READ)

    def wake(self) -> None:
        """End a `wait` early; any thread may call this."""
        self._waker.ring()

    def cut(self, ending: Ending) -> None:
        """Make the serving thread end the connection; any thread may call this."""
        self._cut = ending
        self._waker.ring()

    def handshake(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = secured
        self._perform(secured.do_handshake, _READ)

    def receive(self) -> bytes:
        """The next bytes, at least one."""
        data, self._unread = self._unread, b""
        return data or self._perform(self._read, _READ)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            view = view[self._perform(partial(self._socket.send, view), _WRITE) :]

    def wait(self, seconds: float | None = None) -> None:
        """Do nothing for so long, or less if `wake` is called."""
        self._select(_READ, seconds)
        try:
            self._unread += self._read()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            raise Gone from error

    def finish(self) -> None:
        """Tell the client that nothing more will come; TLS says so too."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self._socket.unwrap()

    def reset(self) -> None:
        """Make `close` a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def close(self) -> None:
        """Free everything; the client sees FIN, or RST after `reset`."""
        # The system sends RST, too, if there are bytes that were never read.
        unread = iter(partial(self._socket.recv, 65536), b"")
        with contextlib.suppress(OSError):
            deque(islice(unread, _MOST_READS), maxlen=0)
        self._selector.close()
        self._waker.close()
        self._socket.close()

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise Gone
        return data

    def _perform(self, operation: Callable[[], _T], interest: int) -> _T:
        while True:
            self._heed()
            try:
                return operation()
            except ssl.SSLWantWriteError:
                self._select(_WRITE, None)
            except ssl.SSLWantReadError:
                self._select(_READ, None)
            except BlockingIOError:
                self._select(interest, None)
            except OSError as error:
                raise Gone from error

    def _select(self, interest: int, seconds: float | None) -> None:
        self._selector.modify(self._fd, interest)
        self._selector.select(seconds)
        self._waker.silence()
        self._heed()

    def _heed(self) -> None:
        if self._cut is not None:
            ending, self._cut = self._cut, None
            raise Cut(ending)
