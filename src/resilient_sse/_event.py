"""The event: what a stream is made of and what a consumer receives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ServerSentEvent"]


class ServerSentEvent:
    """One dispatched event (WHATWG HTML 9.2.6, "dispatch the event").

    Treat it as immutable: it is hashable and may be shared. It is a plain slotted class because
    creating one is most of what decoding costs; a frozen dataclass takes three times as long.

    Args:
        event: The event type; "message" unless the server named one.
        data: The payload: the block's data lines joined by a line feed.
        id: The cursor in force when the event was dispatched ("" if there is none). It is the
            event's own ``id`` field or, without one, the id of the block before it.
        retry: The reconnection time in milliseconds, only if a valid ``retry`` field stood in
            this very block.
    """

    __slots__ = ("data", "event", "id", "retry")
    __match_args__ = ("event", "data", "id", "retry")

    def __init__(
        self,
        event: str = "message",
        data: str = "",
        id: str = "",  # noqa: A002 - the field's name in the standard
        retry: int | None = None,
    ) -> None:
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry

    def json(self, loads: Callable[[str], Any] = json.loads) -> Any:  # noqa: ANN401 - any JSON
        """Parse the data as JSON.

        Args:
            loads: The parser, for example ``orjson.loads``.

        Raises:
            ValueError: If the data is not JSON (``json.JSONDecodeError`` with the default parser).
        """
        return loads(self.data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return (
            self.data == other.data
            and self.event == other.event
            and self.id == other.id
            and self.retry == other.retry
        )

    def __hash__(self) -> int:
        return hash((self.event, self.data, self.id, self.retry))

    def __repr__(self) -> str:
        shown = [f"event={self.event!r}"] if self.event != "message" else []
        shown += [f"data={self.data!r}"] if self.data else []
        shown += [f"id={self.id!r}"] if self.id else []
        shown += [f"retry={self.retry!r}"] if self.retry is not None else []
        return f"ServerSentEvent({', '.join(shown)})"
