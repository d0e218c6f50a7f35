"""Newline-delimited JSON: what is an event, what is an error, and that chunks do not matter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_sse._decoding.ndjson import NDJSONDecoder, NDJSONError
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.errors import EventTooLarge

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


def _data(*chunks: bytes, limit: int | None = None) -> list[str]:
    decoder = NDJSONDecoder(max_event_size=limit)
    return [event.data for chunk in chunks for event in decoder.feed(chunk)]


def test_one_event_per_line() -> None:
    """The line's text is the data, the cursor is the id, everything else is a default."""
    decoder = NDJSONDecoder(last_event_id="7")
    assert decoder.feed(b'{"a": 1}\n[2]\n') == [
        ServerSentEvent(data='{"a": 1}', id="7"),
        ServerSentEvent(data="[2]", id="7"),
    ]
    assert (decoder.last_event_id, decoder.retry) == ("7", None)
    assert NDJSONDecoder.content_type == "application/x-ndjson"


def test_crlf_and_blank_lines() -> None:
    """CR LF ends a line as LF does; lines of only whitespace are no events."""
    assert _data(b"1\r\n\r\n \t \n\n2\r", b"\n") == ["1", "2"]


@pytest.mark.parametrize("cut", range(5))
def test_byte_order_mark_is_dropped(cut: int) -> None:
    """One leading byte order mark is dropped, also if it comes in pieces."""
    stream = b"\xef\xbb\xbf1\n2\n"
    assert _data(stream[:cut], stream[cut:], limit=1) == ["1", "2"]


def test_unfinished_line_is_no_event() -> None:
    """Without its ending nobody knows whether a number is whole."""
    decoder = NDJSONDecoder()
    assert decoder.feed(b"1\n2") == [ServerSentEvent(data="1")]
    assert decoder.feed(b"") == []


@pytest.mark.parametrize("rest", [b'{"a": 1}', b'{"a": 1}\r'])
def test_flush_hands_out_the_unfinished_line(rest: bytes) -> None:
    """As if it had ended; the second time, and where nothing is left, there is nothing."""
    decoder = NDJSONDecoder(last_event_id="7")
    assert decoder.flush() == []
    assert decoder.feed(b"1\n" + rest) == [ServerSentEvent(data="1", id="7")]
    assert decoder.flush() == [ServerSentEvent(data='{"a": 1}', id="7")]
    assert decoder.flush() == []
    with pytest.raises(NDJSONError, match="line 3 "):
        decoder.feed(b"oops\n")


def test_flush_of_a_line_that_was_cut_off() -> None:
    """It is not JSON, and every later call says so too."""
    decoder = NDJSONDecoder()
    assert decoder.feed(b'1\n{"a": ') == [ServerSentEvent(data="1")]
    for _ in range(2):
        with pytest.raises(NDJSONError, match="line 2 "):
            decoder.flush()


def test_flush_keeps_to_the_limit() -> None:
    """A line that was too long is not handed out."""
    decoder = NDJSONDecoder(max_event_size=2)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"123")
    with pytest.raises(EventTooLarge):
        decoder.flush()


def test_bad_utf_8_is_replaced() -> None:
    """A bad byte becomes U+FFFD and kills nothing."""
    assert _data(b'"\xff"\n') == ['"\ufffd"']


def test_bytearray_and_memoryview() -> None:
    """Any bytes-like chunk will do."""
    decoder = NDJSONDecoder()
    assert decoder.feed(bytearray(b"1\n")) == decoder.feed(memoryview(b"1\n"))


def test_numbers_of_any_length() -> None:
    """A number beyond Python's limit on digits is JSON like any other."""
    assert _data(b"1" * 5000 + b"\n") == ["1" * 5000]


def test_bad_line_says_which() -> None:
    """The error has the line's number, empty lines included, and every later call raises it."""
    decoder = NDJSONDecoder()
    assert len(decoder.feed(b"1\n\n2\n{bad\n3\n")) == 2
    for chunk in (b"", b"4\n"):
        with pytest.raises(
            NDJSONError, match=r"line 4 is not JSON: Expecting.* at column 2"
        ) as bad:
            decoder.feed(chunk)
        assert bad.value.line_number == 4


def test_bad_first_line_is_raised_at_once() -> None:
    """With no event before it, the error need not wait."""
    with pytest.raises(NDJSONError, match="line 1 is not JSON"):
        NDJSONDecoder().feed(b"oops\n1\n")


def test_bottomless_nesting_is_a_bad_line() -> None:
    """A line that would exhaust the parser's stack is reported like any other bad line."""
    with pytest.raises(NDJSONError, match="nested too deeply"):
        NDJSONDecoder().feed(b"[" * 200_000 + b"\n")


@pytest.mark.parametrize("size", [1, 2, 100])
def test_line_too_large(size: int) -> None:
    """The limit counts a line's bytes, however they come; nothing before it is lost."""
    stream = b'"abc"\n"abcd"\n1\n'
    decoder = NDJSONDecoder(max_event_size=5)
    events: list[ServerSentEvent] = []
    good, bad = stream[:6], stream[6:]
    for at in range(0, len(good), size):
        events += decoder.feed(good[at : at + size])
    assert events == [ServerSentEvent(data='"abc"')]
    with pytest.raises(EventTooLarge):
        [decoder.feed(bad[at : at + size]) for at in range(0, len(bad), size)]


def test_endless_line_is_found_while_it_comes() -> None:
    """A line that never ends is refused as soon as it is too long."""
    decoder = NDJSONDecoder(max_event_size=100)
    for _ in range(10):
        decoder.feed(b"x" * 10)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"x")


@settings(max_examples=200, deadline=None)
@given(st.lists(_JSON, max_size=5), st.integers(1, 40))
def test_any_json_in_any_chunks(values: list[object], size: int) -> None:
    """What was dumped line by line comes back, however it is cut."""
    stream = "".join(f"{json.dumps(v, ensure_ascii=False)}\n" for v in values)
    payload = stream.encode("utf-8", "replace")
    chunks = [payload[at : at + size] for at in range(0, len(payload), size)]
    assert _data(*chunks) == _data(payload) == payload.decode().split("\n")[:-1]
