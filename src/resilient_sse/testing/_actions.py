"""A connection as a sequence of things to do; no I/O here.

The server and the in-memory transport actions_of the same connections. What they share is decided
in this module: the headers, and the body as bytes to send and times to wait.
"""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from resilient_sse.testing._script import Ending, Framing
from resilient_sse.testing._steps import Forever, Live, Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from resilient_sse.testing._script import Connection
    from resilient_sse.testing._steps import Step

__all__ = ["MISSING_BYTES", "Action", "actions_of", "head", "header_fields"]

MISSING_BYTES = 16
"""How much a truncated body promises and does not send."""

_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_GZIP_WINDOW = 31

Action: TypeAlias = "bytes | Pause | Live"
"""Send these bytes, wait so long, or wait until the live step has something new."""


def head(connection: Connection) -> bytes:
    """The status line and the headers."""
    try:
        phrase = HTTPStatus(connection.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/{connection.http_version} {connection.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in header_fields(connection).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def header_fields(connection: Connection) -> dict[str, str]:
    """The headers in order: the usual ones, then the connection's own in their place."""
    names = {name.lower() for name in connection.headers}
    usual = {k: v for k, v in _usual_fields(connection).items() if k.lower() not in names}
    own = {name: value for name, value in connection.headers.items() if value is not None}
    return usual | own


def _usual_fields(connection: Connection) -> dict[str, str]:
    fields: dict[str, str] = {}
    if connection.status == HTTPStatus.OK:
        fields["Content-Type"] = "text/event-stream"
    if connection.gzip:
        fields["Content-Encoding"] = "gzip"
    if not connection.keep_alive:
        fields["Connection"] = "close"
    return fields if connection.status in _BODILESS else fields | _framing_fields(connection)


def _framing_fields(connection: Connection) -> dict[str, str]:
    if connection.framing is Framing.CHUNKED:
        return {"Transfer-Encoding": "chunked"}
    if connection.framing is Framing.LENGTH:
        return {"Content-Length": str(_length(connection))}
    return {}


def _length(connection: Connection) -> int:
    sent = sum(len(action) for action in actions_of(connection) if isinstance(action, bytes))
    return sent if connection.ending is Ending.CLEAN else sent + MISSING_BYTES


def _nothing() -> None:
    """For those who do not need to be woken."""


def actions_of(
    connection: Connection, wake: Callable[[], object] = _nothing
) -> Generator[Action, None, None]:
    """The body, in order.

    Args:
        connection: What to perform.
        wake: Called, from any thread, when a live step that was handed out has something new.
            Close the iterator to have it forgotten.
    """
    encoder = _Encoder(connection)
    if connection.after_headers:
        yield Pause(connection.after_headers)
    yield from _steps(connection.steps, encoder, wake)
    if connection.ending in {Ending.CLEAN, Ending.CLOSE}:
        yield from encoder.finish()


def _steps(
    steps: Iterable[Step], encoder: _Encoder, wake: Callable[[], object]
) -> Iterator[Action]:
    for step in steps:
        if isinstance(step, bytes):
            yield from encoder.encode(step)
        elif isinstance(step, Pause):
            yield step
        elif isinstance(step, Live):
            yield from _follow(step, encoder, wake)
        else:
            yield from _repeat(step, encoder, wake)


def _repeat(forever: Forever, encoder: _Encoder, wake: Callable[[], object]) -> Iterator[Action]:
    while True:
        yield from _steps(forever.steps, encoder, wake)


def _follow(live: Live, encoder: _Encoder, wake: Callable[[], object]) -> Iterator[Action]:
    live.news.subscribe(wake)
    try:
        while (ready := live.take()) is not None:
            for data in ready:
                yield from encoder.encode(data)
            if not ready:
                yield live
    finally:
        live.news.unsubscribe(wake)


class _Encoder:
    """Turns what steps send into the pieces that go out."""

    def __init__(self, connection: Connection) -> None:
        self._size = connection.chunk_size
        self._gzip = zlib.compressobj(wbits=_GZIP_WINDOW) if connection.gzip else None

    def encode(self, data: bytes) -> Iterator[bytes]:
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        return self._cut(data)

    def finish(self) -> Iterator[bytes]:
        return self._cut(self._gzip.flush() if self._gzip else b"")

    def _cut(self, data: bytes) -> Iterator[bytes]:
        size = self._size or len(data) or 1
        return (data[start : start + size] for start in range(0, len(data), size))
