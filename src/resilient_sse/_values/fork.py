"""What becomes of a source in a forked child: it is the parent's, and the child lets it be.

The child has a copy of everything, sockets, event loop and locks included, and whatever it did with
them would happen to the parent's stream. So every source that was entered is told after a fork.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Forkable(Protocol):
    """What has to know that it belongs to another process."""

    def _left_to_parent(self) -> None: ...


_living: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
# Nothing of these is ever finalised: that would close the parent's connections one by one.
_orphans: Final[list[Any]] = []


def _nowhere_to_fork(**_hooks: object) -> None:
    """Stand in for `os.register_at_fork` on a system that cannot fork."""


_register: Callable[..., None] = getattr(os, "register_at_fork", _nowhere_to_fork)


def in_child(function: Callable[[], object]) -> None:
    """Have a function called in every forked child, on a system that can fork."""
    _register(after_in_child=function)


def watch(living: Forkable) -> None:
    """Have this told if it finds itself in a forked child."""
    _living.add(living)


def forked() -> RuntimeError:
    """Make the error for whoever uses the parent's source."""
    return RuntimeError(
        "this source was entered before a fork and belongs to the parent process; "
        "make one in the child, after the fork"
    )


def _in_child() -> None:
    _orphans.extend(_living)
    _living.clear()
    for orphan in _orphans:
        orphan._left_to_parent()  # noqa: SLF001 - see `Forkable`


in_child(_in_child)
