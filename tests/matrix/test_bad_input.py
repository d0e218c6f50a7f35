"""Bad input gets a clear error at once, before anything is requested."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from resilient_sse import ReconnectingEventSource, ServerRetry, SyncReconnectingEventSource
from resilient_sse.instrumentation import StructlogHook
from resilient_sse.testing import Connection, InstantRetries, event
from tests.support.http_libraries import LIBRARIES
from tests.support.session_settings import keywords_of

if TYPE_CHECKING:
    from tests.support.runners import World

SOURCES = [ReconnectingEventSource, SyncReconnectingEventSource]


_BAD_PORT = ({"url": "http://localhost:99999999/"}, ValueError, "[Pp]ort")


async def _coroutine_hook(_event: object) -> None:
    raise NotImplementedError


class _CoroutineCallable:
    async def __call__(self, _event: object) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"url": "example.com/events"}, ValueError, "must begin with http"),
        ({"url": "ftp://example.com"}, ValueError, "must begin with http"),
        ({"url": "http://"}, ValueError, "name a host"),
        _BAD_PORT,
        ({"url": ""}, ValueError, "must begin with http"),
        ({"url": None}, TypeError, "url must be a str"),
        ({"url": 5}, TypeError, "url must be a str"),
        ({"hooks": [_coroutine_hook]}, TypeError, "is a coroutine function"),
        ({"hooks": [_CoroutineCallable()]}, TypeError, "is a coroutine function"),
        ({"hooks": [StructlogHook]}, TypeError, r"a hook must be an instance.* StructlogHook\(\)"),
        ({"policy": ServerRetry}, TypeError, r"policy must be an instance.* ServerRetry\(\)"),
        ({"hooks": print}, TypeError, r"write hooks=\[print\]"),
        ({"hooks": ["print"]}, TypeError, "a hook must be a callable"),
        ({"policy": 3}, TypeError, "policy must be callable"),
        ({"until": "done"}, TypeError, "until must be callable"),
        ({"until": set}, TypeError, r"until must be an instance.* set\(\)"),
        ({"prepare_request": {}}, TypeError, "prepare_request must be callable"),
        ({"prepare_request": dict}, TypeError, "prepare_request must be an instance"),
        ({"method": 5}, TypeError, "method must be a str"),
        ({"decoder": "json"}, TypeError, "decoder must be callable"),
        ({"decoder": _coroutine_hook}, TypeError, "decoder must be a plain function"),
        ({"cursor_key": 5}, TypeError, "cursor_key must be a str"),
        ({"content": [b"x"]}, TypeError, "content must be str or bytes"),
        ({"connect_timeout": 0}, ValueError, "connect_timeout must be"),
        ({"connect_timeout": math.inf}, ValueError, "connect_timeout must be"),
        ({"connect_timeout": None}, TypeError, "connect_timeout must be"),
        ({"idle_timeout": -1}, ValueError, "idle_timeout must be"),
        ({"idle_timeout": math.nan}, ValueError, "idle_timeout must be"),
        ({"idle_timeout": True}, TypeError, "idle_timeout must be"),
        ({"reset_after": "60"}, TypeError, "reset_after must be"),
        ({"reset_after": -1}, ValueError, "reset_after must be"),
        ({"dedupe": -1}, ValueError, "dedupe must be"),
        ({"dedupe": 1.5}, TypeError, "dedupe must be"),
        ({"dedupe": True}, TypeError, "dedupe must be"),
        ({"max_event_size": 0}, ValueError, "max_event_size must be"),
        ({"last_event_id": "a\nb"}, ValueError, "cannot be sent"),
        ({"last_event_id": "x" * 100_000}, ValueError, "cannot be sent"),
    ],
    ids=keywords_of,
)
def test_at_construction(source: Any, keywords: dict[str, Any], error: Any, words: str) -> None:
    """The constructor names the keyword, what it must be and what it was."""
    with pytest.raises(error, match=words):
        source(**{"url": "http://localhost/", **keywords})


@pytest.mark.parametrize("library", LIBRARIES)
def test_client_of_the_wrong_kind(home: World, library: str) -> None:
    """A blocking client in an event loop, or the reverse, is refused when the block begins."""
    module = LIBRARIES[library]
    wrong = module.Client if home.stack.is_async else module.AsyncClient
    server = home.serve(Connection(event("one")))
    client = wrong()
    try:
        with pytest.raises(TypeError, match=r"blocking one|asynchronous one"):
            home.read(server, client=client).wait()
    finally:
        home.call(client.close if home.stack.is_async else lambda: _aclose(client))
    assert server.requests == []


def _aclose(client: Any) -> None:
    anyio.run(client.aclose)


def test_something_else_as_client(home: World) -> None:
    """A thing that is no client is refused, and named."""
    with pytest.raises(TypeError, match="cannot use 'http'"):
        home.read("http://localhost/", client="http").wait()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (-1.0, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("3", TypeError),
        (True, TypeError),
        ([], TypeError),
    ],
    ids=repr,
)
def test_policy_that_returns_nonsense(home: World, answer: Any, error: Any) -> None:
    """It is the program's bug: the consumer gets it, with the policy's name and its answer."""

    def policy(_failure: object) -> Any:
        return answer

    reading = home.read(home.serve(Connection(event("one"))), waits=None, policy=_raw(policy))
    with pytest.raises(error, match="must return seconds"):
        reading.wait()
    assert reading.data == ["one"]


def _raw(function: Any) -> Any:
    """A policy that is passed on untouched by the world."""

    class Raw(InstantRetries):
        def __call__(self, failure: Any) -> Any:
            return function(failure)

    return Raw(function)


def test_policy_that_raises(home: World) -> None:
    """What it raises comes out as it is, and the source ends."""

    def policy(_failure: object) -> float:
        raise LookupError("my bug")

    reading = home.read(home.serve(Connection(status=503)), policy=_raw(policy))
    with pytest.raises(LookupError, match="my bug"):
        reading.wait()
    assert reading.recorder.names == ["Connecting", "Closed"]


def test_policy_that_raises_what_looks_like_a_failure(home: World) -> None:
    """Even an HTTP client's exception out of a policy is no failure of the stream."""

    def policy(_failure: object) -> float:
        raise httpx.ConnectError("from the policy")

    reading = home.read(home.serve(Connection(status=503)), policy=_raw(policy))
    with pytest.raises(httpx.ConnectError, match="from the policy"):
        reading.wait()


def test_prepare_request_that_returns_nonsense(home: World) -> None:
    """What is no request is named, and nothing is sent."""

    def prepare(_request: object, _attempt: object) -> int:
        return 5

    server = home.serve(Connection(event("one")))
    reading = home.read(server, prepare_request=prepare)
    with pytest.raises(TypeError, match=r"prepare_request must return a request.*: 5"):
        reading.wait()
    assert server.requests == []


def test_header_that_cannot_be_sent(home: World) -> None:
    """A header with a line break is final: trying again cannot help."""
    server = home.serve(Connection(event("one")))
    reading = home.read(server, headers={"X": "a\r\nb"})
    reading.join()
    assert reading.error is not None
    assert len(reading.delays) <= 1
    assert server.requests == []
