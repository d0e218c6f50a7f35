"""Cursors in a file."""
