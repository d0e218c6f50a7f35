"""The worlds that scenarios run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.runners import ASYNC, HOMES, STACKS, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=STACKS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every runtime with every client: for whatever the client has a part in."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=HOMES, ids=str)
def home(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every runtime with the source's own client, or its like: for what it decides alone."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=ASYNC, ids=str)
def loop(request: pytest.FixtureRequest) -> Iterator[World]:
    """Asyncio and trio: for what only event loops have."""
    with World(request.param) as made:
        yield made


@pytest.fixture(params=[stack for stack in STACKS if not stack.is_async], ids=str)
def thread(request: pytest.FixtureRequest) -> Iterator[World]:
    """A thread, with either kind of transport: for what only threads have."""
    with World(request.param) as made:
        yield made
