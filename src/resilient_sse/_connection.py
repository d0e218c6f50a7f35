"""The open connection: its decoder, and what has come over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse.errors import StreamEnded
from resilient_sse.lifecycle import ConnectionTotals

if TYPE_CHECKING:
    from resilient_sse._delivery import Delivery
    from resilient_sse._hooks import Hooks
    from resilient_sse._settings import Settings


class Connection:
    """One connection, from the headers of its response to its end.

    Attributes:
        opened_at: The time at which the headers came.
        decoder: What decodes its bytes, and goes on from the cursor.
        totals: How much has come.
    """

    __slots__ = ("decoder", "opened_at", "totals")

    def __init__(self, settings: Settings, delivery: Delivery, hooks: Hooks, now: float) -> None:
        self.opened_at = now
        self.totals = ConnectionTotals()
        self.decoder = settings.decoder(
            last_event_id=delivery.cursor,
            max_event_size=settings.max_event_size,
            on_comment=hooks.comment if hooks else None,
        )
        delivery.watch(self.decoder)

    def made_progress(self, now: float, reset_after: float) -> bool:
        """Say whether an event was dispatched, or the connection has been open for long."""
        return self.totals.events > 0 or now - self.opened_at >= reset_after

    @property
    def server_retry(self) -> float | None:
        """Seconds, from the stream's last ``retry`` field."""
        retry = self.decoder.retry
        # Beyond that a float overflows, and nobody waits for thirty thousand years.
        return None if retry is None else min(retry, 10**15) / 1000

    def ended(self) -> Exception:
        """Say why there is nothing more to read.

        Returns:
            `StreamEnded`; or an error that the decoder had kept back until the events before it
            were delivered.
        """
        try:
            self.decoder.feed(b"")
        except Exception as error:  # noqa: BLE001 - what a decoder raises is its own affair
            return error
        return StreamEnded()
