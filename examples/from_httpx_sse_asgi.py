"""httpx-sse's way to test an application in process: only the import differs.

Run it: python examples/from_httpx_sse_asgi.py (needs starlette and sse-starlette)
"""

import asyncio
from collections.abc import AsyncIterator

import httpx
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from resilient_sse import aconnect_sse


async def logins(_request: Request) -> EventSourceResponse:
    """An endpoint that reports one login."""

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"event": "login", "data": '{"user_id": "4135"}'}

    return EventSourceResponse(events())


app = Starlette(routes=[Route("/logins", logins)])


async def main() -> None:
    """Call the application without a server."""
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
        aconnect_sse(client, "GET", "/logins") as event_source,
    ):
        (sse,) = [sse async for sse in event_source.aiter_sse()]
    print(sse.event, sse.json()["user_id"])


if __name__ == "__main__":
    asyncio.run(main())
