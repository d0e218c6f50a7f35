"""Outages: what counts as progress, how they grow, and when the policy ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from resilient_sse import (
    Closed,
    Connecting,
    Disconnected,
    ExponentialBackoff,
    Failure,
    GaveUp,
    GiveUpError,
    RetryScheduled,
)
from resilient_sse.testing import Connection, Ending, comment, event, pause, refused, retry

if TYPE_CHECKING:
    from tests.support.runners import World

ONE = event("one", id="1")
FIVE = ExponentialBackoff(attempts=5, wait_jitter=0)
DROPS = {
    "end": Connection(),
    "heartbeat": Connection(comment("hi")),
    "retry": Connection(retry(0)),
    "reset": Connection(ending=Ending.RESET),
    "refused": refused(),
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
def test_accept_and_drop(home: World, drop: Connection) -> None:
    """A server that accepts and drops is one growing outage: the waits grow, the limit holds."""
    got, error = home.give_up(*[drop] * 20, policy=FIVE)
    assert got.delays == [1.0, 2.0, 4.0, 8.0, None]
    assert [failure.attempt for failure in error.failures] == [1, 2, 3, 4, 5]
    assert error.failure is error.failures[-1]
    assert error.__cause__ is error.failure.error
    assert "after 5 failures" in str(error)


def test_mixed_failures_are_one_outage(world: World) -> None:
    """Failures of all kinds count together until there is progress."""
    script = [
        refused(), Connection(), Connection(status=503), Connection(ending=Ending.RESET),
        Connection(ONE), Connection(),
    ]  # fmt: skip
    got = world.run(*script)
    assert [failure.attempt for failure in got.policy.failures] == [1, 2, 3, 4, 1, 2]
    assert got.delays == [1.0, 2.0, 4.0, 8.0, 1.0, 2.0]
    assert [failure.progress for failure in got.policy.failures] == [False] * 4 + [True, False]


def test_one_event_is_progress(home: World) -> None:
    """A stream that delivers one event per connection goes on for ever under any limit."""
    got = home.run(*[Connection(ONE)] * 30, policy=ExponentialBackoff(attempts=2, wait_jitter=0))
    assert len(got.data) == 30
    assert got.delays == [1.0] * 30


@pytest.mark.timing
def test_time_is_progress(home: World) -> None:
    """A quiet connection that held for ``reset_after`` seconds ends the outage, too."""
    held = Connection(pause(0.6), ending=Ending.RESET)
    script = [Connection(), held, Connection(), Connection(), held]
    got = home.run(*script, reset_after=0.3)
    assert [failure.attempt for failure in got.policy.failures] == [1, 1, 2, 3, 1]
    assert got.policy.failures[1].progress


def test_the_end_of_a_retry_budget(world: World) -> None:
    """Giving up tells the whole story: kinds, cursor, url; and the lifecycle ends with it."""
    got, error = world.give_up(Connection(ONE), *[Connection(status=503)] * 9, policy=FIVE)
    assert got.data == ["one"]
    assert [str(failure.kind) for failure in error.failures] == ["ended", *["status"] * 4]
    assert error.last_event_id == "1"
    assert got.recorder.names[-2:] == ["GaveUp", "Closed"]
    assert got.recorder.of(GaveUp)[0].failures == error.failures
    assert got.recorder.of(Closed)[0].reason == "gave up"
    assert len(got.requests) == 5


def test_timeout_of_an_outage(home: World) -> None:
    """The policy gives up when the next wait would end too late, before it waits."""
    policy = ExponentialBackoff(timeout=5, wait_jitter=0)
    got, error = home.give_up(*[Connection(status=503)] * 9, policy=policy)
    assert got.delays == [1.0, 2.0, None]  # after 3 s, as the next one takes 4
    assert error.failure.attempt == 3


def test_first_failure_can_be_the_last(world: World) -> None:
    """A policy that never retries turns the first failure into the end."""
    got, error = world.give_up(Connection(ONE), Connection(ONE), policy=lambda _failure: None)
    assert got.data == ["one"]
    assert len(error.failures) == 1


def test_what_a_policy_is_told(world: World) -> None:
    """A failure carries all facts."""
    got = world.run(
        Connection(retry(2000), ONE), Connection(status=429, headers={"Retry-After": "9"})
    )
    ended, refused_ = got.policy.failures
    assert ended.progress
    assert (ended.kind, ended.attempt, ended.server_retry, ended.last_event_id) == (
        "ended",
        1,
        2,
        "1",
    )
    assert (refused_.kind, refused_.attempt, refused_.status_code) == ("status", 2, 429)
    assert (refused_.retry_after, refused_.method, refused_.progress) == (9, "GET", False)
    assert refused_.outage_seconds >= ended.outage_seconds >= 0


def test_failures_are_bounded(home: World) -> None:
    """An outage of 130 failures is counted to its end; the newest 100 are kept."""

    def policy(failure: Failure) -> float | None:
        return 0.0 if failure.attempt < 130 else None

    server = home.serve(then=Connection(status=503))
    reading = home.read(server, waits=policy)
    reading.join()
    assert isinstance(reading.error, GiveUpError)
    assert [each.attempt for each in reading.error.failures] == list(range(31, 131))


def test_real_waits(home: World) -> None:
    """What the policy says is what is waited."""
    server = home.serve(Connection(status=503), Connection(ONE))
    home.read(server, waits=lambda _failure: 0.15).wait()
    first, second, _ = server.requests
    assert 0.15 <= second.time - first.time < 0.6


def test_lifecycle_of_a_hard_life(world: World) -> None:
    """Every attempt, connection and retry is told, in order, with the numbers that belong."""
    got = world.run(Connection(status=503), Connection(comment("hi"), ONE, ending=Ending.RESET))
    assert got.recorder.names == [
        "Connecting", "RetryScheduled",
        "Connecting", "Connected", "Comment", "Disconnected", "RetryScheduled",
        "Connecting", "Closed",
    ]  # fmt: skip
    assert [each.attempt for each in got.recorder.of(Connecting)] == [1, 2, 2]
    assert [each.last_event_id for each in got.recorder.of(Connecting)] == ["", "", "1"]
    end = got.recorder.of(Disconnected)[0]
    assert (end.events, end.bytes) == (1, len(comment("hi") + ONE))
    assert end.failure == got.recorder.of(RetryScheduled)[1].failure
    assert got.source.response is None
