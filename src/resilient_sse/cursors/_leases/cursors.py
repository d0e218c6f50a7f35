"""The cursors under leases: saved together, under their tokens, and remembered."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from resilient_sse.cursors._engine.memory import SavedCursor
from resilient_sse.cursors._engine.refusals import refusals
from resilient_sse.cursors._engine.together import Together
from resilient_sse.cursors._leases.protocol import LeaseWanted

if TYPE_CHECKING:
    from resilient_sse.cursors._engine.memory import Memory
    from resilient_sse.cursors._leases.protocol import LeaseAnswer, LeaseSave, LeaseServer


class LeaseCursors:
    """The one saver of all that a replica holds in one group.

    Args:
        server: Where they are saved.
        memory: What this process knows.

    Attributes:
        numbers: Those of the saves.
    """

    def __init__(self, server: LeaseServer, memory: Memory) -> None:
        self.server: LeaseServer = server
        self.numbers: itertools.count[int] = itertools.count(1)
        self._memory = memory
        self._saver = Together(server.save, server.asave)

    def wanted(self, name: str) -> LeaseWanted:
        """Return what is said of a lease when it is asked for."""
        known, highest = self._memory.of(name)
        return LeaseWanted(name, highest, known)

    def seen(self, name: str, answer: LeaseAnswer) -> str:
        """Note what the engine has; return the newest cursor."""
        if answer.token:
            self._memory.granted(name, answer.token)
        if not answer.lasting:  # the engine forgets it with what came of it
            return answer.saved.cursor
        return self._memory.learn(name, answer.saved).cursor

    def remember(self, save: LeaseSave) -> None:
        """Remember what was saved, as long as this process lives."""
        self._memory.learn(save.name, SavedCursor(save.token, save.number, save.cursor))

    def save(self, save: LeaseSave) -> bool:
        """Save together with other streams; return whether it was taken."""
        with refusals("save", save.name, self._lasts):
            return bool(self._saver.ask(save))

    async def asave(self, save: LeaseSave) -> bool:
        """Save without blocking the event loop."""
        with refusals("save", save.name, self._lasts):
            return bool(await self._saver.aask(save))

    def _lasts(self, error: Exception) -> bool:
        return not self.server.is_outage(error)
