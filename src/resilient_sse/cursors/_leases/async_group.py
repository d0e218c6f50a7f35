"""`StreamGroup`: a set of streams spread over the replicas of a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio import to_thread

from resilient_sse.cursors._engine.threads import in_own_thread
from resilient_sse.cursors._leases.bell import listening
from resilient_sse.cursors._leases.grant import LeaseLost
from resilient_sse.cursors._leases.group import LOOKS, Group
from resilient_sse.cursors._leases.renewal import Renewal, within
from resilient_sse.cursors._leases.reports import warn
from resilient_sse.cursors._leases.source import LeasedSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from resilient_sse.cursors._leases.grant import Grant

__all__ = ["StreamGroup"]

_THREADS: Final = 8  # for the engine: those of the program may all be busy

T = TypeVar("T")


class StreamGroup(Group[LeasedSource]):
    """Streams that the replicas of a program share, each read by one of them.

    All replicas run the same group. They see each other in the engine; when one comes or goes, the
    streams are spread anew: as evenly as can be, and as few change hands as possible. One that does
    goes on from its cursor. Each stream has a
    lease as in `StreamLease`, with the same promises.

    ```python
    async def read(source):
        async for event in source:
            ...

    await StreamGroup("redis://localhost", "prices", urls).run(read)
    ```

    Args:
        leases: A URL, whose scheme picks the engine: ``redis``, ``rediss`` and ``unix``, or
            ``postgresql``. Or a ``redis.Redis`` or ``redis.RedisCluster`` client, which is never
            closed; give it a ``socket_timeout`` of a quarter of ``ttl``. Or what makes a
            `LeaseServer` from a name and the keyword ``ttl``, for another engine or other options.
        name: The group, the same in all replicas.
        urls: The streams; each is also the key of its cursor. They may be replaced while it runs,
            and replicas may know different ones for a while.
        ttl: Seconds that a lease lasts, and a replica counts as there without a sign of life; the
            same in all replicas.
        weight: How much this replica takes on, compared with the others: one with 2 reads twice as
            many streams as one with 1.
        prefix: What the names of the keys or tables in the engine begin with; by default the
            engine's own.
        keywords: Those of `ReconnectingEventSource` but ``cursor`` and ``cursor_key``, for all
            streams. Its ``hooks`` hear also of the leases and of the group: `LeaseGranted`,
            `LeaseEnded` and `GroupChanged`. A shared ``client``, which is one of HTTP and none of
            the engine, saves most of what a stream costs. The first three arguments are given by
            position.

    Raises:
        ValueError: If ``ttl`` or ``weight`` is not a positive number, the name is empty, or no
            engine is known for the URL.
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    _threads: anyio.CapacityLimiter | None = None

    async def run(self, read: Callable[[LeasedSource], Awaitable[object]]) -> None:
        """Read this replica's share of the streams, until cancelled.

        Args:
            read: Called with each source, entered, in a task of its own. It is to iterate until the
                end: that comes when another replica is to go on. `LeaseLost` may pass through it,
                alone or in an exception group.
                When it returns while the stream is still this replica's, the stream is done with
                here. Any other exception ends this replica's share, as an exception group.
        """
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._hooks.tell_here()
        renewal = Renewal(self._leases)
        renewal.start()
        try:
            with listening(self._leases.server) as bell:
                async with anyio.create_task_group() as tasks:
                    while True:
                        await self._look(tasks, read)
                        await bell.await_ring(self._leases.server.ttl / LOOKS)
        finally:
            renewal.stop()
            with anyio.CancelScope(shield=True):
                try:
                    await in_own_thread(within, self._leases.server.ttl, self._leave)
                finally:
                    self._tell(0, 0)
                    await self._leases.server.aclose()

    async def _look(
        self, tasks: TaskGroup, read: Callable[[LeasedSource], Awaitable[object]]
    ) -> None:
        """Look who is there, hand over what is theirs and take what is ours."""
        try:
            share = await self._in_thread(self._look_around)
            for source in self._hand_over(share):
                await source.aclose()
            for held in await self._in_thread(self._exchange, share, self._missing(share)):
                self._announce(held)
                tasks.start_soon(self._read, held, read)
        except Exception as error:
            if not self._leases.server.is_outage(error):
                raise
            warn("group_cut_off", error=error)

    async def _read(self, held: Grant, read: Callable[[LeasedSource], Awaitable[object]]) -> None:
        source = self._reading[held.name] = LeasedSource(held, held.name, **self._keywords)
        try:
            async with source:
                await read(source)
            self._done_with(held)
        except* LeaseLost:  # of a task of the handler's, it comes in a group
            warn("lease_lost", lease=held.name)
        finally:
            if self._no_more(held):
                with anyio.CancelScope(shield=True):
                    await self._in_thread(self._leases.give_back, [held])
                    self._hooks.tell()

    async def _in_thread(self, task: Callable[..., T], *words: object) -> T:
        return await to_thread.run_sync(task, *words, limiter=self._threads)
