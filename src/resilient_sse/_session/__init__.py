"""Every decision about a stream; no I/O, no clock."""
