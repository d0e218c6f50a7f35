"""Until when a replica may believe that it holds a lease: what its own clock says."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# A lease is believed in for this much less than it lasts, for clocks that run at different speeds.
_SAFETY: Final = 0.05


class LeaseClock:
    """The clock of one replica.

    Args:
        ttl: Seconds that a lease lasts.
        now: Seconds that pass also while the machine is suspended.
    """

    def __init__(self, ttl: float, now: Callable[[], float] | None = None) -> None:
        self.now: Callable[[], float] = now or boottime
        self._ttl = ttl

    def valid_until(self) -> float:
        """Return until when what is granted now is valid; to be asked before the engine is."""
        return self.now() + self._ttl * (1 - _SAFETY)


def check_ttl(ttl: float) -> None:
    """Refuse a time that no lease can last.

    Raises:
        ValueError: If it is not a positive number.
    """
    if not math.isfinite(ttl) or ttl <= 0:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl!r}")


def boottime() -> float:
    """Return the seconds of a clock that goes on while the machine is suspended."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


# On Linux, and on macOS; elsewhere the monotonic clock is as good.
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
