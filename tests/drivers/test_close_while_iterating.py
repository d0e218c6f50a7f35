"""Closing a blocking source from another thread in the very moment its consumer asks for more."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, SupportsIndex

import httpx
import pytest

from resilient_sse import ServerSentEvent, SyncReconnectingEventSource

if TYPE_CHECKING:
    from collections.abc import Iterator


class Emptied(list[ServerSentEvent]):
    """A queue that another thread empties after a look, before the next event is taken.

    Args:
        looks: After how many looks.
    """

    def __init__(self, looks: int) -> None:
        super().__init__([ServerSentEvent(data="one")])
        self.looks = looks

    def pop(self, _index: SupportsIndex = -1) -> ServerSentEvent:
        """Find nothing."""
        del self[-1]
        return ServerSentEvent()

    def __delitem__(self, _index: SupportsIndex | slice) -> None:
        """Find nothing."""
        self.looks -= 1
        if not self.looks:
            self.clear()
        raise IndexError


class SlowlyClosed(httpx.SyncByteStream):
    """One event, and a connection that takes its time to close."""

    def __init__(self) -> None:
        self.closing = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"data: one\n\n"

    def close(self) -> None:
        """Take a moment."""
        self.closing.set()
        time.sleep(0.2)


def test_asking_while_another_thread_closes_ends_the_iteration() -> None:
    """The thread that closes is no second consumer."""
    body = SlowlyClosed()
    headers = {"Content-Type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=body))
    with (
        httpx.Client(transport=transport) as client,
        SyncReconnectingEventSource("http://example.com", client=client) as source,
    ):
        assert next(source).data == "one"
        closer = threading.Thread(target=source.close)
        closer.start()
        assert body.closing.wait(10)
        assert list(source) == []
        closer.join()


@pytest.mark.parametrize("looks", [1, 2])
def test_closing_between_a_look_and_a_take_ends_the_iteration(
    monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """The consumer saw an event, and it is gone."""
    with SyncReconnectingEventSource("http://example.invalid") as source:
        monkeypatch.setattr(source, "_ready", queue := Emptied(looks))
        source.close()
        assert list(source) == []
        assert queue.looks == 0
