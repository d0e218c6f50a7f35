"""The worlds that scenarios run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests._runners import ASYNC, HOMES, STACKS, Stack, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=STACKS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every runtime with every client: for whatever the client has a part in."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=HOMES, ids=str)
def home(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every runtime with the source's own client: for what the source decides alone."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=ASYNC, ids=str)
def loop(request: pytest.FixtureRequest) -> Iterator[World]:
    """Asyncio and trio: for what only event loops have."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=["own", "httpx"])
def thread(request: pytest.FixtureRequest) -> Iterator[World]:
    """A thread, with either kind of transport: for what only threads have."""
    with World(Stack("threads", request.param)) as made:
        yield made
