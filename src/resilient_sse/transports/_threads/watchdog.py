"""Reads that outlast their time limit although the system was to end them.

`set_receive_timeout` has the system end a read. A signal interrupts it before, and Python begins it
anew with the whole limit (PEP 475): a program with a timer of its own never sees the limit. Waiting
in Python instead would cost a system call for each read. So one thread a process looks, as rarely
as the limits allow, whether a read has been pending for too long, and ends the connection under it.

What makes it safe:

- A read tells of itself by the assignment of one number, without a lock. The read that ends in the
  moment in which it is given up was over its limit, and the connection is ended all the same.
- It ends a connection by shutting its socket down, which another thread may do to a read that is
  pending. Closing it would free the descriptor for whoever opens the next, and the read would go on
  with another's bytes.
- It holds what it watches weakly, and ends when nothing is left. It is a daemon: the end of the
  interpreter stops it where it stands, perhaps with the lock, so `unwatch` takes no lock then.
- The lock is entered as itself, not through the condition, whose method is a Python function: a
  signal handler that raises there would leave it locked, and every reader after it would wait.
- A forked child has the lock as it was, and no thread: it begins with a new watchdog.
"""

from __future__ import annotations

import math
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from resilient_sse._values.fork import in_child

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Watchdog", "Watched", "watchdog"]

_GRACE: Final = 0.1  # seconds that the system is given to end a read by itself
_REST: Final = 10.0  # seconds after which it looks whether anything is left to watch


class Watched(Protocol):
    """What may be waiting for bytes."""

    limit: float | None
    """Seconds that a read may take."""
    reading_until: float
    """When the read under way is to end, on the clock `time.monotonic`; infinity without one."""

    def overdue(self) -> None:
        """End the read."""


class Watchdog:
    """One thread for all that read, which ends when nothing is left to watch."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget all: in a forked child the thread is not there, and the lock may be held."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._watched: WeakSet[Watched] = WeakSet()
        self._awake_at = math.inf
        self._thread: threading.Thread | None = None  # another one than this is to end

    def watch(self, watched: Watched, seconds: float) -> None:
        """Have reads of this end soon after their limit, which has just been set to this."""
        with self._lock:
            self._watched.add(watched)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="resilient_sse watch", daemon=True)
                with suppress(RuntimeError):  # none can be started now; the next read tries again
                    thread.start()  # it waits for the lock, and ends if it is not the one after all
                    self._thread = thread
            elif monotonic() + seconds + 2 * _GRACE < self._awake_at:  # it would look too late
                self._changed.notify()

    def unwatch(self, gone: Iterable[Watched]) -> None:
        """Look after these no longer; if there is no other, the thread has ended on return."""
        if sys.is_finalizing():  # daemon threads were stopped where they stood, lock and all
            return
        with self._lock:
            for each in gone:
                self._watched.discard(each)
            if self._watched or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        thread.join()

    def _run(self) -> None:
        while self._rest():
            self._look()

    def _rest(self) -> bool:
        """Wait until a limit may be over, and say whether there is anything to look at."""
        with self._lock:
            if self._thread is not threading.current_thread():
                return False
            if not self._watched:
                self._thread = None
                return False
            pause = _pause(list(self._watched))  # which nothing holds while this rests
            self._awake_at = monotonic() + pause
            self._changed.wait(pause)
        return True

    def _look(self) -> None:
        now = monotonic()
        with self._lock:
            watched = list(self._watched)
        for each in watched:
            if each.reading_until + _GRACE <= now:
                each.overdue()


def _pause(watched: list[Watched]) -> float:
    """Say for how many seconds no limit can be over; a read that begins later ends later."""
    limits = (each.limit for each in watched)
    # While bytes are written there is no limit to speak of: it is not a number.
    shortest = min((limit for limit in limits if limit and limit > 0), default=_REST)
    pending = min((each.reading_until for each in watched), default=math.inf) - monotonic()
    return max(0.0, min(shortest, pending, _REST)) + _GRACE


watchdog: Final = Watchdog()
in_child(watchdog.begin_anew)
