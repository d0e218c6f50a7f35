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
left, is decoded and goes to `_blocks`. The rest is kept as bytes until its block ends, but for
lines that act before that: comments and ``retry``.

`_lines` is the whole of the rules and works for anything. Most blocks never get there: `_BLOCK`,
one pattern, knows those with data, comments, a type and an id in any order; and `_alike` splits
streams whose blocks differ in nothing but their data. All else is a short cut for a way in which
bytes arrive. Each says what it gains (CPython 3.11; how many times faster than without it).

So everything is decoded once, however the stream is cut up, and no character in two halves.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, auto
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar, Final

from resilient_sse._values.event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    _Values: TypeAlias = tuple[str, str, str, int | None]

__all__ = ["SSEDecoder"]

DEFAULT_MAX_EVENT_SIZE: Final = 16 * 1024 * 1024
"""The default bound on one block, in bytes: far above real events, far below trouble."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR, _SPACE = 10, 13, 32
# What blocks have in common is looked for in so many characters, if the first is short.
_ENOUGH, _MANY, _SHORT = 500, 8, 500
_LONG = 2500  # bytes of a block that came in earlier chunks
_LARGE = 32_768  # bytes; below, a copy costs next to nothing

_ID = "(?:id: ?+([^\0\n]++)\n|)"  # not an empty one: a row could not tell it from none
_KIND = "(?:event: ?+(.++)\n|)"
_MORE = "(?:((?:data:.*+\n)++)|)"
_COMMENTS = ":(?:.*+\n++:)*+.*+"  # of any number of blocks; the last line is to be ended
# A block as most are, and any other. No part gives back what it took, and comments that no block
# follows are passed at once (all but their last LF): all is linear.
_BLOCK = re.compile(
    f"(?:{_COMMENTS}\n++|){_ID}{_KIND}{_ID}data: ?+(.*+)\n{_MORE}{_KIND}{_ID}{_KIND}\n"
    f"|(?:{_COMMENTS}(?:\n(?=\n))*+|)((?:.++\n)*+\n)"
)
_DATA, _OTHER = 4, 9  # groups of it
_COMMENT = re.compile("^: ?+(.*)", re.MULTILINE)
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

    A block that is unfinished at the end of the stream is no event, unless `flush` is called.

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
            # The chunk is one byte, and ends no line: 1.9 times faster.
            if len(chunk) == 1 and chunk > b"\r" and self._awaits is None:  # type: ignore[operator] # pyright: ignore[reportOperatorIssue]
                tail = self._tail
                tail += chunk
                if len(tail) > self._room:
                    raise self._too_large()
                return []
        except TypeError:  # a memoryview, which is neither more nor less than anything
            chunk = memoryview(chunk).tobytes()
        if chunk == b"\n" and self._awaits is None and (ended := self._end_data()) is not None:
            return ended
        if self._awaits is not None or _CR in chunk or type(chunk) is not bytes:
            chunk = self._prepare(chunk)
        if not self._tail and chunk[-2:] == b"\n\n" and len(chunk) <= self._room == self._limit:
            # Whole blocks, as with live streams. An id, a type and data: 1.4 times faster.
            start = 6 if chunk[:6] == b"data: " else 5 if chunk[:5] == b"data:" else 0
            if start and _LF not in (data := chunk[start:-2]) and self.own_ids is None:
                # One line of data: 1.4 times faster.
                text = data.decode("utf-8", "replace")
                return [_new(ServerSentEvent, ("message", text, self.last_event_id, None))]
            return self._whole(chunk)
        events: list[ServerSentEvent] = []
        if len(self._tail) + len(chunk) <= self._room:
            self._read(chunk, events)
        else:
            self._read_within_limit(chunk, events)
        return events

    def flush(self) -> list[ServerSentEvent]:
        """Take what is kept for a whole block, as if its last line and the block had ended here.

        The standard says the opposite: a block that the stream leaves unfinished is dropped. It is
        for servers that end the body without the last blank line; nothing calls it by default.

        Returns:
            The event that the rest is, if it has data. After that the decoder is as after any
                block, and a second call finds nothing.

        Raises:
            EventTooLarge: If the block with the ending of its last line is larger than
                ``max_event_size``, or an earlier one was.
        """
        if self._awaits is _Awaits.BOM and not self._bom:
            return []
        return self.feed(b"\n\n")

    def _end_data(self) -> list[ServerSentEvent] | None:
        """Take a LF behind one line of data, if no more is kept; None if there is.

        A chunk for each line: 1.3 times faster; one byte per chunk: 1.1 times.
        """
        tail = self._tail
        if not tail.startswith(b"data:") or not len(tail) < self._room == self._limit:
            return None
        end = tail.find(b"\n")
        if end < 0:
            tail.append(_LF)
            return []
        if end < len(tail) - 1:
            return None
        text = tail[6 if tail[5] == _SPACE else 5 : end].decode("utf-8", "replace")
        tail.clear()
        if self.own_ids is not None:
            self.own_ids.append(False)
        return [_new(ServerSentEvent, ("message", text, self.last_event_id, None))]

    def _whole(self, chunk: bytes) -> list[ServerSentEvent]:
        """Read a chunk of whole blocks that begins one."""
        if chunk[:7] == b"event: ":
            name, _, data = chunk[7:-2].partition(b"\ndata: ")
            if data and _LF not in data and _LF not in name:
                # A type and one line of data: 1.4 times faster.
                if self.own_ids is not None:
                    self.own_ids.append(False)
                kind = name.decode("utf-8", "replace") or "message"
                text = data.decode("utf-8", "replace")
                return [_new(ServerSentEvent, (kind, text, self.last_event_id, None))]
        events: list[ServerSentEvent] = []
        text = chunk.decode("utf-8", "replace")
        if len(text) <= _ENOUGH and self._on_comment is None:
            self._rows(_BLOCK.findall(text), events)
        else:
            self._blocks(text, events)
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
        self._long_line.clear()
        self._data.clear()
        return EventTooLarge(self._limit)

    def _read_within_limit(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        end = self._within_limit(chunk)
        self._read(chunk[:end], events)
        if end < len(chunk):
            error = self._too_large()
            if not events:
                raise error

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
            # In a long block line endings are found faster than the pattern reads it.
            apart = self._data or self._named or len(tail) > _LONG
            text = (tail + chunk[:end]).decode("utf-8", "replace")
            tail.clear()
            self._room = self._limit
            if apart:
                text = self._first_block(text, events)
            self._blocks(text, events)
        # Lines that can wait for their block's end do. JSON in 4 KB blocks: 1.4 times faster.
        begun = _LF in tail or self._data or self._named
        tail += chunk[end:]
        if end < last and (begun or _cannot_wait(tail[0], chunk[end:last])):
            self._read_lines()

    def _read_lines(self) -> None:
        """Read the lines of the unfinished block that have ended."""
        tail = self._tail
        end = tail.rfind(b"\n") + 1
        text = tail[:end].decode("utf-8", "replace")
        self._comments(text)
        self._lines(text, [])
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
        is_data = first[:5] == b"data:" and len(first) > 5  # noqa: PLR2004 - and the space, if any
        if is_data:
            first = first[6 if first[5] == _SPACE else 5 :]
        line = b"".join([first, *others, self._tail, chunk[:end]]).decode("utf-8", "replace")
        self._long_line.clear()
        self._tail.clear()
        if is_data:
            self._data.append(line)
        else:
            self._comments(line)
            self._lines(line + "\n", [])
        return chunk[end + 1 :]

    def _first_block(self, text: str, events: list[ServerSentEvent]) -> str:
        """Read one block, of which some lines may have been read before; return what follows."""
        end = self._lines(text, events, once=True)
        if self._on_comment is not None:
            self._comments(text[:end])
        return text[end:]

    def _blocks(self, text: str, events: list[ServerSentEvent]) -> None:
        """Read whole blocks."""
        if text[:5] == "data:" and text.find("\n") == len(text) - 2:
            # One line of data that came in pieces. One event in two chunks: 1.3 times faster.
            values = ("message", text[6 if text[5] == " " else 5 : -2], self.last_event_id, None)
            events.append(_new(ServerSentEvent, values))
            if self.own_ids is not None:
                self.own_ids.append(False)
            return
        if self._on_comment is not None:
            self._comments(text)
        if len(text) > _ENOUGH:
            short = min(_SHORT, len(text) // _MANY)
            # One LF is found ten times faster than two.
            if text.find("\n", short // 2, short) >= 0 and text.find("\n\n", 0, short) >= 0:
                text = self._alike(text, events)
        self._rows(_BLOCK.findall(text), events)

    def _alike(self, text: str, events: list[ServerSentEvent]) -> str:
        """Read blocks that differ from the first in nothing but their data; return the rest.

        Tokens: 2 times faster; with a type: 2.3 times.
        """
        first = _BLOCK.match(text)
        if first is None or first[_OTHER]:
            return text
        id1, kind1, id2, _, more, kind2, id3, kind3, _ = first.groups("")
        head, tail = text[: first.start(_DATA)], text[first.end(_DATA) : first.end()]
        border = tail + head
        if more or id1 or id2 or id3 or (head[-1] == ":" and border + " " in text):
            return text
        *pieces, last = text[len(head) :].split(border)
        kind = kind3 or kind2 or kind1 or "message"
        if "\n" not in "".join(pieces):
            values = zip(repeat(kind), pieces, repeat(self.last_event_id), repeat(None))
            events += map(_new, repeat(ServerSentEvent), values)
            if self.own_ids is not None:
                self.own_ids += [False] * len(pieces)
        elif text.count("\n") < len(pieces) * (border.count("\n") + 1):
            # Most are. Tokens with a comment now and then: 1.3 times faster.
            for data in pieces:
                if "\n" in data:
                    self._rows(_BLOCK.findall(head + data + tail), events)
                    continue
                events.append(_new(ServerSentEvent, (kind, data, self.last_event_id, None)))
                if self.own_ids is not None:
                    self.own_ids.append(False)
        else:
            return text
        return head + last

    def _rows(self, rows: Iterable[tuple[str, ...]], events: list[ServerSentEvent]) -> None:
        """Read blocks as `_BLOCK` finds them."""
        own_ids = self.own_ids
        for id1, kind1, id2, data, more, kind2, id3, kind3, other in rows:
            if other:
                self._lines(other, events)
                continue
            own_id = id3 or id2 or id1
            if own_id:
                self.last_event_id = own_id
            text = data + _values_of(more) if more else data
            kind = kind3 or kind2 or kind1 or "message"
            events.append(_new(ServerSentEvent, (kind, text, self.last_event_id, None)))
            if own_ids is not None:
                own_ids.append(bool(own_id))

    def _comments(self, text: str) -> None:
        """Report the comments in whole lines."""
        if self._on_comment is not None and (text[:1] == ":" or "\n:" in text):
            for comment in _COMMENT.findall(text):
                self._on_comment(comment)

    def _lines(self, text: str, events: list[ServerSentEvent], *, once: bool = False) -> int:
        """Read whole lines, but for comments; if only once, to the end of a block.

        Returns:
            Where that was.
        """
        start = 0
        while (end := text.find("\n", start)) >= 0:
            if text.startswith("data:", start):
                self._data.append(text[start + (6 if text[start + 5] == " " else 5) : end])
            elif end == start:
                self._end_block(events)
                if once:
                    return end + 1
            elif text[start] != ":":
                self._field(text[start:end])
            start = end + 1
        return start

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if value[:1] == " ":
            value = value[1:]
        if name == "data":
            self._data.append(value)
            return
        self._named = True
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


def _values_of(lines: str) -> str:
    """Take the name off each of some lines of data, and the space behind it; put a LF in front."""
    if lines[5] == " ":
        # 20 lines that all have the space: 1.4 times faster.
        pieces = lines[6:-1].split("\ndata: ")
        if len(pieces) == lines.count("\n"):
            return "\n" + "\n".join(pieces)
    return f"\n{lines[:-1]}".replace("\ndata:", "\n").replace("\n ", "\n")


def _cannot_wait(first: int, lines: bytes) -> bool:
    """Tell whether there may be a comment or a ``retry``: they act before their block ends."""
    return first in b":r" or b"\n:" in lines or b"\nr" in lines


def _milliseconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _RETRY_DIGITS else _RETRY_MAX
