"""`RedisLease`: of the replicas of a program, one reads a stream; Redis says which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._leases.lease import StreamLease
from resilient_sse.cursors._redis.leases import RedisLeases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.lifecycle import Hook

__all__ = ["RedisLease"]


class RedisLease(StreamLease):
    """The right to read a stream, held by one replica at a time; see `StreamLease`.

    ```python
    async with RedisLease("redis://localhost", "orders") as lease:
        async with lease.source("https://example.com/events") as source:
            async for event in source:
                ...
    ```

    Args:
        client: A URL; or a ``redis.Redis`` or ``redis.RedisCluster`` client, which is never closed.
            Give a client of yours a ``socket_timeout`` of a quarter of ``ttl``.
        name: The lease, the same in all replicas; any text that does not begin with "}".
        ttl: Seconds that the lease lasts; the same in all replicas. Another replica takes over
            that long after the last renewal, of which there are four in that time.
        prefix: What the names of the keys in Redis begin with.
        hooks: Plain callables that get `LeaseGranted` and `LeaseEnded`.

    Raises:
        TypeError: If a hook cannot be called or is a coroutine function, or it is a client of the
            package valkey.
        ValueError: If ``ttl`` is not a positive number, or the name is empty.
    """

    @without_locals
    def __init__(
        self,
        client: Any,  # noqa: ANN401 - redis-py's own
        name: str,
        *,
        ttl: float = 10.0,
        prefix: str = "resilient-sse",
        hooks: Iterable[Hook] = (),
    ) -> None:
        super().__init__(RedisLeases(client, name, ttl=ttl, prefix=prefix), hooks=hooks)
