"""Tracebacks with local variables, as rich, structlog and Sentry show them, tell no secret.

Every frame is looked at that an error of this library, or what caused it, has left behind, but for
the caller's own.
"""

from __future__ import annotations

import asyncio
from functools import partial
from traceback import TracebackException, walk_tb
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx
import pytest
from rich.pretty import pretty_repr

from resilient_sse import (
    ReconnectingEventSource,
    SyncReconnectingEventSource,
    aconnect_sse,
    connect_sse,
)
from resilient_sse._values.causes import causes
from resilient_sse._values.frames import forget_locals, without_locals
from resilient_sse.cursors import RedisCursorStore, RedisLease, StreamGroup
from resilient_sse.testing import Connection, Ending, ScriptedServer, event
from resilient_sse.transports import AsyncioTransport, SyncTransport
from tests.support.consumers import RUNTIMES, consume
from tests.support.failing import (
    HEADERS,
    WAYS,
    at_once,
    fail,
    never,
    of_httpx,
    of_httpx2,
    secretive,
    secrets_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def shown(error: BaseException) -> dict[str, list[str]]:
    """What can be read in the local variables of the frames of an error, by frame."""
    told: dict[str, list[str]] = {}
    for cause in causes(error):
        for frame, _ in walk_tb(cause.__traceback__):
            if not frame.f_globals.get("__name__", "").startswith("tests."):
                told |= _shown_in(frame)
    return told


def _shown_in(frame: FrameType) -> dict[str, list[str]]:
    text = "".join(f"{value!r}\n{pretty_repr(value)}" for value in frame.f_locals.values())
    found = secrets_in(text)
    return {f"{frame.f_globals['__name__']}.{frame.f_code.co_name}": found} if found else {}


def own(_asynchronous: bool) -> None:
    """The source's own client."""


CLIENTS: Final[list[Callable[[bool], Any]]] = [own, of_httpx, of_httpx2]


@pytest.mark.crossed
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("way", WAYS)
def test_no_frame_shows_a_secret(runtime: str, way: str, client: Callable[[bool], Any]) -> None:
    """Whatever went wrong, over our own transports and over those of others."""
    consumer = fail(runtime, way, client=None if client is own else client)

    assert consumer.error is not None
    assert shown(consumer.error) == {}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_hooks_see_of_a_failure_shows_none_either(runtime: str) -> None:
    """They may log it with its traceback, while the source goes on."""
    told: list[dict[str, list[str]]] = []

    def hook(heard: Any) -> None:
        if getattr(heard, "failure", None) is not None:
            told.append(shown(heard.failure.error))

    script = [Connection(status=503), Connection(event("x"), ending=Ending.RESET)]
    with ScriptedServer(script) as server:
        url = secretive(server.url)
        consume(runtime, url, headers=HEADERS, hooks=(hook,), policy=at_once)

    assert len(told) > 2
    assert not any(told)


class Unreachable:
    """A cursor store that cannot be reached."""

    def load(self, key: str) -> str:
        raise OSError("no way to the store")

    def save(self, key: str, last_event_id: str) -> None:
        """Never reached."""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_store_that_fails_shows_none(runtime: str) -> None:
    """Its key is the URL."""
    consumer = consume(
        runtime, secretive("http://127.0.0.1:1/"), cursor=Unreachable(), cursor_policy=never
    )

    assert consumer.error is not None
    assert shown(consumer.error) == {}


@pytest.mark.parametrize("source", [ReconnectingEventSource, SyncReconnectingEventSource])
@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://hushuser:hushword@h/?token=hushquery", {"policy": 3}),
        ("ftp://hushuser:hushword@h/?token=hushquery", {}),
        ("http://hushuser:hushword@h:99999/?token=hushquery", {}),
    ],
)
def test_a_source_that_cannot_be_made_shows_none(
    source: Any, url: str, options: dict[str, Any]
) -> None:
    """A wrong keyword, or a wrong URL."""
    with pytest.raises((TypeError, ValueError)) as raised:
        source(url, headers=HEADERS, auth=("hushuser", "hushword"), **options)

    assert ours(shown(raised.value)) == {}


@pytest.mark.parametrize("port", ["refused", "answering"])
def test_one_connection_shows_none_of_ours(port: str) -> None:
    """`connect_sse` raises what the client does; the frames of httpx are as they are."""
    with ScriptedServer([Connection(event("x"), ending=Ending.RESET)]) as server:
        if port == "refused":
            server.stop()
        with (
            httpx.Client(transport=SyncTransport()) as client,
            pytest.raises(httpx.TransportError) as raised,
            connect_sse(client, "GET", secretive(server.url), headers=HEADERS) as source,
        ):
            list(source.iter_sse())

    assert ours(shown(raised.value)) == {}


@pytest.mark.parametrize("port", ["refused", "answering"])
@pytest.mark.anyio
async def test_one_asynchronous_connection_shows_none_of_ours(port: str) -> None:
    """The twin."""
    with ScriptedServer([Connection(event("x"), ending=Ending.RESET)]) as server:
        if port == "refused":
            server.stop()
        async with httpx.AsyncClient(transport=AsyncioTransport()) as client:
            with pytest.raises(httpx.TransportError) as raised:
                async with aconnect_sse(
                    client, "GET", secretive(server.url), headers=HEADERS
                ) as source:
                    _ = [event async for event in source.aiter_sse()]

    assert ours(shown(raised.value)) == {}


def test_a_client_that_cannot_stream_shows_none_of_ours() -> None:
    """The headers are put together before anything is sent."""
    with (
        httpx.Client() as client,
        pytest.raises((TypeError, AttributeError)) as raised,
        connect_sse(client, "GET", "http://hushuser:hushword@h/", headers=[("X-Api-Key", 5)]),
    ):
        pass

    assert ours(shown(raised.value)) == {}


@pytest.fixture
def anyio_backend() -> str:
    """Our asynchronous transport is for asyncio."""
    return "asyncio"


def ours(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """Only the frames of this library."""
    return {frame: secrets for frame, secrets in told.items() if frame.startswith("resilient_sse")}


def test_an_interrupt_shows_none() -> None:
    """No failure, but it leaves the same frames behind."""

    def interrupt(_request: Any, _attempt: Any) -> None:
        raise KeyboardInterrupt

    with (
        SyncReconnectingEventSource(
            "http://hushuser:hushword@h/", headers=HEADERS, prepare_request=interrupt
        ) as source,
        pytest.raises(KeyboardInterrupt) as raised,
    ):
        next(source)

    assert shown(raised.value) == {}


# -- The mechanism -----------------------------------------------------------------------------


def frame_to_come(package: str) -> Any:
    """A function of some package, with a secret in a local variable, that fails."""
    code = "def function(error, then=None):\n    url = 'hushword'\n    raise error"
    namespace: dict[str, Any] = {"__name__": f"{package}._module"}
    exec(code, namespace)  # noqa: S102 - it has to be of another module
    return namespace["function"]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("package", "hidden"), [("resilient_sse", True), ("httpx", True), ("callers", False)]
)
def test_frames_that_nobody_has_thought_of_are_cleared(
    package: str, hidden: bool, asynchronous: bool
) -> None:
    """Those of this library and of the HTTP libraries; a caller's stay for his debugger."""
    function = frame_to_come(package)

    async def afunction(error: Exception) -> None:
        function(error)

    chosen: Any = afunction if asynchronous else function
    decorated = without_locals(chosen)
    fails = partial(anyio.run, decorated) if asynchronous else decorated

    with pytest.raises(LookupError) as raised:
        fails(LookupError())

    assert bool(shown(raised.value)) is not hidden


def test_causes_are_cleared_too() -> None:
    """A traceback shows them all; a ring of them comes to an end."""
    first, second = LookupError("first"), LookupError("second")
    for error in (first, second):
        with pytest.raises(LookupError):
            frame_to_come("resilient_sse")(error)
    first.__cause__, second.__cause__ = second, first
    assert len(shown(first)) == 1
    forget_locals(first)

    assert shown(first) == shown(second) == {}


def test_a_task_that_waits_is_left_alone() -> None:
    """An exception raised in several tasks, as HTTP/2 does, has frames of them all."""
    shared = LookupError("the connection is gone")
    namespace: dict[str, Any] = {"__name__": "resilient_sse._module"}
    code = (
        "async def wait(error, gate):\n"
        "    try:\n        raise error\n"
        "    except LookupError:\n        await gate.wait()\n"
        "    return 'done'"
    )
    exec(code, namespace)  # noqa: S102 - it has to be of another module

    async def main() -> str:
        gate = asyncio.Event()
        task = asyncio.ensure_future(namespace["wait"](shared, gate))
        await asyncio.sleep(0)
        forget_locals(shared)
        gate.set()
        result: str = await task
        return result

    assert asyncio.run(main()) == "done"


def test_a_function_that_runs_is_left_alone() -> None:
    """It is asked for while the function that failed handles it."""
    namespace: dict[str, Any] = {"__name__": "resilient_sse._module", "forget": forget_locals}
    code = (
        "def handle(error):\n    left = 'here'\n"
        "    try:\n        raise error\n"
        "    except LookupError:\n        forget(error)\n"
        "    return left"
    )
    exec(code, namespace)  # noqa: S102 - it has to be of another module

    assert namespace["handle"](LookupError()) == "here"


def test_what_is_decorated_stays_what_it_is() -> None:
    """It returns what it returned, and is called what it was called."""

    def double(number: int) -> int:
        """Double it."""
        return 2 * number

    async def adouble(number: int) -> int:
        return 2 * number

    assert without_locals(double)(4) == 8
    assert without_locals(double).__doc__ == "Double it."
    assert anyio.run(without_locals(adouble), 4) == 8


def test_no_frame_shows_the_password_of_a_redis() -> None:
    """Whatever is wrong with the other arguments, or with the URL itself."""
    url = "nonsense://:hushword@localhost"
    wrongs: list[Callable[[], object]] = [
        lambda: RedisLease(url, "x", ttl=-1),
        lambda: RedisLease(url, ""),
        lambda: StreamGroup(url, "x", [], ttl=-1),
        lambda: RedisCursorStore(url).load("x"),
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r".") as caught:
            wrong()
        shown = TracebackException.from_exception(caught.value, capture_locals=True)
        inside = [frame for frame in shown.stack if "resilient_sse" in frame.filename]
        assert inside
        assert not any("hushword" in str(frame.locals) for frame in inside)
