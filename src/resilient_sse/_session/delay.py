"""What a policy may return."""

from __future__ import annotations

import math


def checked(delay: object, policy: object) -> float | None:
    """Refuse what a policy must not return.

    Raises:
        TypeError: If it is neither a number nor None.
        ValueError: If it is a number of seconds that nobody can wait.
    """
    if delay is None:
        return None
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        msg = f"the policy {policy!r} must return seconds or None, not {delay!r}"
        raise TypeError(msg)
    if not math.isfinite(delay) or delay < 0:
        msg = f"the policy {policy!r} must return seconds from 0 up, not {delay!r}"
        raise ValueError(msg)
    return float(delay)
