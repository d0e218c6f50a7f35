"""Where a scenario runs: a source on asyncio, on trio or in a thread, over one of the clients.

A scenario is a plain function that drives a `World` from the outside: it scripts a server, starts
a `Reading` (a consumer in the world's own thread or event loop) and looks at what the consumer
saw. So the same scenario serves all runtimes and clients, and none is written twice.

Whatever a scenario is about, its world also checks when it ends that every source told its life in
order and left no connection, socket or task behind.
"""

from __future__ import annotations

import inspect
import os
import ssl
import threading
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

from resilient_sse import (
    ExponentialBackoff,
    GiveUpError,
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
)
from resilient_sse._http.client import KEEPALIVE
from resilient_sse.testing import InstantRetries, RecordedRequest, Recorder, ScriptedServer
from resilient_sse.transports import AsyncioTransport, SyncTransport
from tests.support.blocking import no_blocking_calls
from tests.support.files import PEM
from tests.support.http_libraries import LIBRARIES
from tests.support.lifecycle import assert_lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from resilient_sse import RetryPolicy
    from resilient_sse.testing import ScriptEntry

__all__ = ["ASYNC", "HOMES", "STACKS", "Reading", "Stack", "World", "closing", "eventually"]

CERTIFICATE = PEM
_PATIENCE = 10.0


class Stack(NamedTuple):
    """What a scenario runs on: "asyncio", "trio" or "threads", and the client it is given.

    "own": the source's own. "own2": one of httpx2 that is made alike. Others by their library.
    """

    runtime: str
    client: str = "own"

    @property
    def is_async(self) -> bool:
        return self.runtime != "threads"

    @property
    def library(self) -> str:
        """The HTTP library whose client it is."""
        return {"own": "httpx", "own2": "httpx2"}.get(self.client, self.client)

    def __str__(self) -> str:
        return f"{self.runtime}-{self.client}"


_RUNTIMES = ("asyncio", "trio", "threads")
_OWN, _ALL = ("own", "own2"), ("own", "httpx", "own2", "httpx2")
STACKS = [Stack(runtime, client) for runtime in _RUNTIMES for client in _ALL]
HOMES = [Stack(runtime, client) for runtime in _RUNTIMES for client in _OWN]
ASYNC = [home for home in HOMES if home.is_async]


def closing(source: Any) -> Any:
    """Close a source from its own task or thread; the result may be awaitable."""
    return source.aclose() if hasattr(source, "aclose") else source.close()


def eventually(condition: Callable[[], object], timeout: float = _PATIENCE) -> None:
    """Wait until something holds that another thread brings about."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {timeout} s"
        time.sleep(0.001)


def open_sockets() -> set[str]:
    """The sockets that this process has open."""
    links = set[str]()
    for entry in os.scandir("/proc/self/fd"):
        try:
            links.add(str(Path(entry.path).readlink()))
        except FileNotFoundError:
            continue  # the directory that was scanned
    return {link for link in links if link.startswith("socket:")}


class Reading:
    """One consumer at work and everything it saw.

    Attributes:
        source: The source it reads.
        events: What was delivered, in order.
        batches: The same in lists, if it reads `batches()`.
        error: What iterating raised.
        recorder: The lifecycle.
    """

    requests: list[RecordedRequest]

    def __init__(
        self,
        source: Any,
        recorder: Recorder,
        policy: InstantRetries,
        on_event: Callable[[Any, ServerSentEvent], object] | None = None,
        *,
        batched: bool = False,
    ) -> None:
        self.source = source
        self.recorder = recorder
        self.policy = policy
        self.events: list[ServerSentEvent] = []
        self.batches: list[list[ServerSentEvent]] = []
        self.error: BaseException | None = None
        self._on_event = on_event
        self._batched = batched
        self._over = threading.Event()

    @property
    def data(self) -> list[str]:
        """The data of what was delivered."""
        return [event.data for event in self.events]

    @property
    def delays(self) -> list[float | None]:
        """What the policy decided."""
        return self.policy.delays

    @property
    def kinds(self) -> list[str]:
        """The kinds of all failures."""
        return [str(failure.kind) for failure in self.policy.failures]

    @property
    def given_up(self) -> GiveUpError:
        """The error that ended it."""
        assert isinstance(self.error, GiveUpError), (self.error, self.events)
        return self.error

    @property
    def over(self) -> bool:
        """Whether the consumer has left the block."""
        return self._over.is_set()

    def wait(self) -> Self:
        """Wait for the end, and raise what the consumer was raised."""
        self.join()
        if self.error is not None:
            raise self.error
        return self

    def join(self) -> None:
        """Wait until the consumer has left the block."""
        assert self._over.wait(_PATIENCE), f"still {self.source!r} with {self.events}"

    def wait_for_events(self, count: int) -> None:
        """Wait until so many events were delivered."""
        eventually(lambda: len(self.events) >= count or self.over)
        assert len(self.events) >= count, (self.events, self.error)

    def wait_for_state(self, state: str) -> None:
        """Wait until the source is in this state."""
        eventually(lambda: self.source.state == state or self.over)

    def close(self) -> None:
        """Close the source from outside."""
        raise NotImplementedError

    def reconnect(self) -> None:
        """Have the source reconnect, from outside."""
        raise NotImplementedError

    def _deliver(self, batch: list[ServerSentEvent]) -> Iterator[object]:
        """Record what came, and yield what the loop body makes of it."""
        if self._batched:
            self.batches.append(batch)
        self.events += batch
        if self._on_event is not None:
            for event in batch:
                yield self._on_event(self.source, event)


class AsyncReading(Reading):
    """A consumer that is a task of an event loop in another thread."""

    portal: BlockingPortal
    _scope: anyio.CancelScope

    def start(self, portal: BlockingPortal) -> None:
        """Begin to read."""
        self.portal = portal
        portal.start_task_soon(self._run)

    async def _run(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                await self._consume()
        except Exception as error:
            self.error = error
        finally:
            self._over.set()

    async def _consume(self) -> None:
        async with self.source as source:
            async for item in source.batches() if self._batched else source:
                for result in self._deliver(item if self._batched else [item]):
                    if inspect.isawaitable(result):
                        await result

    def close(self) -> None:
        self.portal.call(self.source.aclose)

    def reconnect(self) -> None:
        self.portal.call(self.source.reconnect)

    def cancel(self) -> None:
        """Cancel the consumer."""
        self.portal.call(self._scope.cancel)


class ThreadReading(Reading):
    """A consumer that is a thread."""

    def start(self) -> None:
        """Begin to read."""
        self.thread = threading.Thread(target=self._run, name="reading", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self.source as source:
                for item in source.batches() if self._batched else source:
                    for _ in self._deliver(item if self._batched else [item]):
                        pass
        except Exception as error:
            self.error = error
        finally:
            self._over.set()

    def close(self) -> None:
        self.source.close()

    def reconnect(self) -> None:
        self.source.reconnect()


class World:
    """One runtime with one client, and the servers and readings of one scenario."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.readings: list[Reading] = []
        self._portal: BlockingPortal | None = None
        self._exits = ExitStack()
        self._servers: list[ScriptedServer] = []
        self._client: Any = None
        self._tasks = 0

    def __enter__(self) -> Self:
        self._sockets = open_sockets()
        with ExitStack() as exits:
            if self.stack.runtime == "asyncio":
                exits.enter_context(no_blocking_calls())
            if self.stack.is_async:
                portal = start_blocking_portal(self.stack.runtime)
                self._portal = exits.enter_context(portal)
                self._tasks = self._portal.call(_count_tasks)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        with self._exits:
            for reading in self.readings:
                reading.close()
            for server in self._servers:
                self._exits.callback(server.close)
            for reading in self.readings:
                reading.join()
            if error is None:
                self._check_lives()
            self._close_client()
            if error is None and self._portal is not None:
                assert self._portal.call(_count_tasks) == self._tasks, "a task was left behind"
        for server in self._servers:
            assert not server.errors
        if error is None and self.stack.client != "httpxr":  # it keeps a runtime of its own
            # What a thread sends for a source that was closed is given up a moment later.
            eventually(lambda: open_sockets() == self._sockets)

    def _check_lives(self) -> None:
        for reading in self.readings:
            if reading.source._entered:
                assert_lifecycle(reading.recorder.events)
        if self.stack == Stack("asyncio", "httpxr"):  # it leaves one in a hundred of them open
            return
        for server in self._servers:
            server.wait_for_connections(0)

    def _close_client(self) -> None:
        if self._client is None:
            return
        assert not self._client.is_closed, "a client passed in was closed"
        if self._portal is None:
            self._client.close()
        else:
            self._portal.call(self._client.aclose)

    # What a scenario does

    def serve(
        self,
        *script: ScriptEntry,
        then: ScriptEntry | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> ScriptedServer:
        """Start a server; after the script it answers 204, which ends the reading."""
        return self.host(ScriptedServer(script, then=then, ssl_context=ssl_context))

    def host(self, server: ScriptedServer) -> ScriptedServer:
        """Start a server that is closed with the world."""
        server.start()
        self._servers.append(server)
        return server

    def source(
        self,
        where: ScriptedServer | str,
        *,
        waits: RetryPolicy | None = None,
        policy: RetryPolicy | None = None,
        hooks: Iterable[Callable[..., object]] = (),
        **keywords: Any,
    ) -> tuple[Any, Recorder, InstantRetries]:
        """Make a source of this world, which waits between attempts only if it is to (`read`)."""
        if waits is not None:
            policy = _Recorded(waits)
        recorder = Recorder()
        instant = policy if isinstance(policy, InstantRetries) else _instant(policy)
        if "client" not in keywords and self.stack.client != "own":
            keywords["client"] = self.client()
        kind: Any = ReconnectingEventSource if self.stack.is_async else SyncReconnectingEventSource
        url = where if isinstance(where, str) else where.url
        keywords = {"policy": instant, **keywords}
        return kind(url, hooks=[recorder, *hooks], **keywords), recorder, instant

    def client(self) -> Any:
        """The client that this world's sources are given; made once."""
        if self._client is None:
            self._client = self.call(self.make_client)
        return self._client

    def make_client(self, library: str = "", **options: Any) -> Any:
        """Make a client of the world's library, or of another."""
        chosen = library or self.stack.library
        module = LIBRARIES[chosen]
        if chosen != "httpxr":
            options.setdefault("verify", _client_tls())
        if self.stack.client == "own2" and not library:
            options.setdefault("transport", self._transport_like_our_own())
        return (module.AsyncClient if self.stack.is_async else module.Client)(**options)

    def _transport_like_our_own(self) -> Any:
        """What a source's own client is made of, for one of httpx2."""
        tls, keepalive = _client_tls(), KEEPALIVE
        match self.stack.runtime:
            case "asyncio":
                return AsyncioTransport(verify=tls, socket_options=keepalive)
            case "threads":
                return SyncTransport(verify=tls, socket_options=keepalive)
            case _:
                limits = httpx2.Limits(max_connections=None)
                return httpx2.AsyncHTTPTransport(
                    verify=tls, socket_options=keepalive, limits=limits
                )

    def read(
        self,
        where: ScriptedServer | str,
        *,
        on_event: Callable[[Any, ServerSentEvent], object] | None = None,
        batched: bool = False,
        waits: RetryPolicy | None = None,
        policy: RetryPolicy | None = None,
        until: Callable[[ServerSentEvent], object] | None = None,
        **keywords: Any,
    ) -> Reading:
        """Start a consumer.

        Args:
            where: What to read.
            on_event: The loop body: gets the source and the event; what it returns is awaited.
            batched: Iterate `batches()`.
            waits: A policy that is used as it is.
            policy: A policy that is asked, and not waited for.
            until: As for the source.
            keywords: For the source.
        """
        source, recorder, policy = self.source(
            where, waits=waits, policy=policy, until=until, **keywords
        )
        reading: AsyncReading | ThreadReading
        if self._portal is not None:
            reading = AsyncReading(source, recorder, policy, on_event, batched=batched)
            reading.start(self._portal)
        else:
            reading = ThreadReading(source, recorder, policy, on_event, batched=batched)
            reading.start()
        self.readings.append(reading)
        return reading

    def run(
        self,
        *script: ScriptEntry,
        policy: RetryPolicy | None = None,
        until: Callable[[ServerSentEvent], object] | None = None,
        **keywords: Any,
    ) -> Reading:
        """Serve a script and read it to its normal end."""
        server = self.serve(*script)
        reading = self.read(server, policy=policy, until=until, **keywords).wait()
        reading.requests = server.requests
        return reading

    def give_up(
        self, *script: ScriptEntry, policy: RetryPolicy | None = None, **keywords: Any
    ) -> tuple[Reading, GiveUpError]:
        """Serve a script and read it until the source gives up."""
        server = self.serve(*script)
        reading = self.read(server, policy=policy, **keywords)
        reading.join()
        reading.requests = server.requests
        return reading, reading.given_up

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function, plain or asynchronous, in the world's own runtime."""
        return self._portal.call(function, *args) if self._portal else function(*args)


class _Recorded(InstantRetries):
    """A policy that is asked and obeyed, and recorded."""

    def __call__(self, failure: Any) -> float | None:
        super().__call__(failure)
        return self.delays[-1]


def _instant(policy: RetryPolicy | None) -> InstantRetries:
    return InstantRetries(policy or ExponentialBackoff(wait_jitter=0, attempts=50))


async def _count_tasks() -> int:
    return len(anyio.get_running_tasks())


@cache
def _client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


@cache
def server_tls() -> ssl.SSLContext:
    """The server's side of what the clients of a world trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
