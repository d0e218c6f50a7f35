"""The lines of a stream as a check needs them: also those that clients ignore.

The decoder tells what clients see. This tells why they do not see the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from resilient_sse._values.header import sendable

__all__ = ["FIELDS", "JSON_STARTS", "Block", "BlockReader"]

FIELDS: Final = ("data", "event", "id", "retry")
JSON_STARTS: Final = ("{", "[", '"')
_BOM: Final = b"\xef\xbb\xbf"
# What servers call an event that only keeps the connection alive.
_BEATS: Final = frozenset({"heartbeat", "hb", "keep-alive", "keepalive", "ping"})
_SHOWN: Final = 80


@dataclass
class Block:
    """The lines between two blank ones.

    Attributes:
        names: The names of its fields, in order.
        first_line: The beginning of its first field's line.
        event: Its type.
        id: Its id, if there is one that clients heed.
        bad_id: An id that clients ignore, or cannot send back.
        retries: The values of its ``retry`` fields.
        comments: How many there are.
        not_utf8: A line that is none.
        replaced: Whether its text has a U+FFFD that was sent as such.
    """

    names: list[str] = field(default_factory=list[str])
    first_line: str = ""
    event: str = ""
    id: str | None = None
    bad_id: str = ""
    retries: list[str] = field(default_factory=list[str])
    comments: int = 0
    not_utf8: str = ""
    replaced: bool = False

    @property
    def has_data(self) -> bool:
        """Whether it is an event."""
        return "data" in self.names

    @property
    def unknown(self) -> list[str]:
        """The names that clients do not know."""
        return [name for name in self.names if name not in FIELDS]

    @property
    def is_beat(self) -> bool:
        """Whether it says no more than that the server lives; its comments count by themselves."""
        if self.event:
            return self.event in _BEATS
        return not (self.has_data or self.comments or self.retries or self.unknown)

    @property
    def is_lost_event(self) -> bool:
        """Whether it seems to be meant as an event, but has no data."""
        if self.has_data or not self.names:
            return False
        meant = any(name.strip().lower() in FIELDS for name in self.unknown)
        return meant or self.first_line[0] in JSON_STARTS or self.event not in {"", *_BEATS}

    def take(self, line: bytes) -> None:
        """Add a line, without its end."""
        text = line.decode("utf-8", "replace")
        try:
            line.decode()
        except UnicodeDecodeError:
            self.not_utf8 = self.not_utf8 or _around(text)
        else:
            self.replaced |= "\ufffd" in text
        name, _, value = text.partition(":")
        if name:
            self.first_line = self.first_line or text[:_SHOWN]
            self.names.append(name[:_SHOWN])
            self._set(name, value.removeprefix(" "))
        else:
            self.comments += 1

    def _set(self, name: str, value: str) -> None:
        if name == "id":
            self._set_id(value)
        elif name == "retry":
            self.retries.append(value)
        elif name == "event":
            self.event = value

    def _set_id(self, value: str) -> None:
        if "\0" not in value:
            self.id = value
        if value and not sendable(value):
            self.bad_id = value


class BlockReader:
    """Cuts bytes into blocks.

    Attributes:
        block: The block that is not finished.
    """

    def __init__(self) -> None:
        self.block = Block()
        self._line = bytearray()
        self._begun = False
        self._after_cr = False

    @property
    def inside_line(self) -> bool:
        """Whether a line is not finished."""
        return bool(self._line)

    @property
    def rest(self) -> str:
        """The beginning of what is not finished."""
        return self.block.first_line or self._line[:_SHOWN].decode("utf-8", "replace")

    def feed(self, chunk: bytes) -> list[Block]:
        """Take the next bytes, and return the blocks that they finish."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r") or (self._after_cr and not chunk)
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        blocks: list[Block] = []
        for line in ended:
            self._line += line
            self._end_line(blocks)
        self._line += rest
        return blocks

    def _end_line(self, blocks: list[Block]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if line:
            self.block.take(line)
        else:
            blocks.append(self.block)
            self.block = Block()


def _around(text: str) -> str:
    """Return the text around its first U+FFFD."""
    start = max(0, text.index("\ufffd") - _SHOWN // 2)
    return text[start : start + _SHOWN]
