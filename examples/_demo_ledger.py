"""What the demonstration counts: every event by its number, and every outage."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio

from resilient_sse import Disconnected

if TYPE_CHECKING:
    from resilient_sse import LifecycleEvent, ServerSentEvent


class Ledger:
    """Compares what was delivered with what was sent; also a hook, to count outages.

    Attributes:
        sent: How many events were published: those with the numbers from 1 up to this.
        faults: How many faults were inflicted and got over.
        outages: How many outages ended with an event.
        recovered: Set when an outage is over; put a new one here before a fault.
        ended: Set when the last event of the stream was delivered.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.faults = 0
        self.outages = 0
        self.recovered = anyio.Event()
        self.ended = anyio.Event()
        self._numbers: list[int] = []
        self._down = False
        self._longest_gap = 0.0
        self._last_delivery: float | None = None

    def __call__(self, event: LifecycleEvent) -> None:
        """Notice that a healthy stream failed."""
        if isinstance(event, Disconnected) and event.failure is not None:
            self._down = True

    def delivered(self, event: ServerSentEvent) -> None:
        """Take down one event."""
        now = time.monotonic()
        if self._last_delivery is not None:
            self._longest_gap = max(self._longest_gap, now - self._last_delivery)
        self._last_delivery = now
        if self._down:
            self._down = False
            self.outages += 1
            self.recovered.set()
        if event.event == "end":
            self.ended.set()
        else:
            self._numbers.append(int(event.data))

    @property
    def lost(self) -> int:
        """How many events were never delivered."""
        return len(set(range(1, self.sent + 1)) - set(self._numbers))

    @property
    def twice(self) -> int:
        """How many events were delivered more than once."""
        return sum(count > 1 for count in Counter(self._numbers).values())

    @property
    def is_good(self) -> bool:
        """Whether every event came once and in order, and there were faults to get over."""
        return (
            self._numbers == list(range(1, self.sent + 1))
            and self.ended.is_set()
            and 0 < self.faults <= self.outages
        )

    def summary(self) -> str:
        """Tell what was counted."""
        lines = {
            "events sent": str(self.sent),
            "delivered": str(len(self._numbers)),
            "lost": str(self.lost),
            "delivered twice": str(self.twice),
            "outages survived": str(self.outages),
            "longest gap": f"{self._longest_gap:.2f} s",
        }
        verdict = "Every event came once, in order." if self.is_good else "This should not happen."
        table = "\n".join(f"  {name:<18}{value:>8}" for name, value in lines.items())
        return f"\n{table}\n\n{verdict}"
