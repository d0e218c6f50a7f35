"""Bytes to events."""
