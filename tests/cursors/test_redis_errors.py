"""What Redis says no with: it is told in words, and only what passes is waited for."""

from __future__ import annotations

import logging
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
from anyio import to_thread

from resilient_sse import (
    CursorError,
    CursorStoreFailed,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
)
from resilient_sse._values.redact import repr_with_message
from resilient_sse.cursors import RedisCursorStore, RedisLease, StreamGroup
from resilient_sse.cursors._redis.answers import is_lasting, is_outage
from resilient_sse.cursors._redis.client import Redis
from resilient_sse.testing import Recorder
from tests.support.files import PEM
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [needs_redis, pytest.mark.timeout(60)]

TTL = 0.5


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def encrypted() -> Iterator[str]:
    """The URL of a server whose certificate nobody knows."""
    with RedisServer("--requirepass", "") as probe:
        port = probe.port
    options = {"port": 0, "tls-port": port, "tls-auth-clients": "no", "save": ""}
    options |= {f"tls-{what}-file": str(PEM) for what in ("cert", "key", "ca-cert")}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = ["redis-server", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"Ready to accept" not in (line := process.stdout.readline()):
            assert line
        yield f"rediss://localhost:{port}"
        process.kill()


def wrong_password(server: RedisServer) -> str:
    """Give it a password, and return a URL with another one."""
    server.client.config_set("requirepass", "secret")
    return server.url.replace("//", "//:wrong@")


def no_password(server: RedisServer) -> str:
    """Give it a password, and return a URL with none."""
    server.client.config_set("requirepass", "secret")
    return server.url


def no_rights(server: RedisServer) -> str:
    """Return a URL with a user who may do nothing with our keys."""
    user = ("few", "on", ">pw", "~other:*", "+@all")
    server.client.execute_command("ACL SETUSER", *user)
    return server.url.replace("//", "//few:pw@")


def no_scripts(server: RedisServer) -> str:
    """Return a URL with a user who may read, and save nothing."""
    user = ("reader", "on", ">pw", "~*", "+@all", "-@scripting")
    server.client.execute_command("ACL SETUSER", *user)
    return server.url.replace("//", "//reader:pw@")


def another_kind(server: RedisServer) -> str:
    """Have somebody else use our key."""
    server.client.set("resilient-sse:cursors", "what?")
    return server.url


REFUSALS = [wrong_password, no_password, no_rights, no_scripts, another_kind]


async def read(url: str, store: RedisCursorStore, recorder: Recorder) -> None:
    """Read a stream for ever."""
    async with ReconnectingEventSource(url, cursor=store, hooks=[recorder]) as source:
        async for _ in source:
            pass


@pytest.mark.anyio
@pytest.mark.parametrize("refuse", REFUSALS)
async def test_what_no_waiting_changes_ends_a_source_at_once(
    server: RedisServer, sse_history: HistoryServer, refuse: Callable[[RedisServer], str]
) -> None:
    """Although its ``cursor_policy`` would wait for a store for long; the error says what it is."""
    sse_history.publish("one")
    sse_history.publish("two")
    url = await to_thread.run_sync(refuse, server)
    recorder = Recorder()
    async with RedisCursorStore(url) as store:
        with anyio.fail_after(5), pytest.raises(CursorError) as caught:
            await read(sse_history.url, store, recorder)
    assert isinstance(caught.value.__cause__, redis.RedisError)
    assert str(caught.value.__cause__)[:100] in str(caught.value)
    assert caught.value.key == sse_history.url
    assert len(recorder.of(CursorStoreFailed)) == 1


@pytest.mark.parametrize("refuse", REFUSALS)
def test_the_same_in_threads(
    server: RedisServer, sse_history: HistoryServer, refuse: Callable[[RedisServer], str]
) -> None:
    """With the blocking twin."""
    sse_history.publish("one")
    sse_history.publish("two")
    with (
        RedisCursorStore(refuse(server)) as store,
        pytest.raises(CursorError),
        SyncReconnectingEventSource(sse_history.url, cursor=store) as source,
    ):
        for _ in source:
            pass


async def enter(url: str) -> None:
    """Wait for a lease."""
    async with RedisLease(url, "x", ttl=TTL):
        raise AssertionError


async def run(url: str) -> None:
    """Be one of the replicas of a group."""

    async def read(_: LeasedSource) -> None:
        raise AssertionError

    await StreamGroup(url, "x", ["http://127.0.0.1:1"], ttl=TTL).run(read)


@pytest.mark.anyio
@pytest.mark.parametrize("wait", [enter, run])
@pytest.mark.parametrize("refuse", REFUSALS[:-1])
async def test_what_no_waiting_changes_ends_the_wait_for_a_lease(
    server: RedisServer, refuse: Callable[[RedisServer], str], wait: Callable[[str], Any]
) -> None:
    """As it is."""
    url = await to_thread.run_sync(refuse, server)
    with anyio.fail_after(5), pytest.raises((redis.RedisError, ExceptionGroup)) as caught:
        await wait(url)
    assert isinstance(caught.value, redis.RedisError) or caught.group_contains(redis.RedisError)


@pytest.mark.anyio
async def test_a_right_that_is_taken_away_ends_a_leased_source(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """It would otherwise save nothing for as long as the lease is renewed."""
    sse_history.publish("one")
    sse_history.publish("two")
    command = server.client.execute_command
    await to_thread.run_sync(command, "ACL SETUSER", "app", "on", ">pw", "~*", "+@all")
    async with RedisLease(server.url.replace("//", "//app:pw@"), "x", ttl=5) as lease:
        async with lease.source(sse_history.url) as source:
            await anext(source)
            await to_thread.run_sync(command, "ACL SETUSER", "app", "-hset", "-evalsha", "-eval")
            with anyio.fail_after(4), pytest.raises(CursorError, match=r"save 'x'.*permission"):
                await anext(source)
        await to_thread.run_sync(command, "ACL SETUSER", "app", "+@all")


@pytest.mark.anyio
async def test_a_certificate_that_nobody_knows_is_told_at_once(
    encrypted: str, sse_history: HistoryServer
) -> None:
    """By a lease, a group, and a source with a store."""
    with anyio.fail_after(10):
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            await enter(encrypted)
        with pytest.raises((redis.ConnectionError, ExceptionGroup)):
            await run(encrypted)
        # Of an error of TLS the oldest redis says only the number.
        told = "certificate verify failed|Error 1 connecting"
        async with RedisCursorStore(encrypted) as store:
            with pytest.raises(CursorError, match=told):
                async with ReconnectingEventSource(sse_history.url, cursor=store):
                    raise AssertionError


@pytest.mark.anyio
async def test_an_outage_says_what_it_is(
    sse_history: HistoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    """In the error of a source, and in what a lease reports while it waits."""
    async with RedisCursorStore("redis://127.0.0.1:1") as store:
        with pytest.raises(CursorError, match=r"ConnectionError.*connecting to 127\.0\.0\.1:1"):
            async with ReconnectingEventSource(
                sse_history.url, cursor=store, cursor_policy=lambda _: None
            ):
                raise AssertionError
    with caplog.at_level(logging.WARNING, "resilient_sse"), anyio.move_on_after(0.3):
        await enter("redis://127.0.0.1:1")
    assert "Connection refused" in caplog.text


def test_an_error_that_says_nothing_is_shown_with_its_message() -> None:
    """As those of redis-py 8; one that does is left as it is."""

    class OpaqueError(Exception):
        """One that hides its message."""

        def __repr__(self) -> str:
            return "network:OpaqueError"

    assert repr_with_message(OpaqueError("it's down")) == """OpaqueError("it's down")"""
    assert repr_with_message(OpaqueError()) == "network:OpaqueError"
    assert repr_with_message(OSError(2, "no such file")) == "FileNotFoundError(2, 'no such file')"
    assert repr_with_message(ValueError('a "b" \n')) == repr(ValueError('a "b" \n'))


def caused_by(error: BaseException) -> redis.ConnectionError:
    """Make one of redis-py's of it."""
    made = redis.ConnectionError("cannot connect")
    made.__cause__ = error
    return made


def test_what_lasts() -> None:
    """Of TLS only what is about trust, or no TLS at all: a handshake may also be cut short."""
    plain = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    plain.reason = "WRONG_VERSION_NUMBER"
    lasting = [
        caused_by(ssl.SSLCertVerificationError("expired")),
        caused_by(plain),
        redis.ResponseError("ERR unknown command 'EVALSHA'"),
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("Error running script: NOPERM this user has no permissions"),
    ]
    passing = [caused_by(ssl.SSLEOFError(8, "EOF occurred")), caused_by(OSError("reset"))]
    assert [(is_lasting(error), is_outage(error)) for error in lasting] == [(True, False)] * 5
    assert [(is_lasting(error), is_outage(error)) for error in passing] == [(False, True)] * 2
    assert not is_lasting(OSError("NOPERM"))


# -- Which server is the right one -----------------------------------------------------------------


def named_connections(server: RedisServer) -> set[str]:
    """Return which connections are open."""
    return {one["id"] for one in server.client.client_list()}


@pytest.mark.parametrize("parameter", ["min-replicas-to-write", "replicaof"])
def test_a_server_that_cannot_write_for_now_is_looked_up_again(
    server: RedisServer, parameter: str
) -> None:
    """The next request goes over a new connection, which Sentinel or a name may lead elsewhere."""
    client = Redis(server.url)
    client.call("SET", "a", "1")
    before = named_connections(server)
    if parameter == "replicaof":
        server.client.replicaof("127.0.0.1", 1)
    else:
        server.client.config_set(parameter, 1)
    with pytest.raises(redis.ResponseError):
        client.call("SET", "a", "2")
    server.client.replicaof("NO", "ONE")
    server.client.config_set("min-replicas-to-write", 0)
    client.call("SET", "a", "3")
    assert named_connections(server) - before
    client.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_same_on_asyncio(server: RedisServer, anyio_backend: str) -> None:
    """With its client."""
    client = Redis(server.url)
    await client.acall("SET", "a", "1")
    before = await to_thread.run_sync(named_connections, server)
    await to_thread.run_sync(server.client.config_set, "min-replicas-to-write", 1)
    with pytest.raises(redis.ResponseError):
        await client.acall("SET", "a", "2")
    await to_thread.run_sync(server.client.config_set, "min-replicas-to-write", 0)
    await client.acall("SET", "a", "3")
    assert await to_thread.run_sync(named_connections, server) - before
    await client.aclose()


# -- Clients are made once -------------------------------------------------------------------------


def test_many_threads_that_come_first_make_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would never be closed."""
    kind: Any = redis.Redis
    real = kind.from_url
    made: list[object] = []

    def slow(*words: Any, **options: Any) -> Any:
        made.append(words)
        together.wait(0.05) if len(made) > 1 else threading.Event().wait(0.05)
        return real(*words, **options)

    monkeypatch.setattr(redis.Redis, "from_url", slow)
    client, together = Redis("redis://127.0.0.1:1"), threading.Event()
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(client._blocking_client())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(set(map(id, found))) == 1
