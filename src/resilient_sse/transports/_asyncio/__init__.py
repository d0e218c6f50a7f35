"""The transport on asyncio."""
