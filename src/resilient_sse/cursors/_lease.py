"""`RedisLease`: of the replicas of a program, one reads a stream."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from resilient_sse.cursors._asking import Asking
from resilient_sse.cursors._keeper import Keeper, within
from resilient_sse.cursors._leased_source import LeasedSource, SyncLeasedSource
from resilient_sse.cursors._leases import leases_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from resilient_sse.cursors._held import Held

__all__ = ["RedisLease"]


class RedisLease:
    """The right to read a stream, held by one replica at a time.

    Entering the block waits until the lease is granted; a thread then renews it; leaving the block
    gives it back. A process that dies, is stopped or cut off loses it after ``ttl`` seconds, and
    one that waits gets it, with the cursor. Make the source with `source`: it delivers nothing
    without the lease, raises `LeaseLost` when it is lost, and its late saves fail. One lease is for
    one stream.

    ```python
    async with RedisLease("redis://localhost", "orders") as lease:
        async with lease.source("https://example.com/events") as source:
            async for event in source:
                ...
    ```

    Redis grants nothing in the first ``ttl`` seconds after it was started: it may have forgotten
    who holds what. Those who hold a lease go on undisturbed.

    Args:
        client: A URL; or a ``redis.Redis`` or ``redis.RedisCluster`` client, which is never closed.
            Give a client of yours a ``socket_timeout`` of a quarter of ``ttl``.
        name: The lease, the same in all replicas; any text that does not begin with "}".
        ttl: Seconds that the lease lasts; the same in all replicas. Another replica takes over
            that long after the last renewal, of which there are four in that time.
        prefix: What the names of the keys in Redis begin with.

    Raises:
        ValueError: If ``ttl`` is not a positive number, or the name is empty.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a client is untyped, keywords are a source's
        name: str,
        *,
        ttl: float = 10.0,
        prefix: str = "resilient-sse",
    ) -> None:
        self.name = name
        self._leases = leases_of(client, prefix, name, ttl)
        self._asking = Asking(self._leases, name)
        self._keeper = Keeper(self._leases)
        self._in_use = False

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        held = self._asking.held
        return held is not None and held.valid

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
        asking = self._begin()
        try:
            while (seconds := asking.ask()) is not None:
                time.sleep(seconds)
        except BaseException:
            self._in_use = False
            self._leases.redis.close()
            raise
        return self._keep()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._give_back()
        finally:
            self._leases.redis.close()

    async def __aenter__(self) -> Self:
        asking = self._begin()
        try:
            # A Redis that hangs is not to keep whoever is cancelled.
            ask = partial(to_thread.run_sync, asking.ask, abandon_on_cancel=True)
            while (seconds := await ask()) is not None:  # noqa: ASYNC110 - Redis tells nobody
                await anyio.sleep(seconds)
        except BaseException:
            self._in_use = False
            asking.abandon()
            raise
        return self._keep()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await to_thread.run_sync(self._give_back)
            finally:
                await self._leases.redis.aclose()

    def _begin(self) -> Asking:
        """Refuse a second reader."""
        if self._in_use:
            msg = "one block at a time may use a lease; make another RedisLease of that name"
            raise RuntimeError(msg)
        self._in_use, self._asking = True, Asking(self._leases, self.name)
        return self._asking

    def _keep(self) -> Self:
        self._keeper = Keeper(self._leases)
        self._keeper.start()
        return self

    def _give_back(self) -> None:
        self._in_use = False
        self._keeper.stop()
        held = self._granted()
        give_back = partial(self._leases.give_back, [held])
        within(self._leases.ttl, give_back)  # after that it is over by itself

    def _granted(self) -> Held:
        if self._asking.held is None:
            raise RuntimeError(f"the lease {self.name!r} is held inside its block only")
        return self._asking.held
