"""What a task waits for that goes on at once."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import pytest

from resilient_sse.transports._asyncio.immediate_future import ImmediateFuture

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def waiting(log: list[str]) -> tuple[ImmediateFuture, asyncio.Task[None]]:
    """Start a task that awaits an arrival."""
    arrival = ImmediateFuture(asyncio.get_running_loop())

    async def wait() -> None:
        try:
            await arrival
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        log.append("woken")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return arrival, task


async def test_the_task_goes_on_before_arrive_returns() -> None:
    """Called as the event loop calls who has to know of new bytes."""
    log: list[str] = []
    arrival, task = await waiting(log)

    def bytes_came() -> None:
        arrival.arrive()
        log.append("returned")

    asyncio.get_running_loop().call_soon(bytes_came)
    await task
    assert log == ["woken", "returned"]


async def test_in_a_task_it_is_the_next_round() -> None:
    """One task cannot run inside another."""
    log: list[str] = []
    arrival, task = await waiting(log)
    arrival.arrive()
    assert log == []
    await task
    assert log == ["woken"]


async def test_it_serves_again_and_again() -> None:
    """However a wait has ended, the next one knows nothing of it."""
    arrival = ImmediateFuture(asyncio.get_running_loop())
    log: list[str] = []

    async def wait() -> None:
        for _ in range(4):
            try:
                await arrival
            except (LookupError, asyncio.CancelledError) as error:
                log.append(type(error).__name__)
            else:
                log.append("woken")

    task = asyncio.create_task(wait())
    for end in (arrival.arrive, lambda: arrival.wake(LookupError()), task.cancel, arrival.wake):
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(end)
        await asyncio.sleep(0)
    await task
    assert log == ["woken", "LookupError", "CancelledError", "woken"]


async def test_nothing_is_kept_for_the_next_wait() -> None:
    """Where nobody waits there is nothing to end."""
    arrival = ImmediateFuture(asyncio.get_running_loop())
    arrival.arrive()
    arrival.wake(LookupError())
    assert not arrival.cancel()
    with anyio.move_on_after(0.01) as scope:
        await arrival
    assert scope.cancelled_caught


async def test_anyio_sees_that_a_task_waits() -> None:
    """Tests of programs wait until all tasks do."""
    arrival, task = await waiting([])
    await anyio.wait_all_tasks_blocked()
    assert not arrival.done()
    arrival.wake()
    assert arrival.done()
    await task


async def test_the_task_keeps_its_context() -> None:
    """What it set before waiting is there afterwards, and nothing of the callback's."""
    scope = anyio.CancelScope()

    async def wait() -> None:
        with scope:
            await arrival
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            await anyio.sleep_forever()

    arrival = ImmediateFuture(asyncio.get_running_loop())
    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(arrival.arrive)
    await task
    assert scope.cancelled_caught


async def test_an_error_of_the_task_stays_in_the_task() -> None:
    """The callback does not see it."""
    arrival = ImmediateFuture(asyncio.get_running_loop())
    done: list[bool] = []

    async def fail() -> None:
        await arrival
        raise LookupError

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)

    def bytes_came() -> None:
        arrival.arrive()
        done.append(True)

    asyncio.get_running_loop().call_soon(bytes_came)
    with pytest.raises(LookupError):
        await task
    assert done


@pytest.mark.parametrize("why", [(), ("why",)])
async def test_cancelled(why: tuple[str, ...]) -> None:
    """The task that waits is cancelled, at once, and hears what it was told."""
    log: list[str] = []
    arrival, task = await waiting(log)
    task.cancel(*why)
    arrival.arrive()  # too late
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == why
    assert log == ["CancelledError"]
    assert arrival.cancelled


async def test_cancelled_between_its_end_and_the_next_round() -> None:
    """The wait is over, but the task is cancelled all the same."""
    log: list[str] = []
    arrival, task = await waiting(log)
    arrival.wake()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["CancelledError"]
    assert not arrival.cancelled


async def test_cancelled_by_a_scope() -> None:
    """A scope of anyio cancels a task only if it sees it waiting for a future."""
    arrival = ImmediateFuture(asyncio.get_running_loop())
    with anyio.move_on_after(0.01) as scope:
        await arrival
    assert scope.cancelled_caught


async def test_failed() -> None:
    """A deadline that passed."""
    log: list[str] = []
    arrival, task = await waiting(log)
    arrival.wake(TimeoutError())
    with pytest.raises(TimeoutError):
        await task
    assert log == ["TimeoutError"]


async def test_woken_as_by_any_future() -> None:
    """The end of a connection, which asyncio tells of while it closes it."""
    log: list[str] = []
    arrival, task = await waiting(log)

    def ended() -> None:
        arrival.wake()
        log.append("returned")

    asyncio.get_running_loop().call_soon(ended)
    await task
    assert log == ["returned", "woken"]


@pytest.mark.parametrize("error", [None, LookupError])
async def test_over_before_the_task_has_it(error: type[Exception] | None) -> None:
    """Whoever runs the first step of a coroutine may make a task of the rest later."""
    arrival = ImmediateFuture(asyncio.get_running_loop())
    steps = _wait_for(arrival)
    first = steps.send(None)
    arrival.arrive() if error is None else arrival.wake(error())

    class Rest:
        def __await__(self) -> Generator[Any, None, None]:
            yield first
            yield from steps.__await__()

    async def go_on() -> None:
        await Rest()

    with pytest.raises(error) if error else nullcontext():
        await asyncio.wait_for(asyncio.create_task(go_on()), 5)


async def _wait_for(arrival: ImmediateFuture) -> None:
    await arrival
