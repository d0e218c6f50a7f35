"""Transports for httpx that suit event streams.

`AsyncioTransport` is what a `ReconnectingEventSource` without a client uses on asyncio. It also
serves any other ``httpx.AsyncClient``:

```python
client = httpx.AsyncClient(transport=AsyncioTransport())
```
"""

from resilient_sse.transports._transport import AsyncioTransport

__all__ = ["AsyncioTransport"]
