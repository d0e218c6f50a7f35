"""The decoder's rules by name; the peers' bugs that must not come back are marked in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE, SSEDecoder
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable


def _decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def _data(*chunks: bytes) -> list[str]:
    return [event.data for event in _decode(*chunks)]


# Fields and blocks


def test_all_fields() -> None:
    """An event has its type, its data lines, its id and its retry time."""
    assert _decode(b"event: add\nid: 1\nretry: 10\ndata: a\ndata: b\n\n") == [
        ServerSentEvent(event="add", data="a\nb", id="1", retry=10)
    ]


def test_defaults() -> None:
    """An event without a type is a message, without an id it has the cursor, no retry time."""
    assert _decode(b"data: a\n\n") == [ServerSentEvent(data="a")]


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"data:a", "a"),
        (b"data: a", "a"),
        (b"data:  a", " a"),
        (b"data:\ta", "\ta"),
        (b"data:a:b", "a:b"),
        (b"data", ""),
        (b"data:", ""),
        (b"data: ", ""),
        (b"data\ndata", "\n"),
    ],
)
def test_at_most_one_space_is_removed(line: bytes, data: str) -> None:
    """The value starts behind the first colon and at most one space; no colon, no value."""
    assert _data(line + b"\n\n") == [data]
    assert _data(line + b"\n", b"\n") == [data]


@pytest.mark.parametrize("line", [b"Data: a", b" data: a", b"data : a", b"dat: a", b"\xff: a"])
def test_other_fields_are_ignored(line: bytes) -> None:
    """Field names are exact."""
    assert _data(line + b"\n\n", b"data: b\n\n") == ["b"]


def test_an_empty_type_is_message() -> None:
    """An empty event field names nothing; the last one of a block counts."""
    assert [event.event for event in _decode(b"event: x\nevent\ndata: a\n\n")] == ["message"]


def test_a_type_lasts_for_its_block_only() -> None:
    """The type of a block without data does not leak into the next one."""
    assert [event.event for event in _decode(b"event: x\n\ndata: a\n\n")] == ["message"]


def test_an_unfinished_block_is_no_event() -> None:
    """What the end of the stream cuts off is dropped, and moves no cursor."""
    decoder = SSEDecoder(last_event_id="1")
    assert decoder.feed(b"id: 2\ndata: a\n") == []
    assert decoder.last_event_id == "1"


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_cr_and_lf_end_lines(separator: str) -> None:
    """What str.splitlines() takes for a line ending is data."""
    assert _data(f"data: a{separator}b\n\n".encode()) == [f"a{separator}b"]


def test_bytearray_and_memoryview() -> None:
    """Any bytes-like chunk will do, and may be changed afterwards."""
    chunk = bytearray(b"data: a\n\ndata: ")
    decoder = SSEDecoder()
    assert [event.data for event in decoder.feed(chunk)] == ["a"]
    chunk[:] = b"?" * len(chunk)
    assert decoder.feed(memoryview(b"b")) == []
    assert [event.data for event in decoder.feed(memoryview(b"\n\n"))] == ["b"]


@pytest.mark.parametrize("chunk", [5, 13, "a", "\n", [97], [10], None])
@pytest.mark.parametrize("before", [b"", b"\n", b"data: x"])
def test_what_is_no_bytes_is_refused(before: bytes, chunk: Any) -> None:
    """Of any length, also where one byte takes a shorter way: bytes(5) would be five of them."""
    decoder = SSEDecoder()
    decoder.feed(before)
    with pytest.raises(TypeError):
        decoder.feed(chunk)
    assert [event.data for event in decoder.feed(b"\n\ndata: a\n\n")][-1] == "a"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_byte_at_a_time(kind: Callable[[bytes], bytes]) -> None:
    """Every kind of line ending and field, a byte order mark, and every type of chunk."""
    stream = b"\xef\xbb\xbfid: 1\r\ndata: a\r\rdata: b\n\n: c\nretry: 5\n\ndata:c\xc3\xa9\r\n\r\n"
    decoder = SSEDecoder()
    pieces = (kind(stream[at : at + 1]) for at in range(len(stream)))
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert [event.data for event in events] == ["a", "b", "cé"]
    assert (decoder.last_event_id, decoder.retry) == ("1", 5)


def test_content_type() -> None:
    """The decoder says what it decodes."""
    assert SSEDecoder.content_type == "text/event-stream"


# The cursor


def test_the_cursor_is_carried_into_events_without_an_id() -> None:
    """An event has the cursor in force: the one given, then the last id field's."""
    decoder = SSEDecoder(last_event_id="0")
    events = decoder.feed(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\n")
    assert [event.id for event in events] == ["0", "1", "1"]


def test_the_cursor_moves_at_the_blank_line() -> None:
    """Not before: an id counts once its block is whole."""
    decoder = SSEDecoder()
    decoder.feed(b"id: 1\n")
    assert decoder.last_event_id == ""
    decoder.feed(b"\n")
    assert decoder.last_event_id == "1"


def test_an_id_only_block_moves_the_cursor_as_launchdarkly_does_not() -> None:
    """It is no event but the next one has its id."""
    decoder = SSEDecoder()
    assert decoder.feed(b"id: 5\n\n") == []
    assert decoder.last_event_id == "5"
    assert [event.id for event in decoder.feed(b"data: a\n\n")] == ["5"]


def test_an_empty_id_resets_the_cursor() -> None:
    """As the standard says, so that nothing is sent when reconnecting."""
    decoder = SSEDecoder(last_event_id="1")
    assert [event.id for event in decoder.feed(b"id\ndata: a\n\n")] == [""]
    assert decoder.last_event_id == ""


def test_an_id_with_nul_is_ignored() -> None:
    """It could not be sent back in a header."""
    decoder = SSEDecoder(last_event_id="1")
    assert [event.id for event in decoder.feed(b"id: a\x00b\ndata: a\n\n")] == ["1"]
    runs = b"id: 2\ndata: a\n\nid: \x00\ndata: b\n\n"
    assert [event.id for event in decoder.feed(runs)] == ["2", "2"]


def test_own_ids() -> None:
    """With a list to fill, the decoder tells which events had an id field of their own."""
    decoder = SSEDecoder(last_event_id="0")
    own_ids: list[bool] = []
    decoder.own_ids = own_ids
    decoder.feed(b"data: a\n\n")
    decoder.feed(b"id: 1\ndata: b\n\nid: 2\n\ndata: c\n\nid: \x00\ndata: d\n\nid\ndata: e\n\n")
    decoder.feed(b"data: f\n\n")
    assert own_ids == [False, True, False, False, True, False]


# The retry time


def test_retry_moves_as_soon_as_its_line_is_read() -> None:
    """Also in a block that never ends."""
    decoder = SSEDecoder()
    assert decoder.retry is None
    decoder.feed(b"data: a\nretry: 250")
    assert decoder.retry is None
    decoder.feed(b"\n")
    assert decoder.retry == 250


def test_retry_belongs_to_its_block() -> None:
    """The decoder keeps it, the next event does not."""
    decoder = SSEDecoder()
    events = decoder.feed(b"retry: 5\ndata: a\n\ndata: b\n\n")
    assert [event.retry for event in events] == [5, None]
    assert decoder.retry == 5


@pytest.mark.parametrize(
    "value", ["+5", "-5", "1_000", " 5", "5 ", "\u0665", "²", "5.0", "0x5", "", "five"]
)
def test_retry_takes_only_ascii_digits_as_no_peer_does(value: str) -> None:
    """What int() takes and the standard does not is ignored."""
    decoder = SSEDecoder()
    events = decoder.feed(f"retry: 7\nretry: {value}\ndata: a\n\n".encode())
    assert (decoder.retry, events[0].retry) == (7, 7)


@pytest.mark.parametrize("digits", ["0", "007", "12345678901234567890", "0" * 9000 + "5"])
def test_long_retry_times_are_exact(digits: str) -> None:
    """Twenty digits are kept, leading zeros do not count."""
    decoder = SSEDecoder()
    decoder.feed(f"retry: {digits}\n".encode())
    assert decoder.retry == int(digits.lstrip("0") or "0")


@pytest.mark.parametrize("count", [101, 5000, 100_000])
def test_absurd_retry_times_are_clamped(count: int) -> None:
    """No number of digits raises, and the result fits in a float."""
    decoder = SSEDecoder()
    decoder.feed(b"retry: " + b"9" * count + b"\n")
    assert decoder.retry == 10**100
    assert float(decoder.retry) > 0


# Comments


def test_comments() -> None:
    """Each comment is reported without its colon and one space, as soon as its line has ended."""
    comments: list[str] = []
    decoder = SSEDecoder(on_comment=comments.append)
    decoder.feed(b":a\n: b\n:  c\n:\ndata: x\n:d")
    assert comments == ["a", "b", " c", ""]
    assert decoder.feed(b"\n\n") == [ServerSentEvent(data="x")]
    assert comments == ["a", "b", " c", "", "d"]


def test_comments_in_whole_blocks() -> None:
    """Heartbeats before, between and inside of blocks are reported and change nothing."""
    comments: list[str] = []
    decoder = SSEDecoder(on_comment=comments.append)
    events = decoder.feed(b": 1\n\ndata: a\n: 2\ndata: b\n\n: 3\n\n")
    assert events == [ServerSentEvent(data="a\nb")]
    assert comments == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b": c\ndata: a\n\n: c\n\n", ["a"]),
        (b": c\n\n: c\n\ndata: a\n\n: c\n\n", ["a"]),
        (b": c\n\ndata: a: c\n\ndata: b\n\n", ["a: c", "b"]),
        (b": c\n\ndata: a\n: c\n\n", ["a"]),
    ],
)
def test_comments_nobody_listens_to(stream: bytes, data: list[str]) -> None:
    """Leaving heartbeats out takes nothing else with it."""
    assert _data(stream) == data


# What peers get wrong


@pytest.mark.parametrize("cut", range(5))
def test_byte_order_mark_does_not_lose_the_first_event_as_in_httpx_sse(cut: int) -> None:
    """Wherever the chunks cut it."""
    stream = b"\xef\xbb\xbfdata: a\n\n"
    assert _data(stream[:cut], stream[cut:]) == ["a"]
    assert _data(*(bytes([byte]) for byte in stream)) == ["a"]


def test_only_one_byte_order_mark_is_dropped() -> None:
    """A second one is part of the first line's field name; one in the data is data."""
    assert _data(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []
    assert _data(b"data: \xef\xbb\xbf\n\n") == ["\ufeff"]


@pytest.mark.parametrize("block", [b"event: ping\n\n", b"id: 5\n\n", b"retry: 100\n\n", b": c\n\n"])
def test_blocks_without_data_are_no_events_as_they_are_in_httpx_sse(block: bytes) -> None:
    """Neither whole nor in pieces."""
    assert _decode(block) == []
    assert _decode(*(bytes([byte]) for byte in block)) == []


def test_no_phantom_events_for_heartbeats_after_an_id_as_in_httpx_sse() -> None:
    """A comment is no event, whatever the cursor is."""
    assert _data(b"id: 1\ndata: a\n\n", b": ping\n\n", b": ping\n\n") == ["a"]


def test_an_event_is_due_at_the_second_cr_which_httpx_sse_holds_back() -> None:
    """The LF that may follow belongs to that CR and ends no line."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\r") == [ServerSentEvent(data="a")]
    assert decoder.feed(b"\ndata: b\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent(data="b")]


def test_crlf_in_two_chunks_is_one_ending() -> None:
    """With an empty chunk between them, too."""
    assert _data(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_unfinished_block_after_a_cr_is_not_emitted_as_in_httpx2() -> None:
    """Only `flush` would."""
    assert _data(b"data: a\r") == []


def test_the_body_is_utf_8_whatever_the_content_type_says() -> None:
    """Characters may be cut anywhere."""
    stream = "data: Grüße 你好 🎉\n\n".encode()
    for cut in range(len(stream)):
        assert _data(stream[:cut], stream[cut:]) == ["Grüße 你好 🎉"]


def test_a_bad_byte_does_not_kill_the_stream_as_in_openai() -> None:
    """It becomes U+FFFD; the rest of the line and the next events are untouched."""
    assert _data(b"data: a\xffb\n\ndata: \xe4\xbd\n\n", b"data: c\n\n") == [
        "a\ufffdb",
        "\ufffd",
        "c",
    ]


# Long lines, which are kept in pieces


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"data: %b\n", ServerSentEvent(data="x" * 10_000 + "\nend")),
        (b"event: e\ndata: %b\n", ServerSentEvent("e", "x" * 10_000 + "\nend")),
        (b"data:%b\n", ServerSentEvent(data="x" * 10_000 + "\nend")),
        (b"id: %b\n", ServerSentEvent(data="end", id="x" * 10_000)),
        (b": %b\n", ServerSentEvent(data="end")),
        (b"other: %b\n", ServerSentEvent(data="end")),
    ],
)
@pytest.mark.parametrize("size", [1000, 4096, 9999])
def test_long_lines(line: bytes, event: ServerSentEvent, size: int) -> None:
    """A line in many large chunks is read as one, whatever it is and what stands around it."""
    stream = b"data: a\n\n" + line % (b"x" * 10_000) + b"data: end\n\ndata: b\n\n"
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    b = ServerSentEvent(data="b", id=event.id)
    assert _decode(*chunks) == [ServerSentEvent(data="a"), event, b]


def test_long_lines_count() -> None:
    """The pieces of a long line count as any other bytes do."""
    stream = [b"data: ", b"x" * 5000, b"y" * 4999, b"\n"]
    exact = SSEDecoder(max_event_size=10_006)
    for chunk in [*stream, b"\n"]:
        exact.feed(chunk)
    with pytest.raises(EventTooLarge):
        _feed_all(SSEDecoder(max_event_size=10_005), stream)


# Flush


@pytest.mark.parametrize(
    "rest", [b"data: a", b"data:a\n", b"data: a\r", b"data: a\r\n", b": c\ndata:a"]
)
def test_flush_hands_out_the_unfinished_block(rest: bytes) -> None:
    """As if its last line and the block had ended; the second time there is nothing."""
    decoder = SSEDecoder()
    assert decoder.feed(b"id: 1\ndata: whole\n\nid: 2\n" + rest) == [
        ServerSentEvent(data="whole", id="1")
    ]
    assert decoder.last_event_id == "1"
    assert decoder.flush() == [ServerSentEvent(data="a", id="2")]
    assert decoder.last_event_id == "2"
    assert decoder.flush() == []


@pytest.mark.parametrize(
    "stream", [b"", b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\r\r", b": c"]
)
def test_flush_finds_nothing_where_nothing_is_left(stream: bytes) -> None:
    """Also before the first byte, behind which a byte order mark is still dropped."""
    decoder = SSEDecoder()
    events = decoder.feed(stream)
    assert decoder.flush() == []
    events += decoder.feed(b"data: b\n\n" if stream else b"\xef\xbb\xbfdata: b\n\n")
    assert events[-1].data == "b"


def test_flush_reports_a_comment_and_sets_the_retry_time() -> None:
    """A line counts as ended whatever it is."""
    comments: list[str] = []
    decoder = SSEDecoder(on_comment=comments.append)
    decoder.feed(b"retry: 5\n: bye")
    assert (decoder.flush(), comments, decoder.retry) == ([], ["bye"], 5)


def test_flush_of_bytes_that_are_no_byte_order_mark() -> None:
    """They are the beginning of a field that nobody knows."""
    decoder = SSEDecoder()
    assert decoder.feed(b"\xef\xbb") == decoder.flush() == []
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]


def test_flush_keeps_to_the_limit() -> None:
    """With its last line's ending the block may be too large; one that was raises again."""
    decoder = SSEDecoder(max_event_size=7)
    decoder.feed(b"data: a")
    with pytest.raises(EventTooLarge):
        decoder.flush()
    with pytest.raises(EventTooLarge):
        decoder.flush()
    enough = SSEDecoder(max_event_size=8)
    enough.feed(b"data: a")
    assert enough.flush() == [ServerSentEvent(data="a")]


# The size limit


def test_the_default_limit() -> None:
    """Sixteen megabytes, as documented."""
    assert DEFAULT_MAX_EVENT_SIZE == 16 * 1024 * 1024


@pytest.mark.parametrize(
    "block",
    [
        b"data: 4567890\n",
        b"data: 4567890\r\n",
        b": 34567890123\n",
        b"x\ny\nz\n:a\nid:4\n",
        "data: 你好!\n".encode(),
        b"data: \xff\xff\xff\xff\xff\xff\xff\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_what_counts(block: bytes, size: int) -> None:
    """All bytes of a block before its blank line, a line ending as one: here 14."""
    stream = block + block[-1:]
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    exact = SSEDecoder(max_event_size=14)
    for chunk in chunks:
        exact.feed(chunk)
    with pytest.raises(EventTooLarge, match="larger than 13 bytes"):
        _feed_all(SSEDecoder(max_event_size=13), chunks)


def _feed_all(decoder: SSEDecoder, chunks: list[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in [*chunks, b""] for event in decoder.feed(chunk)]


def test_nothing_before_a_large_block_is_lost() -> None:
    """The events of the same chunk are returned; whatever is fed next raises the error."""
    decoder = SSEDecoder(max_event_size=10)
    assert decoder.feed(b"data: a\n\ndata: 4567890\n\ndata: b\n\n") == [ServerSentEvent(data="a")]
    for chunk in (b"", b"data: c\n\n", b"\r"):
        with pytest.raises(EventTooLarge) as caught:
            decoder.feed(chunk)
        assert caught.value.limit == 10


def test_an_endless_line_is_found_while_it_comes() -> None:
    """Without waiting for its end, which may never come."""
    decoder = SSEDecoder(max_event_size=100)
    for _ in range(10):
        decoder.feed(b"x" * 10)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"x")


def test_endless_comments_are_found_which_httpx2_never_counts() -> None:
    """Comments without a blank line are one block."""
    decoder = SSEDecoder(max_event_size=100)
    for _ in range(14):
        decoder.feed(b": ping\n")
    with pytest.raises(EventTooLarge):
        decoder.feed(b": ping\n")


def test_heartbeats_do_not_add_up() -> None:
    """A blank line starts the count afresh."""
    decoder = SSEDecoder(max_event_size=10)
    for _ in range(100):
        assert decoder.feed(b": ping\n\n") == []


def test_a_long_stream_in_one_chunk_is_not_one_large_event() -> None:
    """The limit is for each block."""
    decoder = SSEDecoder(max_event_size=10)
    assert len(decoder.feed(b"data: a\n\n" * 1000)) == 1000


def test_a_half_byte_order_mark_does_not_count() -> None:
    """It is no part of a block."""
    decoder = SSEDecoder(max_event_size=8)
    assert _feed_all(decoder, [b"\xef", b"\xbb", b"\xbfdata: a\n\n"]) == [ServerSentEvent(data="a")]


def test_no_limit() -> None:
    """None turns the limit off."""
    decoder = SSEDecoder(max_event_size=None)
    decoder.feed(b"data: ")
    for _ in range(17):
        decoder.feed(b"x" * 1024 * 1024)
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 17 * 1024 * 1024
