"""What a client goes through on a scripted connection: bytes, waits, exceptions.

Times are yielded, not slept: the transport sleeps, in its own way. Whoever is told to wait for
``math.inf`` seconds waits until it is closed or cancelled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from resilient_sse.testing._actions import actions_of
from resilient_sse.testing._script import Ending, Framing
from resilient_sse.testing._steps import Pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resilient_sse._values.library import Library, TransportError
    from resilient_sse.testing._actions import Action
    from resilient_sse.testing._script import Connection

__all__ = ["body", "opening"]

_POLL = 0.002
_MOST_HEADERS = 100_000  # about what h11 accepts

_NO_RESPONSE = "Server disconnected without sending a response."
_INCOMPLETE = "client closed connection without sending complete message body"
_TIMED_OUT = "The read operation timed out"
_TOO_LONG = "Receive buffer too long"


def _error_of(ending: Ending, library: Library) -> TransportError | None:
    """Make the exception that this ending is on a real connection; None if it is none."""
    match ending:
        case Ending.TRUNCATED | Ending.MID_CHUNK:
            return library.RemoteProtocolError(_INCOMPLETE)
        case Ending.GARBAGE:
            return library.RemoteProtocolError("illegal chunk header")
        case Ending.RESET:
            return library.ReadError("Connection reset by client")
        case Ending.REFUSED:
            return library.ConnectError("All connection attempts failed")
        case _:
            return None


def opening(connection: Connection, patience: float, library: Library) -> Iterator[float]:
    """From the request to the headers: seconds to wait, or the exception instead of a response.

    Args:
        connection: What to go through.
        patience: The read timeout in seconds.
        library: Whose exceptions to raise.
    """
    yield from _waits(_timed([Pause(connection.before_headers)], patience, library), library)
    if connection.framing is Framing.BARE:
        yield from _waits(_timed(_actions(connection), patience, library), library)
        none = library.RemoteProtocolError(_NO_RESPONSE)
        raise _error_of(connection.ending, library) or none


def body(connection: Connection, patience: float, library: Library) -> Iterator[bytes | float]:
    """From the headers to the end: bytes, seconds to wait, and the exception of a bad ending.

    Args:
        connection: What to go through.
        patience: The read timeout in seconds.
        library: Whose exceptions to raise.
    """
    yield from _timed(_actions(connection), patience, library)
    error = _error_of(connection.ending, library)
    if error is not None:
        raise error


def _actions(connection: Connection) -> Iterator[Action]:
    yield from actions_of(connection)
    if connection.ending is Ending.SILENCE:
        yield Pause(math.inf)


def _timed(actions: Iterable[Action], patience: float, library: Library) -> Iterator[bytes | float]:
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
            raise library.ReadTimeout(_TIMED_OUT)


def _waits(items: Iterable[bytes | float], library: Library) -> Iterator[float]:
    received = 0
    for item in items:
        if isinstance(item, bytes):
            received += len(item)
        else:
            yield item
        if received > _MOST_HEADERS:
            raise library.RemoteProtocolError(_TOO_LONG)
