"""What both transports hold: how they were made, whom they trust, and their connections."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

from resilient_sse.transports._tls import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._values.library import Library
    from resilient_sse.transports._request_exchange import Origin
    from resilient_sse.transports._sockets import SocketOption

__all__ = ["TransportBase"]

S = TypeVar("S")
T = TypeVar("T")


class TransportBase(Generic[S, T]):
    """A transport but for its I/O; the arguments are those of both, which say what they mean."""

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] = (),
        keepalive_expiry: float = 5.0,
    ) -> None:
        self._verify = verify
        self._contexts: dict[Library, ssl.SSLContext] = {}
        self._sessions = Sessions()
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._keepalive_expiry = keepalive_expiry
        self._lock = threading.Lock()  # for what follows, if threads share it
        self._streams: WeakSet[S] = WeakSet()  # an open one is held by who reads it
        # Who waits for another request, and until when; the one that was used last comes last
        self._idle: dict[Origin, dict[S, T]] = {}

    def _trust(self, library: Library) -> ssl.SSLContext:
        """Return what `_context` does; what cannot be read for it is an error in connecting.

        Raises:
            httpx.ConnectError: A file is not there, or the process is out of file descriptors.
        """
        try:
            return self._context(library)
        except OSError as error:
            msg = f"the certificates to trust cannot be read: {error}"
            raise library.ConnectError(msg) from error

    def _context(self, library: Library) -> ssl.SSLContext:
        """Return the context for a library's client: what the two trust by default differs."""
        if isinstance(self._verify, ssl.SSLContext):
            return self._verify
        if library not in self._contexts:
            self._contexts[library] = library.create_ssl_context(verify=self._verify)
        return self._contexts[library]
