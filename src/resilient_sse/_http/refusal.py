"""Why there is no stream: the response is another one, or the client raised something."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from resilient_sse._http.disorder import in_order
from resilient_sse._http.inflate import codings_of, inflated, is_known
from resilient_sse._http.retry_after import retry_after
from resilient_sse._session.classify import is_status_error, is_the_librarys
from resilient_sse._values.callbacks import CallbackFailed
from resilient_sse._values.library import HTTPX, DecodingError
from resilient_sse._values.redact import excerpt, redact_text
from resilient_sse.errors import ResponseError, StatusError

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import HTTPResponse
    from resilient_sse._values.library import Library

EXCERPT_BYTES: Final = 4096
_EXCERPT_SECONDS: Final = 1.0
_REDIRECTS: Final = range(300, 400)
_NOT_ALLOWED: Final = "a header of the request has a value that HTTP does not allow"
_UNEXPLAINED: Final = {
    "ConnectTimeout": "no connection was made in time",
    "PoolTimeout": "all connections of the client are in use, and every stream keeps one for "
    "itself; give the client a higher limit (max_connections)",
}


class Refusal(NamedTuple):
    """Why a response is not the stream that was asked for."""

    kind: type[ResponseError]
    message: str

    def error(self, response: HTTPResponse, body: bytes) -> ResponseError:
        """Make the exception, given the beginning of the response's body, which its message has."""
        wait = retry_after(response.headers, time.time())
        body = _decompressed(response, body)
        # That of a redirect only says where to.
        told = body and response.status_code not in _REDIRECTS
        message = f"{self.message}: {excerpt(body)}" if told else self.message
        return self.kind(message, response=response, body=body, retry_after=wait)


def _decompressed(response: HTTPResponse, body: bytes) -> bytes:
    """Return the readable beginning of a body that may be compressed, and may be cut."""
    encoding = codings_of(response.headers.get("content-encoding", ""))
    if not is_known(encoding):
        return body
    try:
        return next(inflated(iter([body]), encoding), b"")[:EXCERPT_BYTES]
    except DecodingError:  # some clients have decompressed it
        return body


def bad_status(response: HTTPResponse) -> Refusal:
    """Refuse a response for its status."""
    reason = redact_text(getattr(response, "reason_phrase", ""))
    return Refusal(StatusError, f"the server answered {response.status_code} {reason}".rstrip())


def excerpt_seconds(left: float) -> float:
    """Say how long to read a body that nobody asked for, given the time that is left to connect.

    The headers came in time and are the news, however long the body takes.
    """
    return max(0.001, min(_EXCERPT_SECONDS, left / 3))


def as_failure(error: Exception, library: Library = HTTPX) -> Exception:
    """Turn what the client raised into what may be shown to anybody, and tells them something.

    An ``HTTPStatusError``, which a caller's hook on the client may raise, has the whole URL in its
    message, and that of a header that cannot be sent has the header's value, which may be a cookie
    or what a challenge of the server's was answered with.
    """
    if is_status_error(error):
        response: Any = getattr(error, "response", None)
        return bad_status(response).error(response, body=b"")
    if isinstance(error, UnicodeError) and type(error).__module__.startswith("idna"):
        return library.RemoteProtocolError(f"redirected to a host that cannot be: {error}")
    if type(error).__name__ in _UNEXPLAINED and _says_nothing(error):
        told = type(error)(_UNEXPLAINED[type(error).__name__])
        told.__cause__ = error
        return told
    if str(error).startswith("Illegal header value"):
        return type(error)(_NOT_ALLOWED)
    if isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":
        error.object = error.reason = ""
        error.args = ()
        return library.LocalProtocolError(_NOT_ALLOWED)
    return in_order(error, library)


def as_callbacks(error: Exception) -> Exception:
    """Tell what `prepare_request` raised from what the client raises.

    An exception of the HTTP library, say of a token's server, is a failure of the attempt; any
    other is the consumer's to see.
    """
    return error if is_the_librarys(error) else CallbackFailed(error)


def _says_nothing(error: Exception) -> bool:
    """Say whether the message is none, or that of anyio's or trio's own cancellation."""
    return str(error).lower().startswith("cancelled") or not str(error)
