"""What type checkers make of a source's keywords; mypy and pyright read it.

A line that is to be refused says so with an ignore, and an ignore that is not needed is an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import httpx
import httpx2

from resilient_sse import (
    Attempt,
    ExponentialBackoff,
    LifecycleEvent,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
    aconnect_sse,
    connect_sse,
)
from resilient_sse.instrumentation import StructlogHook

if TYPE_CHECKING:
    from typing import Unpack

    from resilient_sse import SourceOptions
    from resilient_sse.cursors import RedisLease, StreamGroup

URL = "https://example.com/events"


def plain_hook(event: LifecycleEvent) -> None:
    """Take an event."""


async def coroutine_hook(event: LifecycleEvent) -> None:
    """Take an event, in what nobody would await."""


def sign(request: Any, attempt: Attempt) -> None:
    """Change the request."""


async def fetch_token(request: Any, attempt: Attempt) -> Any:
    """Change the request, and return it."""
    return request


def wrong_sign(request: Any) -> None:
    """Forget the attempt."""


def good() -> None:
    """All of these are right."""
    ReconnectingEventSource(URL, client=httpx.AsyncClient(), prepare_request=fetch_token)
    ReconnectingEventSource(httpx.URL(URL), client=httpx2.AsyncClient(), prepare_request=sign)
    SyncReconnectingEventSource(URL, client=httpx.Client(), auth=("user", "word"))
    SyncReconnectingEventSource(URL, client=httpx2.Client(), auth=httpx2.BasicAuth("user", "word"))
    ReconnectingEventSource(URL, headers={"X-One": "1"}, params={"a": 1, "b": ["c", "d"]})
    ReconnectingEventSource(URL, headers=[("X-One", "1")], params=[("a", 1)], data={"a": "b"})
    ReconnectingEventSource(URL, headers=httpx.Headers(), params=httpx.QueryParams())
    ReconnectingEventSource(URL, auth=httpx.BasicAuth("user", "word"))
    ReconnectingEventSource(URL, hooks=[plain_hook, StructlogHook()], policy=ExponentialBackoff())
    ReconnectingEventSource(URL, policy=lambda failure: float(failure.attempt))


def refused() -> None:
    """And all of these are wrong."""
    ReconnectingEventSource(URL, client=httpx.Client())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    SyncReconnectingEventSource(URL, client=httpx.AsyncClient())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, client=42)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, headers=42)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, params=42)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, auth=42)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, prepare_request=wrong_sign)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, hooks=[coroutine_hook])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, hooks=[StructlogHook])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, policy=ExponentialBackoff)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ReconnectingEventSource(URL, cursor_policy=ExponentialBackoff)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def passed_on(**options: Unpack[SourceOptions]) -> ReconnectingEventSource:
    """Whoever passes keywords on has them checked."""
    return ReconnectingEventSource(URL, **options)


def under_a_lease(lease: RedisLease, replicas: type[StreamGroup]) -> None:
    """The keywords are the same, but for the cursor."""
    lease.source(URL, idle_timeout=60.0, hooks=[plain_hook])
    lease.sync_source(URL, hooks=[coroutine_hook])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    lease.source(URL, cursor_key="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    replicas("redis://localhost", "prices", [URL], idle_timeout="60")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    passed_on(idle_timeout=60.0, dedupe=5)
    passed_on(dedupe="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def one_connection() -> None:
    """The response is the client's own."""
    with httpx.Client() as client, connect_sse(client, "GET", URL) as source:
        assert_type(source.response, httpx.Response)
    with httpx2.Client() as client2, connect_sse(client2, "GET", URL) as source2:
        assert_type(source2.response, httpx2.Response)
    async with httpx.AsyncClient() as aclient, aconnect_sse(aclient, "GET", URL) as asource:
        assert_type(asource.response, httpx.Response)
