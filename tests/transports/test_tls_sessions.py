"""A connection to where one was before takes half a handshake: its TLS session is resumed."""

from __future__ import annotations

import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse.testing import Connection, ScriptedServer, event
from resilient_sse.transports import AsyncioTransport, SyncTransport
from resilient_sse.transports._tls import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

PEM = Path(__file__).parent.parent / "support" / "localhost.pem"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def server_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return what the server speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    context.minimum_version = context.maximum_version = version
    return context


def trusting() -> ssl.SSLContext:
    """Return what a client trusts."""
    return ssl.create_default_context(cafile=str(PEM))


def was_resumed(response: httpx.Response) -> bool:
    """Say whether the connection of a response goes on with the session of another."""
    tls: Any = response.extensions["network_stream"].get_extra_info("ssl_object")
    resumed: bool = tls.session_reused
    return resumed


def in_threads(transport: Any, url: str) -> bool:
    """Send a request, and read all of the answer, in this thread."""
    with httpx.Client(transport=transport).stream("GET", url) as response:
        response.read()
        return was_resumed(response)


def server_of(version: ssl.TLSVersion) -> ScriptedServer:
    """Make a server that closes every connection."""
    return ScriptedServer([Connection(event("x"))] * 3, ssl_context=server_context(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_in_threads(version: ssl.TLSVersion) -> None:
    """The second connection, and those after it, which need tickets of their own."""
    transport = SyncTransport(verify=trusting(), keepalive_expiry=0)
    with server_of(version) as server:
        assert [in_threads(transport, server.url) for _ in range(3)] == [False, True, True]
    transport.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_session_is_resumed_on_asyncio(version: ssl.TLSVersion) -> None:
    """The same of the twin."""
    transport = AsyncioTransport(verify=trusting(), keepalive_expiry=0)
    resumed = list[bool]()
    async with server_of(version) as server, httpx.AsyncClient(transport=transport) as client:
        for _ in range(3):
            async with client.stream("GET", server.url) as response:
                await response.aread()
                resumed.append(was_resumed(response))

    assert resumed == [False, True, True]


def require_more(context: ssl.SSLContext) -> ssl.SSLContext:
    """Ask from now on for what was not asked for."""
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def take_another(_context: ssl.SSLContext) -> ssl.SSLContext:
    """Take another context, which has looked at nothing yet."""
    return trusting()


@pytest.mark.parametrize("change", [require_more, take_another])
def test_a_session_counts_only_for_who_looked(
    change: Callable[[ssl.SSLContext], ssl.SSLContext],
) -> None:
    """Another context, or one that asks for more, has the certificate shown to it."""
    context = trusting()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    transport = SyncTransport(verify=context, keepalive_expiry=0)
    with server_of(ssl.TLSVersion.TLSv1_3) as server:
        first = in_threads(transport, server.url)
        transport._verify = change(context)
        second = in_threads(transport, server.url)
    transport.close()

    assert not first
    assert not second


class Looking(ssl.SSLContext):
    """A context that may look at certificates by itself, as truststore's does."""


def test_a_context_of_another_class_gets_none() -> None:
    """What it looks at is not known here."""
    context = Looking(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(PEM)
    transport = SyncTransport(verify=context, keepalive_expiry=0)
    with server_of(ssl.TLSVersion.TLSv1_3) as server:
        assert [in_threads(transport, server.url) for _ in range(2)] == [False, False]
    transport.close()


def connection(*, reused: bool = False, age: float = 0.0) -> Any:
    """One over TLS, whose session lasts for two hours."""
    session = SimpleNamespace(has_ticket=True, time=time.time() - age, timeout=7200)
    return SimpleNamespace(session=session, session_reused=reused)


def test_old_sessions_make_room() -> None:
    """A transport that goes to ever more places does not grow for ever."""
    context, sessions, one = trusting(), Sessions(), connection()
    for number in range(150):
        sessions.keep(context, f"h{number}", one)
    sessions.keep(context, "h50", one, offered=one.session)
    sessions.keep(context, "more", one)

    assert [sessions.of(context, f"h{number}") for number in (49, 50, 51, 52, 149)] == [
        None, one.session, None, one.session, one.session,
    ]  # fmt: skip


def test_threads_make_room_at_the_same_time() -> None:
    """No two of them take the same old one away, whenever the interpreter lets them have a turn."""
    context, sessions, one = trusting(), Sessions(), connection()

    def keep(name: str) -> None:
        sessions.keep(context, name, one)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(keep, (f"h{number}" for number in range(4000))))
    finally:
        sys.setswitchinterval(before)

    assert len(sessions._known) == 100


@pytest.mark.parametrize(
    ("age", "offered", "reused", "stays"),
    [
        pytest.param(10, True, True, True, id="resumed"),
        pytest.param(10, False, False, True, id="made by another meanwhile"),
        pytest.param(10, True, False, False, id="refused"),
        pytest.param(5000, True, True, False, id="old"),
    ],
)
def test_a_young_session_stays(age: float, *, offered: bool, reused: bool, stays: bool) -> None:
    """One that was refused or is old is replaced."""
    context, sessions = trusting(), Sessions()
    first, second = connection(age=age), connection(reused=reused)
    sessions.keep(context, "h", first)
    sessions.keep(context, "h", second, offered=first.session if offered else None)

    assert sessions.of(context, "h") is (first.session if stays else second.session)
