"""What Redis answers: a cursor, or that it cannot do anything for now."""

from __future__ import annotations

import re
from typing import Final

import redis
from redis import exceptions

# What a Redis says that cannot write for now: it starts, changes roles, lacks a replica or room.
_PASSING: Final = re.compile(
    r"\b(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN)\b"
)
_OUTAGES: Final = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    exceptions.ClusterError,
    exceptions.MasterDownError,
    exceptions.OutOfMemoryError,
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
)
_REFUSALS: Final = (redis.AuthenticationError, exceptions.AuthorizationError)


def text(answer: bytes | str) -> str:
    """Decode an answer, unless the client does so."""
    return answer if isinstance(answer, str) else answer.decode()


def cursor_of(entry: bytes | str | None) -> str | None:
    """Take the cursor out of "writer number cursor"."""
    return None if entry is None else text(entry).split(" ", 2)[2]


def is_outage(error: Exception) -> bool:
    """Say whether Redis cannot be reached or cannot write for now, so that waiting may help.

    Redis 6 hides what happened inside a script in the middle of its message.
    """
    if isinstance(error, _REFUSALS):  # these are connection errors to redis-py
        return False
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, redis.ResponseError) and bool(_PASSING.search(str(error)))
