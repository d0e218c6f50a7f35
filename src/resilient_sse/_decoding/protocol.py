"""The shape of a decoder: what stands between the bytes of a connection and the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.event import ServerSentEvent

__all__ = ["Decoder", "DecoderFactory"]


class Decoder(Protocol):
    """The decoder shape: bytes in, events out, no I/O."""

    last_event_id: str
    """The cursor after what was fed."""
    retry: int | None
    """The reconnection time in milliseconds that was read last."""

    def feed(self, chunk: bytes, /) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream into the events that they complete.

        Args:
            chunk: Any number of bytes; none when the body has come to a clean end.

        Raises:
            EventTooLarge: If an event passes ``max_event_size``: a failure like any other. Anything
                else that it raises ends a source, and reaches the consumer as it is.
        """
        ...


class FlushingDecoder(Decoder, Protocol):
    """One that can hand out what the end of the stream leaves unfinished (see `Dialect.flush`)."""

    def flush(self) -> list[ServerSentEvent]:
        """Take what is kept for whole, as if its last line and block had ended."""
        ...


class DecoderFactory(Protocol):
    """What makes a decoder for each connection; a decoder class is one.

    An attribute ``content_type`` names the media type it decodes (default ``text/event-stream``).
    """

    def __call__(
        self,
        *,
        last_event_id: str,
        max_event_size: int | None,
        on_comment: Callable[[str], None] | None,
    ) -> Decoder:
        """Make the decoder of a connection.

        Args:
            last_event_id: The id in force before its first byte.
            max_event_size: The most bytes one event may have; None for no limit.
            on_comment: Is to be called with the text of each comment; None if nobody listens.
        """
        ...
