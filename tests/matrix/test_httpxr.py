"""Where httpxr can take httpx's place, and precisely where it cannot.

httpxr 0.30 runs in Rust on its own runtime. Its clients have httpx's methods, and yet:

- ``Client.send(request, stream=True)`` and ``Client.stream()`` return only when the whole body is
  there; a stream that goes on does not return at all.
- ``Response.aiter_raw()``, ``aiter_bytes()``: likewise; what came before a connection broke is
  thrown away. Only ``Response.stream`` yields bytes as they come, and a source reads that.
- ``AsyncClient.send()`` needs asyncio; on trio it raises ``RuntimeError: no running event loop``.
- ``build_request(params=...)`` drops the parameters, ``send(auth=...)`` the credentials.
- ``build_request(extensions={"timeout": ...})`` sets no timeout, so that ``connect_timeout`` and
  ``idle_timeout`` hold only on asyncio, where they are the source's own.
- ``next_request`` of a redirect to another host keeps the first one's ``Host`` header.
- ``AsyncClient`` leaves a connection open after a cancelled ``send()``, and in one of a hundred
  cases after ``Response.aclose()``.
- A refused connection is a ``NetworkError`` (httpx: ``ConnectError``), a broken body a plain
  ``OSError`` (httpx: ``ReadError``, ``RemoteProtocolError``).

Each of these has a test here that fails when a release of httpxr changes it.
"""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import GiveUpError
from resilient_sse.testing import Connection, Ending, Gate, event, no_answer, redirect
from tests.support.runners import Stack, World, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpxr
else:
    httpxr = pytest.importorskip("httpxr", reason="httpxr has no wheel for this Python")

ONE, TWO = event("one", id="1"), event("two", id="2")


@pytest.fixture(params=[Stack("asyncio", "httpxr"), Stack("threads", "httpxr")], ids=str)
def rust(request: pytest.FixtureRequest) -> Iterator[World]:
    """The runtimes that httpxr works in."""
    with World(request.param) as made:
        yield made


# -- What works ------------------------------------------------------------------------------------


def test_bodies_that_end(rust: World) -> None:
    """Streams that the server ends are read, one after the other, with the cursor."""
    got = rust.run(Connection(ONE), Connection(TWO, ending=Ending.CLOSE))
    assert got.data == ["one", "two"]
    assert [request.last_event_id for request in got.requests] == ["", "1", "2"]
    assert got.kinds == ["ended", "ended"]


def test_statuses(rust: World) -> None:
    """Waits, final statuses and 204 are understood."""
    got = rust.run(Connection(status=503, headers={"Retry-After": "7"}), Connection(ONE))
    assert got.delays == [7.0, 1.0]
    _, error = rust.give_up(Connection(status=404))
    assert error.failure.status_code == 404


def test_wrong_content_type(rust: World) -> None:
    """So are pages."""
    _, error = rust.give_up(Connection(headers={"Content-Type": "text/html"}))
    assert error.failure.kind == "content_type"


def test_what_is_sent(rust: World) -> None:
    """The request is the one that httpx would send, a UTF-8 cursor included."""
    got = rust.run(Connection(event("x", id="é✓")), headers={"X-Mine": "yes"})
    request = got.requests[1]
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["x-mine"] == "yes"
    assert dict(request.headers.raw)[b"last-event-id"].decode() == "é✓"


def test_post(rust: World) -> None:
    """A POST is guarded like any other."""
    got, error = rust.give_up(Connection(status=500), method="POST", json={"q": 1})
    assert got.requests[0].json() == {"q": 1}
    assert error.failure.kind == "unsafe"


def test_refused_port(rust: World) -> None:
    """A server that is not there is a failure of the stream, and is tried again."""
    server = rust.serve(Connection(ONE))
    server.stop()
    reading = rust.read(server, policy=lambda _failure: None)
    reading.join()
    assert isinstance(reading.error, GiveUpError)
    assert reading.error.failure.retryable


def test_broken_connections(rust: World) -> None:
    """A connection that breaks is tried again, from the cursor of the last event delivered."""
    got = rust.run(Connection(ONE), Connection(ending=Ending.TRUNCATED), Connection(TWO))
    assert got.data == ["one", "two"]


def test_redirect(rust: World) -> None:
    """A redirect is followed, and other origins get no credentials."""
    other = rust.serve(Connection(ONE))
    secrets = {"Authorization": "x", "Cookie": "x", "X-API-Key": "x"}
    got = rust.run(redirect("/x", 302), redirect(other.url), headers=secrets)
    assert got.data == ["one"]
    assert [request.path for request in got.requests[:2]] == ["/events", "/x"]
    assert got.requests[1].headers["authorization"] == "x"
    assert not {"authorization", "cookie", "x-api-key"} & set(other.requests[0].headers)


def test_gzip(rust: World) -> None:
    """A compressed body is decompressed, by httpxr itself."""
    assert rust.run(Connection(ONE, gzip=True)).data == ["one"]


@pytest.mark.timing
def test_no_headers_on_asyncio() -> None:
    """``connect_timeout`` holds, but the connection that was given up stays open."""
    with World(Stack("asyncio", "httpxr")) as world:
        server = world.serve(no_answer(Ending.SILENCE), Connection(ONE))
        reading = world.read(server, connect_timeout=0.1).wait()
        assert reading.data == ["one"]
        assert reading.kinds == ["timeout", "ended"]
        server.wait_for_connections(1)
        server.drop_all()


def test_live_events_on_asyncio() -> None:
    """An event is delivered as it comes."""
    with World(Stack("asyncio", "httpxr")) as world:
        reading = world.read(world.serve(Connection(ONE, ending=Ending.SILENCE)))
        eventually(lambda: reading.events)


@pytest.mark.timing
def test_silence_on_asyncio() -> None:
    """``idle_timeout`` holds."""
    with World(Stack("asyncio", "httpxr")) as world:
        got = world.run(Connection(ONE, ending=Ending.SILENCE), Connection(TWO), idle_timeout=0.5)
    assert got.data == ["one", "two"]
    assert got.kinds == ["idle", "ended"]


def test_close_in_a_read_on_asyncio() -> None:
    """``aclose()`` interrupts a read, and the connection is closed with it."""
    with World(Stack("asyncio", "httpxr")) as world:
        server = world.serve(Connection(ONE, ending=Ending.SILENCE))
        reading = world.read(server)
        reading.wait_for_events(1)
        reading.close()
        reading.wait()
        eventually(lambda: not server.open_connections)


# -- What does not ---------------------------------------------------------------------------------


def test_send_of_the_blocking_client_waits_for_the_body() -> None:
    """``Client.send(request, stream=True)`` does not return while the body goes on."""

    def send(client: httpxr.Client, url: str) -> None:
        client.send(client.build_request("GET", url), stream=True)

    _assert_waits_for_the_body(send)


def test_stream_of_the_blocking_client_waits_for_the_body() -> None:
    """``Client.stream("GET", url)`` does not enter its block while the body goes on."""

    def stream(client: httpxr.Client, url: str) -> None:
        with client.stream("GET", url):
            pass

    _assert_waits_for_the_body(stream)


def _assert_waits_for_the_body(call: Any) -> None:
    gate, returned = Gate(), threading.Event()
    with World(Stack("threads", "httpxr")) as world, httpxr.Client() as client:
        server = world.serve(Connection(ONE, gate))

        def run() -> None:
            call(client, server.url)
            returned.set()

        thread = threading.Thread(target=run)
        thread.start()
        server.wait_for_requests(1)
        assert not returned.wait(0.2)
        gate.open()
        assert returned.wait(5)
        thread.join()


@pytest.mark.parametrize("how", ["aiter_raw", "aiter_bytes"])
def test_iterators_of_the_asynchronous_client_wait_for_the_body(how: str) -> None:
    """``Response.aiter_raw()`` yields nothing while the body goes on."""
    assert asyncio.run(_first_chunk(operator.methodcaller(how))) is None


def test_stream_of_an_asynchronous_response() -> None:
    """``Response.stream`` yields bytes as they come."""
    assert asyncio.run(_first_chunk(operator.attrgetter("stream"))) == ONE


async def _first_chunk(chunks: Any) -> bytes | None:
    """Return the first bytes of a body that goes on; None if there are none for a while."""
    with World(Stack("threads", "httpxr")) as world:
        server = world.serve(Connection(ONE, ending=Ending.SILENCE))
        async with httpxr.AsyncClient() as client:
            response = await client.send(client.build_request("GET", server.url), stream=True)
            try:
                return await asyncio.wait_for(anext(aiter(chunks(response))), 0.3)
            except TimeoutError:
                return None
            finally:
                server.drop_all()


def test_parameters_are_dropped() -> None:
    """``build_request(params=...)`` makes a URL without a query."""
    with httpxr.Client() as client:
        request = client.build_request("GET", "http://localhost/x", params={"a": "b"})
    assert str(request.url) == "http://localhost/x"


def test_auth_is_dropped() -> None:
    """``send(auth=...)`` sends no credentials."""
    with World(Stack("threads")) as world, httpxr.Client() as client:
        server = world.serve(Connection(ONE))
        client.send(client.build_request("GET", server.url), stream=True, auth=("me", "secret"))
        assert "authorization" not in server.requests[0].headers


def test_host_of_a_redirect() -> None:
    """``next_request`` names the new URL, and the old host in its header."""
    with World(Stack("threads")) as world, httpxr.Client() as client:
        server = world.serve(redirect("http://elsewhere.invalid/"))
        response = client.send(client.build_request("GET", server.url), follow_redirects=False)
        assert response.next_request is not None
        assert str(response.next_request.url) == "http://elsewhere.invalid/"
        assert response.next_request.headers["host"] == f"127.0.0.1:{server.port}"


def test_trio() -> None:
    """``AsyncClient.send()`` needs asyncio's event loop; the error says so and is not retried."""
    with World(Stack("trio", "httpxr")) as world:
        server = world.serve(Connection(ONE))
        with pytest.raises(RuntimeError, match="no running event loop"):
            world.read(server).wait()
        world._client = None  # closing it needs asyncio as well
        assert server.requests == []
