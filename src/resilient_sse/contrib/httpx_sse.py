"""httpx-sse's own decoder with reconnection around it (extra ``httpx-sse``).

For those who want to change one thing at a time: what their program received from httpx-sse, it
receives unchanged, with every departure from the standard (the documentation's page on migrating
from httpx-sse lists them). `SSEDecoder` follows the standard and is faster.
"""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING, ClassVar, Final

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

try:
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder
except ImportError as _error:
    msg = 'HttpxSSEDecoder needs httpx-sse 0.4.2 or later: pip install "resilient-sse[httpx-sse]"'
    raise ImportError(msg, name=_error.name) from _error

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_sse import ServerSentEvent as HttpxServerSentEvent

__all__ = ["HttpxSSEDecoder"]

# A longer retry time is one that a float cannot hold; `SSEDecoder` clamps it to the same.
_RETRY_MAX: Final = 10**100


class HttpxSSEDecoder:
    """Decode a stream of bytes into events, as httpx-sse does.

    ```python
    ReconnectingEventSource(url, decoder=HttpxSSEDecoder)
    ```

    Args:
        last_event_id: The cursor to start from.
        max_event_size: The most bytes one block may have (default 16 MiB), which httpx-sse alone
            does not bound; None for no limit.
        on_comment: Called with the text of each comment. It must not raise.

    Attributes:
        last_event_id: The cursor: the id of the last event that httpx-sse dispatched.
        retry: The reconnection time in milliseconds of the last event that had one. httpx-sse
            also reads negative ones; those are not taken.
    """

    content_type: ClassVar[str] = "text/event-stream"

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        on_comment: Callable[[str], object] | None = None,
    ) -> None:
        self.last_event_id: str = last_event_id
        self.retry: int | None = None
        self._on_comment = on_comment
        self._limit = sys.maxsize if max_event_size is None else max_event_size
        self._size = 0  # of the lines of the open block, without the unfinished one
        self._tail = 0  # the size of that
        self._too_large = False
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = SSELineDecoder()
        self._decoder = SSEDecoder()
        if last_event_id:
            self._decoder.decode(f"id: {last_event_id}")

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream into the events that httpx-sse makes of them.

        Raises:
            EventTooLarge: If a block is larger than ``max_event_size``; after the events before
                it were returned. From then on every call raises it.
        """
        events: list[ServerSentEvent] = []
        if not self._too_large:
            self._decode(self._text.decode(chunk), events)
        if self._too_large and not events:
            raise EventTooLarge(self._limit)
        return events

    def _decode(self, text: str, events: list[ServerSentEvent]) -> None:
        for line in self._lines.decode(text):
            self._size = self._size + _bytes(line) + 1 if line else 0
            if self._size > self._limit:
                break
            self._line(line, events)
        end = max(text.rfind("\n"), text.rfind("\r"))
        self._tail = _bytes(text[end + 1 :]) + (self._tail if end < 0 else 0)
        self._too_large = self._size + self._tail > self._limit

    def _line(self, line: str, events: list[ServerSentEvent]) -> None:
        if self._on_comment is not None and line.startswith(":"):
            self._on_comment(line[1:].removeprefix(" "))
        event = self._decoder.decode(line)
        if event is not None:
            events.append(self._ours(event))

    def _ours(self, theirs: HttpxServerSentEvent) -> ServerSentEvent:
        self.last_event_id = theirs.id
        if theirs.retry is not None and theirs.retry >= 0:
            self.retry = min(theirs.retry, _RETRY_MAX)
        return ServerSentEvent(theirs.event, theirs.data, theirs.id, theirs.retry)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
