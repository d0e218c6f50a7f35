"""Connections that go wrong before there is a body, by name."""

from __future__ import annotations

from resilient_sse.testing._script import Connection, Ending, Framing
from resilient_sse.testing._steps import forever, pause, raw

__all__ = ["endless_headers", "half_status_line", "no_answer", "redirect", "refused"]


def refused() -> Connection:
    """No connection: `ScriptedTransport` raises ``httpx.ConnectError``.

    A `ScriptedServer` resets the connection as soon as it is there, without reading the request,
    which is therefore not recorded. For a real refusal use its ``stop()``.
    """
    return Connection(framing=Framing.BARE, ending=Ending.REFUSED)


def no_answer(ending: Ending = Ending.CLOSE) -> Connection:
    """Take the request and send no byte.

    Args:
        ending: ``CLOSE``, ``RESET`` or ``SILENCE``.
    """
    return Connection(framing=Framing.BARE, ending=ending)


def half_status_line(ending: Ending = Ending.CLOSE) -> Connection:
    """Send the beginning of a status line only.

    Args:
        ending: ``CLOSE``, ``RESET``, ``SILENCE`` or ``GARBAGE``.
    """
    return Connection(raw(b"HTTP/1.1 2"), framing=Framing.BARE, ending=ending)


def endless_headers(every: float = 0.01) -> Connection:
    """Send one header line after the other, never the end of the headers.

    Args:
        every: Seconds between them; 0 floods the client.
    """
    line = raw("X-Padding: " + "x" * 100 + "\r\n")
    steps = forever(line, pause(every)) if every else forever(line)
    return Connection(raw(b"HTTP/1.1 200 OK\r\n"), steps, framing=Framing.BARE, ending=Ending.CLOSE)


def redirect(location: str, status: int = 307) -> Connection:
    """Send the client elsewhere.

    Args:
        location: A URL or a path.
        status: 301, 302, 303, 307 or 308.
    """
    return Connection(status=status, headers={"Location": location})
