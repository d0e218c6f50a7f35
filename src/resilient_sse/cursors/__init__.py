"""Where a cursor survives the process, and who reads which stream when there are many.

- `SQLiteCursorStore`: one file for the streams of one machine.
- `RedisCursorStore`: one server for the streams of many machines.
- `RedisLease`: of many replicas of a program, one reads a stream; another takes over when it dies.
- `StreamGroup`: a set of streams spread over the replicas.

The names are imported when they are first used, since all but the first need the extra ``redis``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse.cursors._group import StreamGroup, preferred_owner
    from resilient_sse.cursors._held import LeaseLost
    from resilient_sse.cursors._lease import RedisLease
    from resilient_sse.cursors._leased_source import LeasedSource, SyncLeasedSource
    from resilient_sse.cursors._redis import RedisCursorStore
    from resilient_sse.cursors._sqlite import SQLiteCursorStore

__all__ = [
    "LeaseLost",
    "LeasedSource",
    "RedisCursorStore",
    "RedisLease",
    "SQLiteCursorStore",
    "StreamGroup",
    "SyncLeasedSource",
    "preferred_owner",
]

_HOMES = {
    "LeaseLost": "_held",
    "LeasedSource": "_leased_source",
    "RedisCursorStore": "_redis",
    "RedisLease": "_lease",
    "SQLiteCursorStore": "_sqlite",
    "StreamGroup": "_group",
    "SyncLeasedSource": "_leased_source",
    "preferred_owner": "_group",
}


if not TYPE_CHECKING:  # which would take this for any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            home = import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if error.name != "redis":
                raise
            hint = f"{name} needs the extra 'redis': pip install 'resilient-sse[redis]' ({error})"
            raise ImportError(hint, name=error.name) from error
        return getattr(home, name)


def __dir__() -> list[str]:
    # What help() finds here it imports.
    usable = __all__ if find_spec("redis") else ["SQLiteCursorStore"]
    return sorted({*globals(), *usable})
