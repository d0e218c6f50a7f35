"""What the library is meant to reach, and why it does not where it does not."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AGAINST",
    "DECODER",
    "DECODER_WORST",
    "MEMORY_KB",
    "OVERHEAD",
    "Aim",
    "Target",
    "is_blocking",
]


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

    def says(self, value: float) -> str:
        """Say whether it is reached by what is the better the greater it is."""
        return "met" if value >= self.value else self.missed


_MAKING = (
    "making the events and their strings, as any decoder has to, is half of it or more; without "
    "anything else it would be {:.1f}"
)
_UTF8 = "to decode the UTF-8 is half of it; with making the events the most is 3.9"
_LOOKING = "the pattern looks at each character of the data, which is a third of it"
_EACH_CHUNK = "what is done once for each chunk, of three events, is two fifths of it"
_EACH_READ = "what is done once for each read, of a few blocks, is two fifths of it"
_ONE_BLOCK = "the pattern and making the event are half of it; the rest is what any chunk is asked"
_LF_AND_SPACE = (
    "where the space is missing, to look for a LF and a space takes a nanosecond for each character"
)
_NEW_MEMORY = (
    "most of it is memory that the system gives anew: where the process has that already it takes "
    "an eighth of the time, and is nine times faster than httpx-sse"
)
DECODER = {
    "tokens, 64 KB blocks": Target(4.5, _MAKING.format(5.7)),
    "tokens, one per chunk": Target(2.7),
    "event and data, 64 KB blocks": Target(4.5, _MAKING.format(7.7)),
    "event and data, one per chunk": Target(1.7, _ONE_BLOCK),
    "id, event and data, one per chunk": Target(1.8),
    "mixed blocks, one per chunk": Target(1.5),
    "mixed blocks, 1 KB reads": Target(1.5, _EACH_READ),
    "JSON with id, 64 KB blocks": Target(2.2, _LOOKING),
    "JSON with id, 4 KB blocks": Target(1.6, _EACH_CHUNK),
    "20 data lines, 64 KB blocks": Target(2.6, _LF_AND_SPACE),
    "one 10 MB event, 64 KB blocks": Target(2.4, _NEW_MEMORY),
    "tokens, one byte per chunk": Target(3.7),
    "tokens with CRLF, 64 KB blocks": Target(3.2, _MAKING.format(6.2)),
    "nine heartbeats per event": Target(3.0),
    "not ASCII, 64 KB blocks": Target(4.0, _UTF8),
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
    "a quarter of it is the system's, as the bare socket shows; the rest is spread over stamina, "
    "which the waits belong to, httpx's request and response, h11 and asyncio's opening, none of "
    "which can go; launchdarkly has none of them"
)
_DROP_IN_THREADS = (
    "the waits are stamina's, whose sleep nobody can end, so it sleeps in a thread that can be "
    "left behind; handing over to it and back is a quarter of it"
)
_DROP_OVER_TLS = (
    "most of it is the handshake: the bare socket, which resumes sessions as well, gains two times"
)
_READ_IN_THREADS = (
    "a system call for each event is most of it: the bare socket itself gains less than three times"
)
_IDLE_TIMER = (
    "the timer of `idle_timeout`: while any is pending, asyncio asks for the time and looks at a "
    "heap at every step, an eighth of what such an event takes"
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
    ("backlog", "resilient_sse blocking"): Target(1.35),
    ("burst", "resilient_sse"): Target(1.10, _ONE_STEP),
    ("burst", "resilient_sse batches()"): Target(1.10, _QUEUE),
    ("burst", "resilient_sse blocking"): Target(1.10),
    ("each", "resilient_sse"): Target(1.10, _IDLE_TIMER),
    ("each", "resilient_sse batches()"): Target(1.10, _IDLE_TIMER),
    ("each", "resilient_sse blocking"): Target(1.10),
    ("paced", "resilient_sse"): Target(1.10, _WAKING),
    ("paced", "resilient_sse batches()"): Target(1.10, _WAKING),
    ("paced", "resilient_sse blocking"): Target(1.10, _WAKING),
    ("json", "resilient_sse batches()"): Target(1.10),
}
"""How many times the CPU of a bare decoder loop a client may need: by part and client."""


class Aim(NamedTuple):
    """What is to be reached beside the other clients.

    Each client is compared with its like: one of asyncio with another of asyncio, one that blocks
    with another that blocks.

    Attributes:
        part: The part of the results.
        figure: What is measured, as the part names it.
        client: Ours.
        title: How the page names it.
        target: How many times better than httpx-sse; None if it is only shown.
        ahead: The same beside launchdarkly.
    """

    part: str
    figure: str
    client: str
    title: str
    target: Target | None = None
    ahead: Target | None = None

    @property
    def baseline(self) -> str:
        """Its like of httpx-sse."""
        return "httpx-sse blocking" if is_blocking(self.client) else "httpx-sse"

    @property
    def rival(self) -> str:
        """Its like of launchdarkly."""
        return "launchdarkly blocking" if is_blocking(self.client) else "launchdarkly async"


def is_blocking(name: str) -> bool:
    """Say whether a client blocks the thread that reads; node's does not."""
    return name.endswith(" blocking") or name == "sseclient-py"


_CPU, _OURS, _IN_THREADS = "cpu_us", "resilient_sse", "resilient_sse blocking"
_BATCHES, _ON_AIOHTTP = "resilient_sse batches()", "resilient_sse + aiohttp"
_TIMES, _AHEAD = Target(3.5), Target(1.0)
_TIMES_IN_THREADS = Target(3.5, _READ_IN_THREADS)
_DROP_BLOCKING, _OVER_TLS = Target(2.0, _DROP_IN_THREADS), Target(3.0, _DROP_OVER_TLS)
AGAINST = (
    Aim("backlog", _CPU, _OURS, "backlog, event by event", Target(3.2)),
    Aim("backlog", _CPU, _BATCHES, "backlog, `batches()`", Target(4.0)),
    Aim("backlog", _CPU, _IN_THREADS, "backlog, blocking", Target(4.2)),
    Aim("burst", _CPU, _OURS, "burst", _TIMES, _AHEAD),
    Aim("burst", _CPU, _IN_THREADS, "burst, blocking", _TIMES, _AHEAD),
    Aim("burst", _CPU, _ON_AIOHTTP, "burst on `aiohttp`", Target(8.0, _AIOHTTP)),
    Aim("each", _CPU, _OURS, "one event per read", _TIMES, _AHEAD),
    Aim("each", _CPU, _IN_THREADS, "one event per read, blocking", _TIMES_IN_THREADS, _AHEAD),
    Aim("flushed", _CPU, _OURS, "flushed per event"),
    Aim("flushed", _CPU, _IN_THREADS, "flushed per event, blocking"),
    Aim("paced", _CPU, _OURS, "paced", Target(3.5, _LOOP), _AHEAD),
    Aim("paced", _CPU, _IN_THREADS, "paced, blocking", _TIMES_IN_THREADS, Target(1.0, _WAKING)),
    Aim("many", "event_us", _OURS, "an event on quiet streams", Target(1.6)),
    Aim("many", "open_us", _OURS, "opening one of a thousand", Target(3.0, _OPENING)),
    Aim("drop", "drop_ms", _OURS, "drop to next request", Target(2.0, _DROP)),
    Aim("drop", "drop_ms", _IN_THREADS, "drop to next request, blocking", _DROP_BLOCKING),
    Aim("tls-backlog", _CPU, _OURS, "backlog over TLS"),
    Aim("tls-backlog", _CPU, _IN_THREADS, "backlog over TLS, blocking"),
    Aim("tls-burst", _CPU, _OURS, "burst over TLS"),
    Aim("tls-burst", _CPU, _IN_THREADS, "burst over TLS, blocking"),
    Aim("tls-each", _CPU, _OURS, "one event per read over TLS"),
    Aim("tls-each", _CPU, _IN_THREADS, "one event per read over TLS, blocking"),
    Aim("tls-drop", "drop_ms", _OURS, "drop to next request over TLS", _OVER_TLS),
    Aim("tls-drop", "drop_ms", _IN_THREADS, "drop to next request over TLS, blocking", _OVER_TLS),
)
"""How many times better than the others we are to be."""

MEMORY_KB = 20
"""The most memory a quiet stream is to take."""
