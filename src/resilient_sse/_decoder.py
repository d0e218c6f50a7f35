"""The decoder: bytes in, events out, no I/O.

The rules (WHATWG HTML 9.2.5 and 9.2.6):

- The stream is UTF-8; one leading byte order mark is dropped; bad bytes become U+FFFD.
- A line ends with LF, CR LF or CR. A CR ends its line at once; a LF right after it is part of it.
- A line that starts with a colon is a comment. Any other line is a field: a name, and behind the
  first colon and at most one space its value. ``data`` adds a line to the event, ``event`` names
  it, ``id`` moves the cursor (unless it holds a NUL), ``retry`` (ASCII digits only) sets the
  reconnection time at once. Other fields are ignored.
- A blank line ends the block: the cursor moves, and the event is dispatched if there was a
  ``data`` field. A block that the stream leaves unfinished is dropped, and moves no cursor.

How a chunk travels: `_prepare` makes it LF only, `_within_limit` makes sure that no block grows
too large, `_read` finds the block boundaries in it. Whole blocks go through `_blocks`; the lines of
a block that began in an earlier chunk or will end in a later one go through `_lines`, which is the
whole of the rules and works for anything. All else is a short cut for a shape that is common,
and each says what it gained (CPython 3.11; how many times faster than without it).

Only the unfinished last line is kept as bytes. So everything is decoded and searched once, however
the stream is cut up, and no character is ever decoded in two halves.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, auto
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from resilient_sse._event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Values: TypeAlias = tuple[str, str, str, int | None]

__all__ = ["SSEDecoder"]

DEFAULT_MAX_EVENT_SIZE: Final = 16 * 1024 * 1024
"""The default bound on one block, in bytes: far above real events, far below trouble."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13
_RUN = 3072  # characters; below, looking for a run costs more than it saves
_RETRY_DIGITS = 100  # longer numbers are clamped: int() refuses 4300 digits, float() some 309
_RETRY_MAX = 10**_RETRY_DIGITS
# One event per chunk: 1.25 times faster than calling the class.
_new: Callable[[type[ServerSentEvent], _Values], ServerSentEvent]
_new = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class _Awaits(Enum):
    """What must be looked at before the next chunk can be read."""

    BOM = auto()  # the stream has not shown three bytes yet
    LF = auto()  # the last byte was a CR
    NOTHING = auto()  # a block was too large: the decoder is done


class SSEDecoder:
    """Decode a stream of bytes into events, exactly as the standard says.

    There is no flush: a block that is unfinished at the end of the stream is no event.

    Args:
        last_event_id: The cursor to start from.
        max_event_size: The most bytes one block may have: all its lines up to its blank line,
            comments and ignored fields included, each line ending counted as one byte; None for
            no limit. How the stream is cut into chunks makes no difference to it.
        on_comment: Called with the text of each comment as soon as its line has ended. It must
            not raise.

    Attributes:
        last_event_id: The cursor. It moves at the end of each block that has an ``id`` field.
        retry: The reconnection time in milliseconds that the server last asked for, if any. It
            moves as soon as its line is read.
        own_ids: For the session only. While it is a list, `feed` appends to it, for every event
            it returns, whether the event has an ``id`` field in its own block.
    """

    __slots__ = (
        "_awaits",
        "_bom",
        "_data",
        "_event",
        "_id",
        "_limit",
        "_named",
        "_on_comment",
        "_retry",
        "_room",
        "_tail",
        "last_event_id",
        "own_ids",
        "retry",
    )

    content_type: ClassVar[str] = "text/event-stream"

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        on_comment: Callable[[str], object] | None = None,
    ) -> None:
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self.own_ids: list[bool] | None = None
        self._on_comment = on_comment
        self._limit = sys.maxsize if max_event_size is None else max_event_size
        self._awaits: _Awaits | None = _Awaits.BOM
        self._bom = b""  # what may become a byte order mark
        # The block in progress: its fields, how many bytes its next lines may have, and its
        # unfinished line.
        self._data: list[str] = []
        self._named = False  # whether there is any other field than data
        self._event = ""
        self._id: str | None = None
        self._retry: int | None = None
        self._room = self._limit
        self._tail = bytearray()

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream.

        Args:
            chunk: Any number of bytes.

        Returns:
            The events that ended in this chunk.

        Raises:
            EventTooLarge: If a block is larger than ``max_event_size``: at once if the chunk held
                no whole event before it, otherwise from the next call. From then on every call
                raises it.
        """
        if self._awaits is not None or _CR in chunk or type(chunk) is not bytes:
            chunk = self._prepare(chunk)
        if _LF not in chunk:
            # The unfinished line goes on. With one byte per chunk: 5 times faster.
            tail = self._tail
            tail += chunk
            if len(tail) > self._room:
                raise self._too_large()
            return []
        if (
            chunk[:6] == b"data: "
            and chunk[-2:] == b"\n\n"
            and _LF not in (data := chunk[6:-2])
            and len(chunk) <= self._limit
            and self._room == self._limit
            and not self._tail
            and self.own_ids is None
        ):
            # The chunk is one data event, as with live tokens: 2.5 times faster.
            text = data.decode("utf-8", "replace")
            return [_new(ServerSentEvent, ("message", text, self.last_event_id, None))]
        events: list[ServerSentEvent] = []
        if len(self._tail) + len(chunk) <= self._room:
            self._read(chunk, events)
            return events
        end = self._within_limit(chunk)
        if end:
            self._read(chunk[:end], events)
        if end < len(chunk):
            error = self._too_large()
            if not events:
                raise error
        return events

    def _prepare(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """Take off a byte order mark and make every line ending a LF."""
        if self._awaits is _Awaits.NOTHING:
            raise EventTooLarge(self._limit)
        chunk = bytes(chunk)
        if self._awaits is _Awaits.BOM:
            self._bom += chunk
            if len(self._bom) < len(_BOM) and _BOM.startswith(self._bom):
                return b""
            chunk = self._bom.removeprefix(_BOM)
            self._bom = b""
            self._awaits = None
        if not chunk:
            return chunk
        if self._awaits is _Awaits.LF:
            chunk = chunk.removeprefix(b"\n")
            self._awaits = None
        if _CR in chunk:
            self._awaits = _Awaits.LF if chunk[-1] == _CR else None
            chunk = chunk.replace(b"\r\n", b"\n")
            if _CR in chunk:
                chunk = chunk.replace(b"\r", b"\n")
        return chunk

    def _too_large(self) -> EventTooLarge:
        """End the decoder: nothing behind an oversized block is read."""
        self._awaits = _Awaits.NOTHING
        self._tail.clear()
        self._data.clear()
        return EventTooLarge(self._limit)

    def _within_limit(self, chunk: bytes) -> int:
        """Find the end of the last whole line before a block gets too large."""
        line, room = 0, self._room - len(self._tail)
        while (end := chunk.find(b"\n", line)) >= 0:
            room -= end + 1 - line
            if end == line and not (line == 0 and self._tail):
                room = self._limit
            if room < 0:
                return line
            line = end + 1
        return line if len(chunk) - line > room else len(chunk)

    def _read(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Read a chunk that stays within the limit: the open block, whole blocks, the rest."""
        start = self._finish_line(chunk) if self._tail else 0
        end = chunk.rfind(b"\n") + 1
        if self._room != self._limit and end > start:
            if chunk[start] == _LF:
                self._end_block(events)
                self._room = self._limit
                start += 1
            else:
                start = self._finish_block(chunk, start, end, events)
        if end > start:
            cut = _after_last_blank(chunk, start, end)
            if cut > start:
                self._blocks(chunk[start:cut].decode("utf-8", "replace"), events)
            if end > cut:
                self._room -= end - cut
                self._lines(chunk[cut:end].decode("utf-8", "replace"), events)
        if end < len(chunk):
            self._tail += chunk[end:]

    def _finish_line(self, chunk: bytes) -> int:
        """Read the line that ends in this chunk; return where the next one starts."""
        end = chunk.find(b"\n")
        tail = self._tail
        tail += chunk[:end]
        self._room -= len(tail) + 1
        if tail.startswith(b"data: "):
            # Spares a copy of the text. One event of 10 MB: 1.7 times faster.
            del tail[:6]
            self._data.append(tail.decode("utf-8", "replace"))
        else:
            self._line(tail.decode("utf-8", "replace"))
        tail.clear()
        return end + 1

    def _finish_block(
        self, chunk: bytes, start: int, end: int, events: list[ServerSentEvent]
    ) -> int:
        """Read the open block's lines in this chunk; return where they end."""
        blank = _first_blank(chunk, start)
        text = chunk[start : end if blank < 0 else blank + 1].decode("utf-8", "replace")
        self._lines(text, events)
        if blank < 0:
            self._room -= end - start
            return end
        self._room = self._limit
        return blank + 1

    def _blocks(self, text: str, events: list[ServerSentEvent]) -> None:
        """Read whole blocks: runs of the same shape at a stroke, anything else line by line."""
        if text[0] == ":" and self._on_comment is None:
            text = _without_heartbeats(text)
        if len(text) < _RUN or self.own_ids is not None or not self._run(text, events):
            self._lines(text, events)

    def _run(self, text: str, events: list[ServerSentEvent]) -> bool:
        """Read blocks that are all alike, or none."""
        if text[:6] == "data: ":
            return self._data_run(text, events)
        shape = _shape(text)
        return shape is not None and self._same_shape_run(text, shape, events)

    def _data_run(self, text: str, events: list[ServerSentEvent]) -> bool:
        """Read blocks of only ``data: `` lines. One line each: 2.4 times faster; 20: 1.4 times."""
        blocks = text[6:-2].split("\n\ndata: ")
        inner = text.count("\n") - 2 * len(blocks)
        if inner:
            if text.count("\ndata: ") != inner + len(blocks) - 1:
                return False
            blocks = [block.replace("\ndata: ", "\n") for block in blocks]
        values = zip(repeat("message"), blocks, repeat(self.last_event_id), repeat(None))
        events += map(_new, repeat(ServerSentEvent), values)
        return True

    def _same_shape_run(self, text: str, shape: _Shape, events: list[ServerSentEvent]) -> bool:
        """Read blocks that all have these lines. Short: 2.2 times faster; 1.2 KB: 1.7 times."""
        pieces = re.split(shape.pattern, text)  # what is between two matches, then the values
        step = len(shape.names) + 1
        values = {name: pieces[at::step] for at, name in enumerate(shape.names, 1)}
        ids = values.get("id")
        if any(pieces[::step]) or (ids and "\0" in "".join(ids)):
            return False
        types = values.get("event")
        if types and not all(types):
            types = [name or "message" for name in types]
        if ids:
            self.last_event_id = ids[-1]
        rows = zip(
            types or repeat("message"),
            values["data"],
            ids or repeat(self.last_event_id),
            repeat(None),
        )
        events += map(_new, repeat(ServerSentEvent), rows)
        return True

    def _lines(self, text: str, events: list[ServerSentEvent]) -> None:
        """Read whole lines; the common fields are spelled out: 1.1 times faster."""
        data = self._data
        lines = text.split("\n")
        lines.pop()
        for line in lines:
            if line[:6] == "data: ":
                data.append(line[6:])
            elif not line:
                if data or self._named:
                    self._end_block(events)
            elif line[0] == ":":
                if self._on_comment is not None:
                    self._line(line)
            elif line[:7] == "event: ":
                self._event = line[7:]
                self._named = True
            elif line[:4] == "id: " and "\0" not in line:
                self._id = line[4:]
                self._named = True
            else:
                self._line(line)

    def _line(self, line: str) -> None:
        """Read a line that is not blank: a field or a comment."""
        name, _, value = line.partition(":")
        if value[:1] == " ":
            value = value[1:]
        if name == "data":
            self._data.append(value)
        elif not name:
            if self._on_comment is not None:
                self._on_comment(value)
        else:
            self._named = True
            self._field(name, value)

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = self._retry = _milliseconds(value)

    def _end_block(self, events: list[ServerSentEvent]) -> None:
        """Move the cursor and dispatch the event, if there is one."""
        own_id = self._id
        if own_id is not None:
            self.last_event_id = own_id
            self._id = None
        data = self._data
        if data:
            text = data[0] if len(data) == 1 else "\n".join(data)
            values = (self._event or "message", text, self.last_event_id, self._retry)
            events.append(_new(ServerSentEvent, values))
            data.clear()
            if self.own_ids is not None:
                self.own_ids.append(own_id is not None)
        if self._named:
            self._named = False
            self._event = ""
            self._retry = None


class _Shape(NamedTuple):
    """The fields of a block in their order, and what such a block looks like."""

    names: tuple[str, ...]
    pattern: re.Pattern[str]


def _shape_of(*names: str) -> _Shape:
    lines = "".join(f"{name}: ([^\n]*)\n" for name in names)
    return _Shape(names, re.compile(lines + "\n"))


# By the beginnings of the first two lines.
_SHAPES = {
    ("eve", "dat"): _shape_of("event", "data"),
    ("id:", "dat"): _shape_of("id", "data"),
    ("id:", "eve"): _shape_of("id", "event", "data"),
    ("eve", "id:"): _shape_of("event", "id", "data"),
}


def _shape(text: str) -> _Shape | None:
    """Guess the shape of the first block from its first two lines."""
    second = text.find("\n") + 1
    return _SHAPES.get((text[:3], text[second : second + 3]))


def _without_heartbeats(text: str) -> str:
    """Leave out blocks like the first one, a comment. Nine of them per event: 3 times faster."""
    end = text.find("\n") + 2
    if text[end - 1] != "\n":
        return text
    rest = [piece for piece in text.split(text[:end]) if piece]
    # It was a block only if another block ended before it.
    return "".join(rest) if all(piece.endswith("\n\n") for piece in rest) else text


def _milliseconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _RETRY_DIGITS else _RETRY_MAX


def _first_blank(chunk: bytes, line: int) -> int:
    """Find the first blank line; in long lines, looking for one LF is 10 times faster than two."""
    while (end := chunk.find(b"\n", line)) > line:
        line = end + 1
    return end


def _after_last_blank(chunk: bytes, start: int, end: int) -> int:
    """Find where whole blocks end, between the start of a block and the end of a line."""
    while end > start + 1 and chunk[end - 2] != _LF:
        end = chunk.rfind(b"\n", start, end - 1) + 1
    return max(end, start)
