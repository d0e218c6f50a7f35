"""A failure: the facts about one failed attempt or one ended connection, given to the policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

__all__ = ["Attempt", "Failure", "FailureKind", "RetryPolicy"]


class FailureKind(StrEnum):
    """What went wrong, in one word that is fit for a metric's label."""

    CONNECT = "connect"
    """No connection: refused, unreachable, no such name, TLS handshake failed."""
    TIMEOUT = "timeout"
    """No response headers in time, or no free connection in the client's pool."""
    TRANSPORT = "transport"
    """The connection broke: reset, truncated body, invalid HTTP."""
    ENDED = "ended"
    """The response body ended cleanly."""
    IDLE = "idle"
    """No byte for ``idle_timeout`` seconds."""
    STATUS = "status"
    """A status that is no stream's (other than 200 and 204), or a redirect that is not followed."""
    CONTENT_TYPE = "content_type"
    """The response is not an event stream."""
    TOO_LARGE = "too_large"
    """One event passed ``max_event_size``."""
    UNSAFE = "unsafe"
    """Trying again would repeat a request that the server may already have acted on."""
    GAP = "gap"
    """The server said that it cannot replay what was missed."""
    EVENT = "event"
    """The server said in an event that it failed, as its dialect has it."""
    CURSOR = "cursor"
    """The cursor store failed; only a ``cursor_policy`` gets to see this."""


_TRANSIENT_KINDS: Final = frozenset(
    {
        FailureKind.CONNECT,
        FailureKind.TIMEOUT,
        FailureKind.TRANSPORT,
        FailureKind.ENDED,
        FailureKind.IDLE,
        FailureKind.EVENT,
        FailureKind.CURSOR,
    }
)
# RFC 9110 15.5.9 (408), RFC 8470 5.2 (425), RFC 6585 4 (429): the client is asked to try again.
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_SERVER_ERRORS: Final = range(500, 600)
_CLIENT_ERRORS: Final = range(400, 500)
# RFC 9110 15.5: about who asks, not about what is asked for.
_CREDENTIAL_STATUSES: Final = frozenset({401, 403, 407})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The facts about one failed attempt or one ended connection.

    Everything a policy may want to know; only ``error`` and ``kind`` are required, so that a
    policy's tests can make one in a line.

    Attributes:
        error: The exception.
        kind: What went wrong.
        attempt: The number of failures in this outage, this one included, from 1.
        outage_seconds: Seconds since the outage began.
        status_code: The HTTP status, if the server answered.
        retry_after: Seconds, from the ``Retry-After`` header in either form (RFC 9110 10.2.3).
        server_retry: Seconds, from the last ``retry`` field of the stream.
        method: The HTTP method that was sent.
        last_event_id: The cursor in force ("" for none).
        progress: Whether the connection that ended had made progress: dispatched an event or
            stayed open for ``reset_after`` seconds.
        permanent: Whether the exception says by itself that trying again is useless, for example
            a URL that the client cannot speak to.
        recoverable: Whether ``on_gap`` is a function, which can put right what a gap left out.
    """

    error: Exception
    kind: FailureKind
    attempt: int = 1
    outage_seconds: float = 0.0
    status_code: int | None = None
    retry_after: float | None = None
    server_retry: float | None = None
    method: str = "GET"
    last_event_id: str = ""
    progress: bool = False
    permanent: bool = False
    recoverable: bool = False

    @property
    def retryable(self) -> bool:
        """The library's own view of whether trying again can help.

        Yes for the kinds CONNECT, TIMEOUT, TRANSPORT, ENDED, IDLE, EVENT and CURSOR (unless
        ``permanent``), for the statuses 408, 425, 429 and 5xx, and for a gap that is
        ``recoverable``. No for other statuses, a wrong content type, an event that is too large, a
        request that is not safe to repeat, and other gaps.
        """
        if self.kind is FailureKind.GAP:
            return self.recoverable
        if self.kind is FailureKind.STATUS:
            return self.status_code in _TRANSIENT_STATUSES or self.status_code in _SERVER_ERRORS
        return self.kind in _TRANSIENT_KINDS and not self.permanent

    @property
    def refuses_resume(self) -> bool:
        """Whether the status, in answer to a cursor, says that it cannot be resumed from.

        That is every 4xx that neither asks to try again (408, 425, 429) nor is about credentials
        (401, 403, 407).
        """
        status = self.status_code
        other = _TRANSIENT_STATUSES | _CREDENTIAL_STATUSES
        return self.kind is FailureKind.STATUS and status in _CLIENT_ERRORS and status not in other


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at opening a connection, as ``prepare_request`` sees it.

    Attributes:
        number: 1 for the first try, then one more than the failures in this outage.
        last_failure: Why another try is needed; None for a first connection.
        last_event_id: The cursor this attempt resumes from ("" for none).
    """

    number: int
    last_failure: Failure | None
    last_event_id: str

    @property
    def cursor(self) -> str:
        """The same as ``last_event_id``."""
        return self.last_event_id


class Retry(NamedTuple):
    """A wait that was decided on."""

    error: Exception
    """The failure."""
    number: int
    """How many failures the outage has had, from 1."""
    seconds: float
    """How long to wait."""
    resumed: bool = False
    """Whether this is the rest of a wait that was cut short, of which stamina knows."""


RetryPolicy: TypeAlias = "Callable[[Failure], float | None]"
"""Decides after a failure: wait this many seconds, or give up (None). Any callable will do."""
