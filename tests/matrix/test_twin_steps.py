"""The two sources take the same steps: they tell their sessions the same, in the same order."""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.living import TOLD, Account, live

SEEDS = range(150)


@cache
def in_threads(seed: int) -> Account:
    """What happens in a life in threads, which is what the others are compared with."""
    return live(seed, "threads")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_life_takes_the_same_steps(seed: int) -> None:
    """On asyncio, on trio and in threads: what is told, sent, delivered, heard, and how it ends."""
    here = in_threads(seed)
    assert live(seed, "asyncio") == here
    assert live(seed, "trio") == here


def test_the_lives_have_everything_in_them() -> None:
    """Between them they tell a session all that it can be told, and end in every way."""
    lives = [in_threads(seed) for seed in SEEDS]
    assert {str(step[0]) for life in lives for step in life.told} == TOLD
    assert {life.outcome for life in lives} == {
        "the end", "CursorError", "GiveUpError", "KeyError", "LookupError",
    }  # fmt: skip
    assert {event for life in lives for event in life.heard} == {
        "Closed", "Comment", "Connected", "Connecting", "CursorStoreFailed", "Disconnected",
        "GapDetected", "GaveUp", "RetryScheduled",
    }  # fmt: skip
