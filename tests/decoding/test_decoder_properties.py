"""The decoder against the standard, on tens of thousands of generated streams.

One Hypothesis example is a string of bytes that is cut into many streams: each byte picks a word of
the grammar or a raw byte, so a failure shrinks to few and short streams.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resilient_sse._decoding import sse as _decoder
from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse.errors import EventTooLarge
from tests.support import reference_decoder
from tests.support.how_much import tries
from tests.support.reference_decoder import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from resilient_sse import ServerSentEvent

# Thousands of examples, all of which a busy machine may be slow at.
pytestmark = pytest.mark.timeout(300)

_WORDS = [
    b"",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"data: a\n\n",
    b"data: b\n",
    b"data: ",
    b"data",
    b"data:",
    b"event: e\n",
    b"event: e\ndata: d\n\n",
    b"event",
    b"event: \n",
    b"id: 1\n",
    b"id: 2\n\n",
    b"id\n",
    b"id: \x00\n",
    b"id: 3\nevent: f\ndata: {}\n\n",
    b"event: f\nid: 4\ndata: {}\n\n",
    b"data: x\nid: 5\n\n",
    b"data:x\nevent:e\n\n",
    b"event:e\nid:6\ndata:y\n\n",
    b"data:  two spaces\n",
    b"data:a\ndata: b\ndata\n\n",
    b"id:  \n",
    b": c\nid: 1\n: d\ndata: z\n\n",
    b"retry: 5\n",
    b"retry: 0x5\n",
    b"retry: +5\n",
    b"retry: \xd9\xa5\n",
    b"retry",
    b": ping\n\n",
    b":",
    b": ",
    b" ",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"\xe4\xbd\xa0",
    b"\xf0\x9f\x8e\x89",
    b"\xf0\x9f",
    b"\xed\xa0\x80",
    b"\xff",
    b"\xc2\x85\xe2\x80\xa8",
    b"other: x\n",
]
_TABLE = [*_WORDS * 6, *(bytes([byte]) for byte in range(16))]
_STREAMS, _PICKS = 50, 24
assert len(_TABLE) > 255, "every byte picks a word"

_LINES = [
    b"data: x\n",
    b"data:x\n",
    b"data:  x\n",
    b"event: e\n",
    b"event:e\n",
    b"event: \n",
    b"id: 7\n",
    b"id:7\n",
    b"id: \0\n",
    b": c\n",
    b":c\n",
    b": c\n\n",
    b"retry: 5\n",
]
_ODD = [
    b"",
    b"\n",
    b"data: odd\n\n",
    b"data:odd\n\n",
    b"data:  odd\n\n",
    b"data: o\ndata:p\n\n",
    b"event: o\n\n",
    b"id: o\n\n",
    b"id: o\ndata: p\n\n",
    b"data: o\nid:p\n\n",
    b": o\n\n",
    b"data: o\n: p\n\n",
]


def _streams(choices: bytes) -> Iterator[bytes]:
    """Make streams of words, and some of raw bytes."""
    for start in range(0, len(choices), _PICKS):
        picks = choices[start : start + _PICKS]
        yield picks if start % 11 == 1 else b"".join([_TABLE[pick] for pick in picks])


_CHOICES = st.binary(min_size=_STREAMS * _PICKS, max_size=_STREAMS * _PICKS)
_thorough = settings(
    max_examples=tries(420), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
_brief = settings(_thorough, max_examples=tries(60))


def _cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def _cut_anyhow(stream: bytes) -> list[bytes]:
    """Cut in pieces of all sizes, empty ones included; the stream itself is the seed."""
    dice = random.Random(stream)
    cuts = sorted(dice.randint(0, len(stream)) for _ in range(dice.randint(0, 8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def _run(
    chunks: Iterable[bytes], *, last_event_id: str = "", limit: int | None = None, own: bool = False
) -> Outcome:
    """Feed the chunks and write down all that can be seen."""
    comments: list[str] = []
    decoder = SSEDecoder(
        last_event_id=last_event_id, max_event_size=limit, on_comment=comments.append
    )
    out = Outcome(comments=comments)
    decoder.own_ids = out.own_ids if own else None
    try:
        for chunk in chunks:
            out.events += decoder.feed(chunk)
        out.events += decoder.feed(b"")
    except EventTooLarge:
        out.too_large = True
    out.last_event_id, out.retry = decoder.last_event_id, decoder.retry
    return out


def _run_quietly(chunks: Iterable[bytes], *, limit: int | None = None) -> list[ServerSentEvent]:
    """Feed the chunks to a decoder whose comments nobody listens to."""
    decoder = SSEDecoder(max_event_size=limit)
    events: list[ServerSentEvent] = []
    with suppress(EventTooLarge):
        for chunk in chunks:
            events += decoder.feed(chunk)
    return events


@_thorough
@given(_CHOICES)
def test_decodes_as_the_standard_says(choices: bytes) -> None:
    """Any cutting of any stream gives what the reference decoder gives (21,000 streams)."""
    for stream in _streams(choices):
        expected = reference_decoder.decode(stream, last_event_id="0")
        own_ids, expected.own_ids = expected.own_ids, []
        for chunks in ([stream], _cut_anyhow(stream)):
            assert _run(chunks, last_event_id="0") == expected
        expected.own_ids = own_ids
        assert _run(_cut_anyhow(stream), last_event_id="0", own=True) == expected


@_brief
@given(_CHOICES)
def test_every_chunk_size_gives_the_same(choices: bytes) -> None:
    """One byte at a time, two, three and so on: nothing that can be seen changes."""
    for stream in _streams(choices):
        expected = _run([stream])
        for size in (1, 2, 3, 5, 13):
            assert _run(_cut(stream, size)) == expected


@_brief
@given(
    _CHOICES,
    st.integers(1, 12),
    st.sampled_from([0, 20, 1024]),
    st.one_of(st.none(), st.integers(0, 60)),
)
def test_short_cuts_for_long_streams_do_the_same_in_short_ones(
    choices: bytes, large: int, short: int, limit: int | None
) -> None:
    """With the bounds lowered, all short cuts meet all words of the grammar."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decoder, "_MANY", 1)
        patch.setattr(_decoder, "_ENOUGH", 0)
        patch.setattr(_decoder, "_SHORT", short)
        patch.setattr(_decoder, "_LARGE", large)
        for stream in _streams(choices):
            expected = reference_decoder.decode(stream, limit=limit)
            for chunks in ([stream], _cut_anyhow(stream), _cut(stream, large)):
                assert _run(chunks, limit=limit, own=True) == expected
                assert _run_quietly(chunks, limit=limit) == expected.events


@_brief
@given(_CHOICES, st.integers(0, 30))
def test_the_limit_does_not_depend_on_chunks(choices: bytes, limit: int) -> None:
    """A block is too large or not however its bytes arrive, and nothing before it is lost."""
    for stream in _streams(choices):
        expected = reference_decoder.decode(stream, limit=limit)
        for chunks in ([stream], _cut_anyhow(stream), _cut(stream, 1), _cut(stream, 7)):
            assert _run(chunks, limit=limit, own=True) == expected


@settings(max_examples=300, deadline=None)
@example(b"\xed\xa0\x80\xf4\x90\x80\x80\xe0\x80\xaf")
@given(st.binary(max_size=40))
def test_bad_utf_8_is_replaced_as_in_browsers(payload: bytes) -> None:
    """Every bad sequence gives as many U+FFFD as the standard's UTF-8 decoder."""
    line = payload.replace(b"\r", b"").replace(b"\n", b"")
    (event,) = SSEDecoder().feed(b"data: " + line + b"\n\n")
    assert event.data == reference_decoder.utf_8_decode(line)


@_brief
@given(st.lists(st.sampled_from(_LINES), max_size=4))
@example([b"event: \n", b"data: x\n"])
@example([b"id: \0\n", b"data: x\n"])
@example([b"id: 7\n", b"event: e\n", b"data: x\n"])
@example([b"data: x: ping\n"])
def test_runs_of_one_shape_equal_the_reference(lines: list[bytes]) -> None:
    """Blocks that are all alike, which take the short cuts, decode as the standard says."""
    block = b"".join(lines) + b"\n"
    for odd in _ODD:
        count = 2048 // len(block)
        stream = block * count + odd + block * count
        expected = reference_decoder.decode(stream)
        own_ids, expected.own_ids = expected.own_ids, []
        assert _run([stream]) == expected
        assert _run(_cut(stream, 3500)) == expected
        assert _run_quietly([stream]) == expected.events
        assert _run_quietly([b": ping\n\n: ping\n\n" + stream + b": ping\n\n"]) == expected.events
        assert (
            _run([block] * 3 + [odd] + [block] * 3).events
            == reference_decoder.decode(block * 3 + odd + block * 3).events
        )
        expected.own_ids = own_ids
        assert _run([stream], own=True) == expected


@_brief
@given(_CHOICES, st.one_of(st.none(), st.integers(0, 60)))
def test_flush_ends_the_last_line_and_block(choices: bytes, limit: int | None) -> None:
    """It gives what a line ending and a blank line would have, however the stream was cut."""
    for stream in _streams(choices):
        if reference_decoder.BOM.startswith(stream):
            continue  # no byte of a stream
        ending = b"\n\n\n" if stream.endswith(b"\r") else b"\n\n"
        expected = reference_decoder.decode(stream + ending, limit=limit)
        for chunks in ([stream], _cut_anyhow(stream), _cut(stream, 1)):
            assert _run_and_flush(chunks, limit) == (expected.events, expected.too_large)


def _run_and_flush(chunks: list[bytes], limit: int | None) -> tuple[list[ServerSentEvent], bool]:
    decoder = SSEDecoder(max_event_size=limit)
    events: list[ServerSentEvent] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.flush()
        assert decoder.flush() == []
    except EventTooLarge:
        return events, True
    return events, False


def _peak(run: Callable[[], object]) -> int:
    """Measure the most memory that was in use at once while *run* ran."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_linear_in_one_line() -> None:
    """A 4 MB line in 64-byte chunks needs a small multiple of 4 MB."""

    def run() -> None:
        decoder = SSEDecoder()
        for _ in range(4 * 1024 * 1024 // 64):
            decoder.feed(b"x" * 64)
        decoder.feed(b"\n\n")

    assert _peak(run) < 16 * 1024 * 1024


def test_memory_does_not_grow_with_what_is_ignored() -> None:
    """Ten megabytes of comments and unknown fields leave nothing behind."""
    decoder = SSEDecoder(max_event_size=None)

    def run() -> None:
        for _ in range(10 * 1024):
            decoder.feed(b": " + b"c" * 500 + b"\nother: " + b"o" * 500 + b"\n")

    assert _peak(run) < 256 * 1024


def _seconds(chunks: list[bytes], *, tries: int = 3) -> float:
    """Measure the CPU time to decode the chunks: the best of three, without the collector's."""
    times: list[float] = []
    gc.disable()  # its time depends on all that lives in the process
    try:
        for _ in range(tries):
            decoder = SSEDecoder()
            start = time.process_time()
            for chunk in chunks:
                decoder.feed(chunk)
            times.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(times)


def _long_line(factor: int) -> list[bytes]:
    return [b"data: ", *[b"x" * 64] * (16_000 * factor), b"\n\n"]


def _lines_one_by_one(factor: int) -> list[bytes]:
    return [b"data: x\n"] * (10_000 * factor)


def _many_lines(factor: int) -> list[bytes]:
    return _cut(b"data: x\n" * (25_000 * factor) + b"\n", 64)


def _many_lines_at_once(factor: int) -> list[bytes]:
    return [b"data: x\n" * (100_000 * factor) + b"\n"]


def _many_blocks(factor: int) -> list[bytes]:
    return [b"data: x\n\n: c\n\n" * (25_000 * factor)]


@pytest.mark.timing
@pytest.mark.parametrize(
    "make",
    [
        _long_line,
        _lines_one_by_one,
        _many_lines,
        _many_lines_at_once,
        _many_blocks,
    ],
)
def test_time_is_linear(make: Callable[[int], list[bytes]]) -> None:
    """Four times the bytes take about four times as long: far from the sixteen of a quadratic."""
    assert _seconds(make(4)) < 10 * _seconds(make(1))


LINES = [
    *(b":", b": x", b"data: x", b"data", b"id: 1", b"id", b"event: a", b"retry: 1", b"retry: x"),
    *(b"other", b"", b"\xff"),
]


@pytest.mark.timing
def test_no_sequence_of_lines_takes_quadratic_time() -> None:
    """Whatever repeats: 64 KB of it take far less than the seconds of one that is read again."""
    three = random.Random(1).sample(list(product(LINES, repeat=3)), tries(100))
    two = random.Random(2).sample(pairs := list(product(LINES, repeat=2)), tries(len(pairs)))
    for sequence in [*product(LINES, repeat=1), *two, *three]:
        text = b"\n".join([*sequence, b""])
        assert _seconds([text * (2**16 // len(text))], tries=1) < 2, sequence
