"""When things came on a stream, and what a client can rely on."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from resilient_sse._values.redact import redact_text
from resilient_sse.cli._check.findings import Finding, Kind
from resilient_sse.cli._check.heard import End

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.cli._check.heard import Heard

__all__ = ["about_ids", "about_retry", "about_the_end", "about_time"]

_SLOW_SECONDS: Final = 2.0
_HEARTBEAT_SECONDS: Final = 15.0  # what the standard recommends (WHATWG HTML 9.2.7)
_SAME_MOMENT_SECONDS: Final = 0.005
_BURST_PERIOD_SECONDS: Final = 0.5
_BACKLOG_SECONDS: Final = 0.5  # what comes so soon is what was published before
_SHORT_SECONDS: Final = 0.1
_TWO: Final = 2
_RETRY_MS: Final = range(100, 300_001)  # up to what a client of this library obeys


def about_time(heard: Heard) -> Iterator[Finding]:
    """Judge when bytes came."""
    yield _about_first_byte(heard)
    yield from _about_bursts(heard)
    yield from _about_heartbeats(heard)


def _about_first_byte(heard: Heard) -> Finding:
    if not heard.deliveries:
        return Finding(Kind.SILENCE, f"not a byte in {heard.listened:.1f} s")
    first = heard.deliveries[0].began
    slow = first - heard.headers_after > _SLOW_SECONDS
    kind = Kind.SLOW_FIRST_BYTE if slow else Kind.FIRST_BYTE_OK
    return Finding(kind, f"first byte after {first:.2f} s")


def _about_bursts(heard: Heard) -> Iterator[Finding]:
    """Look for several events at once, and again and again; a backlog comes only once."""
    with_events = [delivery for delivery in heard.deliveries if delivery.events]
    live = [each for each in with_events if each.began - heard.headers_after > _BACKLOG_SECONDS]
    if len(live) < _TWO:
        return
    size = median(delivery.events for delivery in live)
    period = median(after.began - before.ended for before, after in pairwise(live))
    if size >= _TWO and period >= _BURST_PERIOD_SECONDS:
        yield Finding(
            Kind.BURSTS, f"events come in bursts: {size:.0f} at once, every {period:.1f} s"
        )


def _about_heartbeats(heard: Heard) -> Iterator[Finding]:
    beats = heard.heartbeats
    if not beats and heard.listened >= _HEARTBEAT_SECONDS:
        yield Finding(Kind.NO_HEARTBEATS, f"no heartbeat in {heard.listened:.1f} s")
    elif not beats and heard.end is End.NOT_YET:
        text = f"no heartbeat in {heard.listened:.1f} s, which is too short to say much"
        yield Finding(Kind.HEARTBEATS_UNKNOWN, text)
    elif len(beats) == 1:
        yield Finding(Kind.ONE_HEARTBEAT, "one heartbeat")
    elif beats:
        yield _about_period(beats)


def _about_period(beats: list[float]) -> Finding:
    period = median(after - before for before, after in pairwise(beats))
    if period < _SAME_MOMENT_SECONDS:
        return Finding(Kind.HELD_HEARTBEATS, f"{len(beats)} heartbeats came at the same moment")
    fits = max(1, round(3 * period))
    text = f"heartbeats every {period:.{_digits(period)}f} s; an --idle-timeout of {fits} s fits"
    return Finding(Kind.HEARTBEATS_OK, text)


def _digits(seconds: float) -> int:
    return 1 if seconds >= _SHORT_SECONDS else 3


def about_ids(heard: Heard) -> Iterator[Finding]:
    """Judge the places that a client could go on from."""
    yield _about_count(heard)
    bad = [block.bad_id for block in heard.blocks if block.bad_id]
    if bad:
        text = f"an id cannot be sent back, or is ignored: {redact_text(bad[0])}"
        yield Finding(Kind.BAD_ID, text)
    yield from _about_sameness([event.id for event in heard.identified])


def _about_count(heard: Heard) -> Finding:
    events, with_id = len(heard.events), len(heard.identified)
    if not events:
        return Finding(Kind.NO_EVENTS, "no events came")
    if not with_id:
        return Finding(Kind.NO_IDS, f"0 of {events} events have an id")
    kind = Kind.IDS_OK if with_id == events else Kind.SOME_IDS
    return Finding(kind, f"{with_id} of {events} events have an id")


def _about_sameness(ids: list[str]) -> Iterator[Finding]:
    if not ids:
        return
    most, times = Counter(ids).most_common(1)[0]
    if times == len(ids) > 1:
        yield Finding(Kind.ONE_ID, f"all {times} events have the same id: {redact_text(most)}")
    elif times > 1:
        yield Finding(Kind.SHARED_IDS, f"{times} events share the id {redact_text(most)}")


def about_retry(heard: Heard) -> Iterator[Finding]:
    """Judge the time that clients are to wait."""
    values = [value for block in heard.blocks for value in block.retries]
    bad = [value for value in values if not (value.isascii() and value.isdigit())]
    if bad:
        yield Finding(Kind.BAD_RETRY, f"a retry field is no number: {redact_text(bad[0])}")
    if heard.retry is None:
        yield from () if bad else [Finding(Kind.NO_RETRY, "no retry field")]
        return
    text = f"retry field: clients are to wait {_time(heard.retry)}"
    if heard.retry < _RETRY_MS.start:
        yield Finding(Kind.RETRY_SHORT, text)
    else:
        long = heard.retry not in _RETRY_MS
        yield Finding(Kind.RETRY_LONG if long else Kind.RETRY_OK, text)


def _time(milliseconds: int) -> str:
    if milliseconds < _RETRY_MS.stop:
        return f"{milliseconds} ms"
    return f"{milliseconds} ms, that is {milliseconds / 3_600_000:.3g} hours"


def about_the_end(heard: Heard) -> Iterator[Finding]:
    """Judge how the stream ended, if it did."""
    if heard.end is End.CLEAN:
        yield Finding(Kind.ENDED, f"the stream ended after {heard.listened:.1f} s")
    elif heard.end is End.BROKEN:
        text = f"the stream broke off after {heard.listened:.1f} s ({heard.reason})"
        yield Finding(Kind.BROKE_OFF, text)
