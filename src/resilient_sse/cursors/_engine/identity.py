"""Who writes to an engine, and holds its leases: a process."""

from __future__ import annotations

import os
import uuid


class Identity:
    """Who writes: a name that no other process has, nor a fork of this one."""

    def __init__(self) -> None:
        self._pid = 0
        self._name = ""

    @property
    def name(self) -> str:
        """The name, which does not change in one process."""
        if self._pid != (pid := os.getpid()):
            self._pid, self._name = pid, uuid.uuid4().hex
        return self._name
