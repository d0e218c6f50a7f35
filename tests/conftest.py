"""What holds for every test: both event loops, and nothing that blocks one of them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stamina.instrumentation
from blockbuster import blockbuster_ctx
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A shell has its background jobs ignore Ctrl-C, and their children with them; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that run tests are shared: a slow example is not a wrong one.
settings.register_profile("resilient_sse", deadline=None)
settings.load_profile("resilient_sse")

# At its first retry stamina imports what it instruments with, which reads files.
stamina.instrumentation.get_on_retry_hooks()


# The tests in these folders time networks, and servers of several processes.
ALONE = tuple(Path(__file__).parent / folder for folder in ("network", "servers"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that must not have others beside them."""
    for item in items:
        if any(folder in item.path.parents for folder in ALONE):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every test that is marked with ``pytest.mark.anyio`` on asyncio and on trio."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test on asyncio whose event loop is blocked by a call out of the library."""
    if "anyio_backend" not in request.fixturenames:
        yield
        return
    if request.getfixturevalue("anyio_backend_name") != "asyncio":
        yield
        return
    # The kit's servers are threads, and are started and stopped by tests.
    with blockbuster_ctx("resilient_sse", excluded_modules=["resilient_sse.testing"]) as guard:
        # coverage takes a lock of its own when it first sees a file, wherever that may be.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield
