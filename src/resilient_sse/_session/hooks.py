"""Calling the hooks: in order, at once, and never at the cost of the stream.

What happens is *noted* while the session decides, which it does under a lock, and *told* as soon
as the lock is free: a hook may take a lock of the program's that another thread holds while it
closes the source. One thread tells at a time, so that every hook hears everything in order.
"""

from __future__ import annotations

import itertools
import logging
import traceback
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from resilient_sse._session.checks import check_instance, is_coroutine_function
from resilient_sse._values.header import TOKEN, sendable
from resilient_sse.lifecycle import Closed, Comment

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from resilient_sse._session.settings import Settings
    from resilient_sse.lifecycle import Hook, LifecycleEvent, SourceEvent

E = TypeVar("E", bound="SourceEvent")
_source_ids: Final = itertools.count(1)
# Where nobody listens nothing is ever added, and each deque of its own would take 600 bytes.
_NOTHING: Final[deque[LifecycleEvent]] = deque()


class Teller:
    """Hands lifecycle events to hooks, one thread at a time.

    Args:
        hooks: What is called.
        who: What goes on without a hook that raises.
        lock: Held for a moment, to find out whether another thread tells already.

    Attributes:
        untold: What was noted and is still to be told.

    Raises:
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hooks: Iterable[Hook], who: str, lock: AbstractContextManager[Any]) -> None:
        self._hooks = tuple(hooks)
        for hook in self._hooks:
            _check(hook)
        self._broken: set[int] = set()
        self.untold: deque[LifecycleEvent] = deque() if self._hooks else _NOTHING
        self._teller: object = None  # the call of `_tell_all` that tells
        self._who = who
        self._lock = lock

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, event: LifecycleEvent) -> None:
        """Have `tell` hand out an event, after those before it."""
        if self._hooks:
            self.untold.append(event)

    def tell(self) -> None:
        """Hand what was noted to every hook.

        If a hook closes the source, the others hear first of what it heard; and what another
        thread brings about while this one tells, this one tells.
        """
        while self.untold and self._tell_all(object()):
            continue  # what another thread noted just before this one was done

    def _tell_all(self, me: object) -> bool:
        """Hand out all there is; return False if another call of this is at it."""
        try:
            with self._lock:
                if self._teller is not None:
                    return False
                self._teller = me
            while self.untold:
                self._tell(self.untold.popleft())
            return True
        finally:  # also if a signal handler raises anywhere: it calls nothing, so not in here
            if self._teller is me:
                self._teller = None

    def _tell(self, event: LifecycleEvent) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream goes on
                self.report(hook, error)

    def report(self, teller: object, error: Exception) -> None:
        """Log that something that tells about the stream raised, once for each such thing.

        It goes to ``logging``, whose handlers keep their own errors to themselves; what raises all
        the same is dropped, because nothing that tells about a stream may touch it.
        """
        if id(teller) in self._broken:
            return
        self._broken.add(id(teller))
        with suppress(Exception):
            # Not as exc_info: a handler may show local variables, and those of a failure that is
            # being handled hold the request with its credentials.
            story = "".join(traceback.format_exception(error, chain=False))
            logging.getLogger("resilient_sse").error(
                "resilient_sse.hook_failed: %r raised, and %s goes on without it\n%s",
                teller,
                self._who,
                story,
            )


class Hooks(Teller):
    """The hooks of one source.

    Args:
        hooks: What is called.
        url: The redacted URL that every lifecycle event carries.
        source_id: The number that they carry.
        lock: Reentrant; held while the session decides.

    Raises:
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    def __init__(
        self,
        hooks: Iterable[Hook],
        *,
        url: str,
        source_id: int,
        lock: AbstractContextManager[Any],
    ) -> None:
        super().__init__(hooks, f"source {source_id} ({url})", lock)
        self._closed = False
        self._url = url
        self._source_id = source_id
        self.deciding = Deciding(self, lock)

    def make(self, kind: type[E], /, **facts: Any) -> E:  # noqa: ANN401 - the fields of the event
        """Make a lifecycle event of this source."""
        return kind(url=self._url, source_id=self._source_id, **facts)

    def emit(self, kind: type[SourceEvent], /, **facts: Any) -> None:  # noqa: ANN401 - likewise
        """Make a lifecycle event for every hook."""
        if self._hooks:
            self.note(self.make(kind, **facts))

    def note(self, event: SourceEvent) -> None:
        """Have every hook hear of a lifecycle event; nothing comes after `Closed`."""
        if not self._hooks or self._closed:
            return
        self._closed = type(event) is Closed
        self.add(event)
        if not self.deciding.under_way:  # else it is told when the decision is made
            self.tell()

    def inject_headers(self, headers: MutableMapping[str, str]) -> None:
        """Have those hooks that trace add to a request's headers what its receiver goes by."""
        for hook in self._hooks:
            try:
                for name, value in _injected(hook, self._source_id).items():
                    headers.setdefault(name, value)
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream goes on
                self.report(hook, error)

    def comment(self, text: str) -> None:
        """Tell of a comment in the stream."""
        self.emit(Comment, text=text)


def hooks_of(settings: Settings, lock: AbstractContextManager[Any]) -> Hooks:
    """Make the hooks of a source, which gets its number by it."""
    number = next(_source_ids)
    return Hooks(settings.hooks, url=settings.shown_url, source_id=number, lock=lock)


class Deciding:
    """Tells what was noted once the lock of a source, entered inside of this, is free again.

    It does not hold the lock itself: a signal handler may raise in any function of Python's, before
    its first line too, and would leave the lock as it is. ``with`` and the lock alone are safe.
    """

    def __init__(self, hooks: Hooks, lock: Any) -> None:  # noqa: ANN401 - its type hides a method
        self._hooks = hooks
        self._is_mine = lock._is_owned  # noqa: SLF001 - by which `threading.Condition` asks, too

    @property
    def under_way(self) -> bool:
        """Whether this thread holds the lock, perhaps one decision inside another."""
        mine: bool = self._is_mine()
        return mine

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._hooks.untold and not self.under_way:
            self._hooks.tell()


def _injected(hook: Hook, source_id: int) -> dict[str, str]:
    """Return the headers that a hook adds.

    Raises:
        ValueError: If HTTP cannot carry one of them.
    """
    headers: dict[Any, Any] = {}
    inject = getattr(hook, "inject_headers", None)
    if inject is not None:
        inject(source_id, headers)
    for name, value in headers.items():
        texts = isinstance(name, str) and isinstance(value, str)
        if not (texts and TOKEN.fullmatch(name) and value.isascii() and sendable(value)):
            raise ValueError(f"no HTTP header can be made of the name {name!r} and its value")
    return headers


def _check(hook: object) -> None:
    if not callable(hook):
        msg = f"a hook must be a callable that takes a lifecycle event, not {hook!r}"
        raise TypeError(msg)
    check_instance("a hook", hook)
    if is_coroutine_function(hook):
        msg = (
            f"a hook must be a plain function, and {hook!r} is a coroutine function; "
            "have it put the event into a queue that a task of yours reads"
        )
        raise TypeError(msg)
