"""Calling the hooks: in order, at once, and never at the cost of the stream."""

from __future__ import annotations

import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from resilient_sse._settings import is_coroutine_function
from resilient_sse.lifecycle import Closed, Comment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.lifecycle import Hook, LifecycleEvent


class Hooks:
    """The hooks of one source.

    Raises:
        TypeError: If a hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hooks: Iterable[Hook], *, url: str, source_id: int) -> None:
        self._hooks = tuple(hooks)
        for hook in self._hooks:
            _check(hook)
        self._broken: set[int] = set()
        self._untold: deque[LifecycleEvent] = deque()
        self._telling = self._closed = False
        self._url = url
        self._source_id = source_id

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def emit(self, kind: type[LifecycleEvent], /, **facts: Any) -> None:  # noqa: ANN401 - the fields of the event
        """Make a lifecycle event and hand it to every hook; nothing comes after `Closed`."""
        if not self._hooks or self._closed:
            return
        self._closed = kind is Closed
        self._untold.append(kind(url=self._url, source_id=self._source_id, **facts))
        if self._telling:  # a hook closes the source: the others hear first of what it heard
            return
        self._telling = True
        try:
            while self._untold:
                self._tell(self._untold.popleft())
        finally:
            self._telling = False

    def _tell(self, event: LifecycleEvent) -> None:
        for position, hook in enumerate(self._hooks):
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream goes on
                self._report(position, hook, error)

    def comment(self, text: str) -> None:
        """Tell of a comment in the stream; a decoder calls it."""
        self.emit(Comment, text=text)

    def _report(self, position: int, hook: Hook, error: Exception) -> None:
        """Log a hook that raised, the first time only."""
        if position in self._broken:
            return
        self._broken.add(position)
        # Not as exc_info: structlog may show local variables, and those of a failure that is being
        # handled hold the request with its credentials.
        structlog.get_logger("resilient_sse").error(
            "resilient_sse.hook_failed",
            hook=repr(hook),
            url=self._url,
            source_id=self._source_id,
            exception="".join(traceback.format_exception(error, chain=False)),
        )


def _check(hook: object) -> None:
    if not callable(hook):
        msg = f"a hook must be a callable that takes a lifecycle event, not {hook!r}"
        raise TypeError(msg)
    if is_coroutine_function(hook):
        msg = (
            f"a hook must be a plain function, and {hook!r} is a coroutine function; "
            "have it put the event into a queue that a task of yours reads"
        )
        raise TypeError(msg)
