"""`AsyncioTransport` and `SyncTransport` over real sockets, side by side with httpx's own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from resilient_sse import ReconnectingEventSource
from resilient_sse._http.client import default_async_client
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    Gate,
    ScriptedServer,
    event,
    forever,
    no_answer,
    pause,
    raw,
)
from resilient_sse.transports import AsyncioTransport, SyncTransport
from tests.support import both
from tests.support.both import of_the_library
from tests.support.files import PEM
from tests.support.in_threads import InThreads
from tests.testing.test_endings import STORIES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.support.both import Outcome

X = b"data: x\n\n"
OF_HTTPX = httpx.AsyncHTTPTransport  # which our own clients are made of
PATIENCE = (5, 0.5, 5, 5)  # to connect, read, write and be given a connection

pytestmark = pytest.mark.anyio
over_both_libraries = both.over_both_libraries


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests on asyncio; on trio the library uses httpx's own transport."""
    return "asyncio"


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(PEM))


def _ours(**options: Any) -> httpx.AsyncBaseTransport:
    return AsyncioTransport(**options)


def _httpx(**options: Any) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(trust_env=False, **options)


def _blocking(**options: Any) -> httpx.AsyncBaseTransport:
    return InThreads(SyncTransport(**options))


def _blocking_httpx(**options: Any) -> httpx.AsyncBaseTransport:
    return InThreads(httpx.HTTPTransport(trust_env=False, **options))


ours = pytest.mark.parametrize("make", [_ours, _blocking], ids=["asyncio", "blocking"])
each = pytest.mark.parametrize(
    "make",
    [_ours, _blocking, _httpx, _blocking_httpx],
    ids=["asyncio", "blocking", "httpx", "httpx blocking"],
)
# httpx's blocking transport takes a reset within TLS for an end.
alike = pytest.mark.parametrize(
    "make", [_ours, _blocking, _httpx], ids=["asyncio", "blocking", "httpx"]
)


def _client(transport: httpx.AsyncBaseTransport, **options: Any) -> httpx.AsyncClient:
    options.setdefault("timeout", PATIENCE)
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    """A server without a script, without and with TLS."""
    context = _server_context() if request.param == "https" else None
    with ScriptedServer(ssl_context=context) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[ScriptedServer]:
    """A server without a script and without TLS."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A socket that accepts connections and never reads or says anything."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield sock


def _url(sock: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{sock.getsockname()[1]}/"


async def _look(client: httpx.AsyncClient, url: str) -> Outcome:
    """Read a response to its end: the status, the body, and what was raised."""
    status, received = 0, b""
    try:
        async with client.stream("GET", url) as response:
            status = response.status_code
            async for chunk in response.aiter_bytes():
                received += chunk
    except httpx.HTTPError as error:
        same = error.request.url == url  # as httpx's own errors, it knows its request
        return status, received, type(error) if same else None
    return status, received, None


async def _fails(
    make: Callable[..., httpx.AsyncBaseTransport], url: str, kind: type[Exception], **options: Any
) -> None:
    verify = options.pop("verify", True)
    method = options.pop("method", "GET")
    async with _client(make(verify=verify), timeout=options.pop("timeout", PATIENCE)) as client:
        with pytest.raises(httpx.HTTPError) as caught:
            await client.request(method, url, **options)
    assert type(caught.value) is kind


# -- The same as httpx -------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
@alike
async def test_every_ending_looks_as_with_httpx(
    make: Callable[..., httpx.AsyncBaseTransport],
    name: str,
    server: ScriptedServer,
    library: ModuleType,
) -> None:
    """Status, body and exception are those that the test kit promises for httpx."""
    connection, expected = STORIES[name]
    server.add(connection)
    async with _client(make(verify=_trusting())) as client:
        assert await _look(client, server.url) == of_the_library(expected, library)


@each
async def test_refused(make: Callable[..., httpx.AsyncBaseTransport]) -> None:
    """Nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await _fails(make, _url(sock), httpx.ConnectError)


@each
async def test_connect_timeout(make: Callable[..., httpx.AsyncBaseTransport]) -> None:
    """A host that does not answer at all."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(4):  # fill the queue of those that wait to be accepted
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        await _fails(make, _url(sock), httpx.ConnectTimeout, timeout=httpx.Timeout(5, connect=0.1))


@each
async def test_certificate_that_nobody_signed(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """TLS with a server that is not trusted."""
    async with ScriptedServer(ssl_context=_server_context()) as server:
        await _fails(make, server.url, httpx.ConnectError)


@each
async def test_certificate_of_another_host(make: Callable[..., httpx.AsyncBaseTransport]) -> None:
    """TLS with a server that is trusted, but under another name."""
    async with ScriptedServer(ssl_context=_server_context()) as server:
        await _fails(
            make,
            server.url,
            httpx.ConnectError,
            verify=_trusting(),
            extensions={"sni_hostname": "elsewhere"},
        )


@each
@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_no_tls_behind_the_port(
    make: Callable[..., httpx.AsyncBaseTransport], says: bytes
) -> None:
    """The server speaks something else, or leaves without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(says)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        await _fails(make, _url(listener.sockets[0], "https"), httpx.ConnectError)


@each
async def test_handshake_without_an_answer(
    make: Callable[..., httpx.AsyncBaseTransport], mute: socket.socket
) -> None:
    """The server accepts and says nothing to the handshake."""
    timeout = httpx.Timeout(5, connect=0.1)
    await _fails(make, _url(mute, "https"), httpx.ConnectTimeout, timeout=timeout)


@each
async def test_write_timeout(
    make: Callable[..., httpx.AsyncBaseTransport], mute: socket.socket
) -> None:
    """The server does not read the request."""
    await _fails(
        make,
        _url(mute),
        httpx.WriteTimeout,
        method="POST",
        content=b"x" * 20_000_000,
        timeout=httpx.Timeout(5, write=0.1),
    )


@each
async def test_illegal_header(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """A header that cannot be sent."""
    await _fails(make, plain.url, httpx.LocalProtocolError, headers={"a": b"b\0c"})


@each
async def test_unsupported_protocol(make: Callable[..., httpx.AsyncBaseTransport]) -> None:
    """A URL that is not of HTTP."""
    await _fails(make, "ftp://127.0.0.1/", httpx.UnsupportedProtocol)


@ours
async def test_answer_to_half_a_request(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """A server that answers and leaves before it has read the body is heard all the same."""
    answer = b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno"

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await anyio.sleep(0.05)  # by now the answer is here and the other end closed
        for _ in range(3):
            yield b"x"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        _client(make()) as client,
    ):
        response = await client.post(_url(listener.sockets[0]), content=body())
    assert (response.status_code, response.content) == (413, b"no")


@each
async def test_request_bodies(
    make: Callable[..., httpx.AsyncBaseTransport], server: ScriptedServer
) -> None:
    """Bodies arrive whole, with and without a length known beforehand."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 300_000
        yield b"b"

    server.add(*(Connection(event("x"), keep_alive=True) for _ in range(3)))
    async with _client(make(verify=_trusting()), timeout=None) as client:
        await client.post(server.url, content=b"c" * 9_000_000)
        await client.post(server.url, content=pieces())
        await client.post(server.url, json={})
    bodies = [request.body for request in server.requests]
    assert bodies == [b"c" * 9_000_000, b"a" * 300_000 + b"b", b"{}"]


@each
async def test_messages_without_a_body(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """Interim responses are skipped; HEAD, 204 and 304 have no body whatever the headers say."""
    plain.add(
        Connection(
            raw(
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                b"Connection: close\r\n\r\nx"
            ),
            framing=Framing.BARE,
            ending=Ending.SILENCE,
        ),
        Connection(status=204),
        Connection(status=304),
        Connection(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            framing=Framing.BARE,
            ending=Ending.SILENCE,
        ),
    )
    async with _client(make()) as client:
        got = [await client.get(plain.url) for _ in range(3)]
        head = await client.head(plain.url)
    assert [(answer.status_code, answer.content) for answer in got] == [
        (200, b"x"),
        (204, b""),
        (304, b""),
    ]
    assert (head.status_code, head.content) == (200, b"")


@each
async def test_switched_protocol(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """After a 101 the network stream carries whatever both ends agreed on."""
    hello = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello"
    plain.add(Connection(raw(hello), framing=Framing.BARE, ending=Ending.SILENCE))
    headers = {"Connection": "upgrade", "Upgrade": "echo"}
    async with _client(make()) as client, client.stream("GET", plain.url, headers=headers) as it:
        stream = it.extensions["network_stream"]
        assert it.status_code == 101
        assert [await stream.read(2), await stream.read(100)] == [b"he", b"llo"]
        await stream.write(b"hello too")


@each
async def test_facts_about_the_connection(
    make: Callable[..., httpx.AsyncBaseTransport], server: ScriptedServer
) -> None:
    """The network stream tells addresses, socket and TLS; the response its version and reason."""
    server.add(Connection(event("x"), Gate()))
    async with (
        _client(make(verify=_trusting()), timeout=5) as client,
        client.stream("GET", server.url) as response,
    ):
        stream = response.extensions["network_stream"]
        sock = stream.get_extra_info("socket")
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert stream.get_extra_info("client_addr") == sock.getsockname()
        assert (stream.get_extra_info("ssl_object") is None) == server.url.startswith("http:")
        assert stream.get_extra_info("is_readable") in {True, False}
        assert stream.get_extra_info("weather") is None
        assert response.extensions["http_version"] == b"HTTP/1.1"
        assert response.extensions["reason_phrase"] == b"OK"


# -- Options -----------------------------------------------------------------------------------


@ours
async def test_socket_options_and_local_address(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """The socket gets its options and starts where it is told."""
    plain.add(Connection(event("x"), Gate()))
    transport = make(
        socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)], local_address="127.0.0.2"
    )
    async with _client(transport) as client, client.stream("GET", plain.url) as response:
        sock = response.extensions["network_stream"].get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockname()[0] == "127.0.0.2"


@ours
async def test_socket_option_that_does_not_exist(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """What the system refuses is an error in connecting, and leaves no socket behind."""
    async with _client(make(socket_options=[(999, 999, 1)])) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(plain.url)
    await anyio.to_thread.run_sync(plain.wait_for_connections, 0)


@ours
async def test_host_name(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """A name is resolved, and all its addresses are tried until one answers."""
    plain.add(Connection(event("x")))
    async with _client(make()) as client:
        got = await client.get(plain.url.replace("127.0.0.1", "localhost"))
    assert got.content == X


@ours
async def test_unix_domain_socket(
    make: Callable[..., httpx.AsyncBaseTransport], tmp_path: Path
) -> None:
    """With a path, every request goes there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: x\n\n")
        writer.close()

    path = str(tmp_path / "s")
    listener = await asyncio.start_unix_server(serve, path)
    async with (
        listener,
        _client(make(uds=path)) as client,
        client.stream("GET", "http://anywhere/") as response,
    ):
        assert response.extensions["network_stream"].get_extra_info("server_addr") == path
        assert await response.aread() == X


# -- Connections that are used again -----------------------------------------------------------


@ours
async def test_connection_is_used_again_after_a_complete_body(
    make: Callable[..., httpx.AsyncBaseTransport], server: ScriptedServer
) -> None:
    """A body that was read to its end leaves a connection that serves the next request."""
    server.add(*(Connection(event("x"), keep_alive=True) for _ in range(3)))
    async with _client(make(verify=_trusting()), timeout=5) as client:
        for _ in range(3):
            assert (await client.get(server.url)).content == X
    assert [request.connection for request in server.requests] == [1, 1, 1]


@ours
@pytest.mark.parametrize(
    "first",
    [
        Connection(event("x")),
        Connection(event("x"), http_version="1.0"),
        Connection(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy"),
            framing=Framing.BARE,
            ending=Ending.SILENCE,
        ),
        Connection(
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n-"),
            framing=Framing.BARE,
            ending=Ending.SILENCE,
        ),
        Connection(
            raw(b"HTTP/1.1 204 No Content\r\n\r\nx"), framing=Framing.BARE, ending=Ending.SILENCE
        ),
    ],
    ids=["connection: close", "http/1.0", "more than the length", "after the last chunk", "204"],
)
async def test_connection_that_cannot_be_used_again(
    make: Callable[..., httpx.AsyncBaseTransport], first: Connection, plain: ScriptedServer
) -> None:
    """A server that closes, or says more than it should, is called anew."""
    plain.add(first, Connection(event("x")))
    async with _client(make()) as client:
        await client.get(plain.url)
        assert (await client.get(plain.url)).content == X
    assert [request.connection for request in plain.requests] == [1, 2]


@ours
async def test_connection_that_died_while_it_waited(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """A connection that the server has closed meanwhile is not used."""
    plain.add(*(Connection(event("x"), keep_alive=True) for _ in range(2)))
    async with _client(make()) as client:
        await client.get(plain.url)
        await anyio.to_thread.run_sync(plain.drop_all)
        assert (await client.get(plain.url)).content == X
    assert [request.connection for request in plain.requests] == [1, 2]


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET], ids=str)
async def test_connection_that_dies_as_it_is_used_again(
    ending: Ending, plain: ScriptedServer
) -> None:
    """A GET is sent again over a new connection (RFC 9112 9.3.1), a POST is not."""
    story = [Connection(event("x"), keep_alive=True), no_answer(ending)]
    plain.add(*story, *story, Connection(event("x")))
    async with _client(AsyncioTransport()) as client:
        await client.get(plain.url)
        with pytest.raises(httpx.TransportError):
            await client.post(plain.url)
        await client.get(plain.url)
        assert (await client.get(plain.url)).content == X
    assert [request.connection for request in plain.requests] == [1, 1, 2, 2, 3]


async def test_connection_that_waited_too_long(plain: ScriptedServer) -> None:
    """Connections that nobody asks for are closed after their time."""
    plain.add(*(Connection(event("x"), keep_alive=True) for _ in range(2)))
    async with _client(AsyncioTransport(keepalive_expiry=0.01)) as client:
        await asyncio.gather(client.get(plain.url), client.get(plain.url))
        await anyio.to_thread.run_sync(plain.wait_for_connections, 0)


@ours
async def test_unread_body_closes_the_connection(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """Leaving a response early closes its connection, and leaving it twice does no more."""
    plain.add(Connection(forever(event("x"), pause(0.01))))
    async with _client(make()) as client:
        async with client.stream("GET", plain.url) as response:
            await response.aclose()
            assert isinstance(response.stream, httpx.AsyncByteStream)
            await response.stream.aclose()
        await anyio.to_thread.run_sync(plain.wait_for_connections, 0)


# -- Interrupting ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _quiet_stream(
    server: ScriptedServer, **timeout: float | None
) -> AsyncGenerator[httpx.Response]:
    """A response that has sent one event and now is silent."""
    server.add(Connection(event("x"), Gate()))
    async with (
        _client(AsyncioTransport(verify=_trusting()), timeout=httpx.Timeout(5, **timeout)) as it,
        it.stream("GET", server.url) as response,
    ):
        yield response


async def test_cancelled_read_closes_the_connection(server: ScriptedServer) -> None:
    """A read that is cancelled leaves nothing behind."""
    async with _quiet_stream(server) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == X
        with anyio.move_on_after(0.01) as scope:
            await anext(chunks)
        assert scope.cancelled_caught
        await anyio.to_thread.run_sync(server.wait_for_connections, 0)


async def test_closing_from_another_task_ends_a_read(server: ScriptedServer) -> None:
    """Closing the network stream makes a read that is pending elsewhere fail at once."""
    async with _quiet_stream(server) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == X
        read = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        await response.extensions["network_stream"].aclose()
        with pytest.raises(httpx.ReadError, match="closed on this side") as caught:
            await read
        assert caught.value.request.url == server.url
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("is_readable")
        with pytest.raises(httpx.WriteError):
            await stream.write(b"x")


async def test_closing_the_transport_ends_reads(server: ScriptedServer) -> None:
    """Closing the client closes the connections that are being read, too."""
    server.add(Connection(event("x"), Gate()))
    transport = AsyncioTransport(verify=_trusting())
    client = _client(transport)
    async with client.stream("GET", server.url) as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        await client.aclose()
        with pytest.raises(httpx.ReadError):
            await anext(chunks)


async def test_second_reader_is_refused(plain: ScriptedServer) -> None:
    """Two tasks cannot read from one connection."""
    async with _quiet_stream(plain) as response:
        stream = response.extensions["network_stream"]
        await stream.read()
        first = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await stream.read()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_cancelled_handshake(mute: socket.socket) -> None:
    """A handshake that is cancelled closes its connection."""
    async with _client(AsyncioTransport(), timeout=None) as client:
        with anyio.move_on_after(0.05) as scope:
            await client.get(_url(mute, "https"))
    assert scope.cancelled_caught
    peer, _ = mute.accept()
    with peer:
        peer.settimeout(5)
        while await anyio.to_thread.run_sync(peer.recv, 65536):
            continue


# -- Timeouts and back-pressure ----------------------------------------------------------------


@ours
async def test_read_timeout_counts_from_the_last_bytes(
    make: Callable[..., httpx.AsyncBaseTransport], plain: ScriptedServer
) -> None:
    """Every byte starts the time anew, and time during which nobody reads does not count."""
    steps = [step for _ in range(4) for step in (event("x"), pause(0.12))]
    plain.add(Connection(*steps, ending=Ending.SILENCE))
    async with (
        _client(make(), timeout=httpx.Timeout(5, read=0.2)) as client,
        client.stream("GET", plain.url) as response,
    ):
        chunks = response.aiter_raw()
        received = await anext(chunks)
        await asyncio.sleep(0.3)
        while len(received) < 4 * len(X):
            received += await anext(chunks)
        with pytest.raises(httpx.ReadTimeout):
            await anext(chunks)
    assert received == X * 4


@pytest.mark.timing
async def test_read_timeout_may_become_shorter_or_end(plain: ScriptedServer) -> None:
    """Each read has its own limit, whatever the one before was."""
    async with _quiet_stream(plain) as response:
        stream = response.extensions["network_stream"]
        await stream.read(timeout=60)
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                await stream.read(timeout=0.01)
        with anyio.move_on_after(0.03) as scope:
            await stream.read(timeout=None)
        assert scope.cancelled_caught


async def test_a_server_that_is_faster_than_the_reader_has_to_wait(server: ScriptedServer) -> None:
    """What is received ahead of the reader is bounded, and nothing of it is lost."""
    block = event("y" * 50_000)
    server.add(Connection(*[block] * 400))
    async with (
        _client(AsyncioTransport(verify=_trusting()), timeout=5) as client,
        client.stream("GET", server.url) as response,
    ):
        stream = response.extensions["network_stream"]
        received = 0
        async for chunk in response.aiter_raw():
            received += len(chunk)
            if received < 3_000_000:
                await asyncio.sleep(0.002)
                assert stream._size <= 2 * 64 * 1024
    assert received == len(block) * 400


@ours
async def test_clean_end_of_tls_ends_the_body(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """What comes after the other end has said that it is done is not read."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = _server_context().wrap_bio(incoming, outgoing, server_side=True)

        async def step(action: Callable[[], object]) -> None:
            while True:
                try:
                    action()
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65536))
                else:
                    return

        await step(tls.do_handshake)
        await step(lambda: tls.read(65536))
        tls.write(b"HTTP/1.1 200 OK\r\n\r\ndata: x\n\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        writer.write(outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        _client(make(verify=_trusting())) as client,
    ):
        assert (await client.get(_url(listener.sockets[0], "https"))).content == X


async def test_broken_tls_record() -> None:
    """A record that cannot be decrypted ends the connection; what came before it counts."""
    async with ScriptedServer(ssl_context=_server_context()) as server:
        server.add(Connection(event("x"), Gate()))
        async with (
            _client(AsyncioTransport(verify=_trusting()), timeout=5) as client,
            client.stream("GET", server.url) as response,
        ):
            chunks = response.aiter_raw()
            assert await anext(chunks) == X
            stream = response.extensions["network_stream"]
            stream.data_received(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(httpx.ReadError):
                await anext(chunks)


async def test_a_write_after_others_that_were_given_up() -> None:
    """It waits for the other end anew, whatever became of those before."""
    taken, served = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await taken.wait()
        while await reader.read(65536):
            pass
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        async with (
            _client(AsyncioTransport(), timeout=5) as client,
            client.stream("GET", _url(listener.sockets[0])) as response,
        ):
            stream = response.extensions["network_stream"]
            with pytest.raises(httpx.WriteTimeout):
                await stream.write(b"x" * 20_000_000, timeout=0.05)
            with anyio.move_on_after(0.05) as scope:
                await stream.write(b"y")
            assert scope.cancelled_caught
            taken.set()
            await stream.write(b"z", timeout=20)
        await served.wait()


async def test_what_was_written_goes_out_after_the_other_end_is_done() -> None:
    """It may have said all that it has to say, and still read."""
    received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.readexactly(1)
        writer.write_eof()
        count = 1
        while data := await reader.read(65536):
            count += len(data)
        writer.close()
        await writer.wait_closed()
        received.set_result(count)

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        _client(AsyncioTransport(), timeout=5) as client,
        client.stream("GET", _url(listener.sockets[0])) as response,
    ):
        stream = response.extensions["network_stream"]
        await stream.write(b"x" * 20_000_000, timeout=20)
        assert await received == 20_000_000


# -- Nothing stays behind ----------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_left_behind(scheme: str) -> None:
    """After the loop's end there are no sockets, tasks or complaints."""
    context = _server_context() if scheme == "https" else None
    complaints: list[dict[str, Any]] = []

    async def main(url: str) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        async with _client(AsyncioTransport(verify=_trusting())) as client:
            for _ in STORIES:
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(url)
        assert asyncio.all_tasks(loop) == {asyncio.current_task()}

    with ScriptedServer([story for story, _ in STORIES.values()], ssl_context=context) as server:
        asyncio.run(main(server.url))
        server.wait_for_connections(0)
    gc.collect()  # a forgotten socket or transport would warn now, and warnings are errors
    assert complaints == []


# -- The source --------------------------------------------------------------------------------


async def test_own_client_has_our_transport_on_asyncio() -> None:
    """On asyncio a source without a client reads over `AsyncioTransport`."""
    async with default_async_client() as client:
        assert isinstance(client._transport, AsyncioTransport)


async def test_own_client_while_another_thread_imports_trio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of trio in `sys.modules` is no trio: asyncio it is."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "trio", ModuleType("trio"))
        made = default_async_client()
    async with made as client:
        assert isinstance(client._transport, AsyncioTransport)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_own_client_has_the_usual_transport_on_trio() -> None:
    """On trio it reads over httpx's own transport."""
    async with default_async_client() as client:
        assert isinstance(client._transport, OF_HTTPX)


async def test_proxy_from_the_environment(
    plain: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a proxy applies, the request goes through it."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{plain.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    plain.add(Connection(event("proxied")))
    async with ReconnectingEventSource("http://elsewhere.invalid/events") as source:
        assert [item.data async for item in source] == ["proxied"]
    assert plain.requests[0].headers["host"] == "elsewhere.invalid"


@pytest.mark.parametrize("how", ["reconnect", "aclose"])
async def test_source_interrupts_a_read(how: str, server: ScriptedServer) -> None:
    """`reconnect` and `aclose` from another task end a pending read without a failure."""
    server.add(Connection(event("one"), Gate()), Connection(event("two")))
    got: list[str] = []
    async with (
        _client(AsyncioTransport(verify=_trusting())) as client,
        ReconnectingEventSource(server.url, client=client, policy=lambda _: 0.0) as source,
        anyio.create_task_group() as tasks,
    ):

        async def interrupt() -> None:
            await asyncio.sleep(0.02)
            await getattr(source, how)()

        async for item in source:
            got.append(item.data)
            if len(got) == 1:
                tasks.start_soon(interrupt)
    assert got == (["one", "two"] if how == "reconnect" else ["one"])
    await anyio.to_thread.run_sync(server.wait_for_connections, 0)


@pytest.mark.timing
async def test_bytes_between_two_looks_end_the_silence(server: ScriptedServer) -> None:
    """A look that timed out goes on with the next one, but not with a time that is over."""
    gate, stays = Gate(), pause(0.4)
    server.add(Connection(event("one"), gate, raw(": alive\n\n"), stays, event("two")))
    async with (
        _client(AsyncioTransport(verify=_trusting())) as client,
        ReconnectingEventSource(server.url, client=client, idle_timeout=0.6) as source,
    ):
        assert (await anext(source)).data == "one"
        with anyio.move_on_after(0.02) as scope:
            await anext(source)
        assert scope.cancelled_caught
        await asyncio.sleep(0.3)
        gate.open()
        await asyncio.sleep(0.1)
        assert (await anext(source)).data == "two"
    assert len(server.requests) == 1
