"""The event: what a stream is made of and what a consumer receives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ServerSentEvent"]


class ServerSentEvent(NamedTuple):
    """One dispatched event (WHATWG HTML 9.2.6, "dispatch the event"); an immutable value.

    It is a named tuple because creating one is most of what decoding costs: no other immutable
    class in Python is made as fast (see the page on performance).

    Attributes:
        event: The event type; "message" unless the server named one.
        data: The payload: the block's data lines joined by a line feed.
        id: The cursor in force when the event was dispatched ("" if there is none). It is the
            event's own ``id`` field or, without one, the id of a block before it.
        retry: The reconnection time in milliseconds, only if a valid ``retry`` field stood in
            this very block.
    """

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None

    def json(self, loads: Callable[[str], Any] = json.loads) -> Any:  # noqa: ANN401 - any JSON
        """Parse the data as JSON.

        Args:
            loads: The parser, for example ``orjson.loads``.

        Raises:
            ValueError: If the data is not JSON (``json.JSONDecodeError`` with the default parser).
        """
        return loads(self.data)

    def __repr__(self) -> str:
        shown = [f"event={self.event!r}"] if self.event != "message" else []
        shown += [f"data={self.data!r}"] if self.data else []
        shown += [f"id={self.id!r}"] if self.id else []
        shown += [f"retry={self.retry!r}"] if self.retry is not None else []
        return f"ServerSentEvent({', '.join(shown)})"
