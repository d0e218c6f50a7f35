"""The order of lifecycle events, as a checker: what `resilient_sse.lifecycle` promises."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from resilient_sse import (
    Closed,
    Comment,
    Connected,
    Connecting,
    Disconnected,
    GaveUp,
    LifecycleEvent,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["assert_lifecycle"]

# Closed may follow anything but the open stream, which is disconnected first. Connecting follows
# Connecting or Disconnected when the program asked to reconnect.
_FOLLOWERS: Final[dict[type[LifecycleEvent], set[type[LifecycleEvent]]]] = {
    Connecting: {Connected, RetryScheduled, GaveUp, Connecting, Closed},
    Connected: {Comment, Disconnected},
    Comment: {Comment, Disconnected},
    Disconnected: {RetryScheduled, GaveUp, Connecting, Closed},
    RetryScheduled: {Connecting, Closed},
    GaveUp: {Closed},
    Closed: set(),
}


def assert_lifecycle(events: Sequence[LifecycleEvent]) -> None:
    """Check the whole life of one source, from its first attempt to its end."""
    names = [type(event).__name__ for event in events]
    assert names[-1:] == ["Closed"], names
    assert isinstance(events[0], Connecting | Closed), names
    assert len({(event.url, event.source_id) for event in events}) == 1, names
    for earlier, later in pairwise(events):
        assert type(later) in _FOLLOWERS[type(earlier)], names
        _assert_agree(earlier, later)


def _assert_agree(earlier: LifecycleEvent, later: LifecycleEvent) -> None:
    """Check that two neighbours tell of the same thing."""
    match earlier, later:
        case Connecting(), Connected():
            assert later.attempt == earlier.attempt
            assert later.resumed == bool(earlier.last_event_id)
        case Disconnected(), RetryScheduled() | GaveUp():
            assert earlier.failure is not None
            assert later.failure.error in {earlier.failure.error, *_chain(later.failure.error)}
        case RetryScheduled(), Connecting():
            assert later.attempt == earlier.failure.attempt + 1
        case GaveUp(), Closed():
            assert earlier.failures[-1] == earlier.failure
            assert later.reason == "gave up"
        case _, Closed():
            assert later.reason in {"closed", "no content", "until"}
        case _:
            return


def _chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_chain(error.__cause__)]
