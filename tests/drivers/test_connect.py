"""`connect_sse`, `aconnect_sse`, `EventSource`: one connection, with the calls of httpx-sse."""

from __future__ import annotations

import gc
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import httpx_sse
import pytest
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route

from resilient_sse import (
    EventSource,
    EventTooLarge,
    ExponentialBackoff,
    ReconnectingEventSource,
    ServerSentEvent,
    SSEError,
    SyncReconnectingEventSource,
    aconnect_sse,
    connect_sse,
)
from resilient_sse.testing import Connection, Ending, InstantRetries, ScriptedServer, event, raw
from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
    from typing import Self

    from starlette.requests import Request

EVENTS = [
    ServerSentEvent(data="one", id="1"),
    ServerSentEvent(event="greeting", data="h\u00e9\nllo", id="1"),
]
STEPS = (event("one", id="1"), event("h\u00e9\nllo", event="greeting"))
SYNC = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


def mocked(content: bytes = b"data: 1\n\n", **headers: str) -> httpx.MockTransport:
    """A transport that answers from memory, as test suites have it."""
    headers = {"content-type": "text/event-stream", **headers}
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=content))


def iterate(source: EventSource) -> list[ServerSentEvent]:
    """Gather the events."""
    return list(source.iter_sse())


# -- The same calls and attributes ------------------------------------------------------------


@pytest.mark.parametrize("name", ["EventSource", "connect_sse", "aconnect_sse", "SSEError"])
def test_has_what_httpx_sse_has(name: str) -> None:
    """Each public name takes the same arguments, in order, and has the same attributes."""
    theirs, ours = getattr(httpx_sse, name), globals()[name]

    assert {member for member in dir(theirs) if not member.startswith("_")} <= set(dir(ours))
    if name != "SSEError":
        parameters = list(inspect.signature(ours).parameters)
        assert [parameter for parameter in parameters if parameter != "max_event_size"] == list(
            inspect.signature(theirs).parameters
        )


def test_errors_are_the_same_kind() -> None:
    """Code that catches ``httpx.TransportError`` goes on to work."""
    assert issubclass(SSEError, httpx.TransportError)


@SYNC
def test_reads_a_stream_over_every_client(library: Any) -> None:
    """The events of httpx, httpx2 and httpxr, from a real server."""
    with (
        ScriptedServer([Connection(*STEPS)]) as server,
        library.Client() as client,
        connect_sse(client, "GET", server.url) as source,
    ):
        assert source.response.status_code == 200
        assert iterate(source) == EVENTS


def async_cases() -> list[Any]:
    """Httpx and httpx2 on both event loops; httpxr knows asyncio only."""
    return [
        pytest.param(library, backend, id=f"{name}-{backend}")
        for name, library in LIBRARIES.items()
        for backend in ("asyncio", "trio")
        if name != "httpxr" or backend == "asyncio"
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(("library", "anyio_backend"), async_cases())
async def test_reads_a_stream_over_every_async_client(library: Any, anyio_backend: str) -> None:
    """The events of httpx, httpx2 and httpxr, from a real server."""
    async with (
        ScriptedServer([Connection(*STEPS)]) as server,
        library.AsyncClient() as client,
        aconnect_sse(client, "GET", server.url) as source,
    ):
        assert source.response.status_code == 200
        assert [event async for event in source.aiter_sse()] == EVENTS


@SYNC
def test_passes_everything_on_to_the_client(library: Any) -> None:
    """Method, body, parameters and headers go where `client.stream` takes them."""
    with (
        ScriptedServer([Connection(*STEPS)]) as server,
        library.Client() as client,
        connect_sse(
            client,
            "POST",
            server.url,
            json={"q": 1},
            params={"p": "2"},
            headers={"Last-Event-ID": "7"},
        ) as source,
    ):
        iterate(source)

    (request,) = server.requests
    assert (request.method, request.last_event_id) == ("POST", "7")
    assert (request.query, request.json()) == ("p=2", {"q": 1})


# -- What differs, as the page on migrating says -----------------------------------------------


@pytest.mark.parametrize(
    ("stream", "theirs", "ours"),
    [
        (b"\xef\xbb\xbfdata: 1\n\n", [], [("message", "1", "", None)]),
        (b"event: ping\n\n", [("ping", "", "", None)], []),
        (b"id: 5\n\n", [("message", "", "5", None)], []),
        (b"retry: 100\n\n", [("message", "", "", 100)], []),
        (b"id: 5\n\n: heartbeat\n\n", [("message", "", "5", None)] * 2, []),
        (b"data\nretry: +5\n\n", [("message", "", "", 5)], [("message", "", "", None)]),
        (b"data\nretry: -5\n\n", [("message", "", "", -5)], [("message", "", "", None)]),
        (b"data\nretry: 1_0\n\n", [("message", "", "", 10)], [("message", "", "", None)]),
    ],
    ids=["mark", "event", "id", "retry", "heartbeat", "plus", "minus", "underscore"],
)
def test_differs_from_httpx_sse_where_that_departs_from_the_standard(
    stream: bytes, theirs: list[object], ours: list[object]
) -> None:
    """Every row of the table about events, on both sides."""
    with httpx.Client(transport=mocked(stream), base_url="https://example.com") as client:
        with httpx_sse.connect_sse(client, "GET", "/") as source:
            received = [(sse.event, sse.data, sse.id, sse.retry) for sse in source.iter_sse()]
        with connect_sse(client, "GET", "/") as source:
            assert iterate(source) == ours

    assert received == theirs


def test_delivers_an_event_at_its_carriage_return() -> None:
    """Without waiting for the byte behind it, which may be a day away."""
    script = [Connection(raw(b"data: 1\r\r"), ending=Ending.SILENCE)]
    with (
        ScriptedServer(script) as server,
        httpx.Client() as client,
        connect_sse(client, "GET", server.url) as source,
    ):
        assert next(source.iter_sse()).data == "1"


# -- Headers ----------------------------------------------------------------------------------


@SYNC
def test_sends_what_httpx_sse_sends(library: Any) -> None:
    """``Accept`` and ``Cache-Control``, which is httpx-sse's and not the browsers'."""
    with (
        ScriptedServer([Connection(*STEPS)]) as server,
        library.Client() as client,
        connect_sse(client, "GET", server.url) as source,
    ):
        iterate(source)

    (request,) = server.requests
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/event-stream, application/json", "X-One": "1"},
        [("Accept", "text/event-stream, application/json"), ("X-One", "1")],
        httpx.Headers({"accept": "text/event-stream, application/json", "X-One": "1"}),
        httpx2.Headers({"accept": "text/event-stream, application/json", "X-One": "1"}),
        {b"Accept": b"text/event-stream, application/json", b"X-One": b"1"},
    ],
    ids=["dict", "pairs", "httpx", "httpx2", "bytes"],
)
def test_caller_s_headers_win_and_stay_as_they_are(headers: Any) -> None:
    """In any form httpx takes; httpx-sse overwrites Accept, and writes into the caller's dict."""
    before = list(headers.items()) if hasattr(headers, "items") else list(headers)
    with (
        httpx.Client(transport=mocked()) as client,
        connect_sse(client, "GET", "https://example.com", headers=headers) as source,
    ):
        sent = source.response.request.headers

    assert sent["accept"] == "text/event-stream, application/json"
    assert (sent["cache-control"], sent["x-one"]) == ("no-store", "1")
    assert (list(headers.items()) if hasattr(headers, "items") else headers) == before


def test_client_s_own_headers_win() -> None:
    """What a client was made to send, it sends."""
    own = {"Accept": "text/event-stream;q=1", "Cache-Control": "no-cache"}
    with (
        httpx.Client(transport=mocked(), headers=own) as client,
        connect_sse(client, "GET", "https://example.com", headers=None) as source,
    ):
        sent = source.response.request.headers

    assert (sent["accept"], sent["cache-control"]) == ("text/event-stream;q=1", "no-cache")


# -- Content type and bytes -------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        "text/event-stream;charset=iso-8859-1",
        "application/json, text/event-stream; charset=utf-8",
        'text/event-stream; a="b, c"',
    ],
)
def test_content_type_is_an_event_stream_s(content_type: str) -> None:
    """In any case, with any parameters, last of several; the body is UTF-8 whatever it says."""
    transport = mocked("data: \u00e9\n\n".encode(), **{"content-type": content_type})
    with (
        httpx.Client(transport=transport) as client,
        connect_sse(client, "GET", "https://example.com") as source,
    ):
        assert iterate(source) == [ServerSentEvent(data="\u00e9")]


@pytest.mark.anyio
@pytest.mark.parametrize("content_type", ["", "text/html", "x-text/event-stream-x", "text/plain,"])
async def test_another_content_type_is_an_error_at_the_first_event(content_type: str) -> None:
    """Not before, so that the response can be looked at: this is what httpx-sse does."""
    transport = mocked(b"<p>", **{"content-type": content_type})
    async with (
        httpx.AsyncClient(transport=transport) as client,
        aconnect_sse(client, "GET", "https://example.com") as source,
    ):
        assert source.response.status_code == 200
        with pytest.raises(SSEError, match="'text/event-stream', got"):
            await anext(source.aiter_sse())
    with (
        httpx.Client(transport=transport) as blocking,
        connect_sse(blocking, "GET", "https://example.com") as source,
    ):
        with pytest.raises(SSEError, match="'text/event-stream', got") as caught:
            next(source.iter_sse())
        assert vars(caught.value)["response"] is source.response


@SYNC
def test_reads_a_compressed_stream(library: Any) -> None:
    """A content encoding is undone."""
    with (
        ScriptedServer([Connection(*STEPS, gzip=True)]) as server,
        library.Client() as client,
        connect_sse(client, "GET", server.url) as source,
    ):
        assert iterate(source) == EVENTS


@pytest.mark.anyio
async def test_reads_a_compressed_stream_async() -> None:
    """A content encoding is undone."""
    async with (
        ScriptedServer([Connection(*STEPS, gzip=True)]) as server,
        httpx.AsyncClient() as client,
        aconnect_sse(client, "GET", server.url) as source,
    ):
        assert [event async for event in source.aiter_sse()] == EVENTS


def test_reads_a_response_that_was_read_before() -> None:
    """``EventSource`` takes any response, as httpx-sse's does, and may read that one again."""
    source = EventSource(
        httpx.Response(200, headers={"content-type": "text/event-stream"}, text="data: x\n\n")
    )

    assert iterate(source) == iterate(source) == [ServerSentEvent(data="x")]


def test_bounds_events() -> None:
    """One keyword more than httpx-sse: without it a server could fill the memory."""
    with (
        httpx.Client(transport=mocked(b"data: 1\n\ndata: too large\n\n")) as client,
        connect_sse(client, "GET", "https://example.com", max_event_size=10) as source,
    ):
        events = source.iter_sse()
        assert next(events).data == "1"
        with pytest.raises(EventTooLarge):
            next(events)


@pytest.mark.anyio
async def test_bounds_events_async() -> None:
    """An oversized event is an error although the stream ends with it; None is no limit."""
    async with httpx.AsyncClient(
        transport=mocked(b"data: 1\n\ndata: too large\n\n"), base_url="https://example.com"
    ) as client:
        async with aconnect_sse(client, "GET", "/", max_event_size=10) as source:
            events = source.aiter_sse()
            assert (await anext(events)).data == "1"
            with pytest.raises(EventTooLarge):
                await anext(events)
        async with aconnect_sse(client, "GET", "/", max_event_size=None) as source:
            assert len([event async for event in source.aiter_sse()]) == 2


# -- In process -------------------------------------------------------------------------------


def logins(request: Request) -> EventSourceResponse:
    """An endpoint."""

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"event": "login", "data": '{"user_id": "4135"}'}

    return EventSourceResponse(events(), ping=3600)


APP = Starlette(routes=[Route("/logins", logins)])


@pytest.mark.anyio
@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_calls_into_an_asgi_app(library: Any) -> None:
    """An application is tested without a server, on both event loops."""
    transport = library.ASGITransport(APP)
    async with (
        library.AsyncClient(transport=transport, base_url="http://app") as client,
        aconnect_sse(client, "GET", "/logins") as source,
    ):
        (login,) = [event async for event in source.aiter_sse()]

    assert (login.event, login.json()) == ("login", {"user_id": "4135"})


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
def test_calls_into_a_wsgi_app(library: Any) -> None:
    """An application is tested without a server; its body is closed behind a break."""
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Any:
            yield from STEPS

        def close(self) -> None:
            closed.append("body")

    def app(environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Body()

    with (
        library.Client(transport=library.WSGITransport(app), base_url="http://app") as client,
        connect_sse(client, "GET", "/") as source,
    ):
        for received in source.iter_sse():
            assert received == EVENTS[0]
            break
    assert closed == ["body"]


# -- Leaving early ----------------------------------------------------------------------------

ENDLESS = Connection(event("one"), event("two"), ending=Ending.SILENCE)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
def test_break_closes_the_connection(library: Any) -> None:
    """At the end of the block, while the server is still sending."""
    with ScriptedServer([ENDLESS]) as server, library.Client() as client:
        with connect_sse(client, "GET", server.url) as source:
            for received in source.iter_sse():
                assert received.data == "one"
                break
        server.wait_for_connections(0)


@pytest.mark.anyio
@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_break_closes_everything_async(library: Any) -> None:
    """The connection and every generator; neither event loop has anything to warn of."""
    async with ScriptedServer([ENDLESS]) as server, library.AsyncClient() as client:
        async with aconnect_sse(client, "GET", server.url) as source:
            async for received in source.aiter_sse():
                assert received.data == "one"
                break
        await anyio.to_thread.run_sync(server.wait_for_connections, 0)
    gc.collect()


@pytest.mark.anyio
async def test_an_error_in_the_block_closes_everything() -> None:
    """The caller's own exception comes out as it is."""
    async with ScriptedServer([ENDLESS]) as server, httpx.AsyncClient() as client:

        async def fail() -> None:
            async with aconnect_sse(client, "GET", server.url) as source:
                async for received in source.aiter_sse():
                    raise ZeroDivisionError(received.data)

        with pytest.raises(ZeroDivisionError, match="one"):
            await fail()
        await anyio.to_thread.run_sync(server.wait_for_connections, 0)
    gc.collect()


@pytest.mark.anyio
async def test_cancellation_closes_everything() -> None:
    """A read that waits is given up at once."""
    async with ScriptedServer([ENDLESS]) as server, httpx.AsyncClient() as client:
        data: list[str] = []
        with anyio.CancelScope() as scope:
            async with aconnect_sse(client, "GET", server.url) as source:
                async for received in source.aiter_sse():
                    data.append(received.data)
                    if len(data) == 2:
                        scope.deadline = anyio.current_time() + 0.05
        assert scope.cancelled_caught
        assert data == ["one", "two"]
        await anyio.to_thread.run_sync(server.wait_for_connections, 0)
    gc.collect()


@pytest.mark.anyio
async def test_break_on_a_body_that_never_pauses() -> None:
    """A stream without end and without a checkpoint, such as a mock's, holds nobody up."""

    class Endless(httpx.AsyncByteStream):
        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            return b"data: x\n\n"

    headers = {"content-type": "text/event-stream"}
    source = EventSource(httpx.Response(200, headers=headers, stream=Endless()))
    async with aclosing(source):
        assert (await anext(source.aiter_sse())).data == "x"
    assert source.response.is_closed


@pytest.mark.anyio
async def test_leaving_the_block_while_another_task_reads() -> None:
    """The reader gets its client's error; the block ends."""
    ended: list[BaseException | None] = []

    async def read(events: AsyncGenerator[ServerSentEvent, None], seen: anyio.Event) -> None:
        try:
            async for _ in events:
                seen.set()
        except (httpx.StreamError, httpx.TransportError, anyio.ClosedResourceError) as error:
            ended.append(error)
        else:
            ended.append(None)

    async with ScriptedServer([ENDLESS]) as server, httpx.AsyncClient() as client:
        async with anyio.create_task_group() as tasks:
            async with aconnect_sse(client, "GET", server.url) as source:
                seen = anyio.Event()
                tasks.start_soon(read, source.aiter_sse(), seen)
                await seen.wait()
            await anyio.to_thread.run_sync(server.wait_for_connections, 0)
            tasks.cancel_scope.deadline = anyio.current_time() + 5
        assert len(ended) == 1
    gc.collect()


@pytest.mark.anyio
async def test_event_source_of_one_s_own_response_can_be_closed() -> None:
    """Without `aconnect_sse`, ``aclosing`` does what its block does."""
    async with ScriptedServer([ENDLESS]) as server, httpx.AsyncClient() as client:
        async with (
            client.stream("GET", server.url) as response,
            aclosing(EventSource(response)) as source,
        ):
            async for received in source.aiter_sse():
                assert received.data == "one"
                break
        await anyio.to_thread.run_sync(server.wait_for_connections, 0)
    gc.collect()


CUT = Connection(event("one"), raw("data: cut"), ending=Ending.TRUNCATED)


def test_a_broken_connection_raises_the_client_s_error() -> None:
    """One connection is one connection: the events before the fault come, then the fault."""
    with (
        ScriptedServer([CUT]) as server,
        httpx.Client() as client,
        connect_sse(client, "GET", server.url) as source,
    ):
        events = source.iter_sse()
        assert next(events).data == "one"
        with pytest.raises(httpx.RemoteProtocolError):
            next(events)


@pytest.mark.anyio
async def test_a_broken_connection_raises_the_client_s_error_async() -> None:
    """One connection is one connection: the events before the fault come, then the fault."""
    async with (
        ScriptedServer([CUT]) as server,
        httpx.AsyncClient() as client,
        aconnect_sse(client, "GET", server.url) as source,
    ):
        events = source.aiter_sse()
        assert (await anext(events)).data == "one"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(events)
    gc.collect()


# -- What this shares with the reconnecting sources --------------------------------------------


def once(request: httpx.Request) -> httpx.Response:
    """Answer from memory, as ``MockTransport`` and respx do; 204 to who has seen it all."""
    if "last-event-id" in request.headers:
        return httpx.Response(204)
    headers = {"content-type": "text/event-stream"}
    return httpx.Response(200, headers=headers, content=b"id: 1\ndata: x\n\n")


def test_a_reconnecting_source_reads_mocked_responses_too() -> None:
    """A body that is in memory already is a body."""
    policy = InstantRetries(ExponentialBackoff())
    with (
        httpx.Client(transport=httpx.MockTransport(once)) as client,
        SyncReconnectingEventSource("https://example.com", client=client, policy=policy) as source,
    ):
        assert list(source) == [ServerSentEvent(data="x", id="1")]


@pytest.mark.anyio
async def test_a_reconnecting_source_reads_mocked_responses_too_async() -> None:
    """A body that is in memory already is a body."""
    policy = InstantRetries(ExponentialBackoff())
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(once)) as client,
        ReconnectingEventSource("https://example.com", client=client, policy=policy) as source,
    ):
        assert [event async for event in source] == [ServerSentEvent(data="x", id="1")]
