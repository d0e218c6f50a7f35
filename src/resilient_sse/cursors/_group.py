"""`StreamGroup`: a set of streams spread over the replicas of a program."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import structlog
from anyio import to_thread

from resilient_sse.cursors._held import Held, LeaseLost
from resilient_sse.cursors._keeper import Keeper, within
from resilient_sse.cursors._leased_source import LeasedSource
from resilient_sse.cursors._leases import leases_of
from resilient_sse.cursors._redis_answers import is_outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from anyio.abc import TaskGroup

__all__ = ["StreamGroup", "preferred_owner"]

_LOOKS: Final = 5  # in the time of a lease
_THREADS: Final = 8  # for Redis: those of the program may all be busy

T = TypeVar("T")


def preferred_owner(url: str, members: Iterable[str]) -> str:
    """Return which member is to read a stream: the one with the highest hash of both.

    With this (rendezvous hashing, Thaler and Ravishankar 1996) everyone who knows the same members
    comes to the same answer, and only the streams of a member that goes, or for one that comes,
    change hands.

    Args:
        url: The stream.
        members: The replicas; at least one.

    Raises:
        ValueError: If there are no members.
    """
    stream = blake2b(url.encode(), digest_size=16).digest()
    return max(
        members,
        key=lambda member: blake2b(stream + member.encode(), digest_size=8).digest(),
    )


class StreamGroup:
    """Streams that the replicas of a program share, each read by one of them.

    All replicas run the same group. They see each other in Redis; when one comes or goes, the
    streams are spread anew, and one that changes hands goes on from its cursor. Each stream has a
    lease as in `RedisLease`, with the same promises.

    ```python
    async def read(source):
        async for event in source:
            ...

    await StreamGroup("redis://localhost", "prices", urls).run(read)
    ```

    Args:
        client: A URL; or a ``redis.Redis`` or ``redis.RedisCluster`` client, which is never closed.
            Give a client of yours a ``socket_timeout`` of a quarter of ``ttl``.
        name: The group, the same in all replicas.
        urls: The streams, the same in all replicas; each is also the key of its cursor.
        ttl: Seconds that a lease lasts, and a replica counts as there without a sign of life; the
            same in all replicas.
        prefix: What the names of the keys in Redis begin with.
        keywords: Those of `ReconnectingEventSource` but ``cursor`` and ``cursor_key``, for all
            streams. A shared ``client`` saves most of what a stream costs.

    Raises:
        ValueError: If ``ttl`` is not a positive number, or the name is empty.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a client is untyped, keywords are a source's
        name: str,
        urls: Iterable[str],
        *,
        ttl: float = 10.0,
        prefix: str = "resilient-sse",
        **keywords: Any,  # noqa: ANN401 - a client is untyped, keywords are a source's
    ) -> None:
        self.urls: frozenset[str] = frozenset(urls)
        self._leases = leases_of(client, prefix, name, ttl)
        self._keywords = keywords
        self._reading: dict[str, LeasedSource] = {}
        self._ended: set[str] = set()
        self._shares: tuple[object, frozenset[str]] = (None, frozenset())
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def reading(self) -> frozenset[str]:
        """The streams that this replica reads now."""
        return frozenset(self._reading)

    async def run(self, read: Callable[[LeasedSource], Awaitable[object]]) -> None:
        """Read this replica's share of the streams, until cancelled.

        Args:
            read: Called with each source, entered, in a task of its own. It is to iterate until the
                end: that comes when another replica is to go on. `LeaseLost` may pass through it.
                When it returns while the stream is still this replica's, the stream is done with
                here. Any other exception ends this replica's share, as an exception group.
        """
        self._threads = anyio.CapacityLimiter(_THREADS)
        keeper = Keeper(self._leases)
        keeper.start()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    await self._look(tasks, read)
                    await anyio.sleep(self._leases.ttl / _LOOKS)
        finally:
            keeper.stop()
            with anyio.CancelScope(shield=True):
                await self._in_thread(within, self._leases.ttl, self._leave)
                await self._leases.redis.aclose()

    async def _look(
        self, tasks: TaskGroup, read: Callable[[LeasedSource], Awaitable[object]]
    ) -> None:
        """Look who is there, hand over what is theirs and take what is ours."""
        try:
            share = await self._in_thread(self._share)
            for source in [self._reading[url] for url in self._reading.keys() - share]:
                await source.aclose()
            wanted = share - self._reading.keys() - self._ended
            for held in await self._in_thread(self._acquire, wanted):
                tasks.start_soon(self._read, held, read)
        except Exception as error:
            if not is_outage(error):
                raise
            structlog.get_logger("resilient_sse").warning(
                "resilient_sse.group_cut_off", error=repr(error)
            )

    def _share(self) -> frozenset[str]:
        """Return the streams that are ours, given who is there."""
        members = self._leases.meet()
        known = (self.urls, members)
        if self._shares[0] != known:
            me = self._leases.owner
            mine = (url for url in self.urls if preferred_owner(url, members) == me)
            self._shares = (known, frozenset(mine))
            self._ended.clear()
        return self._shares[1]

    def _acquire(self, wanted: Iterable[str]) -> list[Held]:
        answers = self._leases.acquire(wanted) if wanted else {}
        return [answer for answer in answers.values() if isinstance(answer, Held) and answer.valid]

    async def _read(self, held: Held, read: Callable[[LeasedSource], Awaitable[object]]) -> None:
        source = self._reading[held.name] = LeasedSource(held, held.name, **self._keywords)
        try:
            async with source:
                await read(source)
            if held.name in self._shares[1]:
                self._ended.add(held.name)
        except LeaseLost as error:
            structlog.get_logger("resilient_sse").warning(
                "resilient_sse.lease_lost", lease=error.key
            )
        finally:
            del self._reading[held.name]
            if held.valid:
                with anyio.CancelScope(shield=True):
                    await self._in_thread(self._leases.give_back, [held])

    async def _in_thread(self, task: Callable[..., T], *words: object) -> T:
        return await to_thread.run_sync(task, *words, limiter=self._threads)

    def _leave(self) -> None:
        try:
            self._leases.release(list(self._leases.held.values()))
            self._leases.leave()
        except Exception as error:
            if not is_outage(error):
                raise
