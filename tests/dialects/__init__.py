"""Tests of the ready-made dialects."""
