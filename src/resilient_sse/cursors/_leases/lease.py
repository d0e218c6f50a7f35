"""`StreamLease`: of the replicas of a program, one reads a stream."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from resilient_sse.cursors._engine.threads import in_own_thread
from resilient_sse.cursors._leases.bell import listening
from resilient_sse.cursors._leases.hooks import LeaseHooks
from resilient_sse.cursors._leases.renewal import Renewal, within
from resilient_sse.cursors._leases.request import LeaseRequest
from resilient_sse.cursors._leases.source import LeasedSource, SyncLeasedSource
from resilient_sse.cursors._leases.table import LeaseTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self, Unpack

    from resilient_sse._drivers.options import LeasedSourceOptions
    from resilient_sse.cursors._leases.grant import Grant
    from resilient_sse.cursors._leases.protocol import LeaseServer
    from resilient_sse.lifecycle import Hook

__all__ = ["StreamLease"]


class StreamLease:
    """The right to read a stream, held by one replica at a time, on any engine.

    Entering the block waits until the lease is granted; a thread then renews it; leaving the block
    gives it back. A process that dies, is stopped or cut off loses it after ``ttl`` seconds, and
    one that waits gets it, with the cursor. Make the source with `source`: it delivers nothing
    without the lease, raises `LeaseLost` when it is lost, and its late saves fail. One lease is for
    one stream.

    An engine grants nothing in the first ``ttl`` seconds after it was started: it may have
    forgotten who holds what. Those who hold a lease go on undisturbed.

    `RedisLease` and `PostgreSQLLease` are the ones for these engines.

    Args:
        leases: The engine; its name is that of the lease.
        hooks: Plain callables that get `LeaseGranted` and `LeaseEnded`. They are not those of the
            sources.

    Raises:
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    def __init__(self, leases: LeaseServer, *, hooks: Iterable[Hook] = ()) -> None:
        self.name: str = leases.name
        self._leases = LeaseTable(leases)
        self._request = LeaseRequest(self._leases, self.name)
        self._renewal = Renewal(self._leases)
        self._hooks = LeaseHooks(hooks, leases.name)
        self._in_use = False

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        held = self._request.held
        return held is not None and held.valid

    @property
    def token(self) -> int:
        """The fencing token, which grows whenever the lease changes hands.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return self._granted().token

    def source(self, url: str, **keywords: Unpack[LeasedSourceOptions]) -> LeasedSource:
        """Make a `ReconnectingEventSource` that delivers while the lease is held.

        Args:
            url: The stream.
            keywords: Those of `ReconnectingEventSource` but ``cursor`` and ``cursor_key``.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return LeasedSource(self._granted(), url, **keywords)

    def sync_source(self, url: str, **keywords: Unpack[LeasedSourceOptions]) -> SyncLeasedSource:
        """Make a `SyncReconnectingEventSource` that delivers while the lease is held.

        Args:
            url: The stream.
            keywords: Those of `SyncReconnectingEventSource` but ``cursor`` and ``cursor_key``.

        Raises:
            RuntimeError: If the lease was never granted.
        """
        return SyncLeasedSource(self._granted(), url, **keywords)

    def __enter__(self) -> Self:
        request = self._begin()
        try:
            with listening(self._leases.server) as bell:
                while (seconds := request.ask()) is not None:
                    bell.wait(seconds)
        except BaseException:
            self._in_use = False
            self._leases.server.close()
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
            self._hooks.tell()
            self._leases.server.close()

    async def __aenter__(self) -> Self:
        request = self._begin()
        try:
            # An engine that hangs is not to keep whoever is cancelled.
            ask = partial(in_own_thread, request.ask, abandon=True)
            with listening(self._leases.server) as bell:
                while (seconds := await ask()) is not None:
                    await bell.await_ring(seconds)
        except BaseException:
            self._in_use = False
            request.abandon()
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
                await in_own_thread(self._give_back)
            finally:
                self._hooks.tell()
                await self._leases.server.aclose()

    def _begin(self) -> LeaseRequest:
        """Refuse a second reader."""
        if self._in_use:
            msg = "one block at a time may use a lease; make another lease of that name"
            raise RuntimeError(msg)
        self._in_use, self._request = True, LeaseRequest(self._leases, self.name)
        return self._request

    def _keep(self) -> Self:
        self._renewal = Renewal(self._leases)
        self._renewal.start()
        self._hooks.tell_here()
        self._granted().tell(self._hooks, self._request.waited)
        self._hooks.tell()
        return self

    def _give_back(self) -> None:
        self._in_use = False
        self._renewal.stop()
        held = self._granted()
        give_back = partial(self._leases.give_back, [held])
        within(self._leases.server.ttl, give_back)  # after that it is over by itself

    def _granted(self) -> Grant:
        if self._request.held is None:
            raise RuntimeError(f"the lease {self.name!r} is held inside its block only")
        return self._request.held
