"""One request for a lease, made again until it is granted, or until nobody wants it any more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from resilient_sse.cursors._held import Held
from resilient_sse.cursors._redis_answers import is_outage

if TYPE_CHECKING:
    from resilient_sse.cursors._leases import Leases

# How often those who wait look, in the time of a lease: whoever gives it back does not tell them.
_LOOKS: Final = 5


class Asking:
    """Asks for a lease, in one thread at a time.

    Args:
        leases: Where.
        name: The lease.

    Attributes:
        held: The grant, when there is one.
    """

    def __init__(self, leases: Leases, name: str) -> None:
        self.held: Held | None = None
        self._leases = leases
        self._name = name
        self._cut_off = False
        self._abandoned = threading.Event()

    def ask(self) -> float | None:
        """Ask once; return the seconds until the next time, or None if granted."""
        look = self._leases.ttl / _LOOKS
        try:
            answer = self._leases.acquire([self._name])[self._name]
        except Exception as error:
            if not is_outage(error):
                raise
            self._tell_outage(error)
            return look
        self._cut_off = False
        if not isinstance(answer, Held):
            return min(look, answer.seconds)
        if not answer.valid:
            structlog.get_logger("resilient_sse").warning(
                "resilient_sse.lease_too_short", lease=self._name, ttl=self._leases.ttl
            )
            return look
        self.held = answer
        # In this order, so that one of both sees the other; to give back twice does no harm.
        if self._abandoned.is_set():
            self._leases.give_back([answer])
        return None

    def abandon(self) -> None:
        """Want the lease no more: it may have been granted, or be granted in a moment."""
        self._abandoned.set()
        if self.held is not None:
            held = [self.held]
            threading.Thread(target=self._leases.give_back, args=(held,), daemon=True).start()

    def _tell_outage(self, error: Exception) -> None:
        """Tell once of each outage, or nobody would know why nothing happens."""
        if not self._cut_off:
            self._cut_off = True
            structlog.get_logger("resilient_sse").warning(
                "resilient_sse.lease_not_reached", lease=self._name, error=repr(error)
            )
