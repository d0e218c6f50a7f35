"""stamina does the waiting, as its users know it: its hooks, its testing mode, its switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stamina
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from resilient_sse import GiveUpError, StatusError, StreamEnded
from resilient_sse.testing import Connection, Ending, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


@pytest.fixture
def details() -> Iterator[list[RetryDetails]]:
    """What a hook set by stamina's users is given."""
    before = get_on_retry_hooks()
    seen = list[RetryDetails]()

    def note(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([note])
    yield seen
    set_on_retry_hooks(before)


def test_hooks(home: World, details: list[RetryDetails]) -> None:
    """They see a useful name, the number within the outage's loop, the wait and the cause."""
    server = home.serve(Connection(ONE), Connection(status=503), Connection(TWO))
    waits = iter([0.01, 0.02, 0.0])
    reading = home.read(server, waits=lambda _failure: next(waits)).wait()
    assert reading.data == ["one", "two"]
    kind = type(reading.source).__name__
    assert {each.name for each in details} == {f"resilient_sse.{kind}.connect"}
    assert [each.retry_num for each in details] == [1, 2, 1]
    assert [each.wait_for for each in details] == pytest.approx([0.01, 0.02, 0.0])
    kinds = [StreamEnded, StatusError, StreamEnded]
    assert len(details) == len(kinds)
    assert all(isinstance(each.caused_by, kind) for each, kind in zip(details, kinds, strict=True))
    assert details[1].waited_so_far == pytest.approx(0.01)
    assert details[0].args == (server.url,)


def test_hooks_see_no_secrets(home: World, details: list[RetryDetails]) -> None:
    """The URL that they are shown is redacted."""
    server = home.serve(Connection(status=503))
    home.read(server.url.replace("://", "://me:hush@") + "?token=hush").wait()
    assert len(details) == 1
    assert "hush" not in repr(details)


@pytest.mark.usefixtures("details")
def test_testing_mode(home: World) -> None:
    """``set_testing(True)``: one attempt per loop, no waiting; the policy would have gone on."""
    with stamina.set_testing(True):
        server = home.serve(Connection(status=503), Connection(ONE))
        reading = home.read(server, waits=lambda _failure: 60.0)
        with pytest.raises(GiveUpError) as caught:
            reading.wait()
    assert len(caught.value.failures) == 1
    assert len(server.requests) == 1
    assert reading.recorder.names == ["Connecting", "GaveUp", "Closed"]


def test_testing_mode_with_a_stream_that_ends(home: World) -> None:
    """There the end of the stream is the loop's only attempt: the source gives up."""
    with stamina.set_testing(True):
        reading = home.read(
            home.serve(Connection(ONE), Connection(TWO)), waits=lambda _failure: 60.0
        )
        with pytest.raises(GiveUpError):
            reading.wait()
    assert reading.data == ["one"]
    assert reading.recorder.names[-3:] == ["Disconnected", "GaveUp", "Closed"]


def test_testing_mode_with_attempts(home: World) -> None:
    """``set_testing(True, attempts=3)``: three attempts per loop, without a wait."""
    with stamina.set_testing(True, attempts=3):
        script = [Connection(status=503), Connection(status=503), Connection(ONE)]
        server = home.serve(*script, *script)
        reading = home.read(server, waits=lambda _failure: 60.0)
        with pytest.raises(GiveUpError) as caught:
            reading.wait()
    assert reading.data == ["one"]
    assert [str(failure.kind) for failure in caught.value.failures] == ["ended", "status", "status"]
    assert reading.recorder.names[-3:] == ["Connecting", "GaveUp", "Closed"]


@pytest.mark.parametrize("ending", [Ending.CLEAN, Ending.RESET], ids=str)
def test_inactive(home: World, ending: Ending) -> None:
    """``set_active(False)``: nothing is retried, and the first failure is told as the end."""
    stamina.set_active(False)
    try:
        reading = home.read(home.serve(Connection(ONE, ending=ending), Connection(TWO)))
        with pytest.raises(GiveUpError) as caught:
            reading.wait()
    finally:
        stamina.set_active(True)
    assert reading.data == ["one"]
    assert len(caught.value.failures) == 1
    assert reading.recorder.names[-3:] == ["Disconnected", "GaveUp", "Closed"]
    assert "RetryScheduled" not in reading.recorder.names


def test_inactive_at_the_first_attempt(home: World) -> None:
    """The same when no stream was ever open."""
    stamina.set_active(False)
    try:
        _, error = home.give_up(Connection(status=503), Connection(ONE))
    finally:
        stamina.set_active(True)
    assert error.failure.status_code == 503


def test_inactive_without_failures(home: World) -> None:
    """A stream that does not fail is read as ever."""
    stamina.set_active(False)
    try:
        got = home.run(Connection(ONE), until=lambda event: event.data == "one")
    finally:
        stamina.set_active(True)
    assert got.data == ["one"]
