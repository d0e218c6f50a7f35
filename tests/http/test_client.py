"""The client that a source makes for itself: proxies of the environment, limits, keepalive."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import certifi
import httpx
import pytest
import respx

from resilient_sse import (
    Closed,
    GiveUpError,
    NDJSONDecoder,
    NDJSONError,
    ReconnectingEventSource,
    StatusError,
    SyncReconnectingEventSource,
)
from resilient_sse._drivers.optional_await import OptionalAwait
from resilient_sse._http import client as _client
from resilient_sse._http import proxies as _proxies
from resilient_sse._http.cookies import Cookies
from resilient_sse._values.library import HTTPX
from resilient_sse.testing import Connection, ScriptedServer, event, raw
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse import LifecycleEvent

NDJSON = {"Content-Type": "application/x-ndjson"}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that names no proxy."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """Name a proxy in the environment that answers by itself."""
    with ScriptedServer([Connection(event("by proxy"))]) as server:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.port}")
        yield server


@pytest.mark.anyio
async def test_a_proxy_of_the_environment_is_used(proxy: ScriptedServer) -> None:
    """The request goes to the proxy, which gets the whole URL."""
    async with ReconnectingEventSource("http://stream.invalid/e", policy=lambda _: None) as source:
        assert (await anext(source)).data == "by proxy"

    assert proxy.requests[0].headers["host"] == "stream.invalid"


def test_a_proxy_of_the_environment_is_used_by_the_blocking_source(proxy: ScriptedServer) -> None:
    """The same in a thread."""
    with SyncReconnectingEventSource("http://stream.invalid/e", policy=lambda _: None) as source:
        assert next(source).data == "by proxy"

    assert proxy.requests[0].headers["host"] == "stream.invalid"


@pytest.mark.anyio
async def test_no_proxy_is_obeyed(
    proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    """A host that the environment excepts is asked directly."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ScriptedServer([Connection(event("direct"))]) as server:
        url = server.url
        async with ReconnectingEventSource(url, policy=lambda _: None) as source:
            assert (await anext(source)).data == "direct"

    assert proxy.requests == []


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_obeyed_by_the_blocking_source(
    proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The same in a thread, with a network."""
    monkeypatch.setenv(variable, "fd07:b51a:cc66:f0::/64,[::1],127.0.0.0/8")
    with (
        ScriptedServer([Connection(event("direct"))]) as server,
        SyncReconnectingEventSource(server.url, policy=lambda _: None) as source,
    ):
        assert next(source).data == "direct"

    assert proxy.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("no_proxy", ["fd07:b51a:cc66:f0::/64", "[::1]", "[::1]:80", "a b, c"])
async def test_entries_that_only_networks_have(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, anyio_backend: str
) -> None:
    """They hurt nobody, whether or not there is a proxy."""
    monkeypatch.setenv("no_proxy", no_proxy)
    with ScriptedServer([Connection(event("direct"))]) as server:
        url = server.url
        async with ReconnectingEventSource(url, policy=lambda _: None) as source:
            assert (await anext(source)).data == "direct"


EXCEPTIONS = [
    ("10.0.0.0/8", "http://10.1.2.3/", True),
    ("10.0.0.0/8", "http://11.1.2.3/", False),
    ("10.0.0.0/8", "http://example.com/", False),
    ("10.1.2.3", "http://10.1.2.3:8080/", True),
    ("10.1.2.3:8080", "http://10.1.2.3:8080/", True),
    ("10.1.2.3:8080", "http://10.1.2.3/", False),
    ("fd07::/64", "http://[fd07::1]/", True),
    ("[fd07::1]", "http://[fd07::1]/", True),
    ("[fd07::1]:81", "http://[fd07::1]:81/", True),
    ("[fd07::1]:81", "http://[fd07::1]/", False),
    ("fe80::/10", "http://[fe80::1%25eth0]/", True),
    ("example.com", "http://example.com/", True),
    ("example.com", "http://www.EXAMPLE.com/", True),
    ("example.com", "http://example.com./", True),
    ("example.com", "http://notexample.com/", False),
    (".example.com", "http://www.example.com/", True),
    ("*.example.com", "http://www.example.com/", True),
    ("example.com:443", "https://example.com/", False),
    ("example.com:8443", "https://example.com:8443/", True),
    ("https://example.com", "https://example.com/", True),
    ("https://example.com", "http://example.com/", False),
    ("10.0.0.0/99", "http://10.0.0.0/", False),
]


@pytest.mark.parametrize(("entry", "url", "is_excepted"), EXCEPTIONS)
def test_exceptions_from_the_proxy(entry: str, url: str, is_excepted: bool) -> None:
    """Names with what is below them, addresses, networks, ports and schemes, as in curl."""
    (exception,) = _proxies.excepted(entry) or []
    assert exception.covers(httpx.URL(url)) == is_excepted


def test_everything_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An asterisk switches the proxies off."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "localhost,*")
    with (
        ScriptedServer([Connection(event("direct"))]) as server,
        SyncReconnectingEventSource(server.url, policy=lambda _: None) as source,
    ):
        assert next(source).data == "direct"


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy_url", ["socks://me:hush@h:1", "foo://h", "http://[::1"])
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy_url: str
) -> None:
    """One line names the variable, and no password."""
    monkeypatch.setenv(variable, proxy_url)
    with pytest.raises(ValueError, match=f"^{variable} names a proxy that cannot be") as caught:
        SyncReconnectingEventSource("http://127.0.0.1:9/").__enter__()
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_proxy_that_wants_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """407 to CONNECT is final: it is the same every time."""
    with ScriptedServer(then=Connection(status=407)) as server:
        monkeypatch.setenv("https_proxy", server.url)
        with (
            pytest.raises(GiveUpError, match="407") as caught,
            SyncReconnectingEventSource("https://stream.invalid/") as source,
        ):
            next(source)
    assert not caught.value.failure.retryable


def test_a_renewed_bundle_of_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Once the file is replaced, new connections trust what it says now."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text(Path(certifi.where()).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(_client, "_authorities", _client.Authorities())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(PEM)
    with ScriptedServer(then=Connection(event("x")), ssl_context=serving) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with _client.default_client() as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                client.get(url)
            monkeypatch.setattr(_client, "_LOOKED_AT_EVERY", 0.0)
            replace(bundle, "no certificate")
            assert not trusts(client, url, tries=3)
            replace(bundle, PEM.read_text(encoding="utf-8"))
            assert trusts(client, url, tries=100)
            bundle.unlink()
            assert trusts(client, url, tries=3)


def replace(path: Path, text: str) -> None:
    """Put another file in its place, as tools that renew certificates do."""
    path.with_suffix(".new").write_text(text, encoding="utf-8")
    path.with_suffix(".new").replace(path)


def trusts(client: httpx.Client, url: str, *, tries: int) -> bool:
    """Say whether a connection is made; a thread looks at the file meanwhile."""
    for _ in range(tries):
        with contextlib.suppress(httpx.ConnectError):
            return client.get(url).status_code == 200
        time.sleep(0.05)
    return False


def no_certificates() -> None:
    """Stand for reading them without a file descriptor left."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def read_async(url: str, told: list[LifecycleEvent]) -> None:
    """Read a stream."""
    async with ReconnectingEventSource(url, hooks=[told.append]) as source:
        await anext(source)


def start(in_thread: bool, url: str, told: list[LifecycleEvent]) -> None:
    """Do so, or do the same in a thread."""
    if not in_thread:
        anyio.run(read_async, url, told)
        return
    with SyncReconnectingEventSource(url, hooks=[told.append]) as source:
        next(source)


@pytest.mark.parametrize("in_thread", [False, True])
def test_no_certificates_are_read_for_a_stream_without_tls(
    monkeypatch: pytest.MonkeyPatch,
    in_thread: bool,
) -> None:
    """It takes time, and may fail."""
    monkeypatch.setattr(_client, "_ssl_context", no_certificates)
    with ScriptedServer(then=Connection(event("x"))) as server:
        start(in_thread, server.url, [])


@pytest.mark.parametrize("in_thread", [False, True])
def test_hooks_hear_of_the_end_if_no_client_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
    in_thread: bool,
) -> None:
    """The block is not entered then, and so never left."""
    told: list[LifecycleEvent] = []
    monkeypatch.setenv("http_proxy", "nonsense://proxy")
    with pytest.raises(ValueError, match="http_proxy"):
        start(in_thread, "http://stream.invalid", told)
    assert [type(each) for each in told] == [Closed]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_asynchronous_client_asks_for_each_connection() -> None:
    """It has no context of its own that would grow old."""
    async with _client.default_async_client() as client:
        transport: Any = client._transport
        assert transport._context(HTTPX) is _client._ssl_context()


def test_a_cookie_header_takes_the_place_of_the_jar() -> None:
    """As in httpx; a client with cookies of its own sends both, as the page on clients says."""
    balanced = {"Set-Cookie": "balancer=7"}
    script = [Connection(event("x"), headers=balanced), Connection(event("y"))]
    sent: list[list[str]] = []
    for own in (True, False):
        with ScriptedServer(script) as server, httpx.Client(cookies={"session": "1"}) as client:
            with SyncReconnectingEventSource(
                server.url,
                policy=lambda _: 0.0,
                headers={"Cookie": "session=1"} if own else None,
                client=None if own else client,
            ) as source:
                assert [event.data for event in source] == ["x", "y"]
            sent.append([request.headers["cookie"] for request in server.requests[:2]])
    assert sent == [["session=1", "session=1"], ["session=1", "session=1; balancer=7"]]


def test_keepalive_finds_a_dead_peer_within_a_minute() -> None:
    """The socket options say: after 30 s of silence probe every 10 s, three times."""
    options = {(level, name): value for level, name, value in _client.KEEPALIVE}

    assert options[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1
    assert options[socket.IPPROTO_TCP, socket.TCP_KEEPINTVL] == 10
    assert options[socket.IPPROTO_TCP, socket.TCP_KEEPCNT] == 3


BAD_LINE = Connection(raw('{"a": 1}\n{oops\n'), headers=NDJSON)
GOOD_LINE = Connection(raw('{"a": 2}\n'), headers=NDJSON)


@pytest.mark.anyio
async def test_a_decoders_own_error_is_raised_as_it_is() -> None:
    """What came before it is delivered, and the source is over."""
    with ScriptedServer([BAD_LINE, GOOD_LINE]) as server:
        url = server.url
        async with ReconnectingEventSource(url, decoder=NDJSONDecoder) as source:
            assert (await anext(source)).json() == {"a": 1}
            with pytest.raises(NDJSONError, match="line 2"):
                await anext(source)
            assert [event async for event in source] == []


def test_a_decoders_own_error_is_raised_by_the_blocking_source() -> None:
    """The same in a thread."""
    with (
        ScriptedServer([BAD_LINE, GOOD_LINE]) as server,
        SyncReconnectingEventSource(server.url, decoder=NDJSONDecoder) as source,
    ):
        assert next(source).json() == {"a": 1}
        with pytest.raises(NDJSONError, match="line 2"):
            next(source)
        assert list(source) == []


def test_a_blocking_source_cannot_await() -> None:
    """An awaitable of any kind is refused, with the reason."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(
            server.url, prepare_request=lambda _request, _attempt: OptionalAwait()
        ) as source,
        pytest.raises(TypeError, match="a blocking source takes plain functions"),
    ):
        next(source)


def forbidden(_request: httpx.Request) -> httpx.Response:
    """Answer as respx and ``httpx.MockTransport`` do: with a body that is in memory already."""
    return httpx.Response(403, text="no entry")


@pytest.mark.anyio
async def test_the_body_of_a_mocked_error_is_told() -> None:
    """An error that a unit test makes up reads like one from a server."""
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(forbidden)) as client,
        ReconnectingEventSource("http://h/e", client=client) as source,
    ):
        with pytest.raises(GiveUpError) as caught:
            await anext(source)

    assert isinstance(caught.value.__cause__, StatusError)
    assert caught.value.__cause__.body == b"no entry"


def test_the_body_of_a_mocked_error_is_told_by_the_blocking_source() -> None:
    """The same in a thread."""
    with (
        httpx.Client(transport=httpx.MockTransport(forbidden)) as client,
        SyncReconnectingEventSource("http://h/e", client=client) as source,
        pytest.raises(GiveUpError) as caught,
    ):
        next(source)

    assert isinstance(caught.value.__cause__, StatusError)
    assert caught.value.__cause__.body == b"no entry"


def test_cookies_do_not_pile_up() -> None:
    """Fifty cookies are kept, the newest, and none of more than 4 KB (RFC 6265 6.1)."""
    cookies = Cookies()
    for number in range(60):
        headers = [("Set-Cookie", f"c{number}=x"), ("Set-Cookie", f"large={'x' * 4096}")]
        request = httpx.Request("GET", "http://example.com/")
        cookies.extract_cookies(httpx.Response(200, headers=headers, request=request))
    assert list(cookies) == [f"c{number}" for number in range(10, 60)]


@pytest.mark.parametrize(
    "cookie", ["a=\xff", "\xff=a", 'a="\xff"; Version=1', "a=1; Path=/\xff; Version=1"]
)
def test_a_cookie_that_no_request_can_carry_is_not_kept(cookie: str) -> None:
    """Or a server, or a captive portal in between, would end the stream with it."""
    odd = {"Set-Cookie": cookie}
    script = [
        Connection(event("x"), headers=odd),
        Connection(status=302, headers=odd | {"Location": "/events?y"}),
        Connection(event("y"), headers={"Set-Cookie": "b=2"}),
        Connection(event("z")),
    ]
    with ScriptedServer(script) as server:
        with SyncReconnectingEventSource(server.url, policy=lambda _: 0.0) as source:
            assert [event.data for event in source] == ["x", "y", "z"]
        sent = [request.headers.get("cookie") for request in server.requests]
    assert sent == [None, None, None, "b=2", "b=2"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["httpx", "httpcore"])
async def test_the_own_client_can_be_mocked(name: str) -> None:
    """With respx it sends nothing over the network, although asyncio has a transport of ours."""
    headers = {"Content-Type": "text/event-stream"}
    answer = httpx.Response(200, headers=headers, text="data: x\n\n")
    with respx.mock(using=name) as mock:
        mock.get("http://t.invalid/").mock(side_effect=[answer, httpx.Response(204)])
        async with ReconnectingEventSource("http://t.invalid/", policy=lambda _: 0.0) as source:
            assert [event.data async for event in source] == ["x"]


@pytest.mark.parametrize("name", ["httpx", "httpcore"])
def test_the_own_client_of_a_thread_can_be_mocked(name: str) -> None:
    """With respx it sends nothing over the network, although threads have a transport of ours."""
    headers = {"Content-Type": "text/event-stream"}
    answer = httpx.Response(200, headers=headers, text="data: x\n\n")
    with respx.mock(using=name) as mock:
        mock.get("http://t.invalid/").mock(side_effect=[answer, httpx.Response(204)])
        with SyncReconnectingEventSource("http://t.invalid/", policy=lambda _: 0.0) as source:
            assert [event.data for event in source] == ["x"]


@pytest.mark.anyio
async def test_the_own_client_can_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe put into httpx's transport, as tracers do, sees the requests."""
    seen: list[httpx.Request] = []

    class Probe:
        __module__ = "httpx._transports.default"  # as functools.wraps() has it

        async def __call__(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(204)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", Probe())
    async with ReconnectingEventSource("http://t.invalid/") as source:
        assert [event async for event in source] == []
    assert len(seen) == 1
