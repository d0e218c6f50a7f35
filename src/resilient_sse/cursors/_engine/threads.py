"""Worker threads for stores and leases: those that anyio lends may all be busy with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_STORES: Final = 40  # at a time, in one event loop
_for_stores: Final = RunVar[CapacityLimiter]("resilient_sse stores")


async def in_own_thread(task: Callable[..., T], *words: object, abandon: bool = False) -> T:
    """Run what must wait for nobody: a lease lasts no longer because threads are short.

    Args:
        task: What is run.
        words: Its arguments.
        abandon: Whether whoever is cancelled leaves it behind.
    """
    return await to_thread.run_sync(
        task, *words, limiter=CapacityLimiter(1), abandon_on_cancel=abandon
    )


async def in_store_thread(task: Callable[..., T], *words: object) -> T:
    """Run one of many calls of a store, which are left behind when they are cancelled."""
    try:
        limiter = _for_stores.get()
    except LookupError:
        limiter = CapacityLimiter(_STORES)
        _for_stores.set(limiter)
    return await to_thread.run_sync(task, *words, limiter=limiter, abandon_on_cancel=True)
