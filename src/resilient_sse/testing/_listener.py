"""A listening socket, a thread that accepts, and a thread for every client."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING

from resilient_sse.testing._client_socket import ClientSocket
from resilient_sse.testing._script import Ending
from resilient_sse.testing._waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Listener", "reserve_port"]

_BACKLOG = 1024


def reserve_port(port: int = 0) -> socket.socket:
    """Bind a socket that does not listen: clients are refused, and nobody else gets the port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


class Listener:
    """Serves clients until it is closed.

    Args:
        sock: A bound socket; the listener owns it.
        serve: Called in the client's own thread.
        count: The number of the last connection before.
    """

    def __init__(
        self, sock: socket.socket, serve: Callable[[ClientSocket], object], count: int = 0
    ) -> None:
        self.count = count
        self._socket = sock
        self._serve = serve
        self._clients: dict[ClientSocket, threading.Thread] = {}
        self._change = threading.Condition()
        self._waker = Waker()
        self._socket.settimeout(0)
        self._socket.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._accept_all, name="sse-test", daemon=True)
        self._thread.start()

    @property
    def open_connections(self) -> int:
        """How many clients are connected; takes no lock, so that event loops may ask."""
        return len(self._clients)

    def wait_for(self, count: int, timeout: float) -> bool:
        """Wait until exactly ``count`` clients are connected."""
        with self._change:
            return self._change.wait_for(lambda: len(self._clients) == count, timeout)

    def cut_all(self, ending: Ending) -> None:
        """End all connections, and wait until that is done (unless they fall silent)."""
        with self._change:
            clients = dict(self._clients)
            for client in clients:
                client.cut(ending)
        if ending is not Ending.SILENCE:
            for thread in clients.values():
                thread.join()

    def close(self) -> None:
        """Stop listening, reset all connections, join all threads."""
        self._waker.ring()
        self._thread.join()
        self._waker.close()
        self._socket.close()
        self.cut_all(Ending.RESET)

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while all(key.fileobj is self._socket for key, _ in selector.select()):
                with contextlib.suppress(OSError):  # the client was quicker to leave
                    self._admit(self._socket.accept()[0])

    def _admit(self, sock: socket.socket) -> None:
        self.count += 1
        client = ClientSocket(sock, self.count)
        thread = threading.Thread(
            target=self._attend, args=(client,), name=f"sse-test-{client.number}", daemon=True
        )
        with self._change:
            self._clients[client] = thread
            thread.start()
            self._change.notify_all()

    def _attend(self, client: ClientSocket) -> None:
        try:
            self._serve(client)
        finally:
            with self._change:
                client.close()
                del self._clients[client]
                self._change.notify_all()
