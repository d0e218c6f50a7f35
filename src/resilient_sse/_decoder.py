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
too large, `_read` finds where its last whole block ends. All up to there, with what earlier chunks
left, is decoded and goes through `_blocks`. The rest is kept as bytes until its block ends, but for
lines that act before that: comments and ``retry``.
`_lines` is the whole of the rules and works for anything. All else is a short cut for a shape that
is common, and each says what it gained (CPython 3.11; how many times faster than without it).

So everything is decoded once, however the stream is cut up, and no character in two halves.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, auto
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar, Final

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
_MANY = 512  # characters; below, reading line by line is faster than any short cut
_LARGE = 4096  # bytes; below, a copy costs next to nothing
# A block of one data line, with or without a type and an id, which may not be empty; or, once, all
# that is left.
_COMMON = re.compile("(?:id: (.+)\n|)(?:event: (.*)\n|)(?:id: (.+)\n|)data: (.*)\n\n|(?s:(.+))")
_HEAD = re.compile("(?:event: (.*)\n|)data: ")
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
        "_long_line",
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
        self.last_event_id: str = last_event_id
        self.retry: int | None = None
        self.own_ids: list[bool] | None = None
        self._on_comment = on_comment
        self._limit = sys.maxsize if max_event_size is None else max_event_size
        self._awaits: _Awaits | None = _Awaits.BOM
        self._bom = b""  # what may become a byte order mark
        # The block in progress: the fields of its lines that were read,
        self._data: list[str] = []
        self._named = False  # whether there is any other field than data
        self._event = ""
        self._id: str | None = None
        self._retry: int | None = None
        # the bytes that were not: of a line so long that its pieces are joined only at its end,
        self._long_line: list[bytes] = []
        self._tail = bytearray()
        self._room = self._limit  # and how many bytes the last and all that follow may have.

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
        try:
            # The chunk is one byte, and ends no line: 2.5 times faster.
            if len(chunk) == 1 and chunk > b"\r" and self._awaits is None:  # type: ignore[operator] # pyright: ignore[reportOperatorIssue]
                tail = self._tail
                tail += chunk
                if len(tail) > self._room:
                    raise self._too_large()
                return []
        except TypeError:  # a memoryview, which is neither more nor less than anything
            chunk = memoryview(chunk).tobytes()
        if chunk == b"\n" and self._awaits is None and (ended := self._end_data_line()) is not None:
            return ended
        if self._awaits is not None or _CR in chunk or type(chunk) is not bytes:
            chunk = self._prepare(chunk)
        if (
            not self._tail
            and chunk[:6] == b"data: "
            and chunk[-2:] == b"\n\n"
            and _LF not in (data := chunk[6:-2])
            and len(chunk) <= self._room == self._limit
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
        self._read(chunk[:end], events)
        if end < len(chunk):
            error = self._too_large()
            if not events:
                raise error
        return events

    def _end_data_line(self) -> list[ServerSentEvent] | None:
        """Take a LF behind nothing but a data line. One byte per chunk: 1.25 times faster."""
        tail = self._tail
        if not tail.startswith(b"data: ") or not len(tail) < self._room == self._limit:
            return None
        end = tail.find(b"\n")
        if end < 0:
            tail.append(_LF)
            return []
        if end < len(tail) - 1 or self.own_ids is not None:
            return None
        text = tail[6:end].decode("utf-8", "replace")
        tail.clear()
        return [_new(ServerSentEvent, ("message", text, self.last_event_id, None))]

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
        self._long_line.clear()
        self._data.clear()
        return EventTooLarge(self._limit)

    def _within_limit(self, chunk: bytes) -> int:
        """Find the end of the last whole line before a block gets too large."""
        line, room = 0, self._room - len(self._tail)
        inside = self._inside_line()
        while (end := chunk.find(b"\n", line)) >= 0:
            room -= end + 1 - line
            if end == line and not inside:
                room = self._limit
            if room < 0:
                return line
            line = end + 1
            inside = False
        return line if len(chunk) - line > room else len(chunk)

    def _inside_line(self) -> bool:
        return self._tail[-1] != _LF if self._tail else bool(self._long_line)

    def _read(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Read the whole blocks that end in a chunk within the limit; keep what follows them."""
        last = end = chunk.rfind(b"\n") + 1
        if not last:
            self._keep_piece(chunk)
            return
        if self._long_line:
            self._read(self._end_long_line(chunk), events)
            return
        while end > 1 and chunk[end - 2] != _LF:
            end = chunk.rfind(b"\n", 0, end - 1) + 1
        if end == 1 and self._inside_line():
            end = 0
        tail = self._tail
        if end:
            blocks = tail + chunk[:end]
            tail.clear()
            self._room = self._limit
            self._blocks(blocks.decode("utf-8", "replace"), events)
        # Lines that can wait for their block's end do. JSON in 4 KB blocks: 1.2 times faster.
        begun = _LF in tail or self._data or self._named
        tail += chunk[end:]
        if end < last and (begun or _cannot_wait(tail[0], chunk[end:last])):
            self._read_lines()

    def _read_lines(self) -> None:
        """Read the lines of the unfinished block that have ended."""
        tail = self._tail
        end = tail.rfind(b"\n") + 1
        self._lines(tail[:end].decode("utf-8", "replace"), [])
        del tail[:end]
        self._room -= end

    def _keep_piece(self, chunk: bytes) -> None:
        """Keep a piece of a line; large ones are not copied. One event of 10 MB: 4 times faster."""
        tail = self._tail
        if len(chunk) < _LARGE:
            tail += chunk
            return
        self._read_lines()
        piece = bytes(tail) + chunk
        tail.clear()
        self._room -= len(piece)
        self._long_line.append(piece)

    def _end_long_line(self, chunk: bytes) -> bytes:
        """Read the line that ends in this chunk, without copying its data; return what follows."""
        end = chunk.find(b"\n")
        self._room -= len(self._tail) + end + 1
        first, *others = self._long_line
        is_data = first[:6] == b"data: "
        pieces: list[bytes | bytearray]
        pieces = [first[6:] if is_data else first, *others, self._tail, chunk[:end]]
        line = b"".join(pieces).decode("utf-8", "replace")
        self._long_line.clear()
        self._tail.clear()
        if is_data:
            self._data.append(line)
        else:
            self._line(line)
        return chunk[end + 1 :]

    def _blocks(self, text: str, events: list[ServerSentEvent]) -> None:
        """Read whole blocks: many at a stroke if they allow it, otherwise line by line."""
        if len(text) >= _MANY and not self._data and not self._named:
            if text[0] == ":" and self._on_comment is None:
                text = _without_heartbeats(text)
            if text[:1] != "i" and self._run(text, events):
                return
            text = self._common_blocks(text, events)
        if text:
            self._lines(text, events)

    def _run(self, text: str, events: list[ServerSentEvent]) -> bool:
        """Read blocks that differ in nothing but their data; tell whether they do.

        Tokens: 2.2 times faster; with a type: 3 times; 20 data lines: 1.6 times.
        """
        head = _HEAD.match(text)
        if head is None:
            return False
        blocks = text[head.end() : -2].split("\n\n" + head[0])
        own_lines = head[0].count("\n") + 2
        more = text.count("\n") - own_lines * len(blocks)  # which must be lines of data
        if more:
            if f"\n{text}".count("\ndata: ") != len(blocks) + more:
                return False
            blocks = [block.replace("\ndata: ", "\n") for block in blocks]
        values = zip(repeat(head[1] or "message"), blocks, repeat(self.last_event_id), repeat(None))
        events += map(_new, repeat(ServerSentEvent), values)
        if self.own_ids is not None:
            self.own_ids += [False] * len(blocks)
        return True

    def _common_blocks(self, text: str, events: list[ServerSentEvent]) -> str:
        """Read blocks as most are; return the rest, from the first other one on.

        1.2 KB JSON with id: 1.7 times faster; in 4 KB blocks: 1.25 times.
        """
        if not text or "\0" in text:
            return text
        rows = _COMMON.findall(text)
        rest: str = rows[-1][-1]
        if rest:
            rows.pop()
        cursor = self.last_event_id
        events += [
            _new(
                ServerSentEvent, (kind or "message", data, cursor := late or early or cursor, None)
            )
            for early, kind, late, data, _ in rows
        ]
        self.last_event_id = cursor
        if self.own_ids is not None:
            self.own_ids += [bool(early or late) for early, _, late, _, _ in rows]
        return rest

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


def _without_heartbeats(text: str) -> str:
    """Leave out blocks like the first one, a comment. Nine of them per event: 3 times faster."""
    end = text.find("\n") + 2
    if text[end - 1] != "\n":
        return text
    rest = [piece for piece in text.split(text[:end]) if piece]
    # It was a block only if another block ended before it.
    return "".join(rest) if all(piece.endswith("\n\n") for piece in rest) else text


def _cannot_wait(first: int, lines: bytes) -> bool:
    """Tell whether there may be a comment or a ``retry``: they act before their block ends."""
    return first in b":r" or b"\n:" in lines or b"\nr" in lines


def _milliseconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _RETRY_DIGITS else _RETRY_MAX
