"""`TickingServer`: a server that may be killed and started again, and has forgotten nothing."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Literal

from resilient_sse.testing import HistoryServer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TickingServer"]


class TickingServer(HistoryServer):
    """Publishes a numbered event at every tick, until `finish`.

    Event N is due N ticks after ``began``. So the history is a function of the time, and a server
    that was down has, when it is started again, everything that it should have published.

    Args:
        port: Where to listen; 0 for a free port.
        began: When event 0 was due, in seconds since 1970.
        rate: Events per second.
        first: The number of the oldest event in the history, at least 1.
        unknown: What a client gets that names no event of the history; see `HistoryServer`.
        clock: Tells the seconds since 1970.
    """

    def __init__(  # noqa: PLR0913 - independent of one another
        self,
        *,
        port: int,
        began: float,
        rate: float,
        first: int = 1,
        unknown: Literal["start", "now"] = "start",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            unknown=unknown,
            heartbeat=max(0.5, 0.5 / rate),
            retry=200,
            headers={"Cache-Control": "no-cache"},
            port=port,
        )
        self._began = began
        self._rate = rate
        self._number = first - 1
        self._clock = clock
        self._finished = threading.Event()
        self._ticks = threading.Thread(target=self._tick, daemon=True)

    def start(self) -> None:
        """Begin to listen, with a history that is up to date."""
        self._publish_due()
        super().start()
        self._ticks.start()

    def close(self) -> None:
        """End everything."""
        self._end_ticks()
        super().close()

    def finish(self) -> int:
        """Publish what is due, then the event ``end``; return the number of the last one before."""
        self._end_ticks()
        self._publish_due()
        self.publish("", event="end", id=str(self._number + 1))
        return self._number

    def _end_ticks(self) -> None:
        self._finished.set()
        if self._ticks.ident is not None:
            self._ticks.join()

    def _tick(self) -> None:
        while not self._finished.wait(self._seconds_to_next()):
            self._publish_due()

    def _seconds_to_next(self) -> float:
        return max(0.0, self._began + (self._number + 1) / self._rate - self._clock())

    def _publish_due(self) -> None:
        due = int((self._clock() - self._began) * self._rate)
        while self._number < due:
            self._number += 1
            self.publish(json.dumps({"number": self._number}), id=str(self._number))
