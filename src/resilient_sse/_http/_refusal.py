"""Why there is no stream: the response is another one, or the client raised something."""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

import httpx

from resilient_sse._classify import is_status_error
from resilient_sse._http._retry_after import retry_after
from resilient_sse.errors import ResponseError, StatusError

EXCERPT_BYTES: Final = 4096
_EXCERPT_SECONDS: Final = 1.0
_UNEXPLAINED: Final = {
    "ConnectTimeout": "no connection was made in time",
    "PoolTimeout": "all connections of the client are in use, and every stream keeps one for "
    "itself; give the client a higher limit (max_connections)",
}


class Refusal(NamedTuple):
    """Why a response is not the stream that was asked for."""

    kind: type[ResponseError]
    message: str

    def error(self, response: Any, body: bytes) -> ResponseError:  # noqa: ANN401 - the client's own
        """Make the exception, given the beginning of the response's body."""
        wait = retry_after(response.headers, time.time())
        return self.kind(self.message, response=response, body=body, retry_after=wait)


def bad_status(response: Any) -> Refusal:  # noqa: ANN401
    """Refuse a response for its status."""
    reason = getattr(response, "reason_phrase", "")
    return Refusal(StatusError, f"the server answered {response.status_code} {reason}".rstrip())


def excerpt_seconds(left: float) -> float:
    """Say how long to read a body that nobody asked for, given the time that is left to connect.

    The headers came in time and are the news, however long the body takes.
    """
    return max(0.001, min(_EXCERPT_SECONDS, left / 3))


def as_failure(error: Exception) -> Exception:
    """Turn what the client raised into what may be shown to anybody, and tells them something.

    An ``HTTPStatusError``, which a caller's hook on the client may raise, has the whole URL in its
    message, and that of a header that cannot be sent has the header's value.
    """
    if is_status_error(error):
        response: Any = getattr(error, "response", None)
        return bad_status(response).error(response, body=b"")
    if isinstance(error, UnicodeError) and type(error).__module__.startswith("idna"):
        return httpx.RemoteProtocolError(f"redirected to a host that cannot be: {error}")
    if type(error).__name__ in _UNEXPLAINED and _says_nothing(error):
        told = type(error)(_UNEXPLAINED[type(error).__name__])
        told.__cause__ = error
        return told
    if str(error).startswith("Illegal header value"):
        return type(error)("a header of the request has a value that HTTP does not allow")
    return error


def _says_nothing(error: Exception) -> bool:
    """Say whether the message is none, or that of anyio's or trio's own cancellation."""
    return str(error).lower().startswith("cancelled") or not str(error)
