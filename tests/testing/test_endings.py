"""How each connection of a script looks to httpx: on sockets and in memory, in every world."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    ScriptedServer,
    ScriptedTransport,
    comment,
    endless_headers,
    event,
    forever,
    half_status_line,
    no_answer,
    pause,
    raw,
    redirect,
    refused,
)
from tests.support import both
from tests.support.both import of_the_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.support.both import Outcome

over_both_libraries = both.over_both_libraries

X = b"data: x\n\n"
PATIENCE = (5, 0.1, 5, 5)  # to connect, read, write and be given a connection
PROTOCOL = httpx.RemoteProtocolError

STORIES: dict[str, tuple[Connection, Outcome]] = {
    "clean": (Connection(event("x")), (200, X, None)),
    "close": (Connection(event("x"), ending=Ending.CLOSE), (200, X, None)),
    "truncated": (Connection(event("x"), ending=Ending.TRUNCATED), (200, X, PROTOCOL)),
    "mid chunk": (Connection(event("x"), ending=Ending.MID_CHUNK), (200, X, PROTOCOL)),
    "reset": (Connection(event("x"), ending=Ending.RESET), (200, X, httpx.ReadError)),
    "garbage": (Connection(event("x"), ending=Ending.GARBAGE), (200, X, PROTOCOL)),
    "silence": (Connection(event("x"), ending=Ending.SILENCE), (200, X, httpx.ReadTimeout)),
    "too few bytes": (
        Connection(event("x"), ending=Ending.TRUNCATED, framing=Framing.LENGTH),
        (200, X, PROTOCOL),
    ),
    "all bytes": (Connection(event("x"), framing=Framing.LENGTH), (200, X, None)),
    "http/1.0": (Connection(event("x"), http_version="1.0"), (200, X, None)),
    "gzip": (
        Connection(event("x"), comment("y"), gzip=True, chunk_size=3),
        (200, X + b": y\n\n", None),
    ),
    "gzip, cut off": (
        Connection(event("x"), gzip=True, ending=Ending.RESET),
        (200, X, httpx.ReadError),
    ),
    "byte by byte": (
        Connection(event("x"), raw(b"data: par"), chunk_size=1, ending=Ending.TRUNCATED),
        (200, X + b"data: par", PROTOCOL),
    ),
    "pauses": (
        Connection(event("x"), pause(0.01), event("x"), before_headers=0.01, after_headers=0.01),
        (200, X + X, None),
    ),
    "late headers": (Connection(before_headers=5), (0, b"", httpx.ReadTimeout)),
    "long pause": (Connection(event("x"), pause(5)), (200, X, httpx.ReadTimeout)),
    "status": (Connection(status=503, headers={"Retry-After": "2"}), (503, b"", None)),
    "redirect": (redirect("/there"), (307, b"", None)),
    "no answer": (no_answer(), (0, b"", PROTOCOL)),
    "no answer, reset": (no_answer(Ending.RESET), (0, b"", httpx.ReadError)),
    "no answer, silence": (no_answer(Ending.SILENCE), (0, b"", httpx.ReadTimeout)),
    "half a status line": (half_status_line(), (0, b"", PROTOCOL)),
    "half a status line, garbage": (half_status_line(Ending.GARBAGE), (0, b"", PROTOCOL)),
    "half a status line, silence": (
        half_status_line(Ending.SILENCE),
        (0, b"", httpx.ReadTimeout),
    ),
    "headers without end": (endless_headers(0), (0, b"", PROTOCOL)),
    "headers that drip, then stop": (
        Connection(
            raw(b"HTTP/1.1 200 OK\r\nA: b\r\n"),
            pause(0.01),
            raw(b"C: d"),
            framing=Framing.BARE,
            ending=Ending.RESET,
        ),
        (0, b"", httpx.ReadError),
    ),
}


@pytest.fixture(params=["server", "transport"])
def runner(request: pytest.FixtureRequest) -> Iterator[ScriptedServer | ScriptedTransport]:
    """Where the story is run: on sockets or in memory; the script is added by the test."""
    with ExitStack() as stack:
        if request.param == "server":
            yield stack.enter_context(ScriptedServer())
        else:
            yield ScriptedTransport()


def _url(runner: ScriptedServer | ScriptedTransport) -> str:
    return runner.url if isinstance(runner, ScriptedServer) else "http://memory/events"


def _transport(runner: ScriptedServer | ScriptedTransport) -> ScriptedTransport | None:
    return None if isinstance(runner, ScriptedServer) else runner


def _told(runner: ScriptedServer | ScriptedTransport) -> httpx.Client:
    return httpx.Client(transport=_transport(runner), timeout=PATIENCE, trust_env=False)


def _told_async(runner: ScriptedServer | ScriptedTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=_transport(runner), timeout=PATIENCE, trust_env=False)


@pytest.mark.parametrize("title", STORIES)
def test_blocking_clients_see_the_story(
    title: str, runner: ScriptedServer | ScriptedTransport, library: ModuleType
) -> None:
    """Status, bytes and exception are those of the story."""
    connection, expected = STORIES[title]
    runner.add(connection)
    status, body, error = 0, b"", None
    try:
        with _told(runner) as client, client.stream("GET", _url(runner)) as response:
            status = response.status_code
            for chunk in response.iter_bytes():
                body += chunk
    except httpx.TransportError as raised:
        error = type(raised)
    assert (status, body, error) == of_the_library(expected, library)


@pytest.mark.anyio
@pytest.mark.parametrize("title", STORIES)
async def test_async_clients_see_the_story(
    title: str, runner: ScriptedServer | ScriptedTransport, library: ModuleType
) -> None:
    """The same on asyncio and trio."""
    connection, expected = STORIES[title]
    runner.add(connection)
    status, body, error = 0, b"", None
    try:
        async with _told_async(runner) as client, client.stream("GET", _url(runner)) as response:
            status = response.status_code
            async for chunk in response.aiter_bytes():
                body += chunk
    except httpx.TransportError as raised:
        error = type(raised)
    assert (status, body, error) == of_the_library(expected, library)


@pytest.mark.timing
def test_refusals_are_errors_of_the_connection(runner: ScriptedServer | ScriptedTransport) -> None:
    """A refused client gets an error at once, and the next one is served."""
    runner.add(refused(), Connection(event("x")))
    with _told(runner) as client:
        # If the refusal is there before the request was written, httpcore goes on to read, in vain.
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
            client.get(_url(runner))
        assert client.get(_url(runner)).text == "data: x\n\n"


@pytest.mark.anyio
async def test_endless_things_end_when_the_client_is_cancelled(
    runner: ScriptedServer | ScriptedTransport,
) -> None:
    """Dripping headers and heartbeats never time out; cancelling works at once."""
    runner.add(endless_headers(0.001), Connection(forever(comment("ping"), pause(0.001))))
    async with _told_async(runner) as client:
        for _ in range(2):
            with anyio.move_on_after(0.05) as scope:
                await client.get(_url(runner))
            assert scope.cancelled_caught


def test_used_up_scripts_tell_clients_to_stop(runner: ScriptedServer | ScriptedTransport) -> None:
    """After the script the answer is 204."""
    with _told(runner) as client:
        assert [client.get(_url(runner)).status_code for _ in range(2)] == [204, 204]


def test_functions_decide_from_the_request(runner: ScriptedServer | ScriptedTransport) -> None:
    """An entry may be a function of the recorded request."""
    runner.add(
        lambda request: Connection(status=200 if "authorization" in request.headers else 401)
    )
    runner.add(lambda request: Connection(event(request.params["q"] + request.body.decode())))
    with _told(runner) as client:
        assert client.get(_url(runner)).status_code == 401
        assert client.post(_url(runner) + "?q=a", content=b"b").text == "data: ab\n\n"
    first, second = runner.wait_for_requests(2)
    assert (first.method, first.path, first.query) == ("GET", "/events", "")
    assert (second.method, second.path, second.query, second.body) == (
        "POST",
        "/events",
        "q=a",
        b"b",
    )
    assert second.time >= first.time
    assert [request.connection for request in runner.requests] == [1, 2]


def test_waiting_for_requests_has_an_end(runner: ScriptedServer | ScriptedTransport) -> None:
    """A missing request is a TimeoutError that says how many came."""
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        runner.wait_for_requests(1, timeout=0.01)
