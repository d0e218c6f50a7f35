"""What ``reconnect`` and ``ack`` return: done already, and still as good as any coroutine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from resilient_sse._drivers.optional_await import OptionalAwait

if TYPE_CHECKING:
    from collections.abc import Generator


class Work:
    """Something to finish, which pauses once."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def finish(self) -> None:
        """Note how it went."""
        try:
            await checkpoint()
        except BaseException:
            self.seen.append("cancelled")
            raise
        self.seen.append("done")


@pytest.mark.anyio
async def test_it_may_be_awaited() -> None:
    """With something to finish and without."""
    work = Work()

    await OptionalAwait()
    await OptionalAwait(work.finish)

    assert work.seen == ["done"]


def test_it_may_be_a_task_of_asyncio() -> None:
    """As a coroutine may; a task that is cancelled cancels what it does."""
    work = Work()

    async def main() -> None:
        await asyncio.create_task(OptionalAwait())
        await asyncio.create_task(OptionalAwait(work.finish))
        cancelled = asyncio.create_task(OptionalAwait(work.finish))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])

    asyncio.run(main())
    assert work.seen == ["done", "cancelled"]


def test_it_may_be_asked_for_from_another_thread() -> None:
    """As a coroutine may: of asyncio's loop and of trio's."""
    work = Work()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def elsewhere() -> None:
            asyncio.run_coroutine_threadsafe(OptionalAwait(work.finish), loop).result(10)

        await asyncio.to_thread(elsewhere)

    asyncio.run(main())
    trio.run(
        anyio.to_thread.run_sync, lambda: trio.from_thread.run(lambda: OptionalAwait(work.finish))
    )
    assert work.seen == ["done", "done"]


def test_it_may_be_closed() -> None:
    """Before it began, and where it pauses."""
    seen = list[str]()

    class Pause:
        def __await__(self) -> Generator[object, None, None]:
            try:
                yield None
            finally:
                seen.append("left")

    begun = OptionalAwait(Pause)
    begun.send(None)
    begun.close()
    OptionalAwait(Pause).close()
    assert seen == ["left"]
