"""`SyncTransport`: what only threads have, above all closing from another one."""

from __future__ import annotations

import errno
import gc
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import GiveUpError, SyncReconnectingEventSource
from resilient_sse._http import slot
from resilient_sse._http.client import default_client
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    ScriptedServer,
    event,
    no_answer,
    pause,
    raw,
)
from resilient_sse.transports import SyncTransport, _sockets
from resilient_sse.transports._threads.dial import Dial, addresses_of
from resilient_sse.transports._threads.interrupt import InterruptHandle
from tests.support import both
from tests.support.runners import CERTIFICATE, eventually, server_tls
from tests.testing.test_endings import STORIES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

over_both_libraries = both.over_both_libraries

X = b"data: x\n\n"
KEPT = Connection(event("x"), keep_alive=True)
QUIET = Connection(event("x"), ending=Ending.SILENCE)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script and without TLS."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def secure() -> Iterator[ScriptedServer]:
    """A server without a script, with TLS."""
    with ScriptedServer(ssl_context=server_tls()) as server:
        yield server


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


def _client(timeout: Any = 5.0, **options: Any) -> httpx.Client:
    return httpx.Client(transport=SyncTransport(**options), timeout=timeout, trust_env=False)


def _url(sock: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{sock.getsockname()[1]}/"


# -- Connecting --------------------------------------------------------------------------------


def _addresses(*socks: socket.socket) -> list[Any]:
    return [(socket.AF_INET, sock.getsockname()) for sock in socks]


@pytest.mark.timing
def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(
    absent: socket.socket, mute: socket.socket
) -> None:
    """Then the next one is tried beside it, and what is left of the first is closed."""
    began = time.monotonic()
    with Dial(None, ()).race(_addresses(absent, mute), inf) as sock:
        assert sock.getpeername() == mute.getsockname()
    assert 0.2 < time.monotonic() - began < 2


@pytest.mark.timing
def test_an_address_that_refuses_costs_nothing(mute: socket.socket) -> None:
    """The next one is tried at once, whether it is a port, a family or a name that is wrong."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wrong = [*_addresses(closed), (-7, ("", 1)), (socket.AF_UNIX, "/no/such/path")]
        began = time.monotonic()
        with Dial(None, ()).race([*wrong, *_addresses(mute)], inf) as sock:
            assert sock.getpeername() == mute.getsockname()
        assert time.monotonic() - began < 0.2
        with pytest.raises(ConnectionRefusedError):
            Dial(None, ()).race(wrong, inf)


def test_no_address_answers_in_time(absent: socket.socket) -> None:
    """All of them together have the time of one."""
    with pytest.raises(TimeoutError):
        Dial(None, ()).race(_addresses(absent, absent), time.monotonic() + 0.1)


def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 and IPv4 alternate, beginning with what the system prefers."""
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(six, 1, 6, "", f"::{n}") for n in range(3)] + [(four, 1, 6, "", "127.0.0.1")]

    def resolve(_host: str, _port: int, **_options: Any) -> Any:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert [address for _, address in addresses_of(("h", 80))] == ["::0", "127.0.0.1", "::1", "::2"]


def test_host_that_cannot_be(library: Any) -> None:
    """A name that no resolver takes is an error in connecting."""
    with pytest.raises(httpx.ConnectError):
        Dial(None, (), library).connect(("a" * 64 + ".invalid", 80))


def test_time_for_connecting_includes_the_name(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    """When the resolver has used up the time, nothing is connected."""
    resolve = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.1)
        return resolve(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(httpx.ConnectTimeout), socket.create_server(("127.0.0.1", 0)) as sock:
        Dial(None, (), library).connect(sock.getsockname(), 0.05)


# -- Connections that are used again -----------------------------------------------------------


def test_a_connection_that_waited_too_long_is_closed(server: ScriptedServer) -> None:
    """The next request finds that its time is over, and opens another."""
    server.add(*[KEPT] * 2)
    with _client(keepalive_expiry=0.01) as client:
        client.get(server.url)
        time.sleep(0.02)
        client.get(server.url)
        server.wait_for_connections(1)
    server.wait_for_connections(0)
    assert [request.connection for request in server.requests] == [1, 2]


def test_connections_are_kept_for_each_origin(server: ScriptedServer) -> None:
    """A connection serves only the host that it was opened to."""
    server.add(*[KEPT] * 4)
    with _client() as client:
        for host in ("127.0.0.1", "localhost") * 2:
            client.get(server.url.replace("127.0.0.1", host))
    assert [request.connection for request in server.requests] == [1, 2, 1, 2]


def test_threads_share_a_transport(server: ScriptedServer) -> None:
    """Requests at the same time have connections of their own, which all are used again."""
    server.add(*[KEPT] * 40)
    with _client() as client:

        def work() -> None:
            for _ in range(10):
                assert client.get(server.url).content == X

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({request.connection for request in server.requests}) <= 4
    assert len(server.requests) == 40


def test_cookies_and_authentication_work_above_it(server: ScriptedServer) -> None:
    """What httpx does with responses and requests it does here, too."""

    class Knock(httpx.Auth):
        def auth_flow(
            self, request: httpx.Request
        ) -> Generator[httpx.Request, httpx.Response, None]:
            response = yield request
            assert response.status_code == 401
            request.headers["authorization"] = "again"
            yield request

    server.add(
        Connection(status=401, headers={"Set-Cookie": "a=b"}, keep_alive=True),
        Connection(event("x")),
        Connection(event("x")),
    )
    with _client() as client:
        assert client.get(server.url, auth=Knock()).content == X
        client.get(server.url)
    headers = [request.headers for request in server.requests]
    assert [header.get("authorization") for header in headers] == [None, "again", None]
    assert headers[2]["cookie"] == "a=b"


# -- Reading and closing -----------------------------------------------------------------------


@contextmanager
def _quiet_stream(server: ScriptedServer, **options: Any) -> Generator[httpx.Response]:
    """A response that has sent one event and now is silent."""
    server.add(QUIET)
    with (
        _client(httpx.Timeout(5, read=options.pop("read", 5)), verify=_trusting()) as client,
        client.stream("GET", server.url) as response,
    ):
        yield response


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("how", ["body", "transport"])
def test_closing_from_another_thread_ends_a_read(
    how: str, secured: bool, server: ScriptedServer, secure: ScriptedServer
) -> None:
    """A read that is pending fails at once, and says why."""
    chosen = secure if secured else server
    chosen.add(QUIET)
    transport = SyncTransport(verify=_trusting())
    with (
        httpx.Client(transport=transport, timeout=5) as client,
        client.stream("GET", chosen.url) as response,
    ):
        chunks = response.iter_raw()
        assert next(chunks) == X
        stream: Any = response.extensions["network_stream"]
        close = stream.abort if how == "body" else transport.close
        closing = threading.Timer(0.02, close)
        closing.start()
        with pytest.raises(httpx.ReadError, match="closed on this side"):
            next(chunks)
        closing.join()
        assert stream.get_extra_info("is_readable")
        with pytest.raises(httpx.WriteError):
            stream.write(b"x")
    chosen.wait_for_connections(0)


def test_a_closed_socket_cannot_be_read(server: ScriptedServer) -> None:
    """Reading after closing says that it was closed, not that a descriptor is bad."""
    with _quiet_stream(server) as response:
        stream: Any = response.extensions["network_stream"]
        assert X in stream.read()
        stream.close()
        with pytest.raises(httpx.ReadError, match="closed on this side"):
            stream.read()


@pytest.mark.timing
@pytest.mark.parametrize("by_the_system", [True, False])
def test_each_read_has_its_own_limit(
    by_the_system: bool, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of nothing at all is over at once; it makes no difference who keeps the time."""
    if not by_the_system:
        monkeypatch.setattr(_sockets, "_BY_THE_SYSTEM", False)
    with _quiet_stream(server) as response:
        stream: Any = response.extensions["network_stream"]
        assert X in stream.read(3, timeout=60) + stream.read(timeout=None)
        for limit in (0.01, 0.02, 0, -1):
            began = time.monotonic()
            with pytest.raises(httpx.ReadTimeout):
                stream.read(timeout=limit)
            assert limit <= time.monotonic() - began < 1


def test_a_timeout_of_tcp_is_no_timeout_of_ours(server: ScriptedServer) -> None:
    """When TCP gives up, the connection is broken."""
    with _quiet_stream(server) as response:
        stream: Any = response.extensions["network_stream"]
        error = stream._read_error(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
        assert type(error) is httpx.ReadError


def test_broken_tls_record(secure: ScriptedServer) -> None:
    """A record that cannot be decrypted ends the connection; what came before it counts."""
    with _quiet_stream(secure) as response:
        stream: Any = response.extensions["network_stream"]
        ours, theirs = socket.socketpair()
        with theirs:
            assert X in stream.read()
            with stream._sock:  # the server's end of it is not needed any more
                stream._sock = ours
            theirs.send(b"\x17\x03\x03\x00\x20" + bytes(32))
            theirs.shutdown(socket.SHUT_WR)
            for _ in range(2):
                with pytest.raises(httpx.ReadError):
                    stream.read()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_left_behind(scheme: str) -> None:
    """Whatever ends a response, no socket and no thread stays."""
    context = server_tls() if scheme == "https" else None
    threads = set(threading.enumerate())
    with ScriptedServer([story for story, _ in STORIES.values()], ssl_context=context) as server:
        with _client(httpx.Timeout(5, read=0.1), verify=_trusting()) as client:
            for _ in STORIES:
                with suppress(httpx.HTTPError):
                    client.get(server.url)
        server.wait_for_connections(0)
    gc.collect()  # a forgotten socket would warn now, and warnings are errors
    left = set(threading.enumerate()) - threads
    assert {thread.name for thread in left} <= {"resilient_sse watch"}  # the process has one


# -- The source --------------------------------------------------------------------------------


def test_own_client_has_our_transport() -> None:
    """A blocking source without a client reads over `SyncTransport`."""
    with default_client() as client:
        assert isinstance(client._transport, SyncTransport)


class Consumer(threading.Thread):
    """Reads a source to its end."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self.source = SyncReconnectingEventSource(url, policy=lambda _: None, **options)
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with self.source:
                for _ in self.source:
                    continue
        except GiveUpError as error:
            self.error = error

    def close(self) -> None:
        """Close the source, and check that this ends the reading at once and without an error."""
        began = time.monotonic()
        self.source.close()
        self.join(5)
        assert not self.is_alive()
        assert time.monotonic() - began < 1
        assert self.error is None


@pytest.mark.timing
def test_close_while_the_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver cannot be interrupted; after it, nothing is connected."""
    resolving, resolved = threading.Event(), threading.Event()
    resolve = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        resolving.set()
        resolved.wait(5)
        return resolve(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        consumer = Consumer(_url(listener))
        assert resolving.wait(5)
        consumer.source.close()
        resolved.set()
        consumer.close()
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.timing
def test_close_while_connecting(absent: socket.socket) -> None:
    """A host that does not answer is not waited for."""
    consumer = Consumer(_url(absent))
    eventually(lambda: consumer.source._interrupt_handle._abort)
    time.sleep(0.05)
    consumer.close()


@pytest.mark.timing
def test_close_during_the_handshake(mute: socket.socket) -> None:
    """Nor one that accepts, and says nothing to the handshake."""
    consumer = Consumer(_url(mute, "https"))
    peer, _ = mute.accept()
    with peer:
        assert peer.recv(1)
        consumer.close()


def test_nothing_is_connected_for_a_source_that_is_closed(server: ScriptedServer) -> None:
    """Closing before there is anything to shut down is not forgotten."""
    sources: list[SyncReconnectingEventSource] = []

    def close(_request: httpx.Request, _attempt: Any) -> None:
        sources[0].close()

    with SyncReconnectingEventSource(server.url, prepare_request=close) as source:
        sources.append(source)
        assert list(source) == []
    assert server.requests == []


@pytest.mark.timing
@pytest.mark.parametrize("over", ["ours", "theirs", "theirs, perhaps HTTP/2"])
def test_a_head_that_drips_has_a_limit(
    over: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single bytes do not extend the time; only a foreign transport needs a thread for that."""
    head = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n"
    drip = [step for byte in head for step in (raw(bytes([byte])), pause(0.05))]
    server.add(Connection(*drip, framing=Framing.BARE, ending=Ending.SILENCE))
    perhaps = over.endswith("HTTP/2")
    monkeypatch.setattr(slot, "may_be_http2", lambda: perhaps)
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if over != "ours":
            options["client"] = stack.enter_context(httpx.Client(trust_env=False))
        consumer = Consumer(server.url, connect_timeout=0.3, **options)
        eventually(lambda: server.requests)
        timers = [it for it in threading.enumerate() if isinstance(it, threading.Timer)]
        aside = [it for it in threading.enumerate() if it.name == "resilient_sse h2"]
        consumer.join(5)
    assert (len(timers), len(aside)) == (over == "theirs", perhaps)
    assert isinstance(consumer.error, GiveUpError)
    assert "no response headers within 0.3 s" in str(consumer.error)


def test_time_that_is_over_before_a_step_begins(server: ScriptedServer) -> None:
    """The time for a request is that of all of its steps together."""
    handle = InterruptHandle(lambda: False)
    request = httpx.Request("GET", server.url, extensions=handle.extensions)
    with handle.deadline(0), SyncTransport() as transport:
        with pytest.raises(httpx.ConnectTimeout) as caught:
            transport.handle_request(request)
        for says_that_nothing_was_sent in (caught.value, httpx.PoolTimeout("")):
            assert not handle.overdue(says_that_nothing_was_sent)
        assert handle.overdue(httpx.ReadTimeout(""))
    assert server.requests == []


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET], ids=str)
def test_connection_that_dies_as_it_is_used_again(ending: Ending, server: ScriptedServer) -> None:
    """A GET is sent again over a new connection (RFC 9112 9.3.1), a POST is not."""
    story = [KEPT, no_answer(ending)]
    server.add(*story, *story, Connection(event("x")))
    with _client() as client:
        client.get(server.url)
        with pytest.raises(httpx.TransportError):
            client.post(server.url)
        client.get(server.url)
        assert client.get(server.url).content == X
    assert [request.connection for request in server.requests] == [1, 1, 2, 2, 3]
