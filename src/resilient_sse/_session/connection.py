"""The open connection: its decoder, and what has come over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from resilient_sse._values.callbacks import CallbackFailed
from resilient_sse.errors import EventTooLarge, StreamEnded
from resilient_sse.lifecycle import ConnectionTotals

if TYPE_CHECKING:
    from resilient_sse._decoding.protocol import FlushingDecoder
    from resilient_sse._session.delivery import Delivery
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.event import ServerSentEvent

_EXCERPT_BYTES: Final = 500


class Connection:
    """One connection, from the headers of its response to its end.

    Attributes:
        opened_at: The time at which the headers came.
        comments: Those that hooks have yet to hear of; None if there are no hooks.
        decoder: What decodes its bytes, and goes on from the cursor.
        totals: How much has come, and whether an event of it was progress.
        beginning: The first 500 bytes of the body; None once there was an event.
    """

    __slots__ = (
        "_reset_after",
        "beginning",
        "comments",
        "decoder",
        "opened_at",
        "totals",
    )

    def __init__(
        self, settings: Settings, delivery: Delivery, now: float, *, listens: bool
    ) -> None:
        self._reset_after = settings.reset_after
        self.opened_at = now
        self.totals = ConnectionTotals()
        self.comments: list[str] | None = [] if listens else None
        self.beginning: bytes | None = b""
        self.decoder = settings.dialect.decoder(
            last_event_id=delivery.stream_id,
            max_event_size=settings.max_event_size,
            on_comment=None if self.comments is None else self.comments.append,
        )
        delivery.begin_with(self.decoder)

    def decode(self, chunk: bytes) -> list[ServerSentEvent]:
        """Decode the next bytes.

        Raises:
            EventTooLarge: If an event passes ``max_event_size``.
            CallbackFailed: If the decoder raises anything else.
        """
        try:
            events = self.decoder.feed(chunk)
        except EventTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - a bug, or on purpose: the consumer's to see
            raise CallbackFailed(error) from None
        before = self.beginning
        if before is not None:
            if events:
                self.beginning = None
            elif len(before) < _EXCERPT_BYTES:
                self.beginning = (before + chunk[:_EXCERPT_BYTES])[:_EXCERPT_BYTES]
        return events

    def flush(self) -> list[ServerSentEvent]:
        """Decode what a clean end of the body leaves unfinished; it raises what `decode` raises."""
        try:
            events = cast("FlushingDecoder", self.decoder).flush()
        except EventTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - likewise
            raise CallbackFailed(error) from None
        if events:
            self.beginning = None
        return events

    def take_comments(self) -> list[str]:
        """Return the comments that the last bytes had."""
        heard = self.comments or []
        comments = heard[:]
        heard.clear()
        return comments

    def made_progress(self, now: float) -> bool:
        """Say whether an event was progress, or the connection has been open for long."""
        return self.totals.progress or now - self.opened_at >= self._reset_after

    @property
    def server_retry(self) -> float | None:
        """Seconds, from the stream's last ``retry`` field."""
        retry = self.decoder.retry
        # Beyond that a float overflows, and nobody waits for thirty thousand years.
        return None if retry is None else min(retry, 10**15) / 1000

    def ended(self) -> StreamEnded:
        """Say how the body ended."""
        return StreamEnded(excerpt=self.beginning or b"")
