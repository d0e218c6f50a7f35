"""What the hooks of a lease or a group hear, and where they are called.

What happens is noted wherever it does: in a thread that renews leases, in one that asks for them,
or in the saver. It is told where a hook may take its time: in the event loop, as the hooks of a
source there; without one by whoever enters or leaves the block, and in a thread of its own if a
lease is lost. No hook keeps the other leases from being renewed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Literal

from resilient_sse._session.hooks import Teller
from resilient_sse._values.redact import redact_url
from resilient_sse.cursors._engine.loops import event_loop, in_this_event_loop
from resilient_sse.lifecycle import GroupChanged, LeaseEnded, LeaseGranted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resilient_sse.lifecycle import Hook

_PATIENCE: Final = 1.0  # seconds that leaving a block waits for a hook that another thread is in


class LeaseHooks:
    """The hooks of one lease or group.

    Args:
        hooks: What is called.
        group: The name that every event carries.

    Raises:
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hooks: Iterable[Hook], group: str) -> None:
        self._group = _shown(group)
        self._teller = Teller(hooks, f"the lease or group {self._group!r}", threading.Lock())
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], object] = self._tell_aside

    def tell_here(self) -> None:
        """Tell in this event loop from now on, if there is one."""
        here = event_loop() is not None
        self._wake = in_this_event_loop(self._teller.tell) if here else self._tell_aside

    def granted(self, name: str, token: int, waited: float) -> None:
        """Note that a lease was granted."""
        told = LeaseGranted(group=self._group, name=_shown(name), token=token, waited=waited)
        self._teller.add(told)

    def ended(self, name: str, token: int, reason: Literal["lost", "given back"]) -> None:
        """Note that a lease is over."""
        told = LeaseEnded(group=self._group, name=_shown(name), token=token, reason=reason)
        self._teller.add(told)

    def changed(self, streams: int, replicas: int) -> None:
        """Note what a group consists of."""
        self._teller.add(GroupChanged(group=self._group, streams=streams, replicas=replicas))

    def wake(self) -> None:
        """Have what was noted told soon; called from any thread."""
        if self._teller:
            self._wake()

    def tell(self) -> None:
        """Tell what was noted, here."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)
        self._teller.tell()

    def _tell_aside(self) -> None:
        thread = threading.Thread(target=self._teller.tell, name="resilient_sse hooks", daemon=True)
        thread.start()
        self._thread = thread


def _shown(name: str) -> str:
    """Redact the name of a lease, which in a group is a URL."""
    return redact_url(name) if "://" in name else name
