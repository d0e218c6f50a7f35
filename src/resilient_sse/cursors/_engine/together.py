"""Asking an engine together: the saver of a replica, for threads, asyncio and trio.

It needs no thread or task of its own: see `line` for whose turn it is to send.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio

from resilient_sse.cursors._engine.line import Line, Request
from resilient_sse.cursors._engine.loops import event_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable


class Together:
    """Sends what many ask at the same time as one request.

    Threads wait in one line, the tasks of each event loop in another.

    Args:
        send: Takes what is asked and returns an answer to each, or raises.
        send_async: The same for event loops. Cancelled, what it was asked is asked again.
    """

    def __init__(
        self,
        send: Callable[[list[Any]], Iterable[Any]],
        send_async: Callable[[list[Any]], Awaitable[Iterable[Any]]],
    ) -> None:
        self._send = send
        self._send_async = send_async
        self._pid = 0
        self._lines: dict[object, Line] = {}

    def ask(self, word: object) -> Any:  # noqa: ANN401 - any answer
        """Ask, and wait for the answer.

        Raises:
            Exception: What the request failed with.
        """
        request = Request(word, event := threading.Event())
        with self._line(None) as line, line.place(request):
            if not request.turn:
                event.wait()
            if request.turn:
                line.settle(self._send(line.take()))
        return request.outcome()

    async def aask(self, word: object) -> Any:  # noqa: ANN401 - any answer
        """Ask without blocking the event loop.

        Raises:
            Exception: What the request failed with.
        """
        request = Request(word, event := anyio.Event())
        with self._line(event_loop()) as line, line.place(request):
            if not request.turn:
                await event.wait()
            if request.turn:
                line.settle(await self._send_async(line.take()))
        return request.outcome()

    @contextmanager
    def _line(self, loop: object) -> Generator[Line]:
        """Lend the line of an event loop, which is there while anybody uses it, or the threads'."""
        if self._pid != (pid := os.getpid()):  # whoever sends is in the parent
            self._pid, self._lines = pid, {}
        line = self._lines.setdefault(loop, Line())
        try:
            yield line
        finally:
            if line.idle and loop is not None and self._lines.get(loop) is line:
                del self._lines[loop]
