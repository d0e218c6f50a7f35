"""Cursor stores, leases and groups."""
