"""What is delivered of what comes: ``until``, ``dedupe``, ``batches()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from resilient_sse import Closed, ExponentialBackoff
from resilient_sse.testing import Connection, Ending, HistoryServer, event, raw

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent
    from tests.support.runners import World

ONE, TWO, THREE = (event(name, id=str(n)) for n, name in enumerate(("one", "two", "three"), 1))
DONE = event("[DONE]")


def _done(event: ServerSentEvent) -> bool:
    return event.data == "[DONE]"


@pytest.mark.parametrize("batched", [False, True])
def test_until(world: World, batched: bool) -> None:
    """The event that fulfils it is the last one delivered, even if more came with it."""
    server = world.serve(Connection(raw(ONE + TWO + DONE + THREE), ending=Ending.SILENCE))
    reading = world.read(server, until=_done, batched=batched).wait()
    assert reading.data == ["one", "two", "[DONE]"]
    assert reading.source.last_event_id == "2"
    assert reading.recorder.of(Closed)[0].reason == "until"
    assert reading.recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]


def test_until_after_a_reconnection(world: World) -> None:
    """It looks at every event of every connection."""
    got = world.run(Connection(ONE, ending=Ending.RESET), Connection(DONE), until=_done)
    assert got.data == ["one", "[DONE]"]
    assert len(got.requests) == 2


def test_until_with_a_post(home: World) -> None:
    """An answer that was complete is not asked for again."""
    got = home.run(Connection(event("token"), DONE), method="POST", json={}, until=_done)
    assert got.data == ["token", "[DONE]"]
    assert len(got.requests) == 1


def test_until_that_raises(home: World) -> None:
    """A bug in it comes out of the iteration."""

    def broken(_event: ServerSentEvent) -> bool:
        raise LookupError("oops")

    reading = home.read(home.serve(Connection(ONE, ending=Ending.SILENCE)), until=broken)
    with pytest.raises(LookupError, match="oops"):
        reading.wait()


def test_batches(world: World) -> None:
    """What came in together comes out together, and the resume is the same."""
    server = world.serve(
        Connection(raw(ONE + TWO), ending=Ending.TRUNCATED), Connection(raw(THREE + DONE))
    )
    reading = world.read(server, batched=True).wait()
    assert [[each.data for each in batch] for batch in reading.batches] == [
        ["one", "two"],
        ["three", "[DONE]"],
    ]
    assert [request.last_event_id for request in server.requests] == ["", "2", "3"]


def test_batches_are_never_empty(home: World) -> None:
    """Comments and id-only blocks make no batch."""
    server = home.serve(Connection(raw(": x\n\n"), raw("id: 1\n\n"), raw(TWO)))
    assert [len(batch) for batch in home.read(server, batched=True).wait().batches] == [1]


def test_batches_of_a_history(home: World) -> None:
    """A backlog in batches over many connections is the history, once and in order."""
    server = HistoryServer(max_events_per_connection=7, ending=Ending.RESET)
    home.host(server)
    for number in range(50):
        server.publish(str(number))
    reading = home.read(server, batched=True, until=lambda event: event.data == "49").wait()
    assert reading.events == server.history


# -- dedupe ----------------------------------------------------------------------------------------


def test_inclusive_replay(world: World) -> None:
    """A server that sends the last event again is understood: the consumer sees it once."""
    got = world.run(Connection(ONE, TWO, ending=Ending.RESET), Connection(TWO, THREE), dedupe=10)
    assert got.data == ["one", "two", "three"]


def test_inclusive_replay_without_dedupe(home: World) -> None:
    """Without ``dedupe`` what the server sends is what the consumer gets."""
    got = home.run(Connection(ONE, TWO), Connection(TWO, THREE))
    assert got.data == ["one", "two", "two", "three"]


def test_replay_of_the_first_cursor(home: World) -> None:
    """The event that the first cursor names was delivered in an earlier life."""
    got = home.run(Connection(TWO, THREE), last_event_id="2", dedupe=1)
    assert got.data == ["three"]


@pytest.mark.parametrize("batched", [False, True])
def test_events_without_an_id_of_their_own(world: World, batched: bool) -> None:
    """An event that only inherits an id is no repetition, however often that id was seen."""
    plain = event("a") + event("b")
    server = world.serve(
        Connection(raw(ONE + plain), ending=Ending.RESET), Connection(raw(ONE + plain + TWO))
    )
    reading = world.read(server, dedupe=10, batched=batched).wait()
    assert reading.data == ["one", "a", "b", "a", "b", "two"]


def test_window_of_dedupe(home: World) -> None:
    """Only the last N ids delivered are remembered."""
    got = home.run(Connection(ONE, TWO, THREE), Connection(ONE, TWO, THREE), dedupe=2)
    assert got.data == ["one", "two", "three", "one", "two", "three"]


def test_dedupe_of_bytes_one_by_one(home: World) -> None:
    """How the bytes are cut up makes no difference."""
    got = home.run(
        Connection(ONE, event("x"), TWO, chunk_size=1),
        Connection(TWO, event("x"), THREE, chunk_size=1),
        dedupe=5,
    )
    assert got.data == ["one", "x", "two", "x", "three"]


def test_repetition_is_no_progress(home: World) -> None:
    """Connections that only repeat what is known let the outage grow until the policy gives up."""
    same = Connection(ONE, ending=Ending.RESET)
    got, error = home.give_up(*[same] * 9, dedupe=5, policy=ExponentialBackoff(attempts=3))
    assert got.data == ["one"]
    assert error.failure.attempt == 3
    assert len(got.requests) == 3


def test_cursor_of_a_dropped_event(home: World) -> None:
    """The cursor moves past an event that is dropped."""
    got = home.run(Connection(ONE, TWO), last_event_id="2", dedupe=5)
    assert got.data == ["one"]
    assert got.source.last_event_id == got.requests[1].last_event_id == "2"
