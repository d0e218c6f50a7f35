"""Transports for httpx that suit event streams.

A source without a client uses them: `AsyncioTransport` a `ReconnectingEventSource` on asyncio,
`SyncTransport` a `SyncReconnectingEventSource`. They also serve any other client of httpx:

```python
client = httpx.AsyncClient(transport=AsyncioTransport())
blocking_client = httpx.Client(transport=SyncTransport())
```
"""

from resilient_sse.transports._sync_transport import SyncTransport
from resilient_sse.transports._transport import AsyncioTransport

__all__ = ["AsyncioTransport", "SyncTransport"]
