"""httpx-sse's decoder in this library's shape."""

from __future__ import annotations

import importlib
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_sse import (
    EventTooLarge,
    ExponentialBackoff,
    ReconnectingEventSource,
    ServerSentEvent,
    SSEDecoder,
    SyncReconnectingEventSource,
)
from resilient_sse.contrib.httpx_sse import HttpxSSEDecoder
from resilient_sse.testing import Connection, InstantRetries, ScriptedServer, comment, event

TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=8)
FIELD = st.one_of(
    st.builds("data: {}".format, TEXT),
    st.builds("data:{}".format, TEXT),
    st.builds("event: {}".format, TEXT),
    st.builds("id: {}".format, TEXT),
    st.builds("retry: {}".format, st.integers(0, 10**6)),
    st.builds(":{}".format, TEXT),
    st.builds("x{}".format, TEXT),
)
# A block with data, for without any httpx-sse dispatches events that the standard knows nothing of.
BLOCK = st.lists(FIELD).flatmap(lambda fields: st.permutations([*fields, "data"]))


@st.composite
def chunked_streams(draw: st.DrawFn) -> list[bytes]:
    """Streams on which httpx-sse follows the standard, cut up in any way."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    blocks = draw(st.lists(BLOCK, max_size=4))
    lines = [line for block in blocks for line in [*block, ""]]
    # httpx-sse holds back what ends in a CR until it sees the next character.
    stream = ("".join(line + end for line in lines) + ":\n").encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    edges = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    return [stream[start:stop] for start, stop in edges]


@given(chunked_streams())
@example([b"data: \xc3", b"\xa9\r", b"\n\r\n:\r\n"])
def test_agrees_with_ours_where_httpx_sse_follows_the_standard(chunks: list[bytes]) -> None:
    """The same events, cursor, reconnection time and comments."""
    ours_said: list[str] = []
    theirs_said: list[str] = []
    ours = SSEDecoder(last_event_id="0", on_comment=ours_said.append)
    theirs = HttpxSSEDecoder(last_event_id="0", on_comment=theirs_said.append)

    expected = [event for chunk in chunks for event in ours.feed(chunk)]
    received = [event for chunk in chunks for event in theirs.feed(chunk)]

    assert received == expected
    assert (theirs.last_event_id, theirs.retry) == (ours.last_event_id, ours.retry)
    assert theirs_said == ours_said


def test_keeps_the_habits_of_httpx_sse() -> None:
    """What a program received before, it receives still: this is the point of it."""
    decoder = HttpxSSEDecoder()

    assert decoder.feed(b"\xef\xbb\xbfdata: lost\n\n") == []
    assert decoder.feed(b"event: ping\n\n") == [ServerSentEvent(event="ping")]
    assert decoder.feed(b"id: 5\n\n") == [ServerSentEvent(id="5")]
    assert decoder.feed(b": heartbeat\n\n") == [ServerSentEvent(id="5")]
    assert decoder.feed(b"retry: -1\n\n") == [ServerSentEvent(id="5", retry=-1)]
    assert (decoder.last_event_id, decoder.retry) == ("5", None)


def test_replaces_bad_bytes() -> None:
    """A bad byte becomes U+FFFD, also in a character that is cut in two."""
    decoder = HttpxSSEDecoder()

    assert decoder.feed(b"data: \xe2\x82") == []
    assert decoder.feed(b"\xac\xff\n\n") == [ServerSentEvent(data="\u20ac\ufffd")]


def test_clamps_the_retry_time() -> None:
    """A time that no float can hold does not break the source that reads it."""
    decoder = HttpxSSEDecoder()
    decoder.feed(b"retry: " + b"9" * 400 + b"\n\n")

    assert decoder.retry == 10**100


@given(st.integers(1, 30), st.sampled_from([b"\n", b"\r\n"]))
def test_bounds_a_block_however_it_is_cut(size: int, end: bytes) -> None:
    """Lines, comments and the unfinished line count, as in `SSEDecoder`; blocks before do not."""
    lines = [b"data: 1234", b"", b": \xc3\xa9", b"data: 1234", b"", b"data: 12345678901", b"", b""]
    stream = end.join(lines)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    decoder = HttpxSSEDecoder(max_event_size=17)
    received: list[str] = []

    def feed_all() -> None:
        for chunk in [*chunks, b""]:
            received.extend(event.data for event in decoder.feed(chunk))

    with pytest.raises(EventTooLarge):
        feed_all()
    assert received == ["1234", "1234"]
    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: more\n\n")


def test_bound_can_be_none() -> None:
    """Without a limit any block is read."""
    decoder = HttpxSSEDecoder(max_event_size=None)

    assert decoder.feed(b"data: " + b"x" * 1000 + b"\n\n") == [ServerSentEvent(data="x" * 1000)]


SCRIPT = [
    Connection(event("one", id="1"), comment("heartbeat")),
    Connection(event("two", id="2")),
]
RECEIVED = [("one", "1"), ("", "1"), ("two", "2")]


def test_reconnects_with_its_cursor() -> None:
    """What httpx-sse made of the stream, with reconnection around it."""
    with (
        ScriptedServer(SCRIPT) as server,
        SyncReconnectingEventSource(
            server.url, decoder=HttpxSSEDecoder, policy=InstantRetries(ExponentialBackoff())
        ) as source,
    ):
        received = [(event.data, event.id) for event in source]

    assert received == RECEIVED
    assert [request.last_event_id for request in server.requests] == ["", "1", "2"]


@pytest.mark.anyio
async def test_reconnects_with_its_cursor_async() -> None:
    """The same on asyncio and trio."""
    async with (
        ScriptedServer(SCRIPT) as server,
        ReconnectingEventSource(
            server.url, decoder=HttpxSSEDecoder, policy=InstantRetries(ExponentialBackoff())
        ) as source,
    ):
        received = [(event.data, event.id) async for event in source]

    assert received == RECEIVED
    assert [request.last_event_id for request in server.requests] == ["", "1", "2"]


def test_names_the_extra_when_httpx_sse_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "httpx_sse._decoders", None)
    monkeypatch.delitem(sys.modules, "resilient_sse.contrib.httpx_sse")

    with pytest.raises(ImportError, match=r'pip install "resilient-sse\[httpx-sse\]"'):
        importlib.import_module("resilient_sse.contrib.httpx_sse")
