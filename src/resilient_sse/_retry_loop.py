"""stamina's retry loop, as a source uses it: it waits as long as it is told, under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import stamina

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def retry_loop(
    function: Callable[[str], T], name: str, delay: Callable[[Exception], float | bool]
) -> Callable[[str], T]:
    """Make a fresh retry loop around a function, which may be a coroutine function.

    Fresh, because stamina's counters never reset; around a function, because stamina's hooks show
    a function's name, and that of a ``retry_context`` they do not know.

    Args:
        function: What is tried. Its argument is for stamina's hooks to show.
        name: The name that they show.
        delay: Returns the seconds to wait after an exception, or False to let it through.
    """
    function.__module__, function.__qualname__ = "resilient_sse", name
    return stamina.retry(on=delay, attempts=None, timeout=None)(function)
