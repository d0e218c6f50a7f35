"""The worlds that the cuts are read in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.runners import Stack, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["asyncio", "trio", "threads"])
def shared(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every runtime with one client for all sources, which saves most of the time of a life."""
    with World(Stack(request.param, "httpx")) as made:
        yield made
