"""`RedisLease`: of the replicas of a program, one reads a stream."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import redis
from anyio import to_thread

from resilient_sse.cursors._keeper import Keeper
from resilient_sse.cursors._lease_core import Held, Leases
from resilient_sse.cursors._leased_source import LeasedSource, SyncLeasedSource
from resilient_sse.cursors._redis import Redis

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RedisLease"]

# How often those who wait look, in the time of a lease: whoever gives it back does not tell them.
_LOOKS: Final = 5


class RedisLease:
    """The right to read a stream, held by one replica at a time.

    Entering the block waits until the lease is granted; a thread then renews it; leaving the block
    gives it back. A replica that dies, stalls or is cut off loses it after ``ttl`` seconds, and one
    that waits gets it, with the cursor. Make the source with `source`: it delivers nothing without
    the lease, raises `LeaseLost` when it is lost, and its late saves fail.

    ```python
    async with RedisLease("redis://localhost", "orders") as lease:
        async with lease.source("https://example.com/events") as source:
            async for event in source:
                ...
    ```

    Redis grants nothing in the first ``ttl`` seconds after it was started: it may have forgotten
    who holds what. Those who hold a lease go on undisturbed.

    Args:
        client: A URL, or a ``redis.Redis`` client, which is never closed.
        name: The lease, the same in all replicas.
        ttl: Seconds that the lease lasts; the same in all replicas. Another replica takes over
            that long after the last renewal, of which there are four in that time.
        prefix: What the names of the keys in Redis begin with.

    Raises:
        ValueError: If ``ttl`` is not a positive number.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a client is untyped, keywords are a source's
        name: str,
        *,
        ttl: float = 10.0,
        prefix: str = "resilient-sse",
    ) -> None:
        check_ttl(ttl)
        self.name = name
        self._redis = Redis(client, timeout=ttl / 4)
        self._leases = Leases(self._redis, f"{prefix}:{{{name}}}", ttl)
        self._held: Held | None = None
        self._keeper = Keeper(self._leases)

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        return self._held is not None and self._held.valid

    @property
    def token(self) -> int:
        """The fencing token, which grows whenever the lease changes hands.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return self._granted().token

    def source(self, url: str, **keywords: Any) -> LeasedSource:  # noqa: ANN401 - a client is untyped, keywords are a source's
        """Make a `ReconnectingEventSource` that delivers while the lease is held.

        Args:
            url: The stream.
            keywords: Those of `ReconnectingEventSource` but ``cursor`` and ``cursor_key``.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return LeasedSource(self._granted(), url, **keywords)

    def sync_source(self, url: str, **keywords: Any) -> SyncLeasedSource:  # noqa: ANN401 - a client is untyped, keywords are a source's
        """Make a `SyncReconnectingEventSource` that delivers while the lease is held.

        Args:
            url: The stream.
            keywords: Those of `SyncReconnectingEventSource` but ``cursor`` and ``cursor_key``.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return SyncLeasedSource(self._granted(), url, **keywords)

    def __enter__(self) -> Self:
        while (seconds := self._ask()) is not None:
            time.sleep(seconds)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()
        self._redis.close()

    async def __aenter__(self) -> Self:
        while (seconds := await to_thread.run_sync(self._ask)) is not None:  # noqa: ASYNC110 - Redis tells nobody
            await anyio.sleep(seconds)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._give_back)
            await self._redis.aclose()

    def _ask(self) -> float | None:
        """Ask for the lease once; return the seconds until the next time, or None if granted."""
        look = self._leases.ttl / _LOOKS
        try:
            answer = self._leases.acquire([self.name])[self.name]
        except Exception as error:
            if not is_outage(error):
                raise
            return look
        if not isinstance(answer, Held):
            return min(look, answer.seconds)
        self._held = answer
        self._keeper.start()
        return None

    def _give_back(self) -> None:
        self._keeper.stop()
        try:
            self._leases.release([self._granted()])
        except Exception as error:
            if not is_outage(error):
                raise

    def _granted(self) -> Held:
        if self._held is None:
            raise RuntimeError(f"the lease {self.name!r} is held inside its block only")
        return self._held


def check_ttl(ttl: float) -> None:
    """Refuse what is no time for a lease."""
    if not math.isfinite(ttl) or ttl <= 0:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl!r}")


def is_outage(error: Exception) -> bool:
    """Say whether Redis could not be reached, or is starting or changing roles."""
    return isinstance(error, (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError))
