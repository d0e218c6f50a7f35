"""Cuts: a stream is cut in two, and its source must make of it what the vendor's server allows.

Each dialect's stream is cut at the borders of its fields and at 50 other bytes that a seed draws;
with ``RESILIENT_SSE_EVERY_BYTE=1`` after every single byte, of which each runtime has a third. In a
brief run each runtime has a fifth of these places, of its own.
"""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from resilient_sse import GiveUpError, UnsafeRetry
from resilient_sse.testing import Connection, Ending, raw
from tests.dialects.streams import bytes_of, data_of
from tests.support.how_much import tries

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import Dialect
    from resilient_sse.testing import RecordedRequest
    from tests.dialects.streams import Block
    from tests.support.runners import Reading, World

__all__ = ["Case", "places", "survives"]

EVERY_BYTE = os.environ.get("RESILIENT_SSE_EVERY_BYTE") == "1"
_DRAWN = 50
_RUNTIMES = ("asyncio", "trio", "threads")
_ONCE_MORE = 2  # requests
# The ends of lines, and the colon behind the name of a field.
_BORDER = re.compile(rb"[\r\n]+|(?<=data): |(?<=event): |(?<=retry): |(?<=\nid): ")


class Case(NamedTuple):
    """A stream to be cut.

    Attributes:
        dialect: How it is read.
        stream: What is sent.
        content_type: And as what.
        method: What begins it.
        asked: Finds the cursor in a request; None where the vendor cannot resume.
        ends: Whether its last event ends it.
        path: Where it is begun, where that matters.
    """

    dialect: Dialect
    stream: list[Block]
    content_type: str = "text/event-stream"
    method: str = "POST"
    asked: Callable[[RecordedRequest], str] | None = None
    ends: bool = True
    path: str = "/events"


def places(body: bytes, seed: int = 15) -> list[int]:
    """Where a body is cut."""
    if EVERY_BYTE:
        return list(range(len(body) + 1))
    borders = {
        place for found in _BORDER.finditer(body) for place in range(found.start(), found.end() + 1)
    }
    drawn = random.Random(seed).choices(range(len(body)), k=_DRAWN)
    return sorted({0, len(body), *borders, *drawn})


class _Server:
    """Cuts the first connection of each life, and sends later ones what they ask for."""

    def __init__(self, world: World, case: Case) -> None:
        self.case = case
        self.body = bytes_of(case.stream)
        self.cut = 0
        self.requests: list[RecordedRequest] = []
        self.url = world.serve(then=self.answer).url.replace("/events", case.path)

    def answer(self, request: RecordedRequest) -> Connection:
        self.requests.append(request)
        headers = {"Content-Type": self.case.content_type}
        if len(self.requests) == 1:
            part = raw(self.body[: self.cut])
            return Connection(part, headers=headers, ending=Ending.TRUNCATED)
        rest = self.after(request)
        anew = self.case.asked is None and len(self.requests) > _ONCE_MORE
        if anew or not rest:
            return Connection(status=204)
        return Connection(raw(rest), headers=headers, keep_alive=True)

    def after(self, request: RecordedRequest) -> bytes:
        """What follows the cursor; without one all of it, as a GET that begins anew is sent."""
        cursor = self.case.asked(request) if self.case.asked else ""
        cursors = [block.cursor for block in self.case.stream]
        return bytes_of(self.case.stream[cursors.index(cursor) + 1 if cursor else 0 :])

    def arrived(self) -> list[Block]:
        """The blocks that were whole before the cut."""
        whole, end = list[Any](), 0
        for block in self.case.stream:
            end += len(block.sent)
            # The carriage return ends the line already.
            if end - block.sent.endswith(b"\r\n") <= self.cut:
                whole.append(block)
        return whole


def survives(world: World, case: Case) -> int:
    """Cut a stream wherever it is to be cut, and check each life; gives the number of cuts."""
    server = _Server(world, case)
    cuts = places(server.body)
    if EVERY_BYTE:
        cuts = [*cuts[_RUNTIMES.index(world.stack.runtime) :: 3], len(server.body)]
    else:
        drawn = random.Random(str(world.stack)).sample(cuts, tries(len(cuts)))
        cuts = sorted({*drawn, len(server.body)})  # the last life keeps no connection
    for server.cut in cuts:
        server.requests = []
        content: dict[str, Any] = {"json": {}} if case.method == "POST" else {}
        reading = world.read(server.url, dialect=case.dialect, method=case.method, **content)
        reading.join()
        world.readings.remove(reading)
        _check(reading, server)
    return len(cuts)


def _check(reading: Reading, server: _Server) -> None:
    case, arrived = server.case, server.arrived()
    methods = [request.method for request in server.requests]
    over = case.ends and arrived == case.stream
    resumable = case.asked is not None and any(block.cursor for block in arrived)
    if over or resumable or case.method == "GET":
        assert reading.error is None, (server.cut, reading.error)
        # Where there is no cursor at all, a GET begins anew.
        before = [] if over or resumable else data_of(arrived)
        assert reading.data == before + data_of(case.stream), server.cut
        assert methods == [case.method] + ["GET"] * (len(methods) - 1), server.cut
        assert over == (len(methods) == 1), server.cut
    else:
        assert reading.data == data_of(arrived), server.cut
        assert methods == ["POST"], server.cut
        assert isinstance(reading.error, GiveUpError), server.cut
        assert isinstance(reading.error.__cause__, UnsafeRetry), server.cut
