"""Retry policies: after a failure, wait this many seconds or give up.

A policy is any callable that takes a `Failure` and returns the seconds to wait, or None to give
up; a plain function will do. The two classes here keep no state: everything they need to know is
in the failure, so that one policy may serve a thousand sources.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from resilient_sse._values.failure import Failure, FailureKind, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["ExponentialBackoff", "Failure", "FailureKind", "RetryPolicy", "ServerRetry"]

# Firefox never waits less than half a second; a tenth is enough to keep a loop from being busy,
# and a loop is what it is only after some failures without progress.
_SHORTEST_SERVER_RETRY: Final = 0.1
_FAILURES_OF_A_LOOP: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialBackoff:
    """Exponential backoff that respects the server's wishes and never moves in step.

    The wait after failure number ``attempt`` of an outage starts from
    ``min(wait_max, max(wait_initial, server_retry) * wait_exp_base ** (attempt - 1))``, is never
    below the server's own ``retry`` field or ``Retry-After`` header (each clamped), and is then
    multiplied by a random factor from 1 to ``1 + wait_jitter``. The jitter goes upward only and
    also applies at the cap, so that a thousand clients of one server never come back together.

    It gives up on a failure that is not `Failure.retryable`, unless its status is among
    ``retry_statuses``, and when ``attempts`` or ``timeout`` say so.

    Attributes:
        attempts: Give up at this many failures in one outage; None: never for that reason.
        timeout: Give up when the next wait would end after this many seconds of outage; None:
            never for that reason.
        wait_initial: Seconds to wait after the first failure.
        wait_max: Seconds that the exponential part never exceeds.
        wait_exp_base: What the wait is multiplied by after each further failure.
        wait_jitter: How much longer than computed a wait may be, as a share: 1.0 for up to twice.
        retry_after_max: The most seconds that a ``Retry-After`` header can ask for: a larger value
            counts as this one.
        server_retry_max: The same for a ``retry`` field.
        retry_statuses: HTTP statuses to retry although they are not `Failure.retryable`.

    Raises:
        ValueError: If a number is negative or not finite, ``wait_exp_base`` is below 1, or
            ``attempts`` is no whole number of at least 1.
        TypeError: If ``retry_statuses`` is no set.
    """

    attempts: int | None = None
    timeout: float | None = None
    wait_initial: float = 1.0
    wait_max: float = 30.0
    wait_exp_base: float = 2.0
    wait_jitter: float = 1.0
    retry_after_max: float = 300.0
    server_retry_max: float = 300.0
    retry_statuses: AbstractSet[int] = frozenset()

    def __post_init__(self) -> None:
        if self.attempts is not None and (self.attempts < 1 or self.attempts % 1):
            msg = f"attempts must be a whole number of at least 1 or None, not {self.attempts!r}"
            raise ValueError(msg)
        if not hasattr(self.retry_statuses, "__contains__"):
            msg = f"retry_statuses must be a set of status codes, not {self.retry_statuses!r}"
            raise TypeError(msg)
        if not self.wait_exp_base >= 1:
            msg = f"wait_exp_base must be at least 1, not {self.wait_exp_base!r}"
            raise ValueError(msg)
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                msg = f"{name} must be a finite number of seconds, 0 or more, not {value!r}"
                raise ValueError(msg)

    def __call__(self, failure: Failure) -> float | None:
        """Decide how long to wait, in seconds, or to give up (None)."""
        if not (failure.retryable or failure.status_code in self.retry_statuses):
            return None
        if self.attempts is not None and failure.attempt >= self.attempts:
            return None
        base = self._base(failure)
        wait = random.uniform(base, base * (1 + self.wait_jitter))  # noqa: S311 - not a secret
        if self.timeout is not None and failure.outage_seconds + wait > self.timeout:
            return None
        return wait

    def _base(self, failure: Failure) -> float:
        """Compute the wait before jitter."""
        server_retry = min(failure.server_retry or 0.0, self.server_retry_max)
        retry_after = min(failure.retry_after or 0.0, self.retry_after_max)
        try:
            growth = self.wait_exp_base ** (failure.attempt - 1)
        except OverflowError:  # after some thousand failures; the cap applies long before
            growth = math.inf
        first = max(self.wait_initial, server_retry)
        grown = min(self.wait_max, first * growth) if first else 0.0
        return max(grown, server_retry, retry_after)


_NUMBERS: Final = (
    "timeout",
    "wait_initial",
    "wait_max",
    "wait_exp_base",
    "wait_jitter",
    "retry_after_max",
    "server_retry_max",
)


@dataclass(frozen=True, slots=True)
class ServerRetry:
    """The browser's rule (WHATWG HTML 9.2.3): the server's retry time, no growth, no jitter.

    Transport failures and ends are retried for ever; any status but 200 and 204 is final. A server
    that asks for 0 gets the default. From the tenth failure in a row without progress on none is
    asked more than ten times a second, because a stream that is accepted and dropped at once would
    otherwise be a busy loop.

    Attributes:
        default: Seconds to wait until the server has sent a ``retry`` field.
        server_retry_max: The most seconds that a ``retry`` field can ask for: a larger value counts
            as this one.

    Raises:
        ValueError: If a number is not positive and finite.
    """

    default: float = 3.0
    server_retry_max: float = 300.0

    def __post_init__(self) -> None:
        for name in ("default", "server_retry_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                msg = f"{name} must be a finite number of seconds above 0, not {value!r}"
                raise ValueError(msg)

    def __call__(self, failure: Failure) -> float | None:
        """Return the seconds to wait; None for a status and for what no retry can help."""
        if failure.kind is FailureKind.STATUS or not failure.retryable:
            return None
        asked = min(failure.server_retry or self.default, self.server_retry_max)
        shortest = _SHORTEST_SERVER_RETRY if failure.attempt >= _FAILURES_OF_A_LOOP else 0.0
        return max(asked, shortest)
