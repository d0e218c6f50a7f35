"""A FastAPI application that reads a stream for as long as it runs, and serves what it has read.

    STREAM_URL=https://example.com/prices uvicorn examples.fastapi_app:app

Every worker process of the server reads the stream: use one, or let another process read it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response

from resilient_sse import GiveUpError, ReconnectingEventSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Prices:
    """The last price of everything.

    Attributes:
        last: By name.
        problem: Why there will be no more; "" while the stream is read.
    """

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.problem = ""

    async def follow(self, source: ReconnectingEventSource) -> None:
        """Read until the source is closed or gives up."""
        try:
            async for event in source:
                price = event.json()
                self.last[price["name"]] = price["price"]
        except GiveUpError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = repr(error)
            raise


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Read the stream from the start of the application to its end."""
    prices = app.state.prices = Prices()
    async with ReconnectingEventSource(os.environ["STREAM_URL"]) as source:
        app.state.source = source
        reader = asyncio.create_task(prices.follow(source))
        yield
        await source.aclose()
        await reader  # an error that is not the stream's is raised here


app = FastAPI(lifespan=lifespan)


@app.get("/prices/{name}")
async def price(name: str, response: Response) -> dict[str, Any]:
    """Serve the last price of one thing."""
    last = app.state.prices.last.get(name)
    if last is None:
        response.status_code = 404
    return {"name": name, "price": last}


@app.get("/health")
async def health(response: Response) -> dict[str, str]:
    """Say how the stream is, for a load balancer or an orchestrator."""
    problem: str = app.state.prices.problem
    if problem:
        response.status_code = 503
    return {"stream": app.state.source.state, "problem": problem}
