"""What an HTTP header can carry, and how a cursor is sent in one."""

from __future__ import annotations

import re
from typing import Final

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a method and the name of a header are made of (RFC 9110 5.6.2)."""

# Servers refuse longer headers (Apache and nginx take 8 KB for a line), and then for ever.
LONGEST: Final = 8000
_CONTROLS: Final = frozenset({*range(0x20), 0x7F})


def sendable(last_event_id: str) -> bool:
    """Say whether an HTTP header can carry this id (RFC 9110 5.5).

    Control characters cannot be in it, and blanks alone would arrive as nothing.
    """
    if last_event_id and not last_event_id.strip(" "):
        return False
    if last_event_id.isascii() and last_event_id.isprintable():
        return len(last_event_id) <= LONGEST
    try:
        encoded = last_event_id.encode()
    except UnicodeEncodeError:  # a lone surrogate: never from a stream, maybe from a caller
        return False
    return len(encoded) <= LONGEST and _CONTROLS.isdisjoint(encoded)


def encode_last_event_id(last_event_id: str) -> bytes:
    """Encode the cursor for the ``Last-Event-ID`` header: UTF-8, as the standard says.

    Blanks at the ends are no part of a header's value (RFC 9110 5.5), so they are not sent.
    """
    return last_event_id.encode().strip(b" ")
