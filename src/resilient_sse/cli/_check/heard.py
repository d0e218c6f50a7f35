"""What one connection told, and when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse._http.response import essence
from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.cli._check.blocks import BlockReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cli._check.blocks import Block

__all__ = ["Cut", "Delivery", "Ear", "End", "Heard"]

_SAME_DELIVERY_SECONDS: Final = 0.05
_MOST_EVENTS: Final = 1000  # that are compared; a firehose has more
_MOST_BLOCKS: Final = 10_000
_START_BYTES: Final = 500


class Cut(Enum):
    """Where a delivery ends."""

    BLOCK = auto()  # behind a blank line, or before anything that matters
    LINE = auto()  # behind a line of data, or what may be meant as such, without a blank one
    MIDDLE = auto()  # inside a line


class End(Enum):
    """How the body ended."""

    NOT_YET = auto()  # this side stopped listening
    CLEAN = auto()
    BROKEN = auto()
    UNDECODABLE = auto()
    TOO_LARGE = auto()


@dataclass
class Delivery:
    """Bytes that came in a row.

    Attributes:
        began: When the first came, in seconds since the request.
        ended: When the last came.
        starts_with_line_end: Whether the first byte ends a line.
        events: How many events they finished.
        cut: Where they end.
    """

    began: float
    ended: float
    starts_with_line_end: bool
    events: int = 0
    cut: Cut = Cut.BLOCK


@dataclass(kw_only=True)
class Heard:
    """What a connection told. Times are seconds since the request was begun.

    Attributes:
        status: The HTTP status.
        headers: The response's headers.
        headers_after: When the headers were there.
        dialect: How it is read.
        url: Where redirects led, redacted; "" if there were none.
        refusal: Why a client does not read this, if status and content type do not say it.
        excerpt: The beginning of the body, if it is no stream.
        start: The first bytes of the stream.
        events: The first events, in order.
        count: How many there were in all.
        blocks: The first blocks, those without an event too.
        rest: The block that was not finished.
        heartbeats: When each comment came, or block without an event (nchan's ``event: ping``).
        retry: The last ``retry`` field, in milliseconds.
        deliveries: The bytes, as they came.
        listened: How long, all in all.
        end: How the body ended.
        reason: Why, if it broke off.
        verdicts: What the events mean, counted, where a dialect was named.
        said_by_error: The first error that such a dialect finds among them.
    """

    status: int
    headers: Mapping[str, str]
    headers_after: float
    dialect: Dialect = field(default_factory=Dialect)
    url: str = ""
    refusal: str = ""
    excerpt: str = ""
    start: bytes = b""
    events: list[ServerSentEvent] = field(default_factory=list["ServerSentEvent"])
    identified: list[ServerSentEvent] = field(default_factory=list["ServerSentEvent"])
    count: int = 0
    blocks: list[Block] = field(default_factory=list["Block"])
    rest: str = ""
    heartbeats: list[float] = field(default_factory=list[float])
    retry: int | None = None
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    listened: float = 0.0
    end: End = End.NOT_YET
    reason: str = ""
    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    said_by_error: str = ""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return essence(self.headers.get("content-type", ""))

    @property
    def is_stream(self) -> bool:
        """Whether there are events to be had."""
        return self.is_answer and self.is_right_type and not self.refusal

    @property
    def is_answer(self) -> bool:
        """Whether the status is one that a stream has."""
        return self.status in self.dialect.statuses

    @property
    def is_right_type(self) -> bool:
        """Whether the content type is one that a stream has."""
        types = self.dialect.content_types
        return types is None or self.content_type in types


class Ear:
    """Takes in the body of one response.

    Args:
        heard: Where it writes down what it hears.
        last_event_id: The cursor that was sent.
    """

    def __init__(self, heard: Heard, last_event_id: str) -> None:
        self._heard = heard
        self._decoder = SSEDecoder(last_event_id=last_event_id)
        self._reader = BlockReader()

    def take(self, chunk: bytes, now: float) -> None:
        """Take the next bytes.

        Raises:
            EventTooLarge: If a block is larger than clients take.
        """
        heard = self._heard
        self.begin(chunk)
        events = self._decoder.feed(chunk)
        before = self._reader.block.comments
        blocks = self._reader.feed(chunk)
        self._take_heartbeats(blocks, before, now)
        self._take_events(events, [block for block in blocks if block.has_data])
        heard.blocks += blocks[: _MOST_BLOCKS - len(heard.blocks)]
        heard.retry = self._decoder.retry
        heard.rest = self._reader.rest
        self.take_delivery(chunk, len(events), now)

    def begin(self, chunk: bytes) -> None:
        """Keep the first bytes."""
        self._heard.start += chunk[: _START_BYTES - len(self._heard.start)]

    def finish(self, now: float) -> None:
        """Hear that the body ended cleanly, which leaves nothing by the standard."""

    def _take_heartbeats(self, blocks: list[Block], before: int, now: float) -> None:
        comments = sum(block.comments for block in (*blocks, self._reader.block)) - before
        beats = sum(block.is_beat for block in blocks)
        self._heard.heartbeats += [now] * (comments + beats)

    def _take_events(self, events: list[ServerSentEvent], blocks: list[Block]) -> None:
        heard = self._heard
        heard.count += len(events)
        for event, block in zip(events, blocks, strict=False):
            self.keep(event, identified=bool(block.id))

    def keep(self, event: ServerSentEvent, *, identified: bool) -> None:
        """Keep an event to compare, if there is room."""
        if len(self._heard.events) < _MOST_EVENTS:
            self._heard.events.append(event)
            if identified:
                self._heard.identified.append(event)

    def take_delivery(self, chunk: bytes, events: int, now: float) -> None:
        """Note when bytes came, and how many events they finished."""
        deliveries = self._heard.deliveries
        if not deliveries or now - deliveries[-1].ended > _SAME_DELIVERY_SECONDS:
            deliveries.append(Delivery(now, now, chunk[:1] in (b"\r", b"\n")))
        delivery = deliveries[-1]
        delivery.ended = now
        delivery.events += events
        delivery.cut = self._cut()

    def _cut(self) -> Cut:
        if self._reader.inside_line:
            return Cut.MIDDLE
        block = self._reader.block
        return Cut.LINE if block.has_data or block.unknown else Cut.BLOCK
