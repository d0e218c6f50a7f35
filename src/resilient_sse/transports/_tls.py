"""TLS without I/O: what the network carries on one side, what the program means on the other.

asyncio's own TLS keeps a buffer of 256 KB for every connection. This one keeps what OpenSSL does,
whose buffer for what came stays as large as the most that it was ever given at once: so it is given
little, and less for the handshake, after which a stream may be quiet for ever.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["TLS", "Sessions"]

_choosing_alpn: Final = threading.Lock()
_MOST_SESSIONS: Final = 100  # a ticket is a few kilobytes
_RECORD: Final = 16 * 1024  # the most that one TLS record carries (RFC 8446 5.1)
_AT_ONCE: Final = 4 * 1024
_OF_A_HANDSHAKE: Final = 256


class Sessions:
    """The TLS sessions of a transport: whoever connects again spares half of the handshake.

    A session stands for a certificate that was looked at (RFC 8446 2.2), so it counts only for the
    context that did so, for the same name, and for as long as the context asks for no more. A
    context of another class may look at certificates by itself, and gets none.
    """

    def __init__(self) -> None:
        self._known: dict[object, ssl.SSLSession] = {}
        self._lock = threading.Lock()  # two threads may find the same one to be the oldest

    def of(self, context: ssl.SSLContext, hostname: str) -> ssl.SSLSession | None:
        """Return a session, if there is one."""
        return self._known.get(_asked(context, hostname))

    def keep(
        self,
        context: ssl.SSLContext,
        hostname: str,
        of: ssl.SSLObject,
        *,
        offered: ssl.SSLSession | None = None,
    ) -> None:
        """Keep a connection's session for the next one, in place of the oldest if there are many.

        Not while there is a young one, unless that was offered and refused: to ask for a session
        copies it, which costs each of a thousand connections 0.2 ms and some kilobytes.
        """
        asked = _asked(context, hostname)
        if type(context) is not ssl.SSLContext:
            return
        known = self._known.get(asked)
        refused = known is offered and not of.session_reused
        if known is not None and _is_young(known) and not refused:
            return
        session = of.session
        if session is not None and session.has_ticket:
            with self._lock:
                self._known.pop(asked, None)
                self._known[asked] = session
                if len(self._known) > _MOST_SESSIONS:
                    del self._known[next(iter(self._known))]


def _is_young(session: ssl.SSLSession) -> bool:
    return time.time() < session.time + session.timeout / 2


def _asked(context: ssl.SSLContext, hostname: str) -> object:
    return context, hostname, context.verify_mode, context.verify_flags, context.check_hostname


class TLS:
    """The client's end of one TLS connection.

    Args:
        context: As for ``ssl``.
        hostname: Whom the certificate must name.
        sessions: Where a session of an earlier connection may be, and this one's is kept.

    Attributes:
        object: The ``ssl.SSLObject``.
        established: Whether the handshake is done.
        ended: Whether nothing more will come.
        error: Why, unless the other end said that it was done.
    """

    __slots__ = ("_incoming", "_keep", "_outgoing", "ended", "error", "established", "object")

    def __init__(self, context: ssl.SSLContext, hostname: str, sessions: Sessions) -> None:
        session = sessions.of(context, hostname)
        self._keep: Callable[..., None] | None
        self._keep = partial(sessions.keep, context, hostname, offered=session)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # Not once for the context: it may be shared with a client that speaks HTTP/2.
        with _choosing_alpn:
            context.set_alpn_protocols(["http/1.1"])
            self.object = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=hostname, session=session
            )
        self.established = False
        self.ended = False
        self.error: ssl.SSLError | None = None

    def receive(self, data: bytes) -> bytes:
        """Take what came from the network, and return what it means."""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.ended:
            size = _AT_ONCE if self.established else _OF_A_HANDSHAKE
            self._incoming.write(data[position : position + size])
            position += size
            if not self.established:
                self.shake_hands()
            if self.established:
                self._decrypt(pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def shake_hands(self) -> None:
        """Go on with the handshake; `to_send` has what to send for it."""
        with self._noting_the_end():
            self.object.do_handshake()
            self.established = True

    def _decrypt(self, pieces: list[bytes]) -> None:
        with self._noting_the_end():
            while not self.ended and (self._incoming.pending or self.object.pending()):
                piece = self.object.read(_RECORD)
                pieces.append(piece)
                self.ended = not piece  # the other end said that it was done
        if self._keep is not None and pieces:  # with the first bytes at the latest it is there
            self._keep(self.object)
            self._keep = None
            if not self.ended:
                self._free_buffer()

    def _free_buffer(self) -> None:
        """Free the 16 KB that OpenSSL holds since a ticket came, to answer with.

        It would with the next write, but a stream has none. A write of nothing sends nothing.
        """
        with self._noting_the_end():
            self.object.write(b"")

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
