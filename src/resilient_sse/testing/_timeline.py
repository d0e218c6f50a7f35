"""What an httpx client goes through on a scripted connection: bytes, waits, exceptions.

Times are yielded, not slept: the transport sleeps, in its own way. Whoever is told to wait for
``math.inf`` seconds waits until it is closed or cancelled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import httpx

from resilient_sse.testing._performance import perform
from resilient_sse.testing._script import Ending, Framing
from resilient_sse.testing._steps import Pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resilient_sse.testing._performance import Action
    from resilient_sse.testing._script import Connection

__all__ = ["body", "opening"]

_POLL = 0.002
_MOST_HEADERS = 100_000  # about what h11 accepts

_NO_RESPONSE = "Server disconnected without sending a response."
_INCOMPLETE = "peer closed connection without sending complete message body"
_TIMED_OUT = "The read operation timed out"
_TOO_LONG = "Receive buffer too long"
_ERRORS: dict[Ending, tuple[type[httpx.TransportError], str]] = {
    Ending.TRUNCATED: (httpx.RemoteProtocolError, _INCOMPLETE),
    Ending.MID_CHUNK: (httpx.RemoteProtocolError, _INCOMPLETE),
    Ending.GARBAGE: (httpx.RemoteProtocolError, "illegal chunk header"),
    Ending.RESET: (httpx.ReadError, "Connection reset by peer"),
    Ending.REFUSED: (httpx.ConnectError, "All connection attempts failed"),
}


def opening(connection: Connection, patience: float) -> Iterator[float]:
    """From the request to the headers: seconds to wait, or the exception instead of a response.

    Args:
        connection: What to go through.
        patience: The read timeout in seconds.
    """
    yield from _waits(_timed([Pause(connection.before_headers)], patience))
    if connection.framing is Framing.BARE:
        yield from _waits(_timed(_actions(connection), patience))
        error, message = _ERRORS.get(connection.ending, (httpx.RemoteProtocolError, _NO_RESPONSE))
        raise error(message)


def body(connection: Connection, patience: float) -> Iterator[bytes | float]:
    """From the headers to the end: bytes, seconds to wait, and the exception of a bad ending.

    Args:
        connection: What to go through.
        patience: The read timeout in seconds.
    """
    yield from _timed(_actions(connection), patience)
    if connection.ending in _ERRORS:
        error, message = _ERRORS[connection.ending]
        raise error(message)


def _actions(connection: Connection) -> Iterator[Action]:
    yield from perform(connection)
    if connection.ending is Ending.SILENCE:
        yield Pause(math.inf)


def _timed(actions: Iterable[Action], patience: float) -> Iterator[bytes | float]:
    quiet = 0.0
    for action in actions:
        if isinstance(action, bytes):
            quiet = 0.0
            yield action
            continue
        seconds = action.seconds if isinstance(action, Pause) else _POLL
        yield min(seconds, patience - quiet)
        quiet += seconds
        if quiet >= patience:
            raise httpx.ReadTimeout(_TIMED_OUT)


def _waits(items: Iterable[bytes | float]) -> Iterator[float]:
    received = 0
    for item in items:
        if isinstance(item, bytes):
            received += len(item)
        else:
            yield item
        if received > _MOST_HEADERS:
            raise httpx.RemoteProtocolError(_TOO_LONG)
