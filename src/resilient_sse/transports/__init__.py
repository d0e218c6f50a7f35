"""Transports for httpx and httpx2 that suit event streams.

A source without a client uses them: `AsyncioTransport` a `ReconnectingEventSource` on asyncio,
`SyncTransport` a `SyncReconnectingEventSource`. They also serve any other client of httpx or
httpx2:

```python
client = httpx.AsyncClient(transport=AsyncioTransport())
blocking_client = httpx.Client(transport=SyncTransport())
```
"""

from resilient_sse.transports._asyncio.transport import AsyncioTransport
from resilient_sse.transports._threads.transport import SyncTransport

__all__ = ["AsyncioTransport", "SyncTransport"]
