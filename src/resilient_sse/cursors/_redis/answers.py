"""What Redis answers: a cursor, or that it cannot do anything for now."""

from __future__ import annotations

import re
import ssl
from typing import Final, NamedTuple

import redis
from redis import exceptions

from resilient_sse._values.causes import causes
from resilient_sse.cursors._engine.memory import SavedCursor

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
_REFUSALS: Final = (
    redis.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)
# What no waiting changes, as the server says it; inside a script in the middle of the message.
_LASTING: Final = re.compile(r"\b(NOAUTH|NOPERM|WRONGPASS|WRONGTYPE)\b|\b(?i:unknown command)\b")
# And what OpenSSL says of a server that speaks no TLS.
_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"}


def text(answer: bytes | str) -> str:
    """Decode an answer, unless the client does so."""
    return answer if isinstance(answer, str) else answer.decode()


class Kept(NamedTuple):
    """A cursor as it stands in a hash: "who number@seconds cursor"."""

    who: str
    """The token under which it was saved; in a store without leases the writer."""
    number: int
    """Which save that was."""
    seconds: float | None
    """When, since 1970; None if the entry, which then is of another program, does not say so."""
    cursor: str
    """It."""


def kept(entry: bytes | str) -> Kept:
    """Take an entry apart."""
    who, when, cursor = text(entry).split(" ", 2)
    number, _, seconds = when.partition("@")
    return Kept(who, int(number), float(seconds) if seconds else None, cursor)


def known_of(entry: bytes | str | None) -> SavedCursor:
    """Return what is known of the cursor of a lease."""
    if entry is None:
        return SavedCursor()
    who, number, _, cursor = kept(entry)
    return SavedCursor(int(who), number, cursor)


def is_outage(error: Exception) -> bool:
    """Say whether Redis cannot be reached or cannot write for now, so that waiting may help.

    Redis 6 hides what happened inside a script in the middle of its message.
    """
    if is_lasting(error):  # some of these are connection errors to redis-py
        return False
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, redis.ResponseError) and bool(_PASSING.search(str(error)))


def is_lasting(error: Exception) -> bool:
    """Say whether somebody has to put something right: a password, a right, a certificate."""
    if isinstance(error, _REFUSALS) or any(map(_is_distrust, causes(error))):
        return True
    return isinstance(error, redis.RedisError) and bool(_LASTING.search(str(error)))


def _is_distrust(error: BaseException) -> bool:
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    return isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _NO_TLS
