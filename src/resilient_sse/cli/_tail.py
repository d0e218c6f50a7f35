"""``resilient-sse tail``: one event per line, for pipes."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import click

from resilient_sse.cli._formats import formatter
from resilient_sse.cli._live.monitor import Monitor
from resilient_sse.cli._live.screen import REFRESH_SECONDS
from resilient_sse.cli._live.status_line import StatusLine
from resilient_sse.cli._outcome import (
    CANNOT_WRITE,
    DONE,
    Outcome,
    outcome_of,
    reader_has_gone,
    say_last_id,
    write,
)
from resilient_sse.cursors import SQLiteCursorStore
from resilient_sse.errors import CursorError, GiveUpError

if TYPE_CHECKING:
    from pathlib import Path

    from resilient_sse._drivers.async_source import ReconnectingEventSource
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cli._target import Target

__all__ = ["Tail", "TailOptions"]


@dataclass(frozen=True, kw_only=True)
class TailOptions:
    """The options of ``tail`` that are not about the connection."""

    format: str
    cursor: Path | None
    event: tuple[str, ...]
    until: str | None
    max_events: int | None
    quiet: bool


class Tail:
    """Writes the events of a stream to stdout.

    An event is acknowledged when it is written, so the saved cursor never moves past a line that
    nobody got.

    Args:
        target: What to connect to.
        options: What to write.
    """

    def __init__(self, target: Target, options: TailOptions) -> None:
        self._options = options
        self._status = StatusLine(enabled=not options.quiet)
        self._monitor = Monitor(tell=self._tell)
        self._encode = formatter(options.format, terminal=sys.stdout.isatty())
        self._left = options.max_events
        self._last_event_id = ""
        self._outcome = DONE
        self._client = target.client()
        self._store = self._make_store(options.cursor)
        self._position = target.spoken.position
        self._source = self._make_source(target)

    @staticmethod
    def _make_store(path: Path | None) -> SQLiteCursorStore | None:
        try:
            return None if path is None else SQLiteCursorStore(path)
        except ValueError as error:  # SQLite has a meaning of its own for it
            raise click.UsageError(f"--cursor: {error}") from error

    def _make_source(self, target: Target) -> ReconnectingEventSource:
        return target.source(
            client=self._client,
            cursor=self._store,
            auto_ack=False,
            until=None if self._options.until is None else self._is_last,
            hooks=[self._monitor],
        )

    def _is_last(self, event: ServerSentEvent) -> bool:
        return event.data == self._options.until

    def _tell(self, message: str) -> None:
        if not self._options.quiet:
            self._status.say(message)

    async def run(self) -> None:
        """Read until the end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            await self._read()
            tasks.cancel_scope.cancel()

    def sum_up(self) -> Outcome:
        """Say where to go on."""
        self._status.clear()
        if not self._options.quiet:
            say_last_id(self._last_event_id)
        return self._outcome

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """Redraw the status line, and notice if nobody reads any more."""
        while not reader_has_gone():
            self._status.draw(self._monitor, self._last_event_id)
            await anyio.sleep(REFRESH_SECONDS)
        scope.cancel()

    async def _read(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                if self._client is not None:
                    await stack.enter_async_context(self._client)
                if self._store is not None:
                    stack.enter_context(self._store)
                    await self._store.aload("")  # so that a file that is none is told at once
                await self._read_from(await stack.enter_async_context(self._source))
        except (GiveUpError, OSError) as error:
            self._outcome = outcome_of(error)
        except (CursorError, sqlite3.Error) as error:
            story = error.__cause__ if isinstance(error, CursorError) else error
            self._outcome = Outcome(CANNOT_WRITE, str(story))

    async def _read_from(self, source: ReconnectingEventSource) -> None:
        self._last_event_id = source.last_event_id
        async for batch in source.batches():
            if await self._put(source, batch):
                return

    async def _put(self, source: ReconnectingEventSource, batch: list[ServerSentEvent]) -> bool:
        """Write events and acknowledge them; say whether that was enough."""
        taken, lines = self._take(batch)
        self._status.clear()
        write(b"".join(lines))
        *before, last = taken
        for event in before:
            source.ack(event)
        await source.ack(last)
        if len(taken) < len(batch):
            self._last_event_id = self._behind(taken)
        else:
            self._last_event_id = source.last_event_id
        return self._left == 0

    def _behind(self, taken: list[ServerSentEvent]) -> str:
        """Return the cursor behind the last of these events."""
        if self._position is None:
            return taken[-1].id
        cursor = self._last_event_id
        for event in taken:
            after = self._position(event, cursor)
            cursor = cursor if after is None else after
        return cursor

    def _take(self, batch: list[ServerSentEvent]) -> tuple[list[ServerSentEvent], list[bytes]]:
        """Choose the events that are wanted, no more than are wanted."""
        taken: list[ServerSentEvent] = []
        lines: list[bytes] = []
        for event in batch:
            taken.append(event)
            if not self._options.event or event.event in self._options.event:
                lines.append(self._encode(event))
                if self._left == len(lines):
                    break
        if self._left is not None:
            self._left -= len(lines)
        return taken, lines
