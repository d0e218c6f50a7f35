"""Every error of this library.

```
SSEError(httpx.TransportError)
├── ResponseError      .response, .status_code, .body (an excerpt)
│   ├── StatusError
│   └── ContentTypeError
├── StreamEnded
├── IdleTimeout
├── EventTooLarge      .limit
├── UnsafeRetry        .method
├── GapError           .event
├── CursorError        .key
└── GiveUpError        .failure, .failures, .url, .last_event_id; __cause__ is the last error
```

`GiveUpError` is what a consumer of a source catches, and `CursorError` if it has a cursor store.
`connect_sse` and `aconnect_sse` raise `ContentTypeError`, and every decoder `EventTooLarge`. The
others are what a `GiveUpError` reports: as its cause and in its failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse._redact import explain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import Failure

__all__ = [
    "ContentTypeError",
    "CursorError",
    "EventTooLarge",
    "GapError",
    "GiveUpError",
    "IdleTimeout",
    "ResponseError",
    "SSEError",
    "StatusError",
    "StreamEnded",
    "UnsafeRetry",
]


class SSEError(httpx.TransportError):
    """The root of this library's errors.

    It is an ``httpx.TransportError``, as in httpx-sse, so that code which catches that keeps
    working. Like any exception it can be copied, and sent to another process.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is otherwise made anew from its message alone.
        return _unpickled, (type(self), self.args), vars(self)


def _unpickled(kind: type[SSEError], args: tuple[Any, ...]) -> SSEError:
    return kind.__new__(kind, *args)


class ResponseError(SSEError):
    """The server answered, but not with an event stream.

    Args:
        message: What is wrong, and what to do about it.
        response: The response, already closed.
        body: The beginning of its body, at most a few kilobytes.
        retry_after: Seconds that the server asks to wait (RFC 9110 10.2.3), if it does.
    """

    def __init__(
        self,
        message: str,
        *,
        response: Any,  # noqa: ANN401 - httpx's, httpx2's or httpxr's
        body: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.response = response
        self.status_code: int = response.status_code
        self.body = body
        self.retry_after = retry_after


class StatusError(ResponseError):
    """A status other than 200 and 204, or a redirect that is not followed."""


class ContentTypeError(ResponseError):
    """A 200 whose content type is not ``text/event-stream``."""


class StreamEnded(SSEError):  # noqa: N818 - it is news before it is an error
    """The response body ended cleanly; event streams are not meant to."""

    def __init__(self, message: str = "the server ended the stream") -> None:
        super().__init__(message)


class IdleTimeout(SSEError):  # noqa: N818 - named like TimeoutException of httpx
    """No byte came for ``idle_timeout`` seconds, so the connection counts as lost."""

    def __init__(self, message: str = "no byte came in time") -> None:
        super().__init__(message)


class EventTooLarge(SSEError):  # noqa: N818 - the name says what is wrong
    """One event needs more memory than it was allowed.

    Args:
        limit: The limit in bytes, ``max_event_size``.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"one event is larger than {limit} bytes; raise max_event_size if that is expected"
        )
        self.limit = limit


class UnsafeRetry(SSEError):  # noqa: N818 - the name says what is wrong
    """The request would have to be repeated although the server may have acted on it.

    Args:
        method: The HTTP method.
    """

    def __init__(self, method: str) -> None:
        super().__init__(
            f"not sending the {method} again: the server may have acted on it, and there is no "
            "event id to resume from; pass retry_unsafe=True if repeating it does no harm"
        )
        self.method = method


class GapError(SSEError):
    """The server said that it cannot replay what was missed.

    Args:
        event: The event that the ``gap`` predicate names.
    """

    def __init__(self, event: ServerSentEvent) -> None:
        super().__init__(
            f"events are missing: the gap predicate names {event!r}; pass on_gap='continue' to go "
            "on from here"
        )
        self.event = event


class CursorError(SSEError):
    """A cursor store failed for good; the stream itself did not.

    Raised when the block is entered (the cursor cannot be loaded) or while iterating (it cannot be
    saved), once ``cursor_policy`` gives up or the store has a bug. `LeaseLost` is one.

    Args:
        message: What was tried.
        key: The key in the store.
    """

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class GiveUpError(SSEError):
    """The policy decided to stop trying, or the source may not or cannot go on.

    Its ``__cause__`` is the last error: `UnsafeRetry` for a request that is not safe to repeat,
    `GapError` or a `StatusError` for a server that cannot replay, else what broke the stream. The
    iteration has ended. To go on later, make another source with ``last_event_id``.

    Attributes:
        failure (Failure): The last failure.
        failures (tuple[Failure, ...]): The failures of this outage, oldest first (the newest 100
            of them).
        url (str): The source's URL without userinfo, with its query values redacted.
        last_event_id (str): The cursor, to resume from later.
    """

    def __init__(self, *, failures: Iterable[Failure], url: str, last_event_id: str) -> None:
        self.failures: tuple[Failure, ...] = tuple(failures)
        self.failure: Failure = self.failures[-1]
        self.url = url
        self.last_event_id = last_event_id
        super().__init__(self._story())

    def _story(self) -> str:
        """Tell in one line what was tried, why it failed and where to go on."""
        last = self.failure
        times = "1 failure" if last.attempt == 1 else f"{last.attempt} failures"
        error = explain(last.error) or "no message"
        resume = f"; resume from event id {self.last_event_id!r}" if self.last_event_id else ""
        return (
            f"gave up on {self.url} after {times} in {last.outage_seconds:.1f} s: "
            f"{last.kind} ({type(last.error).__name__}: {error}){resume}"
        )
