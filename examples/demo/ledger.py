"""`Ledger`: what was published, what came, and what went wrong in between."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from resilient_sse import Disconnected

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import LifecycleEvent, ServerSentEvent

__all__ = ["Fault", "Ledger"]

_REMEMBERED: Final = 100


@dataclass
class Fault:
    """Something that went wrong.

    Attributes:
        name: What.
        at: When.
        seconds: How long it took until the next event; None as long as there is none.
    """

    name: str
    at: float
    seconds: float | None = None


class Ledger:
    """Compares what was delivered with what was published; also a hook, to notice outages.

    Args:
        clock: Tells the time in seconds.
        tell: Gets a line for every fault.

    Attributes:
        published: How many events there are, with the numbers from 1 up; None until that is known.
        delivered: The numbers of the events that came.
        newest: The events that came last.
        last_event_id: The id of the last one; "" if there is none.
        faults: What went wrong.
        outages: How many outages ended with an event.
        longest_gap: The longest time between two events, in seconds.
        begun: Set when the first event was delivered.
        ended: Set when the last event of the stream was delivered.
    """

    def __init__(
        self, clock: Callable[[], float], tell: Callable[[str], object] = lambda _: None
    ) -> None:
        self.published: int | None = None
        self.delivered: list[int] = []
        self.newest: deque[ServerSentEvent] = deque(maxlen=_REMEMBERED)
        self.last_event_id = ""
        self.faults: list[Fault] = []
        self.outages = 0
        self.longest_gap = 0.0
        self.begun = anyio.Event()
        self.ended = anyio.Event()
        self._clock = clock
        self._tell = tell
        self._recovered = anyio.Event()
        self._down = False
        self._different: set[int] = set()
        self._last_delivery: float | None = None

    def __call__(self, event: LifecycleEvent) -> None:
        """Notice that a healthy stream failed."""
        if isinstance(event, Disconnected) and event.failure is not None:
            self._down = True

    def fault(self, name: str) -> None:
        """Take down what goes wrong now."""
        self._recovered = anyio.Event()
        self.faults.append(Fault(name, self._clock()))
        self._tell(f"fault {len(self.faults)}: {name}")

    async def recovery(self) -> None:
        """Wait until the last fault is got over."""
        await self._recovered.wait()
        fault = self.faults[-1]
        fault.seconds = self._clock() - fault.at

    def deliver(self, event: ServerSentEvent) -> None:
        """Take down an event that came."""
        now = self._clock()
        if self._last_delivery is not None:
            self.longest_gap = max(self.longest_gap, now - self._last_delivery)
        self._last_delivery = now
        self.begun.set()
        self.newest.append(event)
        self.last_event_id = event.id
        if self._down:
            self._down = False
            self.outages += 1
            self._recovered.set()
        if event.event == "end":
            self.ended.set()
        else:
            self.delivered.append(event.json()["number"])
            self._different.add(self.delivered[-1])

    @property
    def lost(self) -> int:
        """How many events never came; as long as it is not over, those before the newest one."""
        newest = max(self._different, default=0) if self.published is None else self.published
        return newest - len(self._different)

    @property
    def repeated(self) -> int:
        """How many of the events that came had come before."""
        return len(self.delivered) - len(self._different)

    @property
    def is_good(self) -> bool:
        """Whether every event came once and in order, and there were faults to get over."""
        return (
            self.published is not None
            and self.delivered == list(range(1, self.published + 1))
            and self.ended.is_set()
            and all(fault.seconds is not None for fault in self.faults)
            and 0 < len(self.faults) <= self.outages
        )
