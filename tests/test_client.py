"""The client that a source makes for itself: proxies of the environment, limits, keepalive."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import httpx
import pytest
import respx

from resilient_sse import (
    GiveUpError,
    NDJSONDecoder,
    NDJSONError,
    ReconnectingEventSource,
    StatusError,
    SyncReconnectingEventSource,
    _client,
)
from resilient_sse._cookies import Cookies
from resilient_sse._settled import Settled
from resilient_sse.testing import Connection, ScriptedServer, event, raw

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("no_proxy", "patterns"),
    [
        ("", {"http://", "https://", "all://"}),
        ("*", set[str]()),
        (
            "localhost, example.com ,10.0.0.1,::1,http://h",
            {
                "http://",
                "https://",
                "all://",
                "all://localhost",
                "all://*example.com",
                "all://10.0.0.1",
                "all://[::1]",
                "http://h",
            },
        ),
    ],
)
def test_patterns_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, patterns: set[str]
) -> None:
    """Proxies and exceptions are read as httpx reads them."""
    for scheme in ("http", "https", "all"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    used: list[str] = []

    def transport(address: str) -> str:
        used.append(address)
        return address

    assert set(_client._mounts(transport)) == patterns
    assert used == ["http://proxy:3128"] * 3


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
    """What came before it is delivered, and asking for more connects again."""
    with ScriptedServer([BAD_LINE, GOOD_LINE]) as server:
        url = server.url
        async with ReconnectingEventSource(url, decoder=NDJSONDecoder) as source:
            assert (await anext(source)).json() == {"a": 1}
            with pytest.raises(NDJSONError, match="line 2"):
                await anext(source)
            assert (await anext(source)).json() == {"a": 2}


def test_a_decoders_own_error_is_raised_by_the_blocking_source() -> None:
    """The same in a thread."""
    with (
        ScriptedServer([BAD_LINE, GOOD_LINE]) as server,
        SyncReconnectingEventSource(server.url, decoder=NDJSONDecoder) as source,
    ):
        assert next(source).json() == {"a": 1}
        with pytest.raises(NDJSONError, match="line 2"):
            next(source)
        assert next(source).json() == {"a": 2}


def test_a_blocking_source_cannot_await() -> None:
    """An awaitable of any kind is refused, with the reason."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(
            server.url, prepare_request=lambda _request, _attempt: Settled()
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
