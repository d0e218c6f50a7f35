"""`InstantRetries`: takes the waiting out of a policy and keeps its decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse._failure import Failure, RetryPolicy

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
        failures: What it was asked about, in order.
        delays: What it answered: seconds, or None for giving up.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.failures: list[Failure] = []
        self.delays: list[float | None] = []

    def __call__(self, failure: Failure) -> float | None:
        """Ask and record; 0.0 in place of any delay, None stays None."""
        delay = self.policy(failure)
        self.failures.append(failure)
        self.delays.append(delay)
        return None if delay is None else 0.0
