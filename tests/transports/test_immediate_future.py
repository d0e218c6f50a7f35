"""The future whose task goes on at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import pytest

from resilient_sse.transports._asyncio.immediate_future import ImmediateFuture

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def waiting(log: list[str]) -> tuple[ImmediateFuture, asyncio.Task[None]]:
    """Start a task that awaits an arrival."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())

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


async def test_what_arrived_before_is_there_at_once() -> None:
    """A task that begins to wait too late does not wait."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    arrival.arrive()
    await asyncio.wait_for(arrival, 0)


async def test_the_task_keeps_its_context() -> None:
    """What it set before waiting is there afterwards, and nothing of the callback's."""
    scope = anyio.CancelScope()

    async def wait() -> None:
        with scope:
            await arrival
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            await anyio.sleep_forever()

    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(arrival.arrive)
    await task
    assert scope.cancelled_caught


async def test_an_error_of_the_task_stays_in_the_task() -> None:
    """The callback does not see it."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
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


@pytest.mark.parametrize("how", ["task", "future"])
async def test_cancelled(how: str) -> None:
    """The task that waits is cancelled; or the future, which cancels the task."""
    log: list[str] = []
    arrival, task = await waiting(log)
    (task if how == "task" else arrival).cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["CancelledError"]
    assert arrival.cancelled()


async def test_cancelled_by_a_scope() -> None:
    """A scope of anyio cancels a task only if it sees it waiting for a future."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    with anyio.move_on_after(0.01) as scope:
        await arrival
    assert scope.cancelled_caught


async def test_failed() -> None:
    """A deadline that passed."""
    log: list[str] = []
    arrival, task = await waiting(log)
    arrival.set_exception(TimeoutError())
    with pytest.raises(TimeoutError):
        await task
    assert log == ["TimeoutError"]


async def test_set_as_any_future() -> None:
    """The end of a connection, which asyncio tells of while it closes it."""
    log: list[str] = []
    arrival, task = await waiting(log)

    def ended() -> None:
        arrival.set_result(None)
        log.append("returned")

    asyncio.get_running_loop().call_soon(ended)
    await task
    assert log == ["returned", "woken"]


@pytest.mark.parametrize("how", ["result", "exception", "cancellation"])
async def test_over_before_anybody_waits(how: str) -> None:
    """What is set is there for whoever begins to wait then."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    if how == "result":
        arrival.set_result(None)
        await asyncio.wait_for(arrival, 0)
    elif how == "exception":
        arrival.set_exception(LookupError())
        with pytest.raises(LookupError):
            await arrival
    else:
        arrival.cancel()
        with pytest.raises(asyncio.CancelledError):
            await arrival


async def test_several_may_wait() -> None:
    """Only the first of them goes on at once."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    waits = [asyncio.create_task(_wait_for(arrival)) for _ in range(3)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(arrival.arrive)
    await asyncio.wait_for(asyncio.gather(*waits), 5)


async def test_over_before_the_task_has_it() -> None:
    """Whoever runs the first step of a coroutine may make a task of the rest later."""
    arrival = ImmediateFuture(loop=asyncio.get_running_loop())
    steps = _wait_for(arrival)
    first = steps.send(None)
    arrival.arrive()

    class Rest:
        def __await__(self) -> Generator[Any, None, None]:
            yield first
            yield from steps.__await__()

    async def go_on() -> None:
        await Rest()

    await asyncio.wait_for(asyncio.create_task(go_on()), 5)


async def _wait_for(arrival: ImmediateFuture) -> None:
    await arrival
