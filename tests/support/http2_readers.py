"""Sources that read over HTTP/2, on one client of httpx or httpx2, on every runtime."""

from __future__ import annotations

import socket
import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from resilient_sse import (
    Failure,
    GiveUpError,
    ReconnectingEventSource,
    RetryScheduled,
    SyncReconnectingEventSource,
)
from tests.support.files import PEM
from tests.support.http_libraries import LIBRARIES
from tests.support.runners import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RUNTIMES", "Reader", "Stage", "at_once", "later", "never"]

RUNTIMES: Final = ("asyncio", "trio", "threads")


def at_once(_failure: Failure) -> float:
    """A policy that never gives up, nor waits."""
    return 0.0


def later(_failure: Failure) -> float:
    """A policy that lets the others open their streams first."""
    return 1.0


def never(_failure: Failure) -> None:
    """A policy that gives up at once."""


class Reader:
    """One source, which is told to reconnect after every so many events, and leaves after others.

    Attributes:
        ids: What came.
        error: What ended it.
    """

    def __init__(self, url: str, *, events: int, reconnect_every: int = 0, **options: Any) -> None:
        self.url, self.events, self.reconnect_every = url, events, reconnect_every
        self.options: dict[str, Any] = {"policy": at_once, **options}
        self.ids: list[int] = []
        self.failures: list[Failure] = []
        self.error: Exception | None = None
        self.source: Any = None
        self._before: Callable[[], object] = list  # which returns at once

    @property
    def done(self) -> bool:
        """Whether it has read all it is to read, or has ended."""
        return len(self.ids) >= self.events or self.error is not None

    @property
    def exact(self) -> bool:
        """Whether every event came once, in order."""
        return self.ids == list(range(1, len(self.ids) + 1)) and bool(self.ids)

    def _hear(self, told: Any) -> None:
        if isinstance(told, RetryScheduled):
            self.failures.append(told.failure)

    def _took(self, event: Any) -> bool:
        self.ids.append(int(event.id))
        if self.reconnect_every and len(self.ids) % self.reconnect_every == 0:
            self.source.reconnect()
        return len(self.ids) >= self.events

    def make(self, kind: Any, client: Any) -> Any:
        """Make the source."""
        self.source = kind(self.url, client=client, hooks=[self._hear], **self.options)
        return self.source

    def begins_after(self, other: Reader) -> None:
        """Begin when another one has an event."""
        self._before = partial(eventually, lambda: other.ids)

    async def aread(self, client: Any) -> None:
        """Read on asyncio or trio."""
        await anyio.to_thread.run_sync(self._before)
        try:
            async with self.make(ReconnectingEventSource, client) as source:
                async for event in source:
                    if self._took(event):
                        break
        except GiveUpError as error:
            self.error = error

    def read(self, client: Any) -> None:
        """Read in a thread."""
        self._before()
        try:
            with self.make(SyncReconnectingEventSource, client) as source:
                for event in source:
                    if self._took(event):
                        break
        except GiveUpError as error:
            self.error = error


class Stage:
    """A runtime and a library: where readers share one client that speaks HTTP/2.

    Args:
        runtime: One of `RUNTIMES`.
        library: Whose client it is.
        patience: For how many seconds threads may read.
    """

    def __init__(self, runtime: str, library: str, patience: float = 20) -> None:
        self.runtime = runtime
        self.library = library
        self._patience = patience

    def client(self) -> Any:
        """Make a client."""
        module = LIBRARIES[self.library]
        kind = module.Client if self.runtime == "threads" else module.AsyncClient
        return kind(http2=True, verify=ssl.create_default_context(cafile=str(PEM)))

    def run(self, *readers: Reader, then: Callable[[], object] = list, last: str = "") -> int:
        """Have them read, and something happen meanwhile.

        Args:
            readers: Who reads.
            then: What happens meanwhile, in a thread.
            last: A URL that the client is asked for when all have left.

        Returns:
            The status of the answer to that, or 0.
        """
        with socket.socket():  # nothing but a place for `anyio.run` to begin
            if self.runtime == "threads":
                return self._run_threads(readers, then, last)
            return anyio.run(partial(self._run, readers, then, last), backend=self.runtime)

    async def _run(self, readers: tuple[Reader, ...], then: Callable[[], object], last: str) -> int:
        async with self.client() as client:
            async with anyio.create_task_group() as tasks:
                for reader in readers:
                    tasks.start_soon(reader.aread, client)
                await anyio.to_thread.run_sync(then)
            return (await client.get(last)).status_code if last else 0

    def _run_threads(
        self, readers: tuple[Reader, ...], then: Callable[[], object], last: str
    ) -> int:
        with self.client() as client:
            threads = [threading.Thread(target=each.read, args=(client,)) for each in readers]
            for thread in threads:
                thread.start()
            then()
            for thread in threads:
                thread.join(self._patience)
                assert not thread.is_alive()
            return client.get(last).status_code if last else 0
