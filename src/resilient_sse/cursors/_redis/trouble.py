"""What a request for Redis may meet that is not the fault of Redis, and what helps then."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any, Final

PAUSE: Final = 0.01
# The pool's own, in all versions of redis-py: it does not wait, and counts as a lost connection.
_CROWDED: Final = "Too many connections"
# What a server says that is not, or not yet, the right one to write to.
_ELSEWHERE: Final = re.compile(r"\b(NOREPLICAS|READONLY)\b|read only replica")


class Trouble:
    """What one request met.

    Args:
        seconds: How long it may wait for a connection.

    Attributes:
        passing: Whether it is sent again in a moment: a pool has no connection left, which is
            shared by many that need theirs for a moment only.
        elsewhere: Whether another server may be the right one, so that the connections that are
            open lead to the wrong one: redis-py asks Sentinel, or the name service, for new ones.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.passing = self.elsewhere = False

    def look(self, error: Exception) -> None:
        """Look at what the request failed with."""
        text = str(error)
        self.passing = _CROWDED in text and time.monotonic() < self._until
        self.elsewhere = bool(_ELSEWHERE.search(text))


def drop_idle(client: Any) -> None:  # noqa: ANN401 - redis-py's own
    """Close the connections that nobody uses; a cluster's client finds the right server itself."""
    with suppress(AttributeError, TypeError):  # or a pool that can only close all
        client.connection_pool.disconnect(inuse_connections=False)


async def adrop_idle(client: Any) -> None:  # noqa: ANN401 - redis-py's own
    """Do so with a client for asyncio."""
    with suppress(AttributeError, TypeError):
        await client.connection_pool.disconnect(inuse_connections=False)
