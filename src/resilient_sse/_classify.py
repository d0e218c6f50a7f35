"""What kind of failure an exception is.

The exceptions of httpx, httpx2 and httpxr share their names but no base class, so everything here
goes by name. An exception that is not named here is not a failure of the stream but a bug, in this
program or in the caller's, and is let through untouched.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_sse._causes import causes
from resilient_sse._failure import FailureKind
from resilient_sse.errors import (
    ContentTypeError,
    CursorError,
    EventTooLarge,
    GiveUpError,
    IdleTimeout,
    StatusError,
    StreamEnded,
    UnsafeRetry,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Verdict(NamedTuple):
    """The kind of a failure and what else its exception tells."""

    kind: FailureKind
    permanent: bool = False
    """Trying again cannot help: the request itself is wrong."""
    acted: bool = True
    """The server may have acted on the request."""


# RFC 9110 15.5.9 and 15.6.4, RFC 8470 5.2, RFC 6585 4: the server says that it did not process it.
_NOT_PROCESSED: Final = frozenset({408, 425, 429, 503})
_LIBRARIES: Final = ("httpx", "httpx2", "httpxr", "_httpxr")

_CONNECT: Final = Verdict(FailureKind.CONNECT, acted=False)
_TIMEOUT: Final = Verdict(FailureKind.TIMEOUT)
_NOT_SENT: Final = Verdict(FailureKind.TIMEOUT, acted=False)
_TRANSPORT: Final = Verdict(FailureKind.TRANSPORT)
_OUR_FAULT: Final = Verdict(FailureKind.TRANSPORT, permanent=True, acted=False)

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
    "TooManyRedirects": Verdict(FailureKind.STATUS, acted=False),
    "HTTPStatusError": Verdict(FailureKind.STATUS),
}
"""The exceptions of httpx, httpx2 and httpxr that are failures of a stream."""

NOT_FAILURES: Final = frozenset(
    {
        "HTTPError",
        "RequestError",
        "CookieConflict",
        "StreamError",
        "StreamConsumed",
        "StreamClosed",
        "ResponseNotRead",
        "RequestNotRead",
    }
)
"""Their other exceptions: bases that are not raised, and mistakes in a program."""

_OURS: Final[dict[type[Exception], Verdict]] = {
    StreamEnded: Verdict(FailureKind.ENDED),
    IdleTimeout: Verdict(FailureKind.IDLE),
    ContentTypeError: Verdict(FailureKind.CONTENT_TYPE),
    EventTooLarge: Verdict(FailureKind.TOO_LARGE),
    UnsafeRetry: Verdict(FailureKind.UNSAFE),
}


def classify(error: BaseException) -> Verdict | None:
    """Say what kind of failure an exception is; None if it is not one at all."""
    if isinstance(error, (GiveUpError, CursorError)):
        return None
    if isinstance(error, StatusError) or is_status_error(error):
        return Verdict(FailureKind.STATUS, acted=_status_of(error) not in _NOT_PROCESSED)
    for ours, verdict in _OURS.items():
        if isinstance(error, ours):
            return verdict
    for name in _library_names(type(error)):
        if name in BY_NAME:
            return BY_NAME[name]
    return _of_the_system(error)


def _of_the_system(error: BaseException) -> Verdict | None:
    """Classify the operating system's errors, which some clients let through (httpxr, TLS)."""
    if isinstance(error, TimeoutError):
        return _TIMEOUT
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


def _library_names(cls: type) -> Iterator[str]:
    """Yield the names of an exception class and its bases, those of the HTTP libraries only."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:
            yield base.__name__


def is_status_error(error: BaseException) -> bool:
    """Say whether this is the ``HTTPStatusError`` that ``response.raise_for_status()`` raises."""
    return "HTTPStatusError" in _library_names(type(error))
