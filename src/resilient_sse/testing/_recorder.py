"""`Recorder`: a hook that collects lifecycle events."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["Recorder"]

E = TypeVar("E", bound="LifecycleEvent")


class Recorder:
    """A hook that collects lifecycle events, from any thread.

    ```python
    recorder = Recorder()
    async with ReconnectingEventSource(url, hooks=[recorder]) as source:
        ...
    assert recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]
    ```
    """

    def __init__(self) -> None:
        self._events: list[LifecycleEvent] = []
        self._waiters: list[SimpleQueue[None]] = []

    def __call__(self, event: LifecycleEvent) -> None:
        """Collect one; takes no lock, so that event loops may call it."""
        self._events.append(event)
        for waiter in tuple(self._waiters):
            waiter.put(None)

    @property
    def events(self) -> list[LifecycleEvent]:
        """What happened, in order."""
        return list(self._events)

    @property
    def names(self) -> list[str]:
        """The names of the events' classes, in order."""
        return [type(event).__name__ for event in self._events]

    def of(self, kind: type[E]) -> list[E]:
        """The events of this class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def clear(self) -> None:
        """Forget what happened so far."""
        self._events.clear()

    def wait_for(self, kind: type[E], timeout: float = 5.0, *, count: int = 1) -> E:
        """Wait until there are ``count`` events of this class, and return the last of these.

        It blocks the thread; in an event loop use ``anyio.to_thread.run_sync``.

        Raises:
            TimeoutError: There are fewer after ``timeout`` seconds.
        """
        waiter: SimpleQueue[None] = SimpleQueue()
        self._waiters.append(waiter)
        try:
            deadline = time.monotonic() + timeout
            while len(found := self.of(kind)) < count:
                waiter.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise TimeoutError(
                f"{count} x {kind.__name__} within {timeout} s: there is only {self.names}"
            ) from None
        finally:
            self._waiters.remove(waiter)
        return found[count - 1]
