"""The request of an attempt: what is asked for, with which headers and time limits."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse._header import encode_last_event_id
from resilient_sse._inflate import acceptable

if TYPE_CHECKING:
    from resilient_sse._failure import Attempt
    from resilient_sse._settings import Settings


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
        parsed_url(settings.url) if own else settings.url,
        headers=_headers(client, settings, attempt),
        extensions={"timeout": _timeouts(settings)},
        **given,
    )
    if not attempt.last_event_id and "last-event-id" in request.headers:
        del request.headers["last-event-id"]  # the client's own, which was the first cursor
    return request


# To parse the URL twice is a tenth of what it takes from a drop to the next request.
parsed_url = functools.lru_cache(maxsize=256)(httpx.URL)


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
