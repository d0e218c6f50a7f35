"""What a later attempt sends: what a source that begins with the same cursor would send first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resilient_sse import ReconnectingEventSource, SyncReconnectingEventSource

URL = "https://user:hush@h.example/events"
Raw = list[tuple[bytes, bytes]]


class Server:
    """Answers every request with one event, and keeps its headers."""

    def __init__(self, *, cookie: str = "") -> None:
        self.received: list[Raw] = []
        self._headers = {"content-type": "text/event-stream"}
        if cookie:
            self._headers["set-cookie"] = cookie

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request.headers.raw)
        return httpx.Response(200, headers=self._headers, content=b"id: 1\ndata: x\n\n")


def sign(request: httpx.Request) -> None:
    """Be an event hook that adds to a request."""
    request.headers["X-Signed"] = request.headers.get("last-event-id", "none")


async def sign_async(request: httpx.Request) -> None:
    """Be the same for an asynchronous client."""
    sign(request)


KEYWORDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "auth of the client": {"auth": ("me", "secret")},
    "cookies": {"cookies": {"a": "b"}},
    "own headers": {"headers": {"Authorization": "Bearer t", "Accept": "x/y"}},
}


@pytest.mark.parametrize("cookie", ["", "session=1"])
@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS)
def test_a_later_attempt_sends_what_a_first_one_would(
    keywords: dict[str, Any], cookie: str
) -> None:
    """Auth, cookies and event hooks of the client included, in the same order."""
    again, first = Server(cookie=cookie), Server()
    hooks = {"request": [sign]}
    with httpx.Client(
        transport=httpx.MockTransport(again), event_hooks=hooks, **keywords
    ) as client:
        with SyncReconnectingEventSource(URL, client=client, policy=lambda _: 0.0) as source:
            for _ in range(3):
                next(source)
        cookies = client.cookies
    keywords = {**keywords, "cookies": cookies}
    with (
        httpx.Client(transport=httpx.MockTransport(first), event_hooks=hooks, **keywords) as client,
        SyncReconnectingEventSource(URL, client=client, last_event_id="1") as source,
    ):
        next(source)

    assert again.received[1:] == first.received * 2


@pytest.mark.anyio
async def test_on_asyncio_and_trio_too() -> None:
    """The twin builds its requests in the same place."""
    again, first = Server(), Server()
    hooks = {"request": [sign_async]}
    for server, count, cursor in ((again, 3, ""), (first, 1, "1")):
        transport = httpx.MockTransport(server)
        async with (
            httpx.AsyncClient(transport=transport, event_hooks=hooks) as client,
            ReconnectingEventSource(
                URL, client=client, policy=lambda _: 0.0, last_event_id=cursor
            ) as source,
        ):
            for _ in range(count):
                await anext(source)

    assert again.received[1:] == first.received * 2
