"""Where a cursor survives the process, and who reads which stream when there are many.

- `SQLiteCursorStore`: one file for the streams of one machine.
- `RedisCursorStore`, `PostgreSQLCursorStore`: one server for the streams of many machines.
- `RedisLease`, `PostgreSQLLease`: of many replicas of a program, one reads a stream; another takes
  over when it dies.
- `StreamGroup`, `SyncStreamGroup`: a set of streams spread over the replicas.
- `LeaseServer`: what another engine has to do; `StreamLease` and `StreamGroup` run on any.

The names are imported when they are first used: an engine of ours needs its extra.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse.cursors._engine.memory import SavedCursor
    from resilient_sse.cursors._leases.async_group import StreamGroup
    from resilient_sse.cursors._leases.grant import LeaseLost
    from resilient_sse.cursors._leases.lease import StreamLease
    from resilient_sse.cursors._leases.protocol import (
        Lease,
        LeaseAnswer,
        LeaseMember,
        LeaseSave,
        LeaseServer,
        LeaseWanted,
    )
    from resilient_sse.cursors._leases.shares import preferred_owner
    from resilient_sse.cursors._leases.source import LeasedSource, SyncLeasedSource
    from resilient_sse.cursors._leases.sync_group import SyncStreamGroup
    from resilient_sse.cursors._postgresql.lease import PostgreSQLLease
    from resilient_sse.cursors._postgresql.leases import PostgreSQLLeases
    from resilient_sse.cursors._postgresql.store import PostgreSQLCursorStore
    from resilient_sse.cursors._redis.lease import RedisLease
    from resilient_sse.cursors._redis.leases import RedisLeases
    from resilient_sse.cursors._redis.store import RedisCursorStore
    from resilient_sse.cursors._sqlite.store import SQLiteCursorStore

__all__ = [
    "Lease",
    "LeaseAnswer",
    "LeaseLost",
    "LeaseMember",
    "LeaseSave",
    "LeaseServer",
    "LeaseWanted",
    "LeasedSource",
    "PostgreSQLCursorStore",
    "PostgreSQLLease",
    "PostgreSQLLeases",
    "RedisCursorStore",
    "RedisLease",
    "RedisLeases",
    "SQLiteCursorStore",
    "SavedCursor",
    "StreamGroup",
    "StreamLease",
    "SyncLeasedSource",
    "SyncStreamGroup",
    "preferred_owner",
]

_HOMES = {
    "Lease": "_leases.protocol",
    "LeaseAnswer": "_leases.protocol",
    "LeaseLost": "_leases.grant",
    "LeaseMember": "_leases.protocol",
    "LeaseSave": "_leases.protocol",
    "LeaseServer": "_leases.protocol",
    "LeaseWanted": "_leases.protocol",
    "LeasedSource": "_leases.source",
    "PostgreSQLCursorStore": "_postgresql.store",
    "PostgreSQLLease": "_postgresql.lease",
    "PostgreSQLLeases": "_postgresql.leases",
    "RedisCursorStore": "_redis.store",
    "RedisLease": "_redis.lease",
    "RedisLeases": "_redis.leases",
    "SQLiteCursorStore": "_sqlite.store",
    "SavedCursor": "_engine.memory",
    "StreamGroup": "_leases.async_group",
    "StreamLease": "_leases.lease",
    "SyncLeasedSource": "_leases.source",
    "SyncStreamGroup": "_leases.sync_group",
    "preferred_owner": "_leases.shares",
}

# The folders that need a library, and in which extra it is.
_EXTRAS = {"_postgresql": ("psycopg", "postgresql"), "_redis": ("redis", "redis")}


if not TYPE_CHECKING:  # which would take this for any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        library, extra = _EXTRAS.get(_HOMES[name].partition(".")[0], ("", ""))
        try:
            home = import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if error.name != library:
                raise
            how = f"pip install 'resilient-sse[{extra}]'"
            hint = f"{name} needs the extra {extra!r}: {how} ({error})"
            raise ImportError(hint, name=error.name) from error
        return getattr(home, name)


def _usable(name: str) -> bool:
    library, _ = _EXTRAS.get(_HOMES[name].partition(".")[0], ("", ""))
    return not library or find_spec(library) is not None


def __dir__() -> list[str]:
    # What help() finds here it imports.
    return sorted({*globals(), *filter(_usable, __all__)})
