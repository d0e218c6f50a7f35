"""The blocking saver: calls the cursor store when `Saving` says so, in whatever thread needs it.

It holds no rule; it is `async_saver` in the other language. Several threads may acknowledge, so
the source's lock is held while `Saving` decides, and another one while the store saves. The first
is never held while the store works, so that one that hangs keeps nobody from acknowledging or from
closing.

Who acknowledges while a save is under way does not wait for it: a hook may acknowledge, too, on the
very thread that saves. It says that it wants another save; whoever saves looks at that, once it has
let go of the lock, and goes on; else the newer cursor would stay unsaved until the next event.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from resilient_sse._drivers.optional_await import refuse_awaitable
from resilient_sse._drivers.sync_retries import SyncRetries
from resilient_sse._session.saving import LAST_SAVE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._session.saving import Saving
    from resilient_sse._session.settings import Settings
    from resilient_sse._session.store_outage import Operation
    from resilient_sse._values.event import ServerSentEvent


class SyncSaver:
    """Loads and saves the cursor of one source; without a store it does nothing.

    Args:
        settings: The source's settings, with the store.
        saving: What decides.
        owner: The source's name, for stamina's hooks to show.
        deciding: The lock that is held while it decides.
        report: Called with what stamina's hooks raise.
    """

    def __init__(
        self,
        settings: Settings,
        saving: Saving,
        owner: str,
        deciding: threading.RLock,
        report: Callable[[object, Exception], None],
    ) -> None:
        self._store: Any = settings.cursor
        self._key = settings.cursor_key
        self._saving = saving
        self._trying = ""
        self._woken = False  # since the store was called last
        self._over = False  # whether the source is
        self._wrong_thread = False  # whether whoever called the store last was one
        self._retries = SyncRetries(
            f"{owner}.cursor", settings.shown_key, report, lambda: self._woken
        )
        self._deciding = deciding
        self._acked = threading.Event()  # since whoever waits for it looked last
        self._one_at_a_time = threading.Lock()
        self._wanted = False  # by a thread that does not wait for the save under way

    def load(self) -> None:
        """Have the stream resume from what the store has."""
        if self._store is not None:
            self._with_store("load", self._load, patient=True)

    def save(self, *, patient: bool = False, wait: bool = True) -> None:
        """Save the newest acknowledged cursor, one save at a time.

        Args:
            patient: Whether there is nothing better to do than to wait for the store.
            wait: Whether to wait for a save that is under way in another thread. It goes on with
                what was acknowledged meanwhile.
        """
        if self._store is None:
            return
        if not wait:
            self._wanted = True  # before it is tried, so that whoever saves sees it afterwards
        # Not `acquire`: a signal handler that raises right after it would leave this locked. So who
        # comes in the very moment in which another thread begins does wait for it.
        while wait or not self._one_at_a_time.locked():
            with self._one_at_a_time:
                self._wanted = False
                self._with_store("save", self._save, patient=patient)
            if not self._wanted:
                return  # else another thread acknowledged meanwhile, and did not wait

    def save_last(self) -> None:
        """Save as the block is left, soon or not at all; at worst, events come again.

        A store that hangs is left to a thread of its own. One that must be called where it was
        made, such as a connection of `sqlite3`, says so at once, and is.
        """
        if self._store is None or not self._lacks_something():
            return
        outcome: SimpleQueue[BaseException | None] = SimpleQueue()
        try:
            threading.Thread(
                target=_save_for, args=(self, outcome), name="resilient_sse last save", daemon=True
            ).start()
        except RuntimeError:  # no thread can be started now
            _save_for(self, outcome)
        error: BaseException | None = None
        with suppress(Empty):
            error = outcome.get(timeout=LAST_SAVE_SECONDS)
        if error is not None and not isinstance(error, Exception):
            raise error
        if self._wrong_thread and not self.busy:
            with suppress(Exception):
                self.save()

    @property
    def busy(self) -> bool:
        """Whether the store is being given a cursor, by whatever thread."""
        return self._one_at_a_time.locked()

    def ack(self, event: ServerSentEvent) -> bool:
        """Acknowledge an event, which may be what `await_ack` waits for; say if a save is due."""
        with self._deciding:
            is_due = self._saving.ack(event, monotonic())
        self._acked.set()
        return is_due

    def await_ack(self) -> None:
        """Wait until an event was acknowledged, or for `wake`, since this was done last."""
        self._acked.wait()
        self._acked.clear()  # before anybody looks at what it was set for

    def wake(self, *, over: bool) -> None:
        """Have whoever waits for an acknowledgement or for the store look again.

        Args:
            over: Whether that is because the source is over.
        """
        self._acked.set()
        self._over, self._woken = over, True
        self._retries.wake()

    # -- Calling the store ---------------------------------------------------------------------

    def _load(self) -> None:
        if cursor := refuse_awaitable(self._store.load(self._key)):
            self._saving.loaded(cursor)

    def _save(self) -> None:
        if (cursor := self._begin()) is not None:
            self._trying = cursor
            refuse_awaitable(self._store.save(self._key, cursor))
            with self._deciding:
                self._saving.saved(cursor)

    def _begin(self) -> str | None:
        with self._deciding:
            return self._saving.begin()

    def _lacks_something(self) -> bool:
        """Say whether the store lacks a cursor, or is being given one."""
        if self._one_at_a_time.locked():
            return True
        return self._begin() is not None

    def _with_store(self, operation: Operation, use: Callable[[], None], *, patient: bool) -> None:
        """Use the store, and try again for as long as `Saving` says so, or until `wake`."""
        while True:
            self._woken = False
            try:
                use()
            except Exception as error:  # noqa: BLE001 - `Saving` decides
                self._wrong_thread = type(error).__name__ == "ProgrammingError"
                cursor = self._trying
                told = self._saving.failed(operation, error, cursor, monotonic(), patient=patient)
            else:
                self._retries.over()
                return
            if told is None:  # events flow on meanwhile
                return
            retry, given_up = told
            if not self._retries.wait(retry):
                raise given_up
            # A stream needs its cursor, so only the end leaves a load undone.
            if self._retries.woken and (operation == "save" or self._over):
                return


def _save_for(saver: SyncSaver, outcome: SimpleQueue[BaseException | None]) -> None:
    error: BaseException | None = None
    try:
        saver.save()
    except BaseException as raised:  # noqa: BLE001 - whoever leaves the block decides
        error = raised
    outcome.put(error)
