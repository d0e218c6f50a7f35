"""`InstantRetries`: takes the waiting out of a policy and keeps its decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse._values.failure import Failure, RetryPolicy

__all__ = ["InstantRetries"]


class InstantRetries:
    """A policy that asks another one, records what it says, and does not wait.

    ```python
    policy = InstantRetries(ExponentialBackoff(attempts=3))
    ...
    assert policy.delays == [1.0, 2.0, None]
    ```

    Args:
        policy: The one that decides.

    Attributes:
        policy: The same.
        failures: What it was asked about, in order. Their ``outage_seconds`` count the waits that
            were left out, so that a policy's ``timeout`` is what it would be.
        delays: What it answered: seconds, or None for giving up.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.failures: list[Failure] = []
        self.delays: list[float | None] = []
        self._left_out = 0.0  # seconds of this outage

    def __call__(self, failure: Failure) -> float | None:
        """Ask and record; 0.0 in place of any delay, None stays None."""
        if failure.attempt == 1:
            self._left_out = 0.0
        failure = replace(failure, outage_seconds=failure.outage_seconds + self._left_out)
        delay = self.policy(failure)
        self.failures.append(failure)
        self.delays.append(delay)
        self._left_out += delay or 0.0
        return None if delay is None else 0.0
