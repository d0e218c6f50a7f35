"""Framings: what of the bytes of a connection is the body, compared with h11's reading."""

from __future__ import annotations

import re
from itertools import pairwise

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_sse.transports._framing import Framing, framing_of

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = [(b"transfer-encoding", b"chunked")]
# A last chunk with a line behind it that is not blank.
TRAILER = re.compile(rb"(?:^|\r\n)0+[ ]*(?:;[^\r\n]*)?\r\n[^\r\n]")


def _read(framing: Framing, pieces: list[bytes]) -> bytes:
    received = b""
    for piece in pieces:
        if framing.open:
            received += framing.feed(piece)
    return received


def _h11(stream: bytes) -> tuple[bytes, bool]:
    """What h11 makes of a chunked body: its bytes, and whether it is complete."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(HEAD + stream)
    http.receive_data(b"")
    received = b""
    try:
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            received += bytes(event.data) if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return received, False
    return received, True


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    return [*pieces, b""]


chunks = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([b"", b";a=b", b' ; x="y"'.strip(), b"  ", b";"]),
        st.sampled_from([b"%x", b"%X", b"00%x"]),
    ),
    max_size=5,
)
trailers = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"])
places = st.lists(st.integers(0, 500), max_size=12)


@given(chunks, trailers, places)
def test_chunks_are_joined_however_they_arrive(
    parts: list[tuple[bytes, bytes, bytes]], trailer: bytes, where: list[int]
) -> None:
    """Any cutting of any chunked body gives the payload, and a connection to use again."""
    stream = b"".join(
        size % len(data) + extension + b"\r\n" + data + b"\r\n" for data, extension, size in parts
    )
    stream += b"0\r\n" + trailer + b"\r\n"
    framing = framing_of(b"GET", 200, CHUNKED)
    body = b"".join(data for data, _, _ in parts)
    assert _read(framing, _cut(stream, where)) == body
    assert (framing.open, framing.error, framing.reusable) == (False, "", True)
    assert _h11(stream) == (body, True)


@example([b"0", b"\r\n", b"\n"], [])
@example([b"0", b"\r\n", b"5", b"\r\n", b"\r\n"], [])
@given(
    st.lists(st.sampled_from([b"\r\n", b"5", b"0", b"a", b"x", b";", b" ", b"\n"]), max_size=14),
    places,
)
def test_nonsense_is_refused_where_h11_refuses_it(words: list[bytes], where: list[int]) -> None:
    """Of a body that is perhaps none, the same bytes count and the same end is an error.

    But for trailers: they come after all events, and only h11 looks at what they say.
    """
    stream = b"".join(words)
    framing = framing_of(b"GET", 200, CHUNKED)
    received = _read(framing, _cut(stream, where))
    body, whole = _h11(stream)
    assert not framing.open
    assert received == body
    if not TRAILER.search(stream):
        assert (not framing.error) == whole
    elif whole:
        assert not framing.error


@pytest.mark.parametrize(
    ("stream", "body", "error"),
    [
        (b"5\r\nhello", b"hello", "incomplete chunked read"),
        (b"5\r\nhel", b"hel", "incomplete chunked read"),
        (b"5\r\nhelloXX", b"hello", "malformed chunk footer: b'XX'"),
        (b"5\r\nhello\r\nzzz\r\n", b"hello", "illegal chunk header: b'zzz"),
        (b"1" * 21 + b"\r\n", b"", "illegal chunk header"),
        (b"-2\r\n", b"", "illegal chunk header"),
        (b"+5\r\nhello\r\n", b"", "illegal chunk header"),
        (b"0x5\r\nhello\r\n", b"", "illegal chunk header"),
        (b"0_5\r\nhello\r\n", b"", "illegal chunk header"),
        (b"5;" + b"x" * 200_000, b"", "illegal chunk header"),
        (b"0\r\n" + b"x" * 200_000, b"", "the trailers are too long"),
        (b"0\r\nA: b\r\n", b"", "incomplete chunked read"),
    ],
)
def test_broken_chunks(stream: bytes, body: bytes, error: str) -> None:
    """What came before the mistake counts; the error says what was wrong."""
    framing = framing_of(b"GET", 200, CHUNKED)
    assert _read(framing, [stream, b""]) == body
    assert error in framing.error
    assert not framing.reusable


def test_a_chunk_behind_the_last_one() -> None:
    """It is no part of the body, also if it comes by itself."""
    framing = framing_of(b"GET", 200, CHUNKED)
    assert _read(framing, [b"2\r\nhi\r\n", b"0\r\n", b"5\r\nhello\r\n", b"\r\n"]) == b"hi"
    assert (framing.open, framing.reusable) == (False, False)
    assert "illegal" in framing.error


def test_length() -> None:
    """A body with a length ends there, and what follows spoils the connection."""
    framing = framing_of(b"GET", 200, [(b"content-length", b"5")])
    assert _read(framing, [b"he", b"llo"]) == b"hello"
    assert (framing.open, framing.error, framing.reusable) == (False, "", True)
    framing = framing_of(b"GET", 200, [(b"content-length", b"5")])
    assert _read(framing, [b"hello, you"]) == b"hello"
    assert (framing.open, framing.error, framing.reusable) == (False, "", False)


def test_too_short_for_its_length() -> None:
    """The end of the connection before the end of the body is an error."""
    framing = framing_of(b"GET", 200, [(b"content-length", b"5")])
    assert _read(framing, [b"hel", b""]) == b"hel"
    assert "received 3 bytes, expected 5" in framing.error


def test_until_closed() -> None:
    """Without chunks or a length the body ends with the connection."""
    framing = framing_of(b"GET", 200, [])
    assert _read(framing, [b"hel", b"lo", b""]) == b"hello"
    assert (framing.open, framing.error, framing.reusable) == (False, "", False)


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        (b"HEAD", 200, CHUNKED),
        (b"GET", 204, CHUNKED),
        (b"GET", 304, [(b"content-length", b"5")]),
        (b"GET", 101, []),
        (b"GET", 200, [(b"content-length", b"0")]),
    ],
)
def test_no_body(method: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Some messages have no body whatever their headers say."""
    framing = framing_of(method, status, headers)
    assert (framing.open, framing.error, framing.reusable) == (False, "", True)
    assert framing.feed(b"x") == b""
