"""The decoder for ``application/x-ndjson``: one event per line.

It has the shape of `SSEDecoder`, so a source reads newline-delimited JSON as it reads events. There
are no ids and no retry times in such a stream: the cursor stays what it was.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, ClassVar

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NDJSONDecoder", "NDJSONError"]

_BOM = b"\xef\xbb\xbf"


def _checked(_: str) -> None:
    """Stand in for a number: only whether the line is JSON matters (int() has a digit limit)."""


_check = json.JSONDecoder(parse_int=_checked, parse_float=_checked).decode


class NDJSONError(ValueError):
    """A line of the stream is not JSON.

    Args:
        line_number: Which line, counted from 1; empty lines count.
        reason: What is wrong with it.
    """

    def __init__(self, line_number: int, reason: str) -> None:
        super().__init__(f"line {line_number} is not JSON: {reason}")
        self.line_number = line_number
        self.reason = reason


class NDJSONDecoder:
    """Decode newline-delimited JSON: each line that is not empty is the data of one event.

    Lines end with LF or CR LF; lines of only whitespace are skipped; a leading byte order mark is
    dropped; bad UTF-8 becomes U+FFFD. A last line without an ending is no event, since nobody knows
    whether it is whole, unless `flush` is called.

    Args:
        last_event_id: The ``id`` of every event; the stream itself has none.
        max_event_size: The most bytes one line may have before its LF; None for no limit.
        on_comment: Never called, there are no comments; it is here so that the decoders have the
            same shape.

    Attributes:
        last_event_id: The one given.
        retry: Always None.
    """

    __slots__ = ("_at_start", "_error", "_limit", "_line_number", "_tail", "last_event_id", "retry")

    content_type: ClassVar[str] = "application/x-ndjson"

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        on_comment: Callable[[str], object] | None = None,
    ) -> None:
        del on_comment
        self.last_event_id: str = last_event_id
        self.retry: int | None = None
        self._limit = sys.maxsize if max_event_size is None else max_event_size
        self._error: Callable[[], Exception] | None = None
        self._at_start = True
        self._line_number = 0
        self._tail = bytearray()

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream.

        Args:
            chunk: Any number of bytes.

        Returns:
            The events whose lines ended in this chunk.

        Raises:
            EventTooLarge: If a line is longer than ``max_event_size``.
            NDJSONError: If a line is not JSON. Like the other error, it is raised at once if the
                chunk held no event before the bad line, otherwise from the next call; and from
                then on by every call.
        """
        events: list[ServerSentEvent] = []
        if self._error is None:
            self._read(bytes(chunk), events)
        if self._error is not None and not events:
            raise self._error()
        return events

    def flush(self) -> list[ServerSentEvent]:
        """Take what is kept for a whole line, as if it had ended here; nothing does by default.

        Returns:
            The event that the rest is, if it is not empty.

        Raises:
            EventTooLarge: If the line, or one before it, is longer than ``max_event_size``.
            NDJSONError: If the line, or one before it, is not JSON: most that were cut off are not.
        """
        return self.feed(b"\n" if self._tail else b"")

    def _read(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        *lines, rest = self._without_bom(chunk).split(b"\n")
        for line in lines:
            self._tail += line
            if not self._line(events):
                return
            self._tail.clear()
        self._tail += rest
        self._fits()

    def _without_bom(self, chunk: bytes) -> bytes:
        """Hold back the first bytes until it is known whether they are a byte order mark."""
        if not self._at_start:
            return chunk
        chunk = bytes(self._tail) + chunk
        self._tail.clear()
        self._at_start = len(chunk) < len(_BOM) and _BOM.startswith(chunk)
        return chunk.removeprefix(_BOM)

    def _fits(self) -> bool:
        if len(self._tail) > self._limit and not self._at_start:
            self._fail(lambda: EventTooLarge(self._limit))
        return self._error is None

    def _line(self, events: list[ServerSentEvent]) -> bool:
        """Read the line in the tail; False if the stream is at fault and no more is read."""
        self._line_number += 1
        if self._fits():
            text = self._tail.decode("utf-8", "replace").removesuffix("\r")
            if text.strip(" \t\r") and self._is_json(text):
                events.append(ServerSentEvent(data=text, id=self.last_event_id))
        return self._error is None

    def _is_json(self, text: str) -> bool:
        try:
            _check(text)
        except json.JSONDecodeError as error:
            self._bad_line(f"{error.msg} at column {error.colno}")
        except RecursionError:
            self._bad_line("it is nested too deeply")
        return self._error is None

    def _bad_line(self, reason: str) -> None:
        number = self._line_number
        self._fail(lambda: NDJSONError(number, reason))

    def _fail(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self._tail.clear()
