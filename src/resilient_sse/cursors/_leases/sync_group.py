"""`SyncStreamGroup`: the blocking twin of `StreamGroup`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from resilient_sse.cursors._leases.bell import listening
from resilient_sse.cursors._leases.grant import LeaseLost
from resilient_sse.cursors._leases.group import LOOKS, Group
from resilient_sse.cursors._leases.renewal import Renewal, within
from resilient_sse.cursors._leases.reports import warn
from resilient_sse.cursors._leases.source import SyncLeasedSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._leases.bell import Bell
    from resilient_sse.cursors._leases.grant import Grant

__all__ = ["SyncStreamGroup"]


class SyncStreamGroup(Group[SyncLeasedSource]):
    """The blocking twin of `StreamGroup`: a thread for each stream that this replica reads.

    ```python
    def read(source):
        for event in source:
            ...

    SyncStreamGroup("redis://localhost", "prices", urls).run(read)
    ```

    It takes the same arguments, reads its share in the same way, and replicas of both kinds may
    share one group. For thousands of streams take `StreamGroup`: threads cost more than tasks.

    Args:
        leases: The engine, as for `StreamGroup`.
        name: The group, the same in all replicas.
        urls: The streams. They may be replaced while it runs.
        ttl: Seconds that a lease lasts; the same in all replicas.
        weight: How much this replica takes on, compared with the others.
        prefix: What the names of the keys or tables in the engine begin with.
        keywords: Those of `SyncReconnectingEventSource` but ``cursor`` and ``cursor_key``. Its
            ``hooks`` hear also of the leases and of the group.

    Raises:
        ValueError: If ``ttl`` or ``weight`` is not a positive number, the name is empty, or no
            engine is known for the URL.
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    _bell: Bell | None = None
    _closing = False

    def run(self, read: Callable[[SyncLeasedSource], object]) -> None:
        """Read this replica's share of the streams, until `close` is called.

        Ctrl-C ends it as well, if it runs in the main thread. Either waits for the handlers: a
        thread cannot be cancelled.

        Args:
            read: Called with each source, entered, in a thread of its own. It is to iterate until
                the end: that comes when another replica is to go on, or this one closes.
                `LeaseLost` may pass through it, alone or in an exception group.
                When it returns while the stream is still this replica's, the stream is done with
                here. Any other exception ends this replica's share, as an exception group.
        """
        self._errors: list[BaseException] = []
        self._threads: set[threading.Thread] = set()
        self._hooks.tell_here()
        renewal = Renewal(self._leases)
        renewal.start()
        try:
            with listening(self._leases.server) as self._bell:
                try:
                    while not self._closing:
                        self._look(read)
                        self._bell.wait(self._leases.server.ttl / LOOKS)
                finally:
                    self._end_threads()
        finally:
            renewal.stop()
            try:
                within(self._leases.server.ttl, self._leave)
            finally:
                self._tell(0, 0)
                self._leases.server.close()
        if self._errors:
            raise BaseExceptionGroup("this replica's share has ended", self._errors)

    def close(self) -> None:
        """Have `run` end, from any thread; it does not begin again."""
        self._closing = True
        if (bell := self._bell) is not None:
            bell.ring()

    def _look(self, read: Callable[[SyncLeasedSource], object]) -> None:
        """Look who is there, hand over what is theirs and take what is ours."""
        try:
            share = self._look_around()
            for source in self._hand_over(share):
                source.close()
            for held in self._exchange(share, self._missing(share)):
                self._announce(held)
                self._begin(held, read)
        except Exception as error:
            if not self._leases.server.is_outage(error):
                raise
            warn("group_cut_off", error=error)

    def _begin(self, held: Grant, read: Callable[[SyncLeasedSource], object]) -> None:
        source = SyncLeasedSource(held, held.name, **self._keywords)
        self._reading[held.name] = source
        thread = threading.Thread(
            target=self._read,
            args=(held, source, read),
            name=f"resilient_sse group {self._leases.server.name}",
            daemon=True,
        )
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._threads.discard(thread)
            raise

    def _read(
        self, held: Grant, source: SyncLeasedSource, read: Callable[[SyncLeasedSource], object]
    ) -> None:
        try:
            self._read_on(held, source, read)
        except BaseException as error:  # noqa: BLE001 - whoever runs the group gets it
            self._errors.append(error)
            self.close()
        finally:
            self._threads.discard(threading.current_thread())

    def _read_on(
        self, held: Grant, source: SyncLeasedSource, read: Callable[[SyncLeasedSource], object]
    ) -> None:
        try:
            with source:
                read(source)
            self._done_with(held)
        except* LeaseLost:  # of a thread of the handler's, it may come in a group
            warn("lease_lost", lease=held.name)
        finally:
            if self._no_more(held):
                self._leases.give_back([held])
                self._hooks.tell()

    def _end_threads(self) -> None:
        """Close every source, and wait until its handler is done with what it got."""
        self._moving |= self._reading.copy().keys()
        for source in self._reading.copy().values():
            source.close()
        for thread in self._threads.copy():
            thread.join()
