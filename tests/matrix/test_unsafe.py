"""Requests that are not safe to repeat are not repeated by surprise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import UnsafeRetry
from resilient_sse.testing import Connection, Ending, event, no_answer

if TYPE_CHECKING:
    from tests.support.runners import World

ONE, TWO, PLAIN = event("one", id="1"), event("two", id="2"), event("token")


@pytest.mark.parametrize("method", ["POST", "PATCH", "post"])
@pytest.mark.parametrize(
    "broken",
    [Connection(status=500), no_answer(), Connection(PLAIN, ending=Ending.RESET), Connection()],
    ids=["status", "no answer", "cut", "end"],
)
def test_post_is_not_sent_twice(home: World, method: str, broken: Connection) -> None:
    """The server may have acted: the source gives up, and names the keyword."""
    got, error = home.give_up(broken, Connection(ONE), method=method, json={"q": 1})
    assert len(got.requests) == 1
    assert isinstance(error.__cause__, UnsafeRetry)
    assert error.failure.kind == "unsafe"
    assert error.__cause__.__cause__ is got.policy.failures[-1].error
    assert "retry_unsafe=True" in str(error)


def test_post_over_every_client(world: World) -> None:
    """The guard does not depend on the client's own exceptions."""
    got, error = world.give_up(no_answer(Ending.RESET), method="POST", content=b"x")
    assert len(got.requests) == 1
    assert error.failure.kind == "unsafe"


@pytest.mark.parametrize(
    "broken", [Connection(status=500), Connection(PLAIN)], ids=["status", "end"]
)
def test_post_that_may_be_repeated(world: World, broken: Connection) -> None:
    """``retry_unsafe=True`` sends the same body again."""
    got = world.run(broken, Connection(ONE), method="POST", json={"q": 1}, retry_unsafe=True)
    assert got.data[-1] == "one"
    assert [request.json() for request in got.requests] == [{"q": 1}] * 3


def test_post_that_can_be_resumed(world: World) -> None:
    """With a cursor the server can tell a resumption from a repetition."""
    got = world.run(Connection(ONE, ending=Ending.RESET), Connection(TWO), method="POST", json={})
    assert got.data == ["one", "two"]
    assert [request.last_event_id for request in got.requests] == ["", "1", "2"]


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_post_that_was_not_processed(home: World, status: int) -> None:
    """A status that says so makes repeating safe."""
    got = home.run(Connection(status=status), Connection(ONE), method="POST", json={})
    assert got.data == ["one"]


def test_post_that_was_never_sent(world: World) -> None:
    """A refused connection never carried the request."""
    server = world.serve(Connection(ONE))
    server.stop()

    def start(_failure: Any) -> float:
        if not server.requests:
            server.start()
        return 0.0

    reading = world.read(server, method="POST", json={}, waits=_once(start)).wait()
    assert reading.data == ["one"]
    assert reading.kinds[0] == "connect"


def _once(function: Any) -> Any:
    """A policy that calls a function at its first failure only."""
    calls: list[Any] = []

    def policy(failure: Any) -> float:
        calls.append(failure)
        return function(failure) if len(calls) == 1 else 0.0

    return policy


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "QUERY"])
def test_idempotent_methods(home: World, method: str) -> None:
    """Whatever has the same effect twice is simply sent again."""
    got = home.run(Connection(status=500), Connection(PLAIN), method=method)
    assert got.data == ["token"]


def test_form_and_text_bodies(world: World) -> None:
    """Bodies are sent in full on every attempt."""
    form = world.run(Connection(status=503), Connection(ONE), method="PUT", data={"a": "1"})
    assert [request.body for request in form.requests] == [b"a=1"] * 3
    text = world.run(Connection(status=503), Connection(ONE), method="PUT", content="grüße")
    assert [request.body.decode() for request in text.requests] == ["grüße"] * 3
