"""A whole life of lifecycle events: in order, complete, and in agreement with one another."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from resilient_sse import (
    Closed,
    Connected,
    Connecting,
    Disconnected,
    GaveUp,
    LifecycleEvent,
    RetryScheduled,
)
from tests.support.lifecycle_order import assert_order

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["assert_lifecycle"]


def assert_lifecycle(events: Sequence[LifecycleEvent]) -> None:
    """Check the whole life of one source, from its first attempt to its end."""
    names = [type(event).__name__ for event in events]
    assert names[-1:] == ["Closed"], names
    assert len({event.url for event in events}) == 1, names
    assert_order(events)
    for earlier, later in pairwise(events):
        _assert_agree(earlier, later)


def _assert_agree(earlier: LifecycleEvent, later: LifecycleEvent) -> None:
    """Check that two neighbours tell of the same thing."""
    match earlier, later:
        case Connecting(), Connected():
            assert later.attempt == earlier.attempt
            assert later.resumed == bool(earlier.last_event_id)
        case Disconnected(failure=None), RetryScheduled() | GaveUp():
            pass  # it was closed for a gap, and the function that puts gaps right failed
        case Disconnected(), RetryScheduled() | GaveUp():
            assert earlier.failure is not None
            assert later.failure.error in {earlier.failure.error, *_chain(later.failure.error)}
        case RetryScheduled(), Connecting():
            assert later.attempt == earlier.failure.attempt + 1
        case GaveUp(), Closed():
            assert earlier.failures[-1] == earlier.failure
            assert later.reason == "gave up"
        case _, Closed():
            assert later.reason in {"closed", "no content", "until", "finished", "failed"}
        case _:
            return


def _chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_chain(error.__cause__)]
