"""Where a response body ends (RFC 9112 6.3): bytes of the connection in, bytes of the body out.

No I/O. `feed` is given what was read, ``b""`` at the end of the connection, and returns what of it
belongs to the body. When ``open`` turns false there is no more to come; ``error`` then says what
was wrong, if anything was. Bytes that came before an error are always returned first.

A framing reads all the chunks in its input at once. h11 makes an event of each: on a burst of one
event per chunk that costs five times as much.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import h11

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Framing", "framing_of"]

_CRLF: Final = b"\r\n"
# The line ending of the chunk before, then size, extensions and the blanks that h11 allows too.
_CHUNK_HEADER: Final = re.compile(rb"\r\n([0-9A-Fa-f]{1,20})(?:;[^\r\n]*)?[ \t]*\r\n")
# h11 does not insist on the CR here.
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
# As much as h11 keeps of a line that does not end.
_MOST_HELD: Final = 100 * 1024


class Framing:
    """No body at all, and the base of those that are one.

    Attributes:
        open: Whether more may come.
        error: What is wrong with the body; "" if nothing is.
        reusable: Whether the connection can carry another message after this one.
    """

    __slots__ = ("error", "open", "reusable")

    def __init__(self, *, is_open: bool = False, reusable: bool = True) -> None:
        self.open = is_open
        self.error = ""
        self.reusable = reusable

    def feed(self, data: bytes) -> bytes:  # noqa: ARG002 - the signature of all framings
        """Take what came from the connection, ``b""`` for its end; return what is of the body."""
        self.reusable = False
        return b""

    def _end(self, error: str = "") -> None:
        self.open = False
        self.error = error
        if error:
            self.reusable = False


class UntilClosed(Framing):
    """The body ends with the connection."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(is_open=True, reusable=False)

    def feed(self, data: bytes) -> bytes:
        """Take what came from the connection, ``b""`` for its end; return what is of the body."""
        if not data:
            self._end()
        return data


class Length(Framing):
    """The body has a ``Content-Length``."""

    __slots__ = ("_expected", "_left")

    def __init__(self, expected: int) -> None:
        super().__init__(is_open=expected > 0)
        self._expected = self._left = expected

    def feed(self, data: bytes) -> bytes:
        """Take what came from the connection, ``b""`` for its end; return what is of the body."""
        if not data:
            received = f"received {self._expected - self._left} bytes, expected {self._expected}"
            self._end(_incomplete(received))
        if len(data) > self._left:  # what follows is no answer to anything
            self.reusable = False
            data = data[: self._left]
        self._left -= len(data)
        if not self._left:
            self._end()
        return data


class Chunked(Framing):
    """The body has ``Transfer-Encoding: chunked`` (RFC 9112 7.1).

    Every chunk header is matched together with the line ending of the chunk before it; the first
    one gets that for free.
    """

    __slots__ = ("_held", "_left", "_trailers")

    def __init__(self) -> None:
        super().__init__(is_open=True)
        self._held = _CRLF
        self._left = 0
        self._trailers = False

    def feed(self, data: bytes) -> bytes:
        """Take what came from the connection, ``b""`` for its end; return what is of the body."""
        if not data:
            self._end(_incomplete("incomplete chunked read"))
            return b""
        # A live stream's packet is exactly one chunk: that is read in a third of the instructions.
        if self._held == _CRLF and data[-2:] == _CRLF and not self._trailers:
            size, _, rest = data.partition(_CRLF)
            length = len(rest) - len(_CRLF)
            if length > 0 and size.lower() == b"%x" % length:
                return rest[:-2]
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at = 0 if self._trailers else self._chunks(data, pieces)
        if self._trailers:
            self._finish(data, at)
        elif at < len(data):
            self._hold(data[at:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _chunks(self, data: bytes, pieces: list[bytes]) -> int:
        """Take the chunks apart, and return where they stop."""
        at, left = 0, self._left
        while True:
            if left:
                piece = data[at : at + left]
                pieces.append(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
            header = _CHUNK_HEADER.match(data, at)
            if header is None:
                break
            left = int(header[1], 16)
            at = header.end()
            if not left:
                self._trailers = True
                at -= len(_CRLF)  # so that an end without trailers looks like one with
                break
        self._left = left
        return at

    def _hold(self, rest: bytes) -> None:
        """Keep what may become a chunk header."""
        if rest[:2] != _CRLF[: len(rest)]:
            self._end(f"malformed chunk footer: {rest[:2]!r} (expected {_CRLF!r})")
        elif len(rest) > _MOST_HELD or rest.find(_CRLF, 2) >= 0:
            self._end(f"illegal chunk header: {rest[2:82]!r}")
        else:
            self._held = rest

    def _finish(self, data: bytes, at: int) -> None:
        """Skip the trailers: they are about a body that has been read already."""
        blank = _BLANK_LINE.search(data, at)
        if blank is not None:
            self.reusable &= blank.end() == len(data)
            self._end(_malformed(data[at + len(_CRLF) : blank.end()]))
        elif len(data) - at > _MOST_HELD:
            self._end("the trailers are too long")
        else:
            self._held = data[at:]


def _malformed(trailers: bytes) -> str:
    """Return what h11 has against trailers; "" if nothing, or if there are none."""
    if trailers in {b"", _CRLF, b"\n"}:
        return ""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HELD)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "")]))
    http.send(h11.EndOfMessage())
    http.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers)
    try:
        while not isinstance(http.next_event(), h11.EndOfMessage):
            continue
    except h11.RemoteProtocolError as error:
        return str(error)
    return ""


def _incomplete(how: str) -> str:
    return f"peer closed connection without sending complete message body ({how})"


def framing_of(method: bytes, status: int, headers: Sequence[tuple[bytes, bytes]]) -> Framing:
    """Choose the framing of a response.

    Args:
        method: The request's method, in capitals.
        status: The response's status.
        headers: Its headers, checked, with names in lower case (as h11 gives them).
    """
    if method == b"HEAD" or status in {204, 304} or status < 200:  # noqa: PLR2004 - RFC 9112 6.3
        return Framing()
    fields = dict(headers)
    if b"transfer-encoding" in fields:  # h11 has refused any other than chunked
        return Chunked()
    if b"content-length" in fields:
        return Length(int(fields[b"content-length"]))
    return UntilClosed()
