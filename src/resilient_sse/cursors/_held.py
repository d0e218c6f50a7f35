"""One grant of a lease: how long it may be believed in, and saves that carry its token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from resilient_sse.cursors import _scripts
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._leases import Leases

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


class Held:
    """One grant of a lease, from its acquisition to its loss or release.

    It is also the cursor store of the stream that it is about: its saves carry the token.

    Attributes:
        name: What it is about.
        token: The fencing token; grows with every grant.
        until: The time of the local clock up to which it may be believed in.
        saved: The number of the last save, and the cursor.
        reader: The source that reads under it.
    """

    def __init__(self, leases: Leases, name: str, token: int, until: float, cursor: str) -> None:
        self.name = name
        self.token = token
        self.until = until
        self.saved: tuple[int, str] = (next(leases.numbers), cursor)
        self.reader: object = None
        self._leases = leases
        self._pid = os.getpid()
        self._over = False
        self._wake: Callable[[], object] | None = None

    @property
    def valid(self) -> bool:
        """Whether no other replica can hold it now; a fork of this process is another one."""
        over = self._over or self._leases.clock() >= self.until
        return not over and os.getpid() == self._pid

    def check(self) -> None:
        """Raise if it is lost.

        Raises:
            LeaseLost: If it is.
        """
        if not self.valid:
            self.end()
            raise LeaseLost(self.name)

    def watch(self, wake: Callable[[], object]) -> None:
        """Have this called, from any thread, when the lease is lost; it replaces the one before."""
        self._wake = wake

    def end(self) -> None:
        """Believe in it no more."""
        if self._over:
            return
        self._over = True
        try:
            if self._wake is not None:
                self._wake()
        except Exception:  # noqa: BLE001 - whoever ends it has more to end
            structlog.get_logger("resilient_sse").exception(
                "resilient_sse.reader_not_woken", lease=self.name
            )

    # -- A cursor store ------------------------------------------------------------------------

    def load(self, _key: str, /) -> str | None:
        """Return the cursor that came with the grant."""
        return self.saved[1] or None

    def save(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held."""
        number, request = self._request(cursor)
        self._saved(self._leases.redis.script(*request), number, cursor)

    async def asave(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held, without blocking the event loop."""
        number, request = self._request(cursor)
        self._saved(await self._leases.redis.ascript(*request), number, cursor)

    def _request(self, cursor: str) -> tuple[int, tuple[str, list[str], list[object]]]:
        number = next(self._leases.numbers)
        words = (self.name, self.token, number, cursor)
        return number, self._leases.request(_scripts.SAVE, *words)

    def _saved(self, answer: int, number: int, cursor: str) -> None:
        if not answer:
            self.end()
            raise LeaseLost(self.name)
        self.saved = (number, cursor)
