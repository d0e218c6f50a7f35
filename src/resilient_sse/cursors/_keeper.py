"""A thread that renews leases, so that a busy event loop does not lose them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from resilient_sse.cursors._lease_core import Leases

RENEWALS: Final = 4  # in the time of a lease: two may fail


class Keeper:
    """Renews what one replica holds, while it is running; ends what it could not renew in time.

    Args:
        leases: What is held.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resilient_sse leases", daemon=True)

    def start(self) -> None:
        """Begin; once only."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()

    def _run(self) -> None:
        """Renew, and until it is time for that again end what expires."""
        every = self._leases.ttl / RENEWALS
        while not self._stop.wait(every / 2):
            self._leases.end_expired()
            if not self._stop.wait(every / 2):
                self._renew()

    def _renew(self) -> None:
        try:
            self._leases.renew()
        except Exception as error:  # noqa: BLE001 - the leases run out by themselves
            structlog.get_logger("resilient_sse").warning(
                "resilient_sse.lease_not_renewed", error=repr(error)
            )
