"""What a probe's observations mean, in plain words."""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_sse._decoder import DEFAULT_MAX_EVENT_SIZE
from resilient_sse.cli._outcome import HINTS, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from resilient_sse._event import ServerSentEvent
    from resilient_sse.cli._probe import Heard

__all__ = [
    "Finding",
    "Level",
    "about_afterwards",
    "about_response",
    "about_resuming",
    "about_stream",
    "resumption",
]

_OK: Final = 200
_NO_CONTENT: Final = 204
_SLOW_SECONDS: Final = 2.0
_HEARTBEAT_SECONDS: Final = 15.0  # what the standard recommends (WHATWG HTML 9.2.7)
_SAME_MOMENT_SECONDS: Final = 0.005


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One thing that was found out."""

    level: Level
    text: str


def about_response(heard: Heard) -> Iterator[Finding]:
    """Judge the status and the headers."""
    seconds = f"after {heard.headers_after:.2f} s"
    if heard.status == _NO_CONTENT:
        yield Finding(Level.NOTE, f"status 204 {seconds}: there is no more to come; clients stop")
        return
    if heard.status != _OK:
        text = f"status {heard.status} {seconds}; a stream needs 200"
        hint = heard.refusal or HINTS.get(heard.status)
        yield Finding(Level.PROBLEM, f"{text}; {hint}" if hint else text)
        return
    yield Finding(Level.OK, f"status 200 {seconds}")
    if heard.content_type != "text/event-stream":
        got = printable(heard.headers.get("content-type", "none at all"))
        yield Finding(Level.PROBLEM, f"content type is {got}; clients need text/event-stream")
        return
    yield Finding(Level.OK, "content type is text/event-stream")
    if heard.refusal:
        yield Finding(Level.PROBLEM, heard.refusal)
        return
    yield from _about_headers(heard.headers)


def _about_headers(headers: httpx.Headers) -> Iterator[Finding]:
    if "content-length" in headers:
        text = "there is a Content-Length: something has collected the whole body before sending it"
        yield Finding(Level.PROBLEM, text)
    if "no-cache" not in (caching := headers.get("cache-control", "").lower()) and (
        "no-store" not in caching
    ):
        text = "no Cache-Control: no-cache; a cache in between may keep the stream"
        yield Finding(Level.NOTE, text)
    if "via" in headers:
        via = printable(headers["via"])
        yield Finding(Level.NOTE, f"a proxy is in between (Via: {via}); it must not buffer")


def about_stream(heard: Heard) -> Iterator[Finding]:
    """Judge what came on the open stream, and when."""
    yield _about_first_byte(heard)
    yield from _about_heartbeats(heard)
    yield _about_ids(heard.events)
    if heard.retry is None:
        yield Finding(Level.NOTE, "no retry field: clients wait as long as they think fit")
    else:
        yield Finding(Level.OK, f"retry field: clients are to wait {heard.retry} ms")
    if heard.too_large:
        size = f"{DEFAULT_MAX_EVENT_SIZE // 2**20} MiB"
        yield Finding(Level.PROBLEM, f"an event is larger than {size}; clients give up")
    if heard.end:
        text = f"the stream {heard.end} after {heard.listened:.1f} s; clients will reconnect"
        yield Finding(Level.NOTE, text)


def _about_first_byte(heard: Heard) -> Finding:
    if heard.first_byte_after is None:
        return Finding(
            Level.NOTE,
            f"not a byte in {heard.listened:.1f} s: the server is quiet, or a proxy buffers; "
            "send a comment at once, and X-Accel-Buffering: no for nginx",
        )
    text = f"first byte after {heard.first_byte_after:.2f} s"
    if heard.first_byte_after - heard.headers_after > _SLOW_SECONDS:
        return Finding(Level.NOTE, f"{text}: does a proxy buffer? A comment sent at once shows")
    return Finding(Level.OK, text)


def _about_heartbeats(heard: Heard) -> Iterator[Finding]:
    beats = heard.heartbeats
    if not beats and heard.listened >= _HEARTBEAT_SECONDS:
        text = f"no heartbeat in {heard.listened:.1f} s: quiet cannot be told from dead"
        yield Finding(Level.NOTE, f"{text}; have the server send a comment every 15 s")
    elif not beats and not heard.end and not heard.too_large:
        text = f"no heartbeat in {heard.listened:.1f} s, which is too short to say much"
        yield Finding(Level.NOTE, text)
    elif len(beats) == 1:
        yield Finding(Level.OK, "one heartbeat; listen longer (--seconds) for a period")
    elif beats:
        yield _about_period(beats)


def _about_period(beats: list[float]) -> Finding:
    period = median(after - before for before, after in pairwise(beats))
    if period < _SAME_MOMENT_SECONDS:
        text = f"{len(beats)} heartbeats came at the same moment; something collects them"
        return Finding(Level.NOTE, text)
    text = f"heartbeats every {period:.1f} s; an --idle-timeout of {3 * period:.0f} s fits"
    return Finding(Level.OK, text)


def _about_ids(events: list[ServerSentEvent]) -> Finding:
    with_id = sum(1 for event in events if event.id)
    if not events:
        return Finding(Level.NOTE, "no events came; listen longer (--seconds)")
    if not with_id:
        text = f"none of {len(events)} events has an id: what is missed in an outage is lost"
        return Finding(Level.PROBLEM, text)
    return Finding(Level.OK, f"{with_id} of {len(events)} events have an id")


def resumption(events: list[ServerSentEvent]) -> tuple[str, ServerSentEvent] | None:
    """Choose an id to resume from, and the event that has to come then; None without ids.

    The later, the better: a server that begins anew is told from one that repeats an event.
    """
    for after, before in pairwise(reversed(events)):
        if before.id and before.id != after.id:
            return before.id, after
    return None


def about_resuming(cursor: str, expected: ServerSentEvent, heard: Heard) -> Finding:
    """Judge what came when the client asked for what comes after an event."""
    asked = f"asked for what comes after id {printable(cursor)}"
    if not heard.is_stream:
        return Finding(Level.PROBLEM, f"{asked}, got status {heard.status}")
    if not heard.events:
        text = f"{asked}, and nothing came: what is missed in an outage is lost"
        return Finding(Level.PROBLEM, text)
    got = heard.events[0]
    if got == expected:
        return Finding(Level.OK, f"resuming works: {asked}, got the next one")
    if got.id == cursor:
        text = f"{asked}, got that event again: clients have to drop repetitions (dedupe)"
        return Finding(Level.NOTE, text)
    text = f"resuming does not work: {asked}, got id {printable(got.id) or 'none'}"
    return Finding(Level.PROBLEM, text)


def about_afterwards(heard: Heard) -> Finding:
    """Judge the answer to a client that has everything and comes back."""
    if heard.status == _NO_CONTENT:
        return Finding(Level.OK, "to a client that has everything it says 204: clients stop")
    if heard.is_stream:
        return Finding(Level.OK, "a client that has everything is let in again, to wait for more")
    return Finding(Level.PROBLEM, f"a client that comes back gets status {heard.status}")
