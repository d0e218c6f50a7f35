"""``prepare_request``: fresh tokens, other requests, and what happens when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio.lowlevel import checkpoint

from resilient_sse import Attempt, ExponentialBackoff
from resilient_sse.testing import Connection, Ending, endless_headers, event, no_answer
from tests.support.runners import eventually

if TYPE_CHECKING:
    from resilient_sse.testing import RecordedRequest
    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")
REFRESHING = ExponentialBackoff(retry_statuses={401}, wait_jitter=0)


def _guarded(request: RecordedRequest) -> Connection:
    """Let in whoever brings the second token."""
    if request.headers.get("authorization") != "Bearer 2":
        return Connection(status=401)
    return Connection(ONE) if not request.last_event_id else Connection(status=204)


class _Tokens:
    """Brings a fresh token whenever the last answer was a 401."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._token = 1

    def __call__(self, request: Any, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if attempt.last_failure is not None and attempt.last_failure.status_code == 401:
            self._token += 1
        request.headers["Authorization"] = f"Bearer {self._token}"


def test_fresh_token(world: World) -> None:
    """A 401 is answered with a fresh token, and the consumer sees nothing of it."""
    tokens = _Tokens()
    server = world.serve(then=_guarded)
    reading = world.read(server, prepare_request=tokens, policy=REFRESHING).wait()
    assert reading.data == ["one"]
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer 1", "Bearer 2", "Bearer 2"]
    assert [attempt.number for attempt in tokens.attempts] == [1, 2, 2]
    assert [attempt.cursor for attempt in tokens.attempts] == ["", "", "1"]
    assert tokens.attempts[0].last_failure is None


def test_fresh_token_from_afar(loop: World) -> None:
    """In an event loop the token may be fetched by a coroutine function."""
    tokens = _Tokens()

    async def fetch(request: Any, attempt: Attempt) -> None:
        await checkpoint()
        tokens(request, attempt)

    server = loop.serve(then=_guarded)
    reading = loop.read(server, prepare_request=fetch, policy=REFRESHING).wait()
    assert reading.data == ["one"]


def test_coroutine_function_in_a_thread(thread: World) -> None:
    """The blocking source refuses what it cannot await, and says so."""

    async def fetch(_request: Any, _attempt: Attempt) -> None:
        await checkpoint()

    server = thread.serve(Connection(ONE))
    with pytest.raises(TypeError, match="plain functions"):
        thread.read(server, prepare_request=fetch).wait()
    assert server.requests == []


def test_without_a_fresh_token(home: World) -> None:
    """The default policy takes a 401 for final."""
    _, error = home.give_up(Connection(status=401))
    assert error.failure.status_code == 401


def test_another_request(world: World) -> None:
    """What it returns is sent instead of what it was given."""

    def other(request: Any, attempt: Attempt) -> Any:
        headers = {"accept": "text/event-stream", "last-event-id": attempt.cursor}
        return type(request)("GET", str(request.url).replace("events", "other"), headers=headers)

    got = world.run(Connection(ONE, ending=Ending.RESET), Connection(TWO), prepare_request=other)
    assert got.data == ["one", "two"]
    assert {request.path for request in got.requests} == {"/other"}
    assert [request.last_event_id for request in got.requests] == ["", "1", "2"]


def _fresh(request: Any, _attempt: Attempt) -> Any:
    """Make a request from nothing, as ``prepare_request``."""
    return type(request)("GET", str(request.url), headers={"accept": "text/event-stream"})


def test_time_limits_of_another_request(world: World) -> None:
    """They hold for what it returns, too."""
    script = [endless_headers(), Connection(ONE, ending=Ending.SILENCE)]
    limits: dict[str, Any] = {"connect_timeout": 0.6, "idle_timeout": 0.6}
    got = world.run(*script, prepare_request=_fresh, **limits)
    assert got.data == ["one"]
    assert got.kinds == ["timeout", "idle"]


def test_closing_during_another_request(world: World) -> None:
    """It ends at once, in threads as well."""
    server = world.serve(no_answer(Ending.SILENCE))
    reading = world.read(server, prepare_request=_fresh)
    eventually(lambda: server.requests)
    reading.close()
    reading.wait()
    server.wait_for_connections(0)


def test_another_method(home: World) -> None:
    """The method that counts is the one that is sent: a POST in disguise is not repeated."""

    def post(request: Any, _attempt: Attempt) -> Any:
        request.method = "POST"
        return request

    _, error = home.give_up(Connection(status=500), Connection(ONE), prepare_request=post)
    assert (error.failure.kind, error.failure.method) == ("unsafe", "POST")


def test_one_that_raises(world: World) -> None:
    """A bug in it is the caller's: it comes out as it is, at once, and is not retried."""

    def broken(_request: Any, _attempt: Attempt) -> None:
        raise LookupError("no token")

    server = world.serve(Connection(ONE))
    reading = world.read(server, prepare_request=broken)
    with pytest.raises(LookupError, match="no token"):
        reading.wait()
    assert server.requests == []
    assert reading.recorder.names == ["Connecting", "Closed"]


def test_one_that_raises_on_the_way(home: World) -> None:
    """The same on a later attempt: what was delivered stays delivered, then the bug comes out."""

    def broken(_request: Any, attempt: Attempt) -> None:
        if attempt.last_failure is not None:
            raise LookupError("no token")

    reading = home.read(home.serve(Connection(ONE)), prepare_request=broken)
    with pytest.raises(LookupError, match="no token"):
        reading.wait()
    assert reading.data == ["one"]
    assert reading.recorder.names[-3:] == ["RetryScheduled", "Connecting", "Closed"]


def test_one_that_cannot_reach_the_token_server(home: World) -> None:
    """An HTTP client's exception out of it is a failure of the attempt: it is tried again."""
    calls: list[Attempt] = []

    def flaky(_request: Any, attempt: Attempt) -> None:
        calls.append(attempt)
        if len(calls) == 1:
            raise httpx.ConnectError("token server down")

    got = home.run(Connection(ONE), prepare_request=flaky)
    assert got.data == ["one"]
    assert got.kinds == ["connect", "ended"]


def _token_server_says(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://tokens.invalid/")
    response = httpx.Response(status, request=request)
    return httpx.HTTPStatusError(str(status), request=request, response=response)


@pytest.mark.parametrize("on_gap", ["continue", "give up"])
def test_a_status_of_the_token_server_is_no_answer_to_the_cursor(home: World, on_gap: str) -> None:
    """It gives up on a 404 of that server, and takes it for no gap of the stream."""

    def refused(_request: Any, attempt: Attempt) -> None:
        if attempt.cursor:
            raise _token_server_says(404)

    got, error = home.give_up(Connection(ONE), prepare_request=refused, on_gap=on_gap)
    assert error.failure.status_code == 404
    assert error.last_event_id == "1"
    assert "GapDetected" not in got.recorder.names


def test_a_post_that_was_not_sent_may_be_tried_again(home: World) -> None:
    """The token server's time-out says nothing of what the stream's server did."""
    calls: list[Attempt] = []

    def slow(_request: Any, attempt: Attempt) -> None:
        calls.append(attempt)
        if len(calls) == 1:
            raise httpx.ReadTimeout("no token in time")

    got = home.run(Connection(ONE), prepare_request=slow, method="POST", content="x")
    assert got.data == ["one"]
    assert got.kinds == ["timeout", "ended"]
