"""`ScriptedServer`: the bytes on the wire, stopping and starting, and what is left behind."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import httpx
import pytest
from anyio import to_thread

from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    Gate,
    ScriptedServer,
    event,
    forever,
    half_status_line,
    no_answer,
    pause,
    raw,
    refused,
)
from resilient_sse.testing._client_socket import ClientSocket
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from resilient_sse.testing import RecordedRequest

GET = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
X = b"9\r\ndata: x\n\n\r\n"


@contextlib.contextmanager
def _client(server: ScriptedServer, data: bytes = GET) -> Generator[socket.socket]:
    """A plain socket that has sent these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(data)
        yield sock


def _all(sock: socket.socket) -> bytes:
    """Everything up to FIN."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def _exactly(sock: socket.socket, expected: bytes) -> None:
    """Read so many bytes and compare them."""
    received = b""
    while len(received) < len(expected):
        received += sock.recv(len(expected) - len(received))
    assert received == expected


def _sockets() -> set[str]:
    """The sockets that this process has open."""
    links = set[str]()
    for entry in os.scandir("/proc/self/fd"):
        try:
            links.add(str(Path(entry.path).readlink()))
        except FileNotFoundError:
            continue  # the directory that was scanned
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.parametrize(
    ("connection", "wire"),
    [
        (Connection(event("x")), HEAD + X + b"0\r\n\r\n"),
        (Connection(event("x"), ending=Ending.TRUNCATED), HEAD + X),
        (Connection(event("x"), ending=Ending.MID_CHUNK), HEAD + X + b"10\r\n"),
        (
            Connection(event("x"), ending=Ending.GARBAGE),
            HEAD + X + b"\xff no chunk header\r\n",
        ),
        (
            Connection(raw(b"abcde"), chunk_size=2),
            HEAD + b"2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\n\r\n",
        ),
        (
            Connection(event("x"), ending=Ending.CLOSE, headers={"Content-Type": None}),
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: x\n\n",
        ),
        (
            Connection(event("x"), framing=Framing.LENGTH, status=404, ending=Ending.TRUNCATED),
            b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 25\r\n\r\ndata: x\n\n",
        ),
        (Connection(status=204), b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        (no_answer(), b""),
        (half_status_line(), b"HTTP/1.1 2"),
        (half_status_line(Ending.GARBAGE), b"HTTP/1.1 2\xff no status line\r\n\r\n"),
    ],
)
def test_the_wire_has_exactly_these_bytes(connection: Connection, wire: bytes) -> None:
    """From the status line to FIN."""
    with ScriptedServer([connection]) as server, _client(server) as sock:
        assert _all(sock) == wire


def test_gzip_is_flushed_after_every_step() -> None:
    """A client can decode each event when it comes; the end has gzip's trailer."""
    connection = Connection(event("x"), event("y"), gzip=True, ending=Ending.CLOSE)
    with ScriptedServer([connection]) as server, _client(server) as sock:
        _headers, _, body = _all(sock).partition(b"\r\n\r\n")
    assert gzip.decompress(body) == b"data: x\n\ndata: y\n\n"


@pytest.mark.parametrize("connection", [Connection(event("x"), ending=Ending.RESET), refused()])
def test_a_reset_is_a_reset(connection: Connection) -> None:
    """The client's system reports RST, not FIN."""
    with ScriptedServer([connection]) as server:
        with pytest.raises(ConnectionResetError):  # perhaps while the request is being sent
            _ask(server)
        assert not server.errors


def _ask(server: ScriptedServer) -> bytes:
    with _client(server) as sock:
        return _all(sock)


def test_what_was_sent_before_a_reset_can_be_read() -> None:
    """Small bodies are complete when the reset comes, every time."""
    script = [Connection(event("x"), ending=Ending.RESET)] * 50
    with ScriptedServer(script) as server:
        for _ in script:
            with _client(server) as sock:
                _exactly(sock, HEAD + X)


def test_silence_lasts_until_the_client_leaves() -> None:
    """The server notices at once that a client has left."""
    with ScriptedServer([Connection(ending=Ending.SILENCE)]) as server:
        with _client(server) as sock:
            _exactly(sock, HEAD)
            assert server.open_connections == 1
        server.wait_for_connections(0)
        assert server.open_connections == 0
        with pytest.raises(TimeoutError, match="0 connections are open after"):
            server.wait_for_connections(1, timeout=0.01)


def test_one_connection_can_serve_many_requests() -> None:
    """With keep_alive the next request, even one that came early, uses the next entry."""
    script = [
        Connection(event("x"), keep_alive=True),
        Connection(pause(0.01), status=404, keep_alive=True),
        Connection(event("x"), keep_alive=True, ending=Ending.TRUNCATED),
    ]
    head = HEAD.replace(b"Connection: close\r\n", b"")
    with ScriptedServer(script) as server, _client(server, GET) as sock:
        _exactly(sock, head + X + b"0\r\n\r\n")
        sock.sendall(GET)
        sock.sendall(GET)
        _exactly(sock, b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert _all(sock) == head + X
        assert [request.connection for request in server.requests] == [1, 1, 1]


def test_requests_that_come_early_are_kept() -> None:
    """What a client sends during a pause is its next request."""
    script = [Connection(pause(0.05), framing=Framing.CHUNKED, keep_alive=True), no_answer()]
    with ScriptedServer(script) as server, _client(server) as sock:
        server.wait_for_requests(1)
        sock.sendall(GET)
        assert len(server.wait_for_requests(2)) == 2


def test_gates_hold_the_script_until_the_test_opens_them() -> None:
    """The script goes on when the gate is opened, and later connections pass."""
    gate = Gate()
    script = [Connection(event("x"), gate, event("x"))] * 2
    with ScriptedServer(script) as server:
        with _client(server) as sock:
            _exactly(sock, HEAD + X)
            gate.open()
            assert _all(sock) == X + b"0\r\n\r\n"
        with _client(server) as sock:
            assert _all(sock) == HEAD + X + X + b"0\r\n\r\n"


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"\x16\x03\x01\x00\r\n\r\n"])
def test_clients_that_do_not_speak_http_are_hung_up_on(data: bytes) -> None:
    """Nothing is recorded, nothing is used up."""
    with ScriptedServer([Connection(event("x"))]) as server:
        with _client(server, data) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert _all(sock) == b""
        with _client(server) as sock:
            assert _all(sock) == HEAD + X + b"0\r\n\r\n"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("ending", "rest"),
    [
        (Ending.CLEAN, b"0\r\n\r\n"),
        (Ending.TRUNCATED, b""),
        (Ending.GARBAGE, b"\xff no chunk header\r\n"),
    ],
)
@pytest.mark.parametrize(
    "connection",
    [
        Connection(event("x"), ending=Ending.SILENCE),
        Connection(event("x"), Gate()),
        Connection(event("x"), pause(60)),
    ],
)
def test_connections_can_be_dropped_in_any_way(
    connection: Connection, ending: Ending, rest: bytes
) -> None:
    """Wherever the script is, drop_all ends it now, as it is told to."""
    with ScriptedServer([connection]) as server, _client(server) as sock:
        _exactly(sock, HEAD + X)
        server.drop_all(ending)
        assert server.open_connections == 0
        assert _all(sock) == rest


def test_connections_can_fall_silent_and_be_dropped_later() -> None:
    """With SILENCE they stay open, as a half-open connection does."""
    script = [Connection(forever(event("x"), pause(0.001)))]
    with ScriptedServer(script) as server, _client(server) as sock:
        _exactly(sock, HEAD + X)
        server.drop_all(Ending.SILENCE)
        assert server.open_connections == 1
        server.drop_all(Ending.TRUNCATED)
        assert set(_all(sock).split(X)) == {b""}


@pytest.mark.parametrize("data", [b"", b"GET / HT"])
def test_clients_without_a_request_are_dropped_too(data: bytes) -> None:
    """Also a client that has not asked for anything yet."""
    with ScriptedServer() as server, _client(server, data) as sock:
        server.wait_for_connections(1)
        server.drop_all(Ending.CLEAN)
        assert _all(sock) == b""


def test_bytes_that_nobody_read_make_no_reset() -> None:
    """A connection that is closed in good order ends so, whatever the client has sent."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        served = ClientSocket(listener.accept()[0], 1)
        client.sendall(GET)
        served.close()
        assert client.recv(1) == b""


@pytest.mark.parametrize("reads", [True, False])
def test_floods_can_be_dropped(reads: bool) -> None:
    """Neither a busy sender nor one that waits for a slow client misses the order."""
    connection = Connection(forever(raw(bytes(65536))))
    with ScriptedServer([connection]) as server, _client(server) as sock:
        _exactly(sock, HEAD)
        reader = threading.Thread(target=_until_reset, args=(sock,))
        if reads:
            reader.start()
        else:
            time.sleep(0.05)  # until the buffers are full
        server.drop_all()
        if reads:
            reader.join()


def test_floods_over_tls_can_be_dropped(server_context: ssl.SSLContext) -> None:
    """TLS waits for slow clients in its own way."""
    trusting = ssl.create_default_context(cafile=str(PEM))
    script = [Connection(forever(raw(bytes(65536))))]
    with (
        ScriptedServer(script, ssl_context=server_context) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
        trusting.wrap_socket(sock, server_hostname="localhost") as secured,
    ):
        secured.sendall(GET)
        server.wait_for_requests(1)
        time.sleep(0.05)  # until the buffers are full
        server.drop_all()


def _until_reset(sock: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        _all(sock)


def test_a_server_can_be_down_and_come_back() -> None:
    """While it is stopped connections are refused; the port, the script and the log stay."""
    with ScriptedServer([Connection(ending=Ending.SILENCE), Connection(event("x"))]) as server:
        url = server.url
        with _client(server) as sock:
            _exactly(sock, HEAD)
            server.stop()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert server.open_connections == 0
        with pytest.raises(ConnectionRefusedError), _client(server):
            pass
        server.stop()
        server.drop_all()
        server.wait_for_connections(0)
        with pytest.raises(TimeoutError, match="not 1"):
            server.wait_for_connections(1)
        server.start()
        assert server.url == url
        assert httpx.get(url, trust_env=False).text == "data: x\n\n"
        assert [request.connection for request in server.requests] == [1, 2]
        with pytest.raises(RuntimeError, match="running already"):
            server.start()


def test_the_port_can_be_chosen() -> None:
    """The URL is known before the server starts; a port that is taken is an error."""
    with ScriptedServer() as first:
        second = ScriptedServer(port=first.port)
        assert second.url == first.url
        with pytest.raises(OSError, match="in use"):
            second.start()
    with second:
        assert httpx.get(second.url, trust_env=False).status_code == 204


def test_a_stopped_server_can_be_closed() -> None:
    """The reserved port is freed; closing twice does no harm; it may even start again."""
    server = ScriptedServer()
    assert server.port == 0
    with server:
        server.stop()
    server.close()
    with pytest.raises(ConnectionRefusedError), _client(server):
        pass
    with server, _client(server) as sock:
        assert _all(sock).startswith(b"HTTP/1.1 204")


@pytest.mark.timing
def test_nothing_is_left_behind() -> None:
    """After the block there is no socket and no thread of the server, however busy it was."""
    sockets, threads = _sockets(), threading.enumerate()
    script = [
        Connection(ending=Ending.SILENCE),
        Connection(pause(60)),
        Connection(before_headers=60),
        Connection(Gate()),
        no_answer(Ending.SILENCE),
        Connection(forever(event("x"))),
    ]
    clients: list[socket.socket] = []
    with ScriptedServer(script) as server:
        for count in range(len(script)):
            clients.append(socket.create_connection(("127.0.0.1", server.port)))
            clients[-1].sendall(GET)
            server.wait_for_requests(count + 1)
        clients.append(socket.create_connection(("127.0.0.1", server.port)))
        server.wait_for_connections(len(clients))
        started = time.monotonic()
    assert time.monotonic() - started < 1
    for client in clients:
        client.close()
    assert threading.enumerate() == threads
    assert _sockets() <= sockets


def test_failures_of_the_tests_own_functions_are_raised_at_the_end() -> None:
    """An assertion in a function of the script is not lost in a thread."""

    def check(request: object) -> Connection:
        raise AssertionError("no such header")

    server = ScriptedServer([check])
    server.start()
    with _client(server) as sock:
        _until_reset(sock)
    with pytest.raises(AssertionError, match="no such header"):
        server.__exit__(None, None, None)


def test_the_tests_own_failure_comes_first() -> None:
    """An exception in the block is not replaced by one of a function in the script."""

    def check(request: object) -> Connection:
        raise AssertionError

    server = ScriptedServer(then=check)
    with pytest.raises(KeyError) as caught, server:  # noqa: PT012
        with _client(server) as sock:
            _until_reset(sock)
        raise KeyError
    assert caught.value.__notes__ == ["in the script of the server: AssertionError()"]


def test_a_function_has_to_return_a_connection() -> None:
    """What it returned instead is said."""

    def forgetful(request: RecordedRequest) -> Connection:
        return cast("Connection", request.headers.get("x-none"))

    server = ScriptedServer(then=forgetful)
    server.start()
    with _client(server) as sock:
        _until_reset(sock)
    with pytest.raises(TypeError, match=r"forgetful.* must return a Connection, not None"):
        server.__exit__(None, None, None)


def test_a_refusal_by_a_function_is_a_reset() -> None:
    """It comes too late to refuse the connection."""
    with ScriptedServer(then=lambda _: refused()) as server, _client(server) as sock:
        _until_reset(sock)
        assert len(server.requests) == 1


@pytest.mark.anyio
async def test_async_tests_can_run_a_server_in_their_own_block() -> None:
    """Starting and closing happen in a worker thread; the loop is never blocked."""
    threads = set(threading.enumerate())
    async with ScriptedServer([Connection(event("x"))]) as server, httpx.AsyncClient() as client:
        assert (await client.get(server.url)).text == "data: x\n\n"
        assert len(server.requests) == 1
        assert server.open_connections <= 1
        await to_thread.run_sync(server.drop_all)
    left = set(threading.enumerate()) - threads
    assert not [thread for thread in left if thread.name.startswith("sse-test")]


@pytest.mark.anyio
async def test_a_cancelled_block_still_closes_the_server() -> None:
    """Closing is shielded from cancellation."""
    server = ScriptedServer()
    with anyio.CancelScope() as scope:
        async with server:
            scope.cancel()
    with pytest.raises(ConnectionRefusedError), _client(server):
        pass


# TLS


@pytest.fixture
def server_context() -> ssl.SSLContext:
    """A certificate for localhost that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


@pytest.fixture
def tls_client() -> Iterator[httpx.Client]:
    """A client that trusts it."""
    context = ssl.create_default_context(cafile=str(PEM))
    with httpx.Client(verify=context, trust_env=False, timeout=2) as client:
        yield client


def test_scripts_can_be_performed_over_tls(
    server_context: ssl.SSLContext, tls_client: httpx.Client
) -> None:
    """Clean ends, cut ends, large bodies and silence, as over plain TCP."""
    large = bytes(3_000_000)
    script = [
        Connection(event("x")),
        Connection(event("x"), ending=Ending.CLOSE),
        Connection(raw(large), pause(0.01)),
        Connection(event("x"), ending=Ending.TRUNCATED),
        Connection(event("x"), ending=Ending.RESET),
        refused(),
    ]
    with ScriptedServer(script, ssl_context=server_context) as server:
        assert server.url.startswith("https://")
        assert tls_client.get(server.url).text == "data: x\n\n"
        assert tls_client.get(server.url).text == "data: x\n\n"
        assert tls_client.get(server.url).content == large
        for _ in range(2):  # Python's ssl module takes a reset for an end
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                tls_client.get(server.url)
        with pytest.raises(httpx.ConnectError):
            tls_client.get(server.url)


def test_clients_that_do_not_speak_tls_are_hung_up_on(server_context: ssl.SSLContext) -> None:
    """So are those that say nothing when the server closes."""
    with ScriptedServer(ssl_context=server_context) as server:
        with _client(server) as sock, contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in _all(sock)
        with _client(server, b""):
            server.wait_for_connections(1)
            server.close()
    assert server.requests == []


def test_tls_clients_can_be_silent_and_leave(
    server_context: ssl.SSLContext, tls_client: httpx.Client
) -> None:
    """A client that closes its TLS connection is seen to have left."""
    script = [Connection(ending=Ending.SILENCE)]
    with ScriptedServer(script, ssl_context=server_context) as server:
        with tls_client.stream("GET", server.url) as response:
            assert response.status_code == 200
            assert server.open_connections == 1
        server.wait_for_connections(0)
