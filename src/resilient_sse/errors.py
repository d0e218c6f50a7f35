"""Every error of this library.

```
SSEError(httpx.TransportError)
├── ResponseError      .response, .status_code, .body
│   ├── StatusError
│   └── ContentTypeError
├── StreamEnded        .excerpt
├── EventFailure       .event
├── IdleTimeout
├── EventTooLarge      .limit
├── UnsafeRetry        .method, .failure
├── GapError           .event
├── CursorError        .key
│   └── LeaseLost      of resilient_sse.cursors
└── GiveUpError        .failure, .failures, .url, .last_event_id
```

`GiveUpError` is what a consumer of a source catches, and `CursorError` if it has a cursor store.
`connect_sse` and `aconnect_sse` raise `ContentTypeError`, and every decoder `EventTooLarge`. The
others are what a `GiveUpError` reports: as its cause and in its failures. `NDJSONError`, which
`NDJSONDecoder` raises, is a ``ValueError`` and none of these: what is wrong is the data.

Every error that knows its request has it as ``.request``, as httpx's errors do: a copy in which
credentials and query values are redacted. What a message has from outside (a reason phrase, a
header's value, the beginning of a body, what an HTTP library said) is cut to 200 characters, and
its control characters are escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from resilient_sse._values.library import AnyTransportError, installed, kind_for, made_of
from resilient_sse._values.portable import Portable
from resilient_sse._values.presentable import redacted_request, redacted_response, request_of
from resilient_sse._values.redact import excerpt as excerpt_of
from resilient_sse._values.redact import explain, quoted, redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.failure import Failure
    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse
    from resilient_sse._values.library import Library

__all__ = [
    "ContentTypeError",
    "CursorError",
    "EventFailure",
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

_BEGINNING = 1000  # characters of an event's data of which a message has an excerpt


E = TypeVar("E", bound=BaseException)


class SSEError(AnyTransportError):
    """The root of this library's errors.

    It is an ``httpx.TransportError``, as in httpx-sse, so that code which catches that keeps
    working; one about a client of httpx2 is an ``httpx2.TransportError`` as well. Like any
    exception it can be copied, and sent to another process, where httpx2 need not be installed.
    """

    @property
    def request(self) -> Any:  # noqa: ANN401 - a request of httpx, or of httpx2
        """The request, as a copy in which credentials and query values are redacted.

        Raises:
            RuntimeError: As in httpx, if the error knows of none.
        """
        return super().request

    @request.setter
    def request(self, request: HTTPRequest | None) -> None:
        self._request = redacted_request(request)

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is otherwise made anew from its message alone.
        kind, library = made_of(type(self))
        state = self._state()
        return _unpickled, (kind, self.args, library), Portable(state) if library else state

    def __setstate__(self, state: dict[str, Any] | Portable | None) -> None:
        vars(self).update(state.value if isinstance(state, Portable) else state or {})

    def _state(self) -> dict[str, Any]:
        """Return what a copy is made of."""
        return vars(self)


def _unpickled(kind: type[SSEError], args: tuple[Any, ...], library: str) -> SSEError:
    return (
        of_library(kind.__new__(kind, *args), installed(library))
        if library
        else kind.__new__(kind, *args)
    )


def of_library(error: E, library: Library) -> E:
    """Make an error of ours one of a library's, too, so that ``except`` of that finds it.

    Its class changes, not the error: whoever raised it, say a decoder, knew of no client.
    """
    if isinstance(error, SSEError):
        error.__class__ = kind_for(type(error), library.TransportError)
    return error


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
        response: HTTPResponse,
        body: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self._request = redacted_request(request_of(response))
        self.response: Any = response  # of a class that the caller knows
        self.status_code: int = response.status_code
        self.body = body
        self.retry_after = retry_after

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"response": redacted_response(self.response)}


class StatusError(ResponseError):
    """A status that is no stream's (other than 200 and 204), or a redirect that is not followed."""


class ContentTypeError(ResponseError):
    """A stream's status, but a content type that is none, or an encoding that cannot be read."""


class StreamEnded(SSEError):  # noqa: N818 - it is news before it is an error
    """The response body ended cleanly; event streams are not meant to.

    Args:
        message: What happened.
        excerpt: The first 500 bytes of a body that had no event: an error page, perhaps, that
            calls itself an event stream.
    """

    def __init__(
        self, message: str = "the server ended the stream", *, excerpt: bytes = b""
    ) -> None:
        begins = f" without an event; its body begins {excerpt_of(excerpt)}" if excerpt else ""
        super().__init__(message + begins)
        self.excerpt = excerpt


class EventFailure(SSEError):  # noqa: N818 - it is the server's failure, told by an event
    """The server said in an event that it failed, as its `Dialect` has it.

    Args:
        event: That event; the message has an excerpt of its data.
    """

    def __init__(self, event: ServerSentEvent) -> None:
        name = "" if event.event == "message" else f" {quoted(event.event)}"
        super().__init__(
            f"the server sent the event{name} of a failure: {quoted(event.data[:_BEGINNING])}"
        )
        self.event = event


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
        failure: What happened to the request.
    """

    def __init__(self, method: str, failure: Failure | None = None) -> None:
        after = f" after {_summary(failure)}" if failure is not None else ""
        super().__init__(
            f"not sending the {method} again{after}: the server may have acted on it, and there is "
            "no event id to resume from; pass retry_unsafe=True if repeating it does no harm"
        )
        self.method = method
        self.failure = failure
        self._request = redacted_request(request_of(failure and failure.error))


class GapError(SSEError):
    """The server said that it cannot replay what was missed.

    Args:
        event: The event that said so, as the `Dialect` has it.
    """

    def __init__(self, event: ServerSentEvent) -> None:
        super().__init__(
            f"events are missing: the server says so by {redact_text(repr(event))}; pass "
            "on_gap='continue' to go on from here, or a function that loads what was missed"
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
        self._request = redacted_request(request_of(self.failure.error))

    def _story(self) -> str:
        """Tell in one line what was tried, why it failed and where to go on."""
        last = self.failure
        times = "1 failure" if last.attempt == 1 else f"{last.attempt} failures"
        resume = (
            f"; resume from event id {quoted(self.last_event_id)}" if self.last_event_id else ""
        )
        return (
            f"gave up on {self.url} after {times} in {last.outage_seconds:.1f} s: "
            f"{_summary(last)}{resume}"
        )


def _summary(failure: Failure) -> str:
    """Say in a few words what a failure was."""
    message = explain(failure.error) or "no message"
    return f"{failure.kind} ({type(failure.error).__name__}: {message})"
