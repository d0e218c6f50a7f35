"""Writing behind: the newest value of every key, gathered for a while, then written at once."""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_RETRY_SECONDS: Final = 1.0


class Writer:
    """A thread that writes what it was given some time ago.

    `put` takes no lock, so that event loops may call it: an item of a dict is set and taken in
    one step each, and a key that is set again while its older value is written is written again.

    Args:
        write: Writes (key, value) pairs, in any order, or raises.
        interval: Seconds to gather.
    """

    def __init__(self, write: Callable[[list[tuple[str, str]]], None], interval: float) -> None:
        self._write = write
        self._interval = interval
        self._values: dict[str, str] = {}
        self._scheduled = False
        self._error: Exception | None = None
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="resilient_sse cursors", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread is there; after a fork it is in the parent only."""
        return os.getpid() == self._pid and self._thread.is_alive()

    def put(self, key: str, value: str) -> None:
        """Have a value written soon.

        Raises:
            Exception: What the last write failed with. This value is kept, and written when the
                next write succeeds.
        """
        self._values[key] = value
        if not self._scheduled:
            self._scheduled = True
            self._orders.put(None)
        if (error := self._error) is not None:
            raise error.with_traceback(None)  # else each raise would make it longer

    def flush(self) -> None:
        """Write everything now, and wait for it.

        Raises:
            Exception: What the write failed with; everything is kept.
        """
        if self.running:
            self._order(last=False)

    def close(self) -> None:
        """Write everything now and end the thread.

        Raises:
            Exception: What the write failed with.
        """
        if self.running:
            try:
                self._order(last=True)
            finally:
                self._thread.join()

    def _order(self, *, last: bool) -> None:
        order = _Order(last=last)
        self._orders.put(order)
        order.done.wait()
        if order.error is not None:
            raise order.error

    def _run(self) -> None:
        while True:
            order = self._next_order()
            self._scheduled = False
            self._error = self._write_all()
            if order is None:
                continue
            order.error = self._error
            order.done.set()
            if order.last:
                return

    def _next_order(self) -> _Order | None:
        """Wait for something to write; after a failure also try again by itself."""
        try:
            order = self._orders.get(timeout=_RETRY_SECONDS if self._error else None)
        except Empty:
            return None
        return self._gather() if order is None else order

    def _gather(self) -> _Order | None:
        """Let more come together, unless somebody waits for what there is."""
        try:
            return self._orders.get(timeout=self._interval)
        except Empty:
            return None

    def _write_all(self) -> Exception | None:
        taken: list[tuple[str, str]] = []
        while self._values:
            taken.append(self._values.popitem())
        try:
            if taken:
                self._write(taken)
        except Exception as error:  # noqa: BLE001 - whoever saves next gets to hear of it
            for key, value in reversed(taken):
                self._values.setdefault(key, value)  # unless there is a newer one
            return error
        return None


class _Order:
    """Somebody waits until everything is written.

    Attributes:
        last: Whether the thread is to end then.
        done: Set when it was tried.
        error: What it failed with.
    """

    def __init__(self, *, last: bool) -> None:
        self.last = last
        self.done = threading.Event()
        self.error: Exception | None = None
