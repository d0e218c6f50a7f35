"""The I/O, twice: for asyncio and trio, and for threads."""
