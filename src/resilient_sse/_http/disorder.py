"""What is raised over an HTTP/2 connection that has fallen into disorder.

Once h2 has found a fault of the server's, all else on the connection fails with messages about its
state, or hears nothing any more. httpcore takes them for faults of the request, which no retry
would mend, and for a request of the program's that gets between those of the sources it has no
error at all, but a `KeyError`. All of them are over with the connection.
"""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING, Final

from resilient_sse._session.classify import is_the_librarys
from resilient_sse._values.causes import causes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from resilient_sse._values.library import Library

_LAYERS: Final = frozenset({"h2", "hpack", "hyperframe"})
_OF_A_STATE: Final = " in state "


def in_order(error: Exception, library: Library) -> Exception:
    """Return an error as it is, or as a failure of the connection if that is what it tells of."""
    told_already = is_the_librarys(error) and not isinstance(error, library.LocalProtocolError)
    if told_already or not is_disorder(error):
        return error
    told = library.RemoteProtocolError(f"the HTTP/2 connection is out of order: {error!r}")
    told.__cause__ = error
    return told


def is_disorder(error: Exception) -> bool:
    """Say whether an error tells of a connection that is of no use to others either."""
    return any(_is_of_h2(cause) or _is_a_slip(cause) for cause in causes(error))


def _is_of_h2(error: BaseException) -> bool:
    """Say whether h2 raised this about a connection or a stream, and not about a request."""
    if type(error).__module__ != "h2.exceptions":
        return False
    # It has no class for faults of a connection, and raises the same for headers, say.
    received = any(frame.f_code.co_name == "receive_data" for frame in _frames(error))
    return received or type(error).__name__ != "ProtocolError" or _OF_A_STATE in str(error)


def _is_a_slip(error: BaseException) -> bool:
    """Say whether an error is nobody's that is meant to be caught, and comes from within HTTP/2."""
    if is_the_librarys(error):
        return False
    names = [str(frame.f_globals.get("__name__")) for frame in _frames(error)][-1:]
    return any(name.partition(".")[0] in _LAYERS or name.endswith("._sync.http2") for name in names)


def _frames(error: BaseException) -> Iterator[FrameType]:
    for frame, _ in walk_tb(error.__traceback__):
        yield frame
