"""Threads that renew leases, so that a busy event loop does not lose them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from resilient_sse.cursors._leases.reports import warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._leases.table import LeaseTable

RENEWALS: Final = 4  # in the time of a lease: two may fail


class Renewal:
    """Renews what one replica holds, while it is running; ends what it could not renew in time.

    These are two threads: one may wait for an engine that hangs, the other looks at the clock.

    Args:
        leases: What is held.
    """

    def __init__(self, leases: LeaseTable) -> None:
        self._leases = leases
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        every = self._leases.server.ttl / RENEWALS
        for task, seconds in ((self._renew, every), (self._leases.end_expired, every / 2)):
            threading.Thread(
                target=self._repeat, args=(task, seconds), name="resilient_sse leases", daemon=True
            ).start()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()

    def _repeat(self, task: Callable[[], object], seconds: float) -> None:
        while not self._stop.wait(seconds):
            task()

    def _renew(self) -> None:
        try:
            self._leases.renew()
        except Exception as error:  # noqa: BLE001 - the leases run out by themselves
            warn("lease_not_renewed", error=error)


def within(seconds: float, task: Callable[[], object]) -> None:
    """Do something that may hang; give up waiting for it after so many seconds.

    Raises:
        Exception: What the task raises in that time.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    thread = threading.Thread(target=run, name="resilient_sse leases", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
