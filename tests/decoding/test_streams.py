"""`decode`, `adecode`, `decode_lines`: events from any source of bytes, and who closes it."""

from __future__ import annotations

import gc
import io
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import (
    EventTooLarge,
    ServerSentEvent,
    SSEDecoder,
    adecode,
    decode,
    decode_lines,
)
from resilient_sse.testing import Connection, Ending, Framing, ScriptedServer, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
    from typing import Self

STREAM = b"\xef\xbb\xbfid: 1\r\ndata: \xc3\xa9\r\n\r\nevent: b\ndata: 2\ndata: 3\n\ndata: cut off"
EVENTS = [
    ServerSentEvent(data="\u00e9", id="1"),
    ServerSentEvent(event="b", data="2\n3", id="1"),
]


class AsyncSource:
    """An asynchronous iterator of bytes that is no generator, as aiohttp's is."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)

    async def aclose(self) -> None:
        """Note that somebody closed it."""
        self.closed = True


async def collect(events: AsyncIterator[ServerSentEvent]) -> list[ServerSentEvent]:
    """Gather what is left of an iteration."""
    return [event async for event in events]


@given(st.integers(1, len(STREAM)))
def test_decode_yields_the_same_events_however_the_stream_is_cut(size: int) -> None:
    """Byte order mark, CR LF, UTF-8 and the unfinished block are the decoder's business."""
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert list(decode(chunks)) == EVENTS


def test_decode_reads_a_file() -> None:
    """A binary file is a byte source; it is the caller's and stays open."""
    with io.BytesIO(STREAM) as file:
        events = decode(file)

        assert next(events) == EVENTS[0]
        events.close()
        assert not file.closed


FRAMINGS = pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.CLOSE])


@FRAMINGS
def test_decode_reads_requests(framing: Framing) -> None:
    """Events come as they arrive, and leaving early leaves the response to its owner."""
    script = [Connection(event("one"), event("two"), ending=Ending.SILENCE, framing=framing)]
    with ScriptedServer(script) as server:
        with requests.get(server.url, stream=True, timeout=5) as response:
            read = partial(response.raw.read1, 65536, decode_content=True)
            events = decode(iter(read, b""))
            assert next(events) == ServerSentEvent(data="one")

            events.close()
            assert server.open_connections == 1
        server.wait_for_connections(0)


@FRAMINGS
def test_decode_reads_urllib3(framing: Framing) -> None:
    """Events come as they arrive, compressed or not."""
    script = [
        Connection(event("one"), event("two"), ending=Ending.SILENCE, framing=framing, gzip=gzip)
        for gzip in (False, True)
    ]
    with ScriptedServer(script) as server, urllib3.PoolManager() as pool:
        for _ in script:
            response = pool.request("GET", server.url, preload_content=False)
            events = decode(iter(partial(response.read1, 65536), b""))
            assert [next(events).data, next(events).data] == ["one", "two"]
            response.close()


def test_decode_closes_a_generator_when_it_is_left_early() -> None:
    """As ``yield from`` does: nobody else could go on with it."""
    closed: list[str] = []

    def chunks() -> Generator[bytes, None, None]:
        try:
            yield b"data: 1\n\ndata: 2\n\n"
        finally:
            closed.append("generator")

    with closing(decode(chunks())) as events:
        next(events)

    assert closed == ["generator"]


def test_decode_closes_no_other_iterator() -> None:
    """An iterator with a close method, such as a file or a response, is its owner's."""

    class Source:
        closed = False

        def __iter__(self) -> Self:
            return self

        def __next__(self) -> bytes:
            return b"data: x\n\n"

        def close(self) -> None:
            self.closed = True

    source = Source()
    with closing(decode(source)) as events:
        next(events)
    assert not source.closed

    source.close()  # its owner can
    assert source.closed


def test_decode_passes_the_source_s_error_on() -> None:
    """What the source raises is not wrapped, and the events before it are delivered."""

    def chunks() -> Generator[bytes, None, None]:
        yield b"data: 1\n\n"
        msg = "gone"
        raise ConnectionResetError(msg)

    events = decode(chunks())

    assert next(events).data == "1"
    with pytest.raises(ConnectionResetError, match="gone"):
        next(events)


def test_decode_takes_the_decoder_s_options() -> None:
    """The cursor to start from, and a decoder of one's own."""

    class Loud(SSEDecoder):
        def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
            return [event._replace(data=event.data.upper()) for event in super().feed(chunk)]

    events = list(decode([b"data: x\n\n"], last_event_id="7", decoder=Loud))

    assert events == [ServerSentEvent(data="X", id="7")]


def test_decode_bounds_an_event_that_ends_the_stream() -> None:
    """The events in front of the oversized block come first; then the error, not silence."""
    events = decode([b"data: 1\n\ndata: too large\n\n"], max_event_size=10)

    assert next(events).data == "1"
    with pytest.raises(EventTooLarge):
        next(events)


@pytest.mark.parametrize("call", [decode, decode_lines])
@pytest.mark.parametrize("data", [b"data: x\n\n", bytearray(b"data"), memoryview(b"d"), "data"])
def test_one_piece_is_refused(call: Callable[[Any], object], data: Any) -> None:
    """Text or bytes alone iterate letter by letter; the error says what to write."""
    with pytest.raises(TypeError, match=r"write decode\(\[data\]\)"):
        call(data)


@pytest.mark.anyio
async def test_text_is_no_bytes() -> None:
    """As of a file that was opened as text; the events before it are delivered."""
    mixed: Any = [b"data: 1\n\n", "data: 2\n\n"]
    events = decode(mixed)

    async def one_by_one() -> AsyncGenerator[Any, None]:
        for piece in mixed:
            yield piece

    assert next(events).data == "1"
    with pytest.raises(TypeError, match=r"expected chunks of bytes, got str; decode_lines\(\)"):
        next(events)
    with pytest.raises(TypeError, match=r"expected chunks of bytes, got str; decode_lines\(\)"):
        await collect(adecode(one_by_one()))


def test_bytes_are_no_text() -> None:
    """As ``iter_lines()`` of requests yields them."""
    lines: Any = [b"data: 1", b""]

    with pytest.raises(TypeError, match=r"expected lines of text, got bytes; decode\(\)"):
        list(decode_lines(lines))


@pytest.mark.anyio
async def test_a_decoder_s_own_error_is_not_explained() -> None:
    """What is wrong there is not the chunk."""

    class Broken(SSEDecoder):
        def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
            raise TypeError("of its own")

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    with pytest.raises(TypeError, match="of its own"):
        list(decode([b"data: 1\n\n"], decoder=Broken))
    with pytest.raises(TypeError, match="of its own"):
        await collect(adecode(chunks(), decoder=Broken))


@pytest.mark.parametrize(
    "lines",
    [
        ["id: 1", "data: a", "", "data: b", "data: c", ""],
        ["id: 1\n", "data: a\n", "\n", "data: b\n", "data: c\n", "\n"],
        ["id: 1\r\n", "data: a\r\n", "\r\n", "data: b\r\n", "data: c\r\n", "\r\n"],
        ["id: 1\r", "data: a\r", "\r", "data: b\r", "data: c\r", "\r"],
        ["id: 1\r", "data: a\r", "", "data: b", "data: c\r\r"],
        ["\ufeffid: 1\ndata: a\n", "", "data: b", "data: c\n\n"],
    ],
    ids=["none", "LF", "CRLF", "CR", "mixed", "several at once"],
)
def test_decode_lines_takes_lines_with_or_without_terminators(lines: list[str]) -> None:
    """As a list, a text file or ``requests`` give them."""
    assert list(decode_lines(lines)) == [
        ServerSentEvent(data="a", id="1"),
        ServerSentEvent(data="b\nc", id="1"),
    ]


def test_decode_lines_reads_a_text_file() -> None:
    """Text that is decoded already is a source too; the file stays open."""
    with io.StringIO("data: \u00e9\n\ndata: cut") as file:
        assert list(decode_lines(file, last_event_id="3")) == [
            ServerSentEvent(data="\u00e9", id="3")
        ]
        assert not file.closed


def test_decode_lines_replaces_what_is_no_text() -> None:
    """A lone surrogate, which no UTF-8 stream can hold, becomes U+FFFD and breaks nothing."""
    (received,) = decode_lines(["data: \udc80!", ""])

    assert set(received.data) == {"\ufffd", "!"}


def test_decode_lines_closes_a_generator_when_it_is_left_early() -> None:
    """The generator of lines unwinds with the iteration."""
    closed: list[str] = []

    def lines() -> Generator[str, None, None]:
        try:
            yield from ["data: 1", "", "data: 2", ""]
        finally:
            closed.append("generator")

    for _ in decode_lines(lines()):
        break
    gc.collect()

    assert closed == ["generator"]


def test_decode_lines_bounds_events() -> None:
    """The limit is in bytes of UTF-8."""
    with pytest.raises(EventTooLarge):
        list(decode_lines(["data: \u00e9\u00e9", ""], max_event_size=9))


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_adecode_yields_the_same_events_as_decode(size: int) -> None:
    """However the stream is cut."""
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert await collect(adecode(AsyncSource(*chunks))) == EVENTS


@pytest.mark.anyio
async def test_adecode_may_be_dropped() -> None:
    """It is no generator: neither trio nor asyncio has anything to say about it."""
    source = AsyncSource(b"data: 1\n\ndata: 2\n\n")
    async for received in adecode(source):
        assert received.data == "1"
        break
    gc.collect()

    assert not source.closed


@pytest.mark.anyio
async def test_adecode_closes_a_generator_when_it_is_closed() -> None:
    """``aclosing`` reaches the generator of chunks; iterating on ends at once."""
    closed: list[str] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\ndata: 2\n\n"
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append("generator")

    async with aclosing(adecode(chunks())) as events:
        assert (await anext(events)).data == "1"

    assert closed == ["generator"]
    assert await collect(events) == []


@pytest.mark.anyio
async def test_adecode_closes_no_other_iterator() -> None:
    """A response or a stream stays its owner's."""
    source = AsyncSource(b"data: 1\n\n")
    async with aclosing(adecode(source)) as events:
        await anext(events)
    assert not source.closed

    await source.aclose()  # its owner can
    assert source.closed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "chunks", [[b"data: 1\n\ndata: too large\n\n"], [b"data: 1\n\n", b"data: too large", b"\n\n"]]
)
async def test_adecode_bounds_events(chunks: Iterable[bytes]) -> None:
    """The events in front of the oversized block come first, also at the end of the stream."""
    closed: list[str] = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            for chunk in chunks:
                yield chunk
        finally:
            closed.append("generator")

    events = adecode(source(), max_event_size=10, last_event_id="5")

    assert await anext(events) == ServerSentEvent(data="1", id="5")
    with pytest.raises(EventTooLarge):
        await anext(events)
    assert closed == ["generator"]


@pytest.mark.anyio
async def test_adecode_survives_a_cancelled_read() -> None:
    """A timeout around one read loses nothing, if the source survives it."""
    source = AsyncSource(b"data: 1\n\n")
    events = adecode(source)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(events)

    assert await collect(events) == [ServerSentEvent(data="1")]
