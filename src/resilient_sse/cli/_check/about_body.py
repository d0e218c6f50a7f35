"""What the bytes of a stream are worth, whenever they came."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE
from resilient_sse._values.redact import redact_text
from resilient_sse.cli._check.blocks import FIELDS, JSON_STARTS
from resilient_sse.cli._check.findings import Finding, Kind
from resilient_sse.cli._check.heard import Cut, End

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.cli._check.heard import Delivery, Heard

__all__ = ["about_body", "what_else"]

_HELD_SECONDS: Final = 0.3
_TWICE: Final = 2
_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_FRAMES: Final = tuple(f"{name}:" for name in FIELDS)


def what_else(heard: Heard) -> Finding | None:
    """Say what the body is, if it is something else than events; the rest does not matter then."""
    if heard.count or heard.end in {End.TOO_LARGE, End.UNDECODABLE}:
        return None
    if heard.start.startswith(_GZIP):
        return Finding(Kind.UNDECODABLE, "the body is gzip, but no Content-Encoding says so")
    if heard.start.startswith(_UTF16) or heard.start[1:2] == b"\0":
        return Finding(Kind.NOT_UTF8, "the body is UTF-16")
    start = heard.start.decode("utf-8", "replace")
    over = heard.end is End.CLEAN
    return _document(heard, start, over=over) or (_nothing(heard, start) if over else None)


def _document(heard: Heard, start: str, *, over: bool) -> Finding | None:
    begins = start.lstrip("\ufeff \r\n\t")[:1]
    if begins == "<":
        return Finding(Kind.HTML, f"the body is HTML or XML: {redact_text(start)}")
    if begins in JSON_STARTS and (over or not heard.blocks):
        return Finding(Kind.JSON, f"the body is JSON: {redact_text(start)}")
    return None


def _nothing(heard: Heard, start: str) -> Finding | None:
    if not heard.start:
        return Finding(Kind.EMPTY_BODY, "the body ended without a byte")
    if heard.heartbeats or heard.rest or any(block.is_lost_event for block in heard.blocks):
        return None  # quiet, or what is wrong with it is said in its own place
    return Finding(Kind.NO_EVENT_IN_BODY, f"the body has no event; it begins: {redact_text(start)}")


def about_body(heard: Heard) -> Iterator[Finding]:
    """Judge the form of what came."""
    if heard.end is End.UNDECODABLE:
        coding = redact_text(heard.headers.get("content-encoding", ""))
        yield Finding(Kind.UNDECODABLE, f"the body is not {coding}, as its headers say")
    if heard.end is End.TOO_LARGE:
        size = f"{DEFAULT_MAX_EVENT_SIZE // 2**20} MiB"
        yield Finding(Kind.TOO_LARGE, f"an event is larger than {size}")
    yield from _about_fields(heard)
    yield from _about_blank_lines(heard)
    yield from _about_text(heard)
    yield from _about_data(heard)


def _about_fields(heard: Heard) -> Iterator[Finding]:
    lost = [block for block in heard.blocks if block.is_lost_event]
    if lost:
        text = f"{_counted(len(lost), 'block has', 'blocks have')} no data line and so no event"
        yield Finding(Kind.NO_DATA, f"{text}: {redact_text(lost[0].first_line)}")
    kept = (block for block in heard.blocks if not block.is_lost_event)
    names = Counter(name for block in kept for name in block.unknown)
    if names:
        listed = ", ".join(redact_text(name) for name, _ in names.most_common(3))
        lines = _counted(names.total(), "line has", "lines have")
        yield Finding(Kind.UNKNOWN_FIELDS, f"{lines} a field that clients do not know: {listed}")


def _about_blank_lines(heard: Heard) -> Iterator[Finding]:
    began = redact_text(heard.rest)
    unfinished = heard.deliveries and heard.deliveries[-1].cut is not Cut.BLOCK
    if heard.end is End.CLEAN and unfinished:
        yield Finding(Kind.UNFINISHED, f"the body ended before the blank line after: {began}")
    held = _held(heard)
    late = sum(cut is Cut.LINE for cut in held)
    if held and not heard.count:
        yield Finding(Kind.NO_BLANK_LINE, f"no blank line came after: {began}")
    elif late:
        text = f"{_counted(late, 'event', 'events')} came without the blank line after it"
        yield Finding(Kind.LATE_BLANK_LINE, f"{text}, which came late or not at all")
    elif len(held) >= _TWICE:
        text = f"{len(held)} times what came stopped in the middle of a line"
        yield Finding(Kind.CUT_BLOCKS, f"{text}: something collects bytes on the way")


def _held(heard: Heard) -> list[Cut]:
    """List where the deliveries end that are no whole blocks, if nothing came for a while then.

    Among events, a line that waits may be one of several that a server makes slowly, unless the
    next thing to come is the end of the block.
    """
    until = [delivery.began for delivery in heard.deliveries[1:]]
    follows: list[Delivery | None] = [*heard.deliveries[1:], None]
    if heard.end is End.NOT_YET:
        until.append(heard.listened)
    return [
        before.cut
        for before, after, then in zip(heard.deliveries, follows, until, strict=False)
        if before.cut is not Cut.BLOCK
        and then - before.ended >= _HELD_SECONDS
        and (_is_proof(before.cut, after) or not heard.count)
    ]


def _is_proof(cut: Cut, after: Delivery | None) -> bool:
    return cut is Cut.MIDDLE or after is None or after.starts_with_line_end


def _about_text(heard: Heard) -> Iterator[Finding]:
    wrong = [block.not_utf8 for block in heard.blocks if block.not_utf8]
    if wrong:
        blocks = _counted(len(wrong), "block is", "blocks are")
        yield Finding(Kind.NOT_UTF8, f"{blocks} not UTF-8: {redact_text(wrong[0])}")
    if any(block.replaced for block in heard.blocks):
        text = "U+FFFD stands in the text as it was sent: somebody has decoded it wrongly before"
        yield Finding(Kind.REPLACED, text)


def _about_data(heard: Heard) -> Iterator[Finding]:
    if heard.events and all(event.data.startswith(_FRAMES) for event in heard.events):
        text = f"the data begins as an event does: {redact_text(heard.events[0].data)}"
        yield Finding(Kind.WRAPPED_TWICE, text)
    errors = [event for event in heard.events if event.event == "error"]
    if errors:
        text = f"{_counted(len(errors), 'event has', 'events have')} the type error"
        yield Finding(Kind.ERROR_EVENT, f"{text}: {redact_text(errors[0].data)}")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
