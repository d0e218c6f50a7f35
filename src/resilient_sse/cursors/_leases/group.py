"""What the asynchronous and the blocking group share: everything but tasks and threads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._leases.census import Census
from resilient_sse.cursors._leases.clock import boottime
from resilient_sse.cursors._leases.engines import server_of
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.hooks import LeaseHooks
from resilient_sse.cursors._leases.table import LeaseTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Unpack

    from resilient_sse._drivers.options import LeasedSourceOptions
    from resilient_sse.cursors._leases.source import LeasedSource, SyncLeasedSource

LOOKS: Final = 5  # in the time of a lease

S = TypeVar("S", "LeasedSource", "SyncLeasedSource")


class Group(Generic[S]):
    """A replica of a group: what it reads and why. The arguments are those of `StreamGroup`."""

    @without_locals
    def __init__(  # noqa: PLR0913 - one keyword for each thing a user may decide
        self,
        leases: Any,  # noqa: ANN401 - a client is untyped
        name: str,
        urls: Iterable[str],
        /,
        *,
        ttl: float = 10.0,
        weight: float = 1.0,
        prefix: str | None = None,
        **keywords: Unpack[LeasedSourceOptions],
    ) -> None:
        if not math.isfinite(weight) or weight <= 0:
            raise ValueError(f"weight must be a number above 0, not {weight!r}")
        options = {} if prefix is None else {"prefix": prefix}
        self._leases = LeaseTable(server_of(leases, name, ttl, options))
        keywords["hooks"] = tuple(keywords.get("hooks", ()))
        self._hooks = LeaseHooks(keywords["hooks"], name)
        self._keywords = keywords
        self._since: dict[str, float] = {}  # what is asked for is waited for
        self._told = (0, 0)
        self._reading: dict[str, S] = {}
        self._ended: set[str] = set()
        self._moving: set[str] = set()
        self._urls: frozenset[str] = frozenset(urls)
        self._census = Census(self._leases.server, weight)

    @property
    def urls(self) -> frozenset[str]:
        """The streams; replaced while it runs, they are spread anew at the next look.

        Replace them in the thread of the event loop. Replicas may know different ones, as during a
        rolling deploy: each stream is read by one that knows it.
        """
        return self._urls

    @urls.setter
    def urls(self, urls: Iterable[str]) -> None:
        self._urls = frozenset(urls)

    @property
    def reading(self) -> frozenset[str]:
        """The streams that this replica reads now."""
        return frozenset(self._reading)

    def _look_around(self) -> frozenset[str]:
        """Return the streams that are ours, given who is there and holds what."""
        before = self._census.members
        share = self._census.share(self._urls, self._leases.held.keys())
        if self._census.members != before:
            self._ended.clear()
        return share

    def _hand_over(self, share: frozenset[str]) -> list[S]:
        """Return the sources of streams that are others' now, to be closed."""
        reading = self._reading.copy()
        self._moving |= reading.keys() - share
        return [source for url, source in reading.items() if url in self._moving]

    def _missing(self, share: frozenset[str]) -> frozenset[str]:
        """Return what is ours and is not read, and note since when it is waited for."""
        self._tell(len(self._census.streams), len(self._census.members))
        missing = share - self._reading.copy().keys() - self._ended
        now = boottime()
        self._since = {url: self._since.get(url, now) for url in missing}
        return missing

    def _exchange(self, share: frozenset[str], wanted: frozenset[str]) -> list[Grant]:
        """Give back what is not ours and was done with, and ask for what is."""
        idle = self._leases.held.keys() - share - self._reading.keys()
        self._leases.give_back([self._leases.held[url] for url in idle])
        answers = self._leases.acquire(wanted).values()
        return [answer for answer in answers if isinstance(answer, Grant) and answer.valid]

    def _announce(self, held: Grant) -> None:
        """Have hooks hear of a lease before its source tells them anything."""
        held.tell(self._hooks, boottime() - self._since[held.name])
        self._hooks.tell()

    def _tell(self, streams: int, replicas: int) -> None:
        """Tell hooks what they have not heard, of the group and of its leases."""
        if self._told != (streams, replicas):
            self._told = (streams, replicas)
            self._hooks.changed(streams, replicas)
        self._hooks.tell()

    def _done_with(self, held: Grant) -> None:
        """Note that a handler returned."""
        if held.name not in self._moving:
            self._ended.add(held.name)  # its lease is kept, or another one would begin it

    def _no_more(self, held: Grant) -> bool:
        """Note that a stream is not read any more; say whether its lease is to be given back."""
        del self._reading[held.name]
        self._moving.discard(held.name)
        return held.valid and held.name not in self._ended

    def _leave(self) -> None:
        try:
            self._leases.release(list(self._leases.held.values()))
            self._leases.server.leave()
        except Exception as error:
            if not self._leases.server.is_outage(error):
                raise
