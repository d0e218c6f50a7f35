"""Many streams, one saver: what they save at the same time goes out as one request."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse.cursors._engine import line as _line
from resilient_sse.cursors._engine.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(30)


class Engine:
    """Answers each word with itself, and notes what came together.

    Args:
        error: What it fails with instead.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.interrupt: BaseException | None = None
        self.requests: list[list[Any]] = []
        self.gate = threading.Event()
        self.agate = anyio.Event()
        self.together = Together(self._send, self._send_async)
        self.under_way = 0

    def _begin(self, words: list[Any]) -> None:
        self.requests.append(words)
        self.under_way += 1
        assert self.under_way == 1, "one request at a time"

    def _end(self, words: list[Any]) -> list[Any]:
        self.under_way -= 1
        if self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            raise interrupt
        if self.error is not None:
            raise self.error
        return [("answer", word) for word in words]

    def _send(self, words: list[Any]) -> list[Any]:
        self._begin(words)
        self.gate.wait(10)
        return self._end(words)

    async def _send_async(self, words: list[Any]) -> list[Any]:
        self._begin(words)
        try:
            await self.agate.wait()
        except BaseException:
            self.under_way -= 1
            raise
        return self._end(words)


def in_threads(task: Callable[[int], object], count: int) -> list[threading.Thread]:
    """Run something in many threads, one after the other begun."""
    threads = [threading.Thread(target=task, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    return threads


def test_threads_ask_together() -> None:
    """The first alone, and all that came meanwhile in one request; each gets its own answer."""
    engine = Engine()
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = engine.together.ask(number)

    threads = in_threads(ask, 50)
    engine.gate.set()
    for thread in threads:
        thread.join(10)
    assert answers == {number: ("answer", number) for number in range(50)}
    assert engine.requests[0] == [0]
    assert len(engine.requests) <= 3


@pytest.mark.anyio
async def test_tasks_ask_together() -> None:
    """In an event loop, too."""
    engine = Engine()
    answers: dict[int, object] = {}

    async def ask(number: int) -> None:
        answers[number] = await engine.together.aask(number)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        engine.agate.set()
    assert answers == {number: ("answer", number) for number in range(50)}
    assert sorted(map(len, engine.requests)) == [1, 49]
    assert await engine.together.aask("again") == ("answer", "again")
    assert not engine.together._lines, "nothing is kept of a loop that asks nothing"


@pytest.mark.anyio
async def test_a_request_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is asked for too much at once makes all others wait."""
    monkeypatch.setattr(_line, "_MOST", 20)
    engine = Engine()
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(engine.together.aask, number)
        await anyio.wait_all_tasks_blocked()
        engine.agate.set()
    assert sorted(map(len, engine.requests)) == [1, 9, 20, 20]


def test_an_error_is_told_to_all_threads_that_asked_together() -> None:
    """And to nobody who asks later."""
    engine = Engine(OSError("down"))
    told: list[str] = []

    def ask(number: int) -> None:
        try:
            engine.together.ask(number)
        except OSError as error:
            told.append(str(error))

    threads = in_threads(ask, 10)
    engine.gate.set()
    for thread in threads:
        thread.join(10)
    assert told == ["down"] * 10
    assert len(engine.requests) <= 3
    engine.error = None
    assert engine.together.ask("later") == ("answer", "later")


@pytest.mark.anyio
async def test_an_error_is_told_to_all_tasks_that_asked_together() -> None:
    """And to nobody who asks later."""
    engine = Engine(OSError("down"))
    told: list[str] = []

    async def ask(number: int) -> None:
        try:
            await engine.together.aask(number)
        except OSError as error:
            told.append(str(error))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        engine.agate.set()
    assert told == ["down"] * 10
    assert len(engine.requests) == 2
    engine.error = None
    assert await engine.together.aask("later") == ("answer", "later")


class Askers:
    """Tasks that ask for their numbers, to be cancelled one by one."""

    def __init__(self, engine: Engine) -> None:
        self.answers: list[tuple[str, int]] = []
        self._engine = engine
        self._scopes: dict[int, anyio.CancelScope] = {}

    async def ask(self, number: int) -> None:
        """Ask, unless it is cancelled."""
        with anyio.CancelScope() as self._scopes[number]:
            self.answers.append(await self._engine.together.aask(number))

    async def cancel(self, *numbers: int) -> None:
        """Cancel some of them in the same moment."""
        for number in numbers:
            self._scopes[number].cancel()
        await anyio.wait_all_tasks_blocked()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cancelled", "sent"),
    [
        # whoever sends; then the next, who sends for the others
        ([(0,)], [[0], [1, 2, 3, 4]]),
        ([(0,), (1,)], [[0], [1, 2, 3, 4], [2, 3, 4]]),
        # who waits for its turn, or for the answer
        ([(2,), (0,)], [[0], [1, 3, 4]]),
        ([(1,), (0,)], [[0], [2, 3, 4]]),
        ([(0,), (2,), (1,)], [[0], [1, 2, 3, 4], [3, 4]]),
        # whoever sends, and who would be next, in the same moment
        ([(0, 1)], [[0], [2, 3, 4]]),
        ([(1, 0)], [[0], [2, 3, 4]]),
        ([(0, 1, 2, 3, 4)], [[0]]),
    ],
)
async def test_whoever_is_cancelled_leaves_the_others_an_answer(
    cancelled: list[tuple[int, ...]], sent: list[list[int]]
) -> None:
    """What was sent for others is sent again; what nobody waits for is not."""
    engine = Engine()
    askers = Askers(engine)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(askers.ask, number)
                await anyio.wait_all_tasks_blocked()
            for numbers in cancelled:
                await askers.cancel(*numbers)
            engine.agate.set()
    left = set(range(5)).difference(*cancelled)
    assert sorted(askers.answers) == [("answer", number) for number in sorted(left)]
    assert engine.requests == sent
    assert not engine.together._lines


def test_a_thread_that_is_interrupted_leaves_the_others_an_answer() -> None:
    """As Ctrl-C does; it is told to nobody else."""
    engine = Engine()
    engine.interrupt = KeyboardInterrupt()
    told: list[object] = []

    def ask(number: int) -> None:
        try:
            told.append(engine.together.ask(number))
        except KeyboardInterrupt as error:
            told.append(error)

    threads = in_threads(ask, 5)
    interrupt = engine.interrupt
    engine.gate.set()
    for thread in threads:
        thread.join(10)
    assert told[0] is interrupt
    assert sorted(map(str, told[1:])) == [str(("answer", number)) for number in range(1, 5)]


def test_a_forked_process_waits_for_nobody_in_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that sends is not there."""
    engine = Engine()
    (sender,) = in_threads(engine.together.ask, 1)
    wait_until(lambda: bool(engine.requests))
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        engine.under_way = 0
        (other,) = in_threads(engine.together.ask, 1)
        wait_until(lambda: len(engine.requests) == 2)
    engine.gate.set()
    sender.join(10)
    other.join(10)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
