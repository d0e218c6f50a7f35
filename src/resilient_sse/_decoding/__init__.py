"""Bytes to events; usable alone, without I/O."""
