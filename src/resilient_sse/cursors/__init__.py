"""Where a cursor survives the process, and who reads which stream when there are many.

- `SQLiteCursorStore`: one file for the streams of one machine.
- `RedisCursorStore`: one server for the streams of many machines.
- `RedisLease`: of many replicas of a program, one reads a stream; another takes over when it dies.
- `StreamGroup`: a set of streams spread over the replicas.

Those that need Redis need the extra ``redis``, which is imported only when one is made.
"""

from resilient_sse.cursors._group import StreamGroup, preferred_owner
from resilient_sse.cursors._lease import RedisLease
from resilient_sse.cursors._lease_core import LeaseLost
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
