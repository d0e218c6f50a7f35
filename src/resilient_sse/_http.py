"""The HTTP of an event stream: which request is sent, where it may go, what may come back.

No I/O and no state: both drivers call these functions around their client's `send`. They use only
what httpx, httpx2 and httpxr have in common.
"""

from __future__ import annotations

import functools
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx

from resilient_sse._classify import is_status_error
from resilient_sse._header import encode_last_event_id
from resilient_sse._inflate import acceptable, codings_of, is_known
from resilient_sse._redact import redact_url
from resilient_sse.errors import ContentTypeError, ResponseError, StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._failure import Attempt
    from resilient_sse._settings import Settings


EXCERPT_BYTES: Final = 4096
EXCERPT_SECONDS: Final = 1.0
# The number that the fetch standard allows (4.4), and httpx and browsers with it.
_MOST_REDIRECTS: Final = 20
_HIGHEST_PORT: Final = 65535
# A header whose name has one of these in it is a credential, and stays with its origin.
_CREDENTIAL_WORDS: Final = ("auth", "cookie", "token", "key", "secret", "session", "password")


_UNEXPLAINED: Final = {
    "ConnectTimeout": "no connection was made in time",
    "PoolTimeout": "all connections of the client are in use, and every stream keeps one for "
    "itself; give the client a higher limit (max_connections)",
}


class Sending(NamedTuple):
    """A request on its way, and whether it may carry the source's credentials."""

    request: Any
    trusted: bool
    hops: int = 0


def build_request(client: Any, settings: Settings, attempt: Attempt) -> Any:  # noqa: ANN401 - the client's own
    """Build the request of an attempt, as httpx would from the same keywords."""
    given = {
        name: value
        for name in ("params", "content", "json", "data")
        if (value := getattr(settings, name)) is not None
    }
    # httpx takes its own URL objects without parsing them anew; other clients have others.
    own = isinstance(client, httpx.Client | httpx.AsyncClient)
    request = client.build_request(
        settings.method,
        _parsed(settings.url) if own else settings.url,
        headers=_headers(client, settings, attempt),
        extensions={"timeout": _timeouts(settings)},
        **given,
    )
    if not attempt.last_event_id and "last-event-id" in request.headers:
        del request.headers["last-event-id"]  # the client's own, which was the first cursor
    return request


# To parse the URL twice is a tenth of what it takes from a drop to the next request.
_parsed = functools.lru_cache(maxsize=256)(httpx.URL)


def _timeouts(settings: Settings) -> dict[str, float]:
    # A little less where the client's own error says more than that the time is over: that the
    # request was not sent, so that even a POST may be tried again.
    limit = settings.connect_timeout
    early = limit * 0.95
    return {"connect": early, "read": limit, "write": limit, "pool": early}


def _headers(client: Any, settings: Settings, attempt: Attempt) -> dict[str, str | bytes]:  # noqa: ANN401
    given = parsed_headers(settings.headers)
    headers: dict[str, str | bytes] = {
        name: value if value.isascii() else value.encode(given.encoding)
        for name, value in given.items()
    }
    defaults = getattr(client, "headers", {})
    if "accept" not in headers and defaults.get("accept", "*/*") == "*/*":
        headers["accept"] = settings.content_type
    if "cache-control" not in headers and "cache-control" not in defaults:
        headers["cache-control"] = "no-cache"
    accepted = defaults.get("accept-encoding", "")
    if "accept-encoding" not in headers and acceptable(accepted) != accepted:
        headers["accept-encoding"] = acceptable(accepted)
    headers.pop("last-event-id", None)  # it is the first cursor, not a constant
    if cursor := encode_last_event_id(attempt.last_event_id):
        headers["last-event-id"] = cursor  # bytes: httpx would encode a str as ASCII
    return headers


def parsed_headers(given: Any) -> httpx.Headers:  # noqa: ANN401 - as in httpx
    """Read a caller's headers as httpx does, but text beyond ASCII, say an event id, as UTF-8."""
    try:
        return httpx.Headers(given)
    except UnicodeEncodeError:
        return httpx.Headers(given, encoding="utf-8")


def first_cursor(headers: Any, client: Any) -> str:  # noqa: ANN401
    """Return the ``Last-Event-ID`` among the headers that the caller set for all requests."""
    given: str = parsed_headers(headers).get("last-event-id", "")
    return given or getattr(client, "headers", {}).get("last-event-id", "")


def prepared(returned: Any, request: Any) -> Any:  # noqa: ANN401 - the client's own
    """Return the request to send, given what `prepare_request` returned.

    Raises:
        TypeError: If that is no request.
    """
    if returned is not None and not hasattr(returned, "headers"):
        msg = f"prepare_request must return a request, or None for the one it got: {returned!r}"
        raise TypeError(msg)
    if returned is None:
        return request
    # Among them is what the time limits and closing from another thread work by.
    for name, value in request.extensions.items():
        returned.extensions.setdefault(name, value)
    return returned


def on_its_way(settings: Settings, built: Mapping[str, str], request: Any) -> Sending:  # noqa: ANN401
    """Take away the credentials of a request that `prepare_request` sent to another origin.

    Args:
        settings: The source's settings.
        built: The headers as they were before `prepare_request`. Those it changed or added are
            meant for the new origin and stay.
        request: The request as it is now.
    """
    if _origin(request.url) == _origin(_parsed(settings.url)):
        return Sending(request, trusted=True)
    for name in _credentials(request.headers):
        if built.get(name) == request.headers[name]:
            del request.headers[name]
    # A URL made from the source's by changing its host has its userinfo too.
    if request.url.userinfo and request.url.userinfo == _parsed(settings.url).userinfo:
        request.url = request.url.copy_with(userinfo=b"")
    return Sending(request, trusted=False)


def send_options(settings: Settings, sending: Sending) -> dict[str, Any]:
    """Return the keywords for the client's `send`."""
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    if not sending.trusted:
        options["auth"] = None
    elif settings.auth is not None:
        options["auth"] = settings.auth
    return options


class Refusal(NamedTuple):
    """Why a response is not the stream that was asked for."""

    kind: type[ResponseError]
    message: str

    def error(self, response: Any, body: bytes) -> ResponseError:  # noqa: ANN401
        """Make the exception, given the beginning of the response's body."""
        wait = retry_after(response.headers, time.time())
        return self.kind(self.message, response=response, body=body, retry_after=wait)


def judge(sending: Sending, response: Any, content_type: str) -> Sending | Refusal | None:  # noqa: ANN401
    """Say what follows from a response: a redirect to follow, a refusal, or None: go on with it."""
    if response.next_request is not None:
        return _next_hop(sending, response.next_request)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    if response.status_code != httpx.codes.OK:
        return _bad_status(response)
    got = response.headers.get("content-type", "")
    if essence(got) != content_type:
        return Refusal(ContentTypeError, f"expected content type {content_type!r}, got {got!r}")
    encoding = encoding_of(response)
    if encoding and not is_known(encoding):
        return Refusal(ContentTypeError, f"cannot read a body with content encoding {encoding!r}")
    return None


def essence(content_type: str) -> str:
    """Return the media type alone; the last one if there are several (fetch standard 2.2.6)."""
    values = [value.partition(";")[0].strip().lower() for value in content_type.split(",")]
    return next((value for value in reversed(values) if "/" in value), "")


def _bad_status(response: Any) -> Refusal:  # noqa: ANN401
    reason = getattr(response, "reason_phrase", "")
    return Refusal(StatusError, f"the server answered {response.status_code} {reason}".rstrip())


def _next_hop(sending: Sending, request: Any) -> Sending | Refusal:  # noqa: ANN401
    sent = sending.request
    if sent.url.scheme == "https" and request.url.scheme != "https":
        where = redact_url(str(request.url))
        return Refusal(StatusError, f"refused to follow the redirect from https to {where}")
    if (request.url.port or 0) > _HIGHEST_PORT:  # asyncio raises an OverflowError for it
        return Refusal(StatusError, f"redirected to port {request.url.port}, which cannot be")
    if sending.hops >= _MOST_REDIRECTS:
        return Refusal(StatusError, f"more than {_MOST_REDIRECTS} redirects in a row")
    trusted = sending.trusted and _origin(request.url) == _origin(sent.url)
    if not trusted:
        for name in _credentials(request.headers):
            del request.headers[name]
    elif "cookie" in sent.headers:  # which httpx takes away, to put its jar's in its place
        request.headers.setdefault("cookie", sent.headers["cookie"])
    return Sending(request, trusted, sending.hops + 1)


def _credentials(headers: Any) -> list[str]:  # noqa: ANN401
    return [name for name in headers if any(word in name.lower() for word in _CREDENTIAL_WORDS)]


def _origin(url: Any) -> tuple[str, str, int | None]:  # noqa: ANN401
    """Return scheme, host and port (RFC 6454 4)."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def as_failure(error: Exception) -> Exception:
    """Turn what the client raised into what may be shown to anybody, and tells them something.

    An ``HTTPStatusError``, which a caller's hook on the client may raise, has the whole URL in its
    message, and that of a header that cannot be sent has the header's value.
    """
    if is_status_error(error):
        response: Any = getattr(error, "response", None)
        return _bad_status(response).error(response, body=b"")
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


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``Retry-After`` in either form (RFC 9110 10.2.3): seconds, or a date.

    A date is compared with the response's own ``Date``, so that clocks need not agree.

    Args:
        headers: The response's headers.
        now: The time since the epoch, for a response without a ``Date``.

    Returns:
        Seconds from now, 0 or more; None if there is no such header or it makes no sense.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:15])  # a longer number would not be a float, and is for ever anyway
    then = _timestamp(value)
    if then is None:
        return None
    return max(0.0, then - (_timestamp(headers.get("date", "")) or now))


def _timestamp(http_date: str) -> float | None:
    try:
        then = parsedate_to_datetime(http_date)
        # The asctime form, which RFC 9110 5.6.7 has recipients accept, names no zone and means UTC.
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def excerpt_seconds(left: float) -> float:
    """Say how long to read a body that nobody asked for, given the time that is left to connect.

    The headers came in time and are the news, however long the body takes.
    """
    return max(0.001, min(EXCERPT_SECONDS, left / 3))


def headers_of(response: Any) -> Mapping[str, str]:  # noqa: ANN401
    """Return the response's headers for hooks, without the cookies."""
    headers = httpx.Headers(dict(response.headers.items()), encoding="utf-8")
    if "set-cookie" in headers:
        headers["set-cookie"] = "***"
    return headers


def encoding_of(response: Any) -> str:  # noqa: ANN401
    """Return the content encoding of the body, "" if its raw bytes are the stream."""
    return codings_of(response.headers.get("content-encoding", ""))


def set_read_timeout(response: Any, seconds: float | None) -> None:  # noqa: ANN401
    """Set how long the client waits for the next bytes of this body."""
    _set_read_timeout(response.request, seconds)


def lift_read_timeout(request: Any) -> None:  # noqa: ANN401
    """Let the driver alone watch over the reads, as some transports know one limit for them all."""
    _set_read_timeout(request, None)


def _set_read_timeout(request: Any, seconds: float | None) -> None:  # noqa: ANN401
    timeouts = request.extensions.get("timeout")
    if timeouts is not None:
        timeouts["read"] = seconds
