"""`HistoryServer`: a server that remembers its events and replays them from Last-Event-ID."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Literal

from resilient_sse._values.event import ServerSentEvent
from resilient_sse.testing._script import Connection, Ending
from resilient_sse.testing._server import ScriptedServer
from resilient_sse.testing._steps import Live, News, comment, event, retry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from resilient_sse.testing._request import RecordedRequest

__all__ = ["HistoryServer"]


class HistoryServer(ScriptedServer):
    """A well-behaved server with a history, until it is told to fail.

    A client gets everything after its ``Last-Event-ID``, then what is published while it is
    connected. `fail_next` makes the next connections follow scripted faults instead; everything
    that a `ScriptedServer` can do (``stop``, ``start``, ``drop_all``...) works here too.

    ```python
    with HistoryServer() as server:
        server.publish("one")
        ...  # connect to server.url
        server.drop_all()
        server.publish("two")  # the client must come back for this
    ```

    Args:
        unknown: What a client gets that sends no ``Last-Event-ID``, or one that is not in the
            history: everything from the "start", or only what comes from "now" on.
        heartbeat: Send a comment after so many seconds without an event.
        retry: Milliseconds for a ``retry`` field at the beginning of every connection.
        max_events_per_connection: End a connection after so many events.
        ending: How it ends then.
        headers: Added to every response, as for `Connection`.
        port: Where to listen, at 127.0.0.1; 0 for any free port.
        ssl_context: Speak TLS with it.
    """

    def __init__(  # noqa: PLR0913 - independent of one another
        self,
        *,
        unknown: Literal["start", "now"] = "start",
        heartbeat: float | None = None,
        retry: int | None = None,
        max_events_per_connection: int | None = None,
        ending: Ending = Ending.CLEAN,
        headers: Mapping[str, str | None] | None = None,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(then=self._replay, port=port, ssl_context=ssl_context)
        self._history = _History()
        self._from_start = unknown == "start"
        self._heartbeat = heartbeat
        self._retry = retry
        self._max_events = max_events_per_connection
        self._ending = ending
        self._headers = headers

    @property
    def history(self) -> list[ServerSentEvent]:
        """What was published, in order: what a client must have received in the end."""
        return list(self._history.events)

    def publish(self, data: str, *, event: str = "message", id: str | None = None) -> str:  # noqa: A002 - the field's name
        """Add an event to the history and send it to all clients.

        Args:
            data: The payload.
            event: The event type.
            id: The event's id; by default its number in the history, from 1.

        Returns:
            The id.
        """
        return self._history.add(data, event, id)

    def fail_next(self, *faults: Connection) -> None:
        """Answer the next requests with these, one each."""
        self.add(*faults)

    def _replay(self, request: RecordedRequest) -> Connection:
        start = self._history.position(request.last_event_id, from_start=self._from_start)
        replay = _Replay(self._history, start, self._heartbeat, self._max_events)
        opening = () if self._retry is None else (retry(self._retry),)
        return Connection(*opening, replay, ending=self._ending, headers=self._headers)


class _History:
    """The events so far."""

    def __init__(self) -> None:
        self.news = News()
        self.events: list[ServerSentEvent] = []
        self._lock = threading.Lock()

    def add(self, data: str, kind: str, event_id: str | None) -> str:
        with self._lock:
            chosen = str(len(self.events) + 1) if event_id is None else event_id
            self.events.append(ServerSentEvent(event=kind, data=data, id=chosen))
        self.news.announce()
        return chosen

    def position(self, last_event_id: str, *, from_start: bool) -> int:
        ids = [known.id for known in self.events]
        if last_event_id and last_event_id in ids:
            return len(ids) - ids[::-1].index(last_event_id)
        return 0 if from_start else len(ids)


class _Replay(Live):
    """What one client still has to get."""

    def __init__(
        self, history: _History, start: int, heartbeat: float | None, most: int | None
    ) -> None:
        super().__init__(history.news, heartbeat)
        self._history = history
        self._next = start
        self._end = None if most is None else start + most
        self._last_sent = time.monotonic()

    def take(self) -> Sequence[bytes] | None:
        if self._next == self._end:
            return None
        ready = [_written(known) for known in self._history.events[self._next : self._end]]
        self._next += len(ready)
        return self._marked(ready or self._heartbeats())

    def _heartbeats(self) -> list[bytes]:
        quiet = time.monotonic() - self._last_sent
        return [comment("heartbeat")] if self.patience and quiet >= self.patience else []

    def _marked(self, ready: list[bytes]) -> list[bytes]:
        if ready:
            self._last_sent = time.monotonic()
        return ready


def _written(known: ServerSentEvent) -> bytes:
    kind = None if known.event == "message" else known.event
    return event(known.data, event=kind, id=known.id)
