"""Acknowledging while the store is busy with an earlier save."""

from __future__ import annotations

import threading

from resilient_sse import SyncReconnectingEventSource
from resilient_sse.testing import Connection, ScriptedServer, event


class SlowStore:
    """A store whose first save takes until it is let go on."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def load(self, _key: str) -> None:
        """Know nothing yet."""

    def save(self, _key: str, last_event_id: str) -> None:
        """Take its time."""
        self.begun.set()
        assert self.go_on.wait(10)
        self.saved.append(last_event_id)


def test_an_acknowledgement_does_not_wait_for_a_save_under_way() -> None:
    """A thread that acknowledges goes on; what it acknowledged is saved by the next save."""
    store = SlowStore()
    script = Connection(event("a", id="1") + event("b", id="2"))
    with ScriptedServer([script]) as server:
        with SyncReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source:
            first, second = next(source), next(source)
            saving = threading.Thread(target=source.ack, args=(first,))
            saving.start()
            assert store.begun.wait(10)

            source.ack(second)

            assert store.saved == []
            store.go_on.set()
            saving.join(10)
        assert store.saved[-1] == "2"
