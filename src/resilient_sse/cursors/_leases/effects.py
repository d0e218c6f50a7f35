"""Cursors that a program saves in transactions of its own, together with what an event does."""

from __future__ import annotations

from collections import deque
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from resilient_sse.cursors._leases.protocol import LeaseSave, LeaseServer


class Reader(Protocol):
    """A source that reads under a lease."""

    def events_to_save(self, cursor: str) -> int:
        """Count the events that wait for a transaction to save this cursor.

        Raises:
            RuntimeError: If the source acknowledges by itself.
            ValueError: If there is none.
        """
        ...


class Effects:
    """What was saved in transactions, of which it is not known yet whether they were committed.

    Args:
        server: The engine, which may know nothing of transactions.
    """

    def __init__(self, server: LeaseServer) -> None:
        self._server: Any = server
        self._pending: deque[LeaseSave] = deque()

    def save(self, connection: object, save: LeaseSave) -> Any:  # noqa: ANN401 - awaitable or not
        """Save in the transaction that a connection is in.

        Returns:
            Whether the lease is still held; awaitable if the connection is asynchronous.

        Raises:
            TypeError: If the engine cannot do that.
        """
        if not hasattr(self._server, "save_in"):
            kind = type(self._server).__name__
            raise TypeError(f"save_in needs PostgreSQLLeases, and {kind} has no transactions")
        kept = self._server.save_in(connection, save)
        return self._awaited(kept, save) if isawaitable(kept) else self._noted(save, kept=kept)

    def again(self, cursor: str, events: int) -> LeaseSave | None:
        """Return the save that is to be tried again; None if this is the first of its event.

        Whoever tries again may not know that the first transaction was committed: its answer was
        lost with the connection. Under the same number the server finds out.

        Args:
            cursor: What is to be saved.
            events: How many events with this cursor wait for a transaction.
        """
        made = [save for save in self._pending if save.cursor == cursor]
        return made[-1] if len(made) >= events else None

    def settled(self) -> LeaseSave | None:
        """Ask the engine which of them are there to stay; return the newest, if that is news."""
        if not self._pending:
            return None
        number = self._server.saved_in(self._pending[0].name, self._pending[0].token)
        newest = None
        while self._pending and self._pending[0].number <= number:
            newest = self._pending.popleft()
        return newest

    async def _awaited(self, kept: Any, save: LeaseSave) -> bool:  # noqa: ANN401 - any awaitable
        return self._noted(save, kept=await kept)

    def _noted(self, save: LeaseSave, *, kept: bool) -> bool:
        if kept and save not in self._pending:
            self._pending.append(save)
        return kept
