"""What the library is meant to reach, and why it does not where it does not."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AGAINST", "DECODER", "DECODER_WORST", "MEMORY_KB", "OVERHEAD", "Aim", "Target"]


class Target(NamedTuple):
    """A target and its excuse.

    Attributes:
        value: What is to be reached.
        why: Why it is missed, if it is and if that is known.
    """

    value: float
    why: str = ""

    @property
    def missed(self) -> str:
        """What is said if it is missed."""
        return f"missed: {self.why}" if self.why else "missed"


DECODER = {
    "tokens, 64 KB blocks": Target(4.5),
    "tokens, one per chunk": Target(2.7),
    "event and data, 64 KB blocks": Target(4.5),
    "event and data, one per chunk": Target(1.7),
    "id, event and data, one per chunk": Target(1.8),
    "mixed blocks, one per chunk": Target(1.5),
    "mixed blocks, 1 KB reads": Target(1.5),
    "JSON with id, 64 KB blocks": Target(2.2),
    "JSON with id, 4 KB blocks": Target(1.6),
    "20 data lines, 64 KB blocks": Target(2.6),
    "one 10 MB event, 64 KB blocks": Target(2.4),
    "tokens, one byte per chunk": Target(3.7),
    "tokens with CRLF, 64 KB blocks": Target(3.2),
    "nine heartbeats per event": Target(3.0),
    "not ASCII, 64 KB blocks": Target(4.0),
}
"""How many times faster than httpx-sse the decoder is to be, in the median of the variants."""

DECODER_WORST = 1.5
"""And in the worst variant of any."""


_LOOP = (
    "most of it is the system and the event loop, woken for one event at a time: the bare socket "
    "takes half as much, and the bare decoder loop on the same transport nearly as much"
)
_AIOHTTP = (
    "most of it is what aiohttp does for every chunk of HTTP, in Python, before anybody else sees "
    "it; the library's own transport reads all chunks of a packet at once, and is faster still"
)
_OPENING = (
    "every source has a client, a request and a response of httpx, which are dear to make; it no "
    "longer grows with the number of streams, as it does on httpx's own transport"
)
_DROP = (
    "a third of what is not the kernel's is the retry loop of stamina, which the waits belong to, "
    "and httpx's building and sending of the request; launchdarkly has neither"
)
_ONE_STEP = "one step of `async for` over any coroutine costs about 0.1 µs by itself"
_WAKING = (
    "the quartiles overlap: what the machine takes to wake a process differs by a factor of two "
    "from one run to the next"
)
_QUEUE = "a batch goes through the queue that single events are taken from"
OVERHEAD = {
    ("backlog", "resilient_sse"): Target(1.35, _ONE_STEP),
    ("backlog", "resilient_sse batches()"): Target(1.10),
    ("burst", "resilient_sse"): Target(1.10, _ONE_STEP),
    ("burst", "resilient_sse batches()"): Target(1.10, _QUEUE),
    ("paced", "resilient_sse"): Target(1.10, _WAKING),
    ("paced", "resilient_sse batches()"): Target(1.10, _WAKING),
    ("json", "resilient_sse batches()"): Target(1.10),
}
"""How many times the CPU of a bare decoder loop a client may need: by part and client."""


class Aim(NamedTuple):
    """What is to be reached beside httpx-sse.

    Attributes:
        part: The part of the results.
        figure: What is measured, as the part names it.
        client: Ours.
        title: How the page names it.
        target: How many times better than httpx-sse.
    """

    part: str
    figure: str
    client: str
    title: str
    target: Target


AGAINST = (
    Aim("backlog", "cpu_us", "resilient_sse", "backlog, event by event", Target(3.2)),
    Aim("backlog", "cpu_us", "resilient_sse batches()", "backlog, `batches()`", Target(4.0)),
    Aim("backlog", "cpu_us", "resilient_sse blocking", "backlog, blocking", Target(4.2)),
    Aim("burst", "cpu_us", "resilient_sse", "burst", Target(3.5)),
    Aim("burst", "cpu_us", "resilient_sse + aiohttp", "burst on `aiohttp`", Target(8.0, _AIOHTTP)),
    Aim("paced", "cpu_us", "resilient_sse", "paced", Target(3.5, _LOOP)),
    Aim("many", "event_us", "resilient_sse", "an event on quiet streams", Target(1.6)),
    Aim("many", "open_us", "resilient_sse", "opening one of a thousand", Target(3.0, _OPENING)),
    Aim("drop", "drop_ms", "resilient_sse", "drop to next request", Target(2.0, _DROP)),
)
"""How many times better than httpx-sse we are to be."""

MEMORY_KB = 20
"""The most memory a quiet stream is to take."""
