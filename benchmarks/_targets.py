"""What the library is meant to reach, and why it does not where it does not."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DECODER", "OVERHEAD", "Target"]


class Target(NamedTuple):
    """A target and its excuse.

    Attributes:
        value: What is to be reached.
        why: Why it is missed, if it is.
    """

    value: float
    why: str = "nothing known: it should be met; measure again on a quiet machine"


_ONE_BYTE = (
    "the call of `feed` and the list it returns are half of the time; launchdarkly's decoder has "
    "neither, being a loop around its source, and counts no bytes against a limit"
)
_CUT = (
    "there are three such events in a block, so what is done once for each block weighs; nearly "
    "half is the search for the ends of lines, and is the same in blocks of any size"
)
_MEMORY = (
    "most of this is the system handing out memory, 10 MB for the bytes in one piece and 10 MB for "
    "the text; which of it is at hand depends on what ran before"
)
DECODER = {
    "tokens, 64 KB blocks": Target(3.9),
    "tokens, one per chunk": Target(2.9),
    "event and data, 64 KB blocks": Target(4.7),
    "1.2 KB JSON with id, 64 KB blocks": Target(1.8),
    "1.2 KB JSON with id, 4 KB blocks": Target(1.8, _CUT),
    "20 data lines, 64 KB blocks": Target(2.6),
    "one 10 MB event, 64 KB blocks": Target(2.4, _MEMORY),
    "tokens, one byte per chunk": Target(4.6, _ONE_BYTE),
    "tokens with CRLF, 64 KB blocks": Target(3.2),
    "nine heartbeats per event": Target(2.2),
    "not ASCII, 64 KB blocks": Target(3.7),
}
"""How many times faster than httpx-sse the decoder is to be."""

OVERHEAD: dict[tuple[str, str], Target] = {}
"""How many times the CPU of a bare decoder loop a client may need: by part and client."""
