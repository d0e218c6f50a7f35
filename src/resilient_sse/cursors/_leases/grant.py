"""One grant of a lease: how long it may be believed in, and saves that carry its token."""

from __future__ import annotations

import os
import threading
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from resilient_sse.cursors._leases.effects import Effects
from resilient_sse.cursors._leases.protocol import LeaseSave
from resilient_sse.cursors._leases.reports import warn
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._leases.clock import LeaseClock
    from resilient_sse.cursors._leases.cursors import LeaseCursors
    from resilient_sse.cursors._leases.effects import Reader
    from resilient_sse.cursors._leases.hooks import LeaseHooks

__all__ = ["LeaseLost"]


class LeaseLost(CursorError):  # noqa: N818 - it is news before it is an error
    """The lease is not held any more: another replica may be reading the stream.

    Args:
        name: The lease.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lease {name!r} is lost; another replica may be reading this stream", key=name
        )


class Grant:
    """One grant of a lease, from its acquisition to its loss or release.

    It is also the cursor store of the stream that it is about: its saves carry the token.

    Attributes:
        name: What it is about.
        token: The fencing token; grows with every grant.
        until: The time of the local clock up to which it may be believed in.
        saved: What was saved last; at first what came with the grant.
        reader: The source that reads under it.
    """

    def __init__(
        self, cursors: LeaseCursors, clock: LeaseClock, until: float, saved: LeaseSave
    ) -> None:
        self.name: str = saved.name
        self.token: int = saved.token
        self.until = until
        self.saved = saved
        self.reader: object = None
        self._clock = clock
        self._cursors = cursors
        self._effects = Effects(cursors.server)
        self._pid = os.getpid()
        self._over = False
        self._ending = threading.Lock()  # several threads may find it over
        self._hooks: LeaseHooks | None = None
        self._wake: Callable[[], object] | None = None

    @property
    def valid(self) -> bool:
        """Whether no other replica can hold it now; a fork of this process is another one."""
        over = self._over or self._clock.now() >= self.until
        return not over and os.getpid() == self._pid

    def watch(self, wake: Callable[[], object]) -> None:
        """Have this called, from any thread, when the lease is lost; it replaces the one before."""
        self._wake = wake

    def tell(self, hooks: LeaseHooks, waited: float) -> None:
        """Have hooks hear of it, and of its end.

        Args:
            hooks: They are told by whoever asked for the lease.
            waited: Seconds that it was waited for.
        """
        with self._ending:
            self._hooks = hooks
            hooks.granted(self.name, self.token, waited)
            if self._over:  # so soon
                hooks.ended(self.name, self.token, "lost")

    def end(self, reason: Literal["lost", "given back"] = "lost") -> None:
        """Believe in it no more."""
        with self._ending:
            if self._over:
                return
            self._over = True
            hooks = self._hooks if os.getpid() == self._pid else None
            if hooks is not None:
                hooks.ended(self.name, self.token, reason)
        self._wake_reader()
        if hooks is not None and reason == "lost":
            hooks.wake()

    def _wake_reader(self) -> None:
        try:
            if self._wake is not None:
                self._wake()
        except Exception as error:  # noqa: BLE001 - whoever ends it has more to end
            warn("reader_not_woken", lease=self.name, error=error)

    # -- A cursor store ------------------------------------------------------------------------

    def load(self, _key: str, /) -> str | None:
        """Return the cursor that came with the grant."""
        return self.saved.cursor or None

    def save(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held.

        Raises:
            LeaseLost: If it is not.
            CursorError: If the engine says what no waiting changes.
            Exception: What the engine raises if it does not answer.
        """
        save = self._next(cursor)
        self._saved(save, kept=self._cursors.save(save))

    async def asave(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held, without blocking the event loop."""
        save = self._next(cursor)
        self._saved(save, kept=await self._cursors.asave(save))

    def save_in(self, connection: Any, cursor: str, /) -> Any:  # noqa: ANN401 - see `Lease`
        """Save in the transaction that a connection of the program's is in; see `Lease`."""
        events = cast("Reader", self.reader).events_to_save(cursor)
        if not self.valid:
            self._lost()
        save = self._effects.again(cursor, events) or self._next(cursor)
        kept = self._effects.save(connection, save)
        return self._kept_async(kept) if isawaitable(kept) else self._kept(kept)

    def settled(self) -> str | None:
        """Ask which cursor a transaction has saved for good since; None if there is none."""
        newest = self._effects.settled()
        return None if newest is None else newest.cursor

    async def _kept_async(self, kept: Any) -> None:  # noqa: ANN401 - any awaitable
        self._kept(await kept)

    def _kept(self, kept: object) -> None:
        if not kept:
            self._lost()

    def _lost(self) -> NoReturn:
        self.end()
        raise LeaseLost(self.name)

    def _next(self, cursor: str) -> LeaseSave:
        return LeaseSave(self.name, self.token, next(self._cursors.numbers), cursor)

    def _saved(self, save: LeaseSave, *, kept: bool) -> None:
        self._kept(kept)
        self.saved = save
        self._cursors.remember(save)
