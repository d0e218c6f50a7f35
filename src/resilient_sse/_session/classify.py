"""What kind of failure an exception is.

The exceptions of httpx, httpx2 and httpxr share their names but no base class, so everything here
goes by name. An exception that is not named here is not a failure of the stream but a bug, in this
program or in the caller's, and is let through untouched.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

from resilient_sse._values.causes import causes
from resilient_sse._values.failure import FailureKind
from resilient_sse.errors import (
    ContentTypeError,
    CursorError,
    EventFailure,
    EventTooLarge,
    GapError,
    GiveUpError,
    IdleTimeout,
    StatusError,
    StreamEnded,
    UnsafeRetry,
)


class Classification(NamedTuple):
    """The kind of a failure and what else its exception tells."""

    kind: FailureKind
    permanent: bool = False
    """Trying again cannot help: the request itself is wrong."""
    acted: bool = True
    """The server may have acted on the request."""


# RFC 9110 15.5.9 and 15.6.4, RFC 8470 5.2, RFC 6585 4: the server says that it did not process it.
_NOT_PROCESSED: Final = frozenset({408, 425, 429, 503})
# What h2 raises of a connection that ends within a frame, httpcore lets through as it is.
_LIBRARIES: Final = ("httpx", "httpx2", "httpxr", "_httpxr", "h2")

# What a write raises within TLS that the other end has closed.
_OF_ANYIO: Final = frozenset({"EndOfStream", "BrokenResourceError", "ClosedResourceError"})

_CONNECT: Final = Classification(FailureKind.CONNECT, acted=False)
_TIMEOUT: Final = Classification(FailureKind.TIMEOUT)
_NOT_SENT: Final = Classification(FailureKind.TIMEOUT, acted=False)
_TRANSPORT: Final = Classification(FailureKind.TRANSPORT)
_REFUSED_BY_PROXY: Final = Classification(FailureKind.CONNECT, permanent=True, acted=False)
_OUR_FAULT: Final = Classification(FailureKind.TRANSPORT, permanent=True, acted=False)

BY_NAME: Final = {
    "ConnectError": _CONNECT,
    "ProxyError": _CONNECT,
    "ConnectTimeout": _NOT_SENT,
    "PoolTimeout": _NOT_SENT,
    "ReadTimeout": _TIMEOUT,
    "WriteTimeout": _TIMEOUT,
    "TimeoutException": _TIMEOUT,
    "ReadError": _TRANSPORT,
    "WriteError": _TRANSPORT,
    "CloseError": _TRANSPORT,
    "NetworkError": _TRANSPORT,
    "RemoteProtocolError": _TRANSPORT,
    "ProtocolError": _TRANSPORT,
    "TransportError": _TRANSPORT,
    "DecodingError": _TRANSPORT,
    "LocalProtocolError": _OUR_FAULT,
    "UnsupportedProtocol": _OUR_FAULT,
    "InvalidURL": _OUR_FAULT,  # which a redirect may lead to
    "TooManyRedirects": Classification(FailureKind.STATUS, acted=False),
    "HTTPStatusError": Classification(FailureKind.STATUS),
}
"""The exceptions of httpx, httpx2 and httpxr that are failures of a stream."""

_OURS: Final[dict[type, Classification | None]] = {
    StatusError: Classification(FailureKind.STATUS),
    StreamEnded: Classification(FailureKind.ENDED),
    EventFailure: Classification(FailureKind.EVENT),
    GapError: Classification(FailureKind.GAP),
    IdleTimeout: Classification(FailureKind.IDLE),
    ContentTypeError: Classification(FailureKind.CONTENT_TYPE),
    EventTooLarge: Classification(FailureKind.TOO_LARGE),
    UnsafeRetry: Classification(FailureKind.UNSAFE),
    GiveUpError: None,
    CursorError: None,
}


def classify(error: BaseException) -> Classification | None:
    """Say what kind of failure an exception is; None if it is not one at all."""
    for base in type(error).__mro__:
        if base in _OURS:
            found = _OURS[base]
        elif base.__name__ in BY_NAME and _is_of_a_library(base):
            found = BY_NAME[base.__name__]
            if base.__name__ == "ProxyError" and str(error).startswith("407"):
                return _REFUSED_BY_PROXY  # RFC 9110 15.5.8: it will say so every time
        else:
            continue
        if found is not None and found.kind is FailureKind.STATUS and found.acted:
            return found._replace(acted=_status_of(error) not in _NOT_PROCESSED)
        return found
    return _of_the_system(error)


def _of_the_system(error: BaseException) -> Classification | None:
    """Classify the operating system's errors, which some clients let through (httpxr, TLS)."""
    if isinstance(error, TimeoutError):
        return _TIMEOUT
    if type(error).__name__ in _OF_ANYIO and type(error).__module__.startswith("anyio"):
        return _TRANSPORT
    return _TRANSPORT if isinstance(error, OSError) else None


def given_up_by_tcp(error: BaseException) -> bool:
    """Say whether a timeout is TCP's own (RFC 9293 3.8.4: keepalive), not one of the client's.

    Python calls both `TimeoutError`, and so the clients cannot tell them apart.
    """
    return any(getattr(cause, "errno", None) == errno.ETIMEDOUT for cause in causes(error))


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status an exception tells of, if it tells of one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _is_of_a_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _LIBRARIES


def is_status_error(error: BaseException) -> bool:
    """Say whether this is the ``HTTPStatusError`` that ``response.raise_for_status()`` raises."""
    return any(
        base.__name__ == "HTTPStatusError" and _is_of_a_library(base)
        for base in type(error).__mro__
    )


def is_the_librarys(error: BaseException) -> bool:
    """Say whether this is an exception of an HTTP library that is a failure of a stream."""
    return any(base.__name__ in BY_NAME and _is_of_a_library(base) for base in type(error).__mro__)
