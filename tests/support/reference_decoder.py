# ruff: noqa: C901, ERA001, FURB188, PLR0912 - it keeps the wording and the order of the standard
"""A slow decoder, written down from the standard sentence by sentence.

The quotations are from WHATWG HTML 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream" and, for the bytes, from WHATWG Encoding 4.1 "UTF-8 decoder". Nothing here is clever, and
that is its use: the real decoder is tested against it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from resilient_sse._values.event import ServerSentEvent

__all__ = ["Outcome", "decode", "utf_8_decode"]

BOM = b"\xef\xbb\xbf"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass
class Outcome:
    """All that can be seen of a decoder after a stream."""

    events: list[ServerSentEvent] = field(default_factory=list[ServerSentEvent])
    own_ids: list[bool] = field(default_factory=list[bool])
    comments: list[str] = field(default_factory=list[str])
    last_event_id: str = ""
    retry: int | None = None
    too_large: bool = False


def utf_8_decode(stream: bytes) -> str:
    """Run the standard's UTF-8 decoder, with error mode "replacement", without the BOM."""
    out: list[str] = []
    code_point = bytes_seen = bytes_needed = 0
    lower, upper = 0x80, 0xBF
    position = 0
    while position < len(stream):
        byte = stream[position]
        position += 1
        if bytes_needed == 0:
            # "If UTF-8 bytes needed is 0, based on byte:"
            if byte <= 0x7F:
                out.append(chr(byte))
            elif 0xC2 <= byte <= 0xDF:
                bytes_needed, code_point = 1, byte & 0x1F
            elif 0xE0 <= byte <= 0xEF:
                # "If byte is 0xE0, then set UTF-8 lower boundary to 0xA0."
                lower = 0xA0 if byte == 0xE0 else 0x80
                # "If byte is 0xED, then set UTF-8 upper boundary to 0x9F."
                upper = 0x9F if byte == 0xED else 0xBF
                bytes_needed, code_point = 2, byte & 0xF
            elif 0xF0 <= byte <= 0xF4:
                # "If byte is 0xF0, then set UTF-8 lower boundary to 0x90."
                lower = 0x90 if byte == 0xF0 else 0x80
                # "If byte is 0xF4, then set UTF-8 upper boundary to 0x8F."
                upper = 0x8F if byte == 0xF4 else 0xBF
                bytes_needed, code_point = 3, byte & 0x7
            else:
                # "Otherwise: Return error."
                out.append(REPLACEMENT)
            continue
        if not lower <= byte <= upper:
            # "Set UTF-8 code point, UTF-8 bytes needed, and UTF-8 bytes seen to 0, set UTF-8 lower
            # boundary to 0x80, and set UTF-8 upper boundary to 0xBF. Restore byte to ioQueue.
            # Return error."
            code_point = bytes_needed = bytes_seen = 0
            lower, upper = 0x80, 0xBF
            position -= 1
            out.append(REPLACEMENT)
            continue
        # "Set UTF-8 lower boundary to 0x80 and UTF-8 upper boundary to 0xBF."
        lower, upper = 0x80, 0xBF
        # "Set UTF-8 code point to (UTF-8 code point << 6) | (byte & 0x3F)."
        code_point = (code_point << 6) | (byte & 0x3F)
        bytes_seen += 1
        if bytes_seen == bytes_needed:
            out.append(chr(code_point))
            code_point = bytes_needed = bytes_seen = 0
    if bytes_needed:
        # "If byte is end-of-queue and UTF-8 bytes needed is not 0, then ... return error."
        out.append(REPLACEMENT)
    return "".join(out)


def decode(stream: bytes, *, last_event_id: str = "", limit: int | None = None) -> Outcome:
    """Interpret a whole stream.

    Args:
        stream: All its bytes.
        last_event_id: The cursor to start from.
        limit: The most bytes of a block (this library's rule, the standard has none).
    """
    out = Outcome(last_event_id=last_event_id)
    if BOM.startswith(stream):
        return out  # nothing but the beginning of a byte order mark
    # "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
    body = stream.removeprefix(BOM)
    # "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character
    # pair, a single U+000A LINE FEED (LF) character, or a single U+000D CARRIAGE RETURN (CR)
    # character."
    *lines, _ = re.split("\r\n|\n|\r", utf_8_decode(body))
    *raw_lines, raw_rest = re.split(b"\r\n|\n|\r", body)
    assert len(lines) == len(raw_lines)
    # "Let data, event type and last event ID buffer be the empty string" (the last one is kept
    # from connection to connection, so it starts as the cursor).
    data, event_type, id_buffer = "", "", last_event_id
    own_id, retry, size = False, None, 0
    for line, raw_line in zip(lines, raw_lines, strict=True):
        if line:
            size += len(raw_line) + 1
            if limit is not None and size > limit:
                out.too_large = True
                return out
        # "If the line is empty (a blank line): Dispatch the event, as defined below."
        if not line:
            # "Set the last event ID string of the event source to the value of the last event ID
            # buffer."
            out.last_event_id = id_buffer
            # "If the data buffer is an empty string, set the data buffer and the event type buffer
            # to the empty string and return."
            if data:
                # "If the data buffer's last character is a U+000A LINE FEED (LF) character, then
                # remove the last character from the data buffer."
                # "Initialize event's type attribute to "message" ... If the event type buffer has
                # a value other than the empty string, change the type".
                event = ServerSentEvent(
                    event=event_type or "message",
                    data=data[:-1],
                    id=out.last_event_id,
                    retry=retry,
                )
                out.events.append(event)
                out.own_ids.append(own_id)
            # "Set the data buffer and the event type buffer to the empty string."
            data, event_type = "", ""
            own_id, retry, size = False, None, 0
            continue
        # "If the line starts with a U+003A COLON character (:): Ignore the line."
        if line.startswith(":"):
            comment = line[1:]
            out.comments.append(comment[1:] if comment.startswith(" ") else comment)
            continue
        # "If the line contains a U+003A COLON character (:): Collect the characters on the line
        # before the first U+003A COLON character (:), and let field be that string. Collect the
        # characters on the line after the first U+003A COLON character (:), and let value be that
        # string. If value starts with a U+0020 SPACE character, remove it from value."
        if ":" in line:
            name, value = line.split(":", 1)
            if value.startswith(" "):
                value = value[1:]
        # "Otherwise, the string is not empty but does not contain a U+003A COLON character (:):
        # Process the field using the whole line as the field name, and the empty string as the
        # field value."
        else:
            name, value = line, ""
        # "If the field name is "event": Set the event type buffer to the field value."
        if name == "event":
            event_type = value
        # "If the field name is "data": Append the field value to the data buffer, then append a
        # single U+000A LINE FEED (LF) character to the data buffer."
        elif name == "data":
            data += value + "\n"
        # "If the field name is "id": If the field value does not contain U+0000 NULL, then set the
        # last event ID buffer to the field value. Otherwise, ignore the field."
        elif name == "id":
            if "\0" not in value:
                id_buffer, own_id = value, True
        # "If the field name is "retry": If the field value consists of only ASCII digits, then
        # interpret the field value as an integer in base ten, and set the event stream's
        # reconnection time to that integer. Otherwise, ignore the field."
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = out.retry = int(value)
        # "Otherwise: The field is ignored."
    # "Once the end of the file is reached, any pending data must be discarded. (If the file ends in
    # the middle of an event, before the final empty line, the incomplete event is not
    # dispatched.)"
    out.too_large = limit is not None and size + len(raw_rest) > limit
    return out
