"""Bodies of all kinds: compressed, old, endless; and ids and retry fields that mean harm."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import pytest

from resilient_sse import EventTooLarge, ExponentialBackoff, ServerRetry
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    Gate,
    comment,
    event,
    forever,
    pause,
    raw,
    retry,
)

if TYPE_CHECKING:
    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


def test_gzip(world: World) -> None:
    """A compressed stream is read as it comes, event by event, also when it breaks."""
    gate = Gate()
    server = world.serve(
        Connection(ONE, gate, raw("data: ha"), gzip=True, ending=Ending.RESET),
        Connection(TWO, gzip=True),
    )
    reading = world.read(server)
    reading.wait_for_events(1)
    gate.open()
    assert reading.wait().data == ["one", "two"]
    assert [request.last_event_id for request in server.requests] == ["", "1", "2"]


def test_gzip_that_is_none(world: World) -> None:
    """Bytes that do not decompress are a broken connection."""
    fake = Connection(raw("data: no gzip\n\n"), headers={"Content-Encoding": "gzip"})
    got = world.run(fake, Connection(ONE))
    got.policy.failures.clear()  # their tracebacks keep the generators
    gc.collect()
    assert got.data == ["one"]
    assert len(got.requests) == 3


def test_content_encoding_that_is_none(world: World) -> None:
    """``Content-Encoding: none``, which many servers send against compression, is no encoding."""
    got = world.run(Connection(ONE, headers={"Content-Encoding": "none"}))
    assert got.data == ["one"]


def test_http_1_0(world: World) -> None:
    """An old server's body ends with its connection, and is resumed like any other."""
    got = world.run(Connection(ONE, http_version="1.0"), Connection(TWO, http_version="1.0"))
    assert got.data == ["one", "two"]
    assert got.kinds == ["ended", "ended"]


def test_close_delimited_body(world: World) -> None:
    """The end of a body without a length looks clean, also in the middle of an event."""
    half = Connection(ONE, raw("id: 2\ndata: tw"), ending=Ending.CLOSE, framing=Framing.CLOSE)
    got = world.run(half, Connection(TWO))
    assert got.data == ["one", "two"]
    assert got.kinds == ["ended", "ended"]


def test_connection_that_is_used_again(world: World) -> None:
    """A server that keeps the connection alive gets the next request on it."""
    got = world.run(Connection(ONE, keep_alive=True), Connection(TWO, keep_alive=True))
    assert got.data == ["one", "two"]
    assert {request.connection for request in got.requests} == {1}


def test_live_events(world: World) -> None:
    """An event is delivered when its blank line is there, not when more bytes come."""
    gates = [Gate(), Gate()]
    server = world.serve(
        Connection(ONE, gates[0], TWO, gates[1], comment("bye"), ending=Ending.SILENCE)
    )
    reading = world.read(server)
    reading.wait_for_events(1)
    assert reading.source.response.status_code == 200
    assert reading.source.state == "open"
    gates[0].open()
    reading.wait_for_events(2)
    assert reading.source.last_event_id == "2"
    reading.close()
    assert reading.wait().data == ["one", "two"]
    assert reading.source.response is None


def test_endless_line(world: World) -> None:
    """One event above ``max_event_size`` ends the source: what came before it is delivered."""
    flood = Connection(ONE, raw("data: "), forever(raw("x" * 10_000)))
    got, error = world.give_up(flood, max_event_size=50_000)
    assert got.data == ["one"]
    assert isinstance(error.__cause__, EventTooLarge)
    assert error.__cause__.limit == 50_000
    assert (error.failure.kind, error.last_event_id) == ("too_large", "1")


def test_endless_comment(home: World) -> None:
    """A comment without end counts as well."""
    _, error = home.give_up(Connection(forever(raw(": x" * 1000))), max_event_size=50_000)
    assert error.failure.kind == "too_large"


def test_large_event(home: World) -> None:
    """An event of some megabytes arrives whole."""
    data = "x" * 3_000_000
    assert home.run(Connection(event(data))).data == [data]


def test_many_events(home: World) -> None:
    """Ten thousand events over several connections arrive once each, in order."""
    numbers = [str(number) for number in range(10_000)]
    parts = [numbers[start : start + 2500] for start in range(0, 10_000, 2500)]
    script = [
        Connection(raw(b"".join(event(number, id=number) for number in part)), ending=ending)
        for part, ending in zip(
            parts, [Ending.TRUNCATED, Ending.GARBAGE, Ending.CLEAN, Ending.CLOSE], strict=True
        )
    ]
    assert home.run(*script).data == numbers


@pytest.mark.timing
def test_heartbeats_against_the_idle_timeout(home: World) -> None:
    """Comments keep a quiet stream open, and no event is made of them."""
    beats = [step for _ in range(8) for step in (comment("beat"), pause(0.04))]
    got = home.run(Connection(*beats, ONE), idle_timeout=0.2)
    assert got.data == ["one"]
    assert got.kinds == ["ended"]
    assert got.recorder.names.count("Comment") == 8


@pytest.mark.timing
def test_without_an_idle_timeout(home: World) -> None:
    """None: silence is waited out for ever."""
    gate = Gate()
    server = home.serve(Connection(gate, ONE))
    reading = home.read(server, idle_timeout=None, connect_timeout=0.1)
    reading.wait_for_state("open")
    time.sleep(0.2)  # longer than the only other limit there is
    assert reading.source.state == "open"
    gate.open()
    assert reading.wait().data == ["one"]


# -- Ids -------------------------------------------------------------------------------------------


def test_id_in_another_script(world: World) -> None:
    """An id that is not ASCII goes back to the server as the same UTF-8 bytes."""
    got = world.run(Connection(event("one", id="ключ ✓ é")), Connection(TWO))
    assert got.data == ["one", "two"]
    sent = dict(got.requests[1].headers.raw)
    assert {name.lower(): value for name, value in sent.items()}[
        b"last-event-id"
    ].decode() == "ключ ✓ é"


@pytest.mark.parametrize("evil", ["a\tb", " ", "\x01", "\x7f", "x\x1b[31m"], ids=ascii)
def test_id_that_no_header_can_carry(world: World, evil: str) -> None:
    """It is delivered, and the resume is from the one before."""
    got = world.run(Connection(ONE, event("evil", id=evil)), Connection(TWO))
    assert [seen.id for seen in got.events] == ["1", evil, "2"]
    assert got.requests[1].last_event_id == "1"


def test_id_with_a_nul(home: World) -> None:
    """An id with a NUL is ignored, as the standard says."""
    got = home.run(Connection(ONE, event("nul", id="a\0b")), Connection(TWO))
    assert [seen.id for seen in got.events] == ["1", "1", "2"]


def test_very_long_id(world: World) -> None:
    """An id of a megabyte is delivered, and is not sent back to choke the server."""
    got = world.run(Connection(ONE, event("long", id="x" * 1_000_000)), Connection(TWO))
    assert len(got.events[1].id) == 1_000_000
    assert got.requests[1].last_event_id == "1"


def test_id_that_is_taken_back(home: World) -> None:
    """An empty id field resets the cursor: the next request carries none."""
    got = home.run(Connection(ONE, raw("id\ndata: x\n\n")), Connection(TWO))
    assert [request.last_event_id for request in got.requests] == ["", "", "2"]


def test_id_without_an_event(world: World) -> None:
    """An id-only block moves the cursor, and no event is made of it."""
    got = world.run(Connection(ONE, raw("id: 7\n\n"), ending=Ending.RESET), Connection(TWO))
    assert got.data == ["one", "two"]
    assert got.requests[1].last_event_id == "7"


def test_id_of_half_an_event(home: World) -> None:
    """The id of an event that broke off is not resumed from: the event would be lost."""
    got = home.run(Connection(ONE, raw("id: 2\ndata: two\n"), ending=Ending.RESET), Connection(TWO))
    assert got.data == ["one", "two"]
    assert got.requests[1].last_event_id == "1"


# -- The retry field -------------------------------------------------------------------------------


def test_retry_field(world: World) -> None:
    """The server's reconnection time is the least that is waited, on this and later outages."""
    got = world.run(Connection(retry(5000), ONE), Connection(TWO))
    assert got.delays == [5.0, 5.0]
    assert [failure.server_retry for failure in got.policy.failures] == [5.0, 5.0]


def test_retry_field_of_half_an_event(home: World) -> None:
    """It counts as soon as its line is there."""
    got = home.run(
        Connection(ONE, raw("retry: 4000\ndata: x"), ending=Ending.RESET), Connection(TWO)
    )
    assert got.delays[0] == 4.0


def test_retry_of_zero(home: World) -> None:
    """``retry: 0`` makes no busy loop: the policy's first wait stays."""
    got = home.run(Connection(retry(0), ONE), Connection(TWO))
    assert got.delays == [1.0, 1.0]


def test_retry_of_zero_under_the_browsers_rule(home: World) -> None:
    """There it means the default, and anything else what it says."""
    script = [Connection(retry(0), ONE), Connection(retry(1), TWO), Connection(status=204)]
    assert home.run(*script, policy=ServerRetry()).delays == [3.0, 0.001]


def test_short_retry_of_a_server_that_drops_at_once(home: World) -> None:
    """The browser's rule does not become a busy loop either."""
    script = [Connection(retry(1))] * 12
    delays = home.run(*script, policy=ServerRetry()).delays
    assert delays == [0.001] * 9 + [0.1] * 3


def test_huge_retry(home: World) -> None:
    """A server cannot send its clients away for ever, in as many digits as it likes."""
    got = home.run(Connection(raw(f"retry: {'9' * 5000}\n\n"), ONE), Connection(TWO))
    assert got.data == ["one", "two"]
    assert got.delays == [300.0, 300.0]


@pytest.mark.parametrize("value", ["+5000", "-5", "5.5", "5e3", " 5000", "\u0665", "soon"])
def test_retry_that_is_no_number(home: World, value: str) -> None:
    """Anything but ASCII digits is ignored."""
    got = home.run(
        Connection(raw(f"retry: {value}\n\n"), ONE), policy=ExponentialBackoff(wait_jitter=0)
    )
    assert got.delays == [1.0]
