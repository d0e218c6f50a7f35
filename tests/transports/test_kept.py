"""What our transports do with a connection that is kept, a context that is shared, odd requests."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import selectors
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

import h11
import httpx
import pytest

from resilient_sse._values.library import HTTPX, installed
from resilient_sse.transports import AsyncioTransport, SyncTransport
from resilient_sse.transports._base import TransportBase
from resilient_sse.transports._framing import Chunked
from resilient_sse.transports._request_exchange import origin_of
from tests.support import both
from tests.support.files import PEM
from tests.support.in_threads import InThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

pytestmark = pytest.mark.anyio
over_both_libraries = both.over_both_libraries


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests on asyncio, where our transport is."""
    return "asyncio"


def _ours(**options: Any) -> httpx.AsyncBaseTransport:
    return AsyncioTransport(**options)


def _blocking(**options: Any) -> httpx.AsyncBaseTransport:
    return InThreads(SyncTransport(**options))


each = pytest.mark.parametrize("make", [_ours, _blocking])


class Server:
    """Answers on kept connections; the answers on each of them are given in order.

    Attributes:
        heads: The first line of every request, with the number of its connection.
    """

    def __init__(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[tuple[int, str]] = []
        self.protocols: list[str | None] = []
        self._answers = answers
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme, port = "https" if self._tls else "http", self._listener.getsockname()[1]
        return f"{scheme}://localhost:{port}/" if self._tls else f"{scheme}://127.0.0.1:{port}/"

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            number = len(self._threads) + 1
            thread = threading.Thread(target=self._serve, args=(number, peer))
            self._threads.append(thread)
            thread.start()

    def _serve(self, number: int, peer: socket.socket) -> None:
        try:
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
                self.protocols.append(peer.selected_alpn_protocol())
            self._answer(number, peer)
        except OSError:
            return
        finally:
            peer.close()

    def _answer(self, number: int, peer: socket.socket) -> None:
        answers = iter(self._answers)
        while data := peer.recv(65536):
            self.heads.append((number, data.split(b"\r\n")[0].decode()))
            answer = next(answers, OK) if number == 1 else OK
            peer.sendall(answer)
            if answer != OK:
                return


@each
@pytest.mark.parametrize(
    "answer", [b"HTTX/1.1 nope\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"], ids=["garbage", "half"]
)
async def test_a_request_that_was_answered_is_not_sent_again(
    make: Callable[..., httpx.AsyncBaseTransport], answer: bytes
) -> None:
    """Whatever came back, the server has the request: not even an idempotent one is repeated."""
    with Server(OK, answer) as server:
        async with httpx.AsyncClient(transport=make()) as client:
            await client.put(server.url)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.put(server.url)
    assert server.heads == [(1, "PUT / HTTP/1.1")] * 2


@each
async def test_a_request_without_any_answer_is_sent_again(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """The server closed the connection in this very moment (RFC 9112 9.3.1)."""
    with Server(OK, b"") as server:
        async with httpx.AsyncClient(transport=make()) as client:
            await client.put(server.url)
            assert (await client.put(server.url)).status_code == 200
    assert [number for number, _ in server.heads] == [1, 1, 2]


@each
async def test_no_connection_is_kept_for_no_time(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """``keepalive_expiry=0`` is a connection for every request, as in httpx."""
    with Server() as server:
        async with httpx.AsyncClient(transport=make(keepalive_expiry=0)) as client:
            for _ in range(3):
                await client.get(server.url)
    assert [number for number, _ in server.heads] == [1, 2, 3]


@each
async def test_target(make: Callable[..., httpx.AsyncBaseTransport]) -> None:
    """The ``target`` extension stands in place of the URL's path, as in httpcore."""
    with Server() as server:
        async with httpx.AsyncClient(transport=make()) as client:
            await client.request("OPTIONS", server.url, extensions={"target": b"*"})
    assert server.heads == [(1, "OPTIONS * HTTP/1.1")]


@each
async def test_a_context_that_an_http2_client_uses_too(
    make: Callable[..., httpx.AsyncBaseTransport],
) -> None:
    """Each connection offers what it speaks, whatever another client set on the context."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(PEM)
    serving.set_alpn_protocols(["h2", "http/1.1"])
    shared = ssl.create_default_context(cafile=str(PEM))
    with Server(tls=serving) as server:
        async with httpx.AsyncClient(transport=make(verify=shared, keepalive_expiry=0)) as client:
            for _ in range(2):
                await client.get(server.url)
                shared.set_alpn_protocols(["h2"])
    assert server.protocols == ["http/1.1"] * 2


def test_each_library_has_its_own_default_trust() -> None:
    """It takes time to read, and so is read once for all connections."""
    transport = SyncTransport(verify=True)
    contexts = [transport._context(library) for library in (HTTPX, installed("httpx2")) * 2]
    assert contexts[:2] == contexts[2:]
    assert contexts[0] is not contexts[1]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not opened


@each
@pytest.mark.parametrize("name", [".x", "a" * 70, "a\0b"])
async def test_a_server_name_that_cannot_be(
    make: Callable[..., httpx.AsyncBaseTransport], name: str
) -> None:
    """Whatever TLS makes of it, the connection is closed."""
    with Server() as server:
        url = server.url.replace("http:", "https:")
        async with httpx.AsyncClient(transport=make(verify=False)) as client:
            before = _descriptors()
            with pytest.raises((UnicodeError, ValueError, TypeError)):
                await client.get(url, extensions={"sni_hostname": name})
            await asyncio.sleep(0.05)  # asyncio closes the socket in its next round
            assert _descriptors() <= before


@pytest.fixture
def loops() -> Iterator[Callable[..., Any]]:
    """Run coroutines in event loops that stay open meanwhile."""
    made: list[asyncio.AbstractEventLoop] = []

    def run(number: int, coroutine: Any) -> Any:
        while len(made) <= number:
            made.append(asyncio.new_event_loop())
        return made[number].run_until_complete(coroutine)

    yield run
    for loop in made:
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def test_one_client_in_two_event_loops(loops: Callable[..., Any]) -> None:
    """A connection of another loop is closed there and not used here."""
    with Server() as server:
        client = httpx.AsyncClient(transport=AsyncioTransport())
        for number in (0, 1, 0, 1):
            assert loops(number, client.get(server.url)).status_code == 200
        loops(1, client.aclose())
        loops(0, asyncio.sleep(0.01))
    assert [number for number, _ in server.heads] == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's: the loop was closed too early
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_that_is_closed() -> None:
    """A client that outlives its loop works in the next one at once."""
    with Server() as server:
        client = httpx.AsyncClient(transport=AsyncioTransport())

        async def get() -> int:
            return (await client.get(server.url)).status_code

        assert [asyncio.run(get()) for _ in range(2)] == [200, 200]
        asyncio.run(client.aclose())
        gc.collect()  # which is what closes a connection whose loop is closed


@pytest.mark.parametrize(
    ("host", "name"),
    [("[fe80::1%25eth0]", "fe80::1%eth0"), ("[::1]", "::1"), ("example.com", "example.com")],
)
def test_zone(host: str, name: str) -> None:
    """A zone is found by the system under its name; certificates know none (RFC 6874)."""
    origin = origin_of(httpx.Request("GET", f"https://{host}/"))
    assert (origin.host, origin.server_name) == (name, name.partition("%")[0])


TRAILERS = [
    b"",
    b"A: b\r\n",
    b"A: b\r\nC: d\r\n",
    b"A: b\r\n folded\r\n",
    b" folded first\r\n",
    b"no colon\r\n",
    b"A : b\r\n",
    b"A: \x00\r\n",
    b"\xff: b\r\n",
]


@pytest.mark.parametrize("trailers", TRAILERS, ids=repr)
def test_trailers_are_what_h11_makes_of_them(trailers: bytes) -> None:
    """The judge is h11 with the whole response."""
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    body = b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n"
    judge.receive_data(body)
    verdict = ""
    try:
        while not isinstance(judge.next_event(), h11.EndOfMessage):
            continue
    except h11.RemoteProtocolError as error:
        verdict = str(error)

    framing = Chunked()

    assert framing.feed(body) == b"hi"
    assert (framing.open, framing.error) == (False, verdict)
    assert framing.reusable == (not verdict)


def no_descriptors(*_args: object) -> None:
    """Stand for what needs a file descriptor when there are none left."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.skipif(not hasattr(selectors, "PollSelector"), reason="there each wait takes one")
@each
async def test_looking_at_a_kept_connection_takes_no_file_descriptor(
    make: Callable[..., httpx.AsyncBaseTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there are none left, the connection serves, and is not left open for nobody."""
    with Server(OK, OK) as server:
        async with httpx.AsyncClient(transport=make()) as client:
            await client.get(server.url)
            for kind in ("EpollSelector", "KqueueSelector", "DevpollSelector", "DefaultSelector"):
                monkeypatch.setattr(selectors, kind, no_descriptors, raising=False)
            await client.get(server.url)
            monkeypatch.undo()
    assert [number for number, _ in server.heads] == [1, 1]


@each
async def test_certificates_that_cannot_be_read_are_an_error_in_connecting(
    make: Callable[..., httpx.AsyncBaseTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, and it may pass: the process may be out of file descriptors."""
    monkeypatch.setattr(TransportBase, "_context", no_descriptors)
    with Server(OK) as server:
        async with httpx.AsyncClient(transport=make()) as client:
            with pytest.raises(httpx.ConnectError, match=r"certificates to trust .*Too many open"):
                await client.get(server.url.replace("http:", "https:"))
