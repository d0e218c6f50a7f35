"""TLS without I/O: what the network carries on one side, what the program means on the other.

asyncio's own TLS keeps a buffer of 256 KB for every connection. This one keeps what OpenSSL does.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["TLS", "client_context"]

_RECORD: Final = 16 * 1024  # the most that one TLS record carries (RFC 8446 5.1)


def client_context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:  # noqa: FBT001 - as in httpx
    """Make the context of a transport, given what to trust, as in httpx."""
    context = httpx.create_ssl_context(verify=verify)
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLS:
    """The client's end of one TLS connection.

    Args:
        context: As for ``ssl``.
        hostname: Whom the certificate must name.

    Attributes:
        object: The ``ssl.SSLObject``.
        established: Whether the handshake is done.
        ended: Whether nothing more will come.
        error: Why, unless the other end said that it was done.
    """

    __slots__ = ("_incoming", "_outgoing", "ended", "error", "established", "object")

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self.established = False
        self.ended = False
        self.error: ssl.SSLError | None = None

    def receive(self, data: bytes) -> bytes:
        """Take what came from the network, and return what it means."""
        self._incoming.write(data)
        if not self.established:
            self.shake_hands()
        return self._decrypted() if self.established else b""

    def shake_hands(self) -> None:
        """Go on with the handshake; `to_send` has what to send for it."""
        with self._noting_the_end():
            self.object.do_handshake()
            self.established = True

    def _decrypted(self) -> bytes:
        pieces: list[bytes] = []
        with self._noting_the_end():
            while not self.ended and (self._incoming.pending or self.object.pending()):
                piece = self.object.read(_RECORD)
                pieces.append(piece)
                self.ended = not piece  # the other end said that it was done
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @contextmanager
    def _noting_the_end(self) -> Generator[None]:
        try:
            yield
        except ssl.SSLWantReadError:  # the rest is still under way
            return
        except ssl.SSLError as error:
            self.ended = True
            self.error = error

    def encrypt(self, data: bytes) -> bytes:
        """Return what to send, so that the other end reads this."""
        self.object.write(data)
        return self.to_send()

    def to_send(self) -> bytes:
        """Return what the network has to carry now."""
        return self._outgoing.read()
