"""A consumer at work: a source on asyncio, on trio or in a thread, driven from the outside."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from resilient_sse import ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.testing import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from resilient_sse import Failure, ServerSentEvent
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["RUNTIMES", "Consumer", "consume"]

RUNTIMES: Final = ("asyncio", "trio", "threads")
_PATIENCE: Final = 20.0


class Consumer:
    """Reads a stream in the background until it ends or the block is left.

    Args:
        runtime: "asyncio", "trio" or "threads".
        url: The stream.
        options: The source's own keywords; ``client`` may be a function that makes one for this
            runtime's source: it is called with whether the source is asynchronous.
        keep: Whether to keep what comes; False where memory is measured.

    Attributes:
        events: What was delivered.
        times: When, on the monotonic clock.
        error: What ended the iteration, if it was an exception.
        recorder: The lifecycle; ``heard`` has the time of each.
    """

    def __init__(
        self,
        runtime: str,
        url: str,
        *,
        client: Callable[[bool], Any] | None = None,
        keep: bool = True,
        hooks: tuple[Callable[[LifecycleEvent], object], ...] = (),
        **options: Any,
    ) -> None:
        self.runtime = runtime
        self.events: list[ServerSentEvent] = []
        self.times: list[float] = []
        self.error: BaseException | None = None
        self.recorder = Recorder()
        self.heard: list[float] = []
        self._make_client = client
        self._client: Any = None
        self._arguments = (url,)
        self._keep = keep
        listen = (self.recorder, self._hear)
        everybody = (*listen, *hooks) if keep else hooks
        self._options: dict[str, Any] = {**options, "hooks": everybody}
        self._news = threading.Condition()
        self._over = False
        self.source: Any = None

    @property
    def data(self) -> list[str]:
        """The data of what was delivered."""
        return [event.data for event in self.events]

    @property
    def failures(self) -> list[Failure]:
        """Every failure that the hooks heard of, in order."""
        told = [getattr(event, "failure", None) for event in self.recorder.events]
        once: list[Failure] = []
        for failure in told:
            if failure is not None and all(failure is not known for known in once):
                once.append(failure)
        return once

    def __enter__(self) -> Self:
        if self.runtime == "threads":
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        else:
            self._loop: AbstractContextManager[BlockingPortal] = start_blocking_portal(self.runtime)
            self._portal = self._loop.__enter__()
            self._portal.start_task_soon(self._aread)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        self.join()
        if self.runtime == "threads":
            self._thread.join(_PATIENCE)
            assert not self._thread.is_alive()
        else:
            self._loop.__exit__(None, None, None)

    def close(self) -> None:
        """Close the source."""
        if self.source is None:
            self._wait(lambda: self.source is not None or self._over, _PATIENCE)
        if self.source is None or self._over:
            return
        if self.runtime == "threads":
            self.source.close()
        else:
            self._portal.call(self.source.aclose)

    def join(self, timeout: float = _PATIENCE) -> Self:
        """Wait until the iteration is over."""
        assert self._wait(lambda: self._over, timeout), f"still {self.source!r}, {self.data[-3:]}"
        return self

    def wait_for(self, count: int, timeout: float = _PATIENCE) -> Self:
        """Wait until so many events were delivered."""
        self._wait(lambda: len(self.events) >= count or self._over, timeout)
        assert len(self.events) >= count, (len(self.events), self.error, self.failures[-3:])
        return self

    def wait_for_event_after(self, moment: float, timeout: float = _PATIENCE) -> float:
        """Wait for an event that is delivered after a moment; say how long after."""
        self._wait(lambda: bool(self.times and self.times[-1] > moment) or self._over, timeout)
        later = [when for when in self.times if when > moment]
        assert later, (self.runtime, self.source, self.error, self.failures[-3:])
        return later[0] - moment

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._news:
            return self._news.wait_for(condition, timeout)

    def _tell(self, change: Callable[[], object]) -> None:
        with self._news:
            change()
            self._news.notify_all()

    def _deliver(self, event: ServerSentEvent) -> None:
        if not self._keep:
            return

        def change() -> None:
            self.events.append(event)
            self.times.append(time.monotonic())

        self._tell(change)

    def _hear(self, _told: object) -> None:
        self.heard.append(time.monotonic())

    def _began(self, source: Any) -> None:
        self._tell(lambda: setattr(self, "source", source))

    def _ended(self) -> None:
        self._tell(lambda: setattr(self, "_over", True))

    def _read(self) -> None:
        client = self._make_client and self._make_client(False)
        try:
            with SyncReconnectingEventSource(
                *self._arguments, client=client, **self._options
            ) as source:
                self._began(source)
                for event in source:
                    self._deliver(event)
        except Exception as error:
            self.error = error
        finally:
            if client is not None:
                client.close()
            self._ended()

    async def _aread(self) -> None:
        client = self._make_client and self._make_client(True)
        try:
            async with ReconnectingEventSource(
                *self._arguments, client=client, **self._options
            ) as source:
                self._began(source)
                async for event in source:
                    self._deliver(event)
        except Exception as error:
            self.error = error
        finally:
            if client is not None:
                await client.aclose()
            self._ended()


def consume(runtime: str, url: str, **options: Any) -> Consumer:
    """Read a stream to its end."""
    with Consumer(runtime, url, **options) as consumer:
        return consumer.join()
