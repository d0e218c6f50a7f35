"""What an event loop must not be held up by."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def no_blocking_calls(**options: Any) -> Generator[None]:
    """Have calls out of the library that block the event loop raise."""
    with blockbuster_ctx("resilient_sse", **options) as guard:
        # coverage takes a lock of its own when it first sees a file, wherever that may be.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        # httpx 0.27 looks for certificates before it loads them, once in a process.
        guard.functions["os.stat"].can_block_in("httpx/_config.py", "load_ssl_context_verify")
        yield
