"""Hooks that report."""
