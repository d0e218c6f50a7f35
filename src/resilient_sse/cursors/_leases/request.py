"""One request for a lease, made again until it is granted, or until nobody wants it any more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from resilient_sse.cursors._leases.clock import boottime
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.reports import warn

if TYPE_CHECKING:
    from resilient_sse.cursors._leases.table import LeaseTable

# How often those who wait look, in the time of a lease, if nobody tells them that it is free.
_LOOKS: Final = 5


class LeaseRequest:
    """Asks for a lease, in one thread at a time.

    Args:
        leases: Where.
        name: The lease.

    Attributes:
        held: The grant, when there is one.
        waited: Seconds that it was asked for until then.
    """

    def __init__(self, leases: LeaseTable, name: str) -> None:
        self.held: Grant | None = None
        self.waited = 0.0
        self._began = boottime()
        self._leases = leases
        self._name = name
        self._cut_off = False
        self._abandoned = False
        self._asking = threading.Lock()

    def ask(self) -> float | None:
        """Ask once; return the seconds until the next time, or None if granted."""
        with self._asking:
            return None if self._abandoned else self._ask()

    def _ask(self) -> float | None:
        look = self._leases.server.ttl / _LOOKS
        try:
            answer = self._leases.acquire([self._name])[self._name]
        except Exception as error:
            if not self._leases.server.is_outage(error):
                raise
            self._tell_outage(error)
            return look
        self._cut_off = False
        if not isinstance(answer, Grant):
            return min(look, answer.seconds)
        if not answer.valid:
            warn("lease_too_short", lease=self._name, ttl=self._leases.server.ttl)
            return look
        self.held, self.waited = answer, boottime() - self._began
        return None

    def abandon(self) -> None:
        """Cancel it: what was granted, or is in this moment, is given back in the background."""
        self._abandoned = True
        threading.Thread(target=self._clean_up, name="resilient_sse leases", daemon=True).start()

    def _clean_up(self) -> None:
        with self._asking:  # a thread that was left behind may still wait for the answer
            if self.held is not None:
                self._leases.give_back([self.held])
            self._leases.server.close()

    def _tell_outage(self, error: Exception) -> None:
        """Tell once of each outage, or nobody would know why nothing happens."""
        if not self._cut_off:
            self._cut_off = True
            warn("lease_not_reached", lease=self._name, error=error)
