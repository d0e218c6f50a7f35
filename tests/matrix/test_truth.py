"""A server of numbered events fails in every way it can; the consumer sees each once, in order.

The twins are compared with each other elsewhere; here they are compared with the truth. A seed
draws the server, the dialect, and how the source is used.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from resilient_sse import Dialect, ReconnectingEventSource, SyncReconnectingEventSource, Verdict
from resilient_sse.dialects import resume_by_query
from resilient_sse.testing import Recorder, comment, event
from tests.support.consumers import RUNTIMES
from tests.support.how_much import tries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from resilient_sse import Failure, GapDetected, ServerSentEvent

pytestmark = pytest.mark.timeout(120)

VERDICTS = {
    "hello": Verdict.GREETING,
    "ping": Verdict.SKIP,
    "error": Verdict.FAILURE,
    "gap": Verdict.GAP,
    "bye": Verdict.LAST,
}


def judge(made: ServerSentEvent) -> Verdict:
    """Go by the event's type."""
    return VERDICTS.get(made.event, Verdict.DELIVER)


def position(made: ServerSentEvent, _cursor: str) -> str | None:
    """Find the number in the data."""
    return made.data if made.data.isdigit() else None


def from_where_it_was(gap: GapDetected) -> str:
    """Nothing was missed."""
    return gap.last_event_id


def at_once(_failure: Failure) -> float:
    """Try again."""
    return 0.0


class Store(dict[str, str]):
    """A cursor store."""

    def load(self, key: str) -> str | None:
        """Return what there is."""
        return self.get(key)

    def save(self, key: str, last_event_id: str) -> None:
        """Keep it."""
        self[key] = last_event_id


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes in pieces."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Life:
    """One server and one source of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.last = self.chance.randrange(5, 40)
        self.got: list[str] = []
        self.by_position = self.often(0.5)
        dedupe = self.chance.choice([0, 3, 50])
        # A server that repeats a little needs a source that knows it again.
        self.overlap = self.chance.choice([0, 2]) if dedupe else 0
        begins_anew = not self.overlap and self.often(0.5)
        self.in_batches, self.reconnects = self.often(0.4), self.often(0.2)
        self.options: dict[str, Any] = {
            "policy": at_once,
            "dedupe": dedupe,
            "dialect": self.dialect(),
            "hooks": [Recorder()] if self.often(0.5) else [],
            "on_gap": from_where_it_was if begins_anew else "continue",
        }
        self.acks = self.often(0.5)
        if self.acks or self.often(0.5):
            self.options |= {"cursor": Store(), "auto_ack": not self.acks}

    def often(self, share: float) -> bool:
        """Draw."""
        return self.chance.random() < share

    def dialect(self) -> Dialect:
        """Where the cursor is."""
        if self.by_position:
            return Dialect(judge=judge, position=position, resume=resume_by_query("after"))
        return Dialect(judge=judge)

    # -- The server ----------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Send what follows the cursor, more or less."""
        after = request.url.params.get("after") or request.headers.get("last-event-id") or "0"
        data = b"".join(self.blocks(max(0, int(after) - self.overlap) + 1))
        if self.often(0.2):
            data = data[: self.chance.randrange(len(data) + 1)]
        body = Body(data, self.chance.choice([1, 7, 50, 10**6]))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    def blocks(self, number: int) -> Iterator[bytes]:
        """Begin with this event, and at times have an error, of any id, in place of one."""
        if self.often(0.5):
            yield event("-", event="hello")
        while number <= self.last:
            if self.often(0.1):
                told = self.chance.choice([None, str(number), str(number - 1)])
                yield event("-", event="error", id=told)
                yield event(str(number + 7), id=str(number + 7)) if self.often(0.5) else b""
                return
            yield event("-", event="ping") if self.often(0.1) else b""
            yield event("-", event="gap") if self.often(0.03) else b""
            yield comment("beat") if self.often(0.1) else b""
            yield event(str(number), id=str(number))
            number += 1
            if self.often(0.03):
                return
        yield event("-", event="bye", id=str(self.last))

    # -- The consumer --------------------------------------------------------------------------

    def take(self, source: Any, item: Any) -> None:
        """Handle an event, or a batch of them."""
        for made in item if self.in_batches else [item]:
            if made.event == "message":
                self.got.append(made.data)
            if self.acks:
                source.ack(made)
            if self.reconnects and self.often(0.1):
                source.reconnect()

    def live(self) -> None:
        """Read it to its end in this thread."""
        with (
            httpx.Client(transport=httpx.MockTransport(self.answer)) as client,
            SyncReconnectingEventSource("http://h/e", client=client, **self.options) as source,
        ):
            for item in source.batches() if self.in_batches else source:
                self.take(source, item)

    async def alive(self) -> None:
        """Read it to its end in an event loop."""
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as client,
            ReconnectingEventSource("http://h/e", client=client, **self.options) as source,
        ):
            async for item in source.batches() if self.in_batches else source:
                self.take(source, item)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_event_once_in_order(runtime: str) -> None:
    """Whatever happens."""
    for seed in range(tries(300)):
        life = Life(seed)
        if runtime == "threads":
            life.live()
        else:
            anyio.run(life.alive, backend=runtime)
        assert life.got == [str(number) for number in range(1, life.last + 1)], seed
