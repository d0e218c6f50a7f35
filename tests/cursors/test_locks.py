"""No callback around a cursor runs under a lock of ours: other threads may use the source then."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import CursorStoreFailed, Disconnected, SyncReconnectingEventSource
from resilient_sse.cursors import LeaseLost, RedisLease
from resilient_sse.testing import Connection, Ending, HistoryServer, ScriptedServer, event
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from resilient_sse import Failure, LifecycleEvent, ServerSentEvent

pytestmark = pytest.mark.timeout(30)

OPEN = Connection(
    event("a", id="1") + event("b", id="2") + event("c", id="3"), ending=Ending.SILENCE
)


class Application:
    """A program with callbacks in one thread and the same source in the hands of another.

    Each callback has the other thread do everything that a thread may do with a source, and waits
    for it: as if the other held a lock that the callback wants.
    """

    def __init__(self, where: str) -> None:
        self.source: Any = None
        self.acknowledged: list[ServerSentEvent] = []
        self.called = 0
        self._where = where

    def callback(self, where: str) -> None:
        """Have the other thread do it all, and wait."""
        if where != self._where or self.called or self.source is None:
            return
        self.called += 1
        other = threading.Thread(target=self._use)
        other.start()
        other.join(10)
        assert not other.is_alive(), f"{where} was called under a lock"

    def _use(self) -> None:
        source = self.source
        repr(source)
        assert source.state
        assert source.last_event_id is not None
        for acknowledged in self.acknowledged:
            with suppress(ValueError):
                source.ack(acknowledged)
        source.reconnect()
        source.close()

    # What it gives to the source

    def hook(self, told: LifecycleEvent) -> None:
        """Hear of a failed store, or of the end of a connection."""
        if isinstance(told, CursorStoreFailed):
            self.callback("hook")
        if isinstance(told, Disconnected):
            self.callback("lease hook")

    def policy(self, failure: Failure) -> float:
        """Decide about a failed store."""
        self.callback("policy")
        return 0.0

    def load(self, _key: str) -> None:
        """Know nothing."""
        self.callback("load")

    def save(self, _key: str, _cursor: str) -> None:
        """Fail once, so that the others are called."""
        self.callback("save")
        if not self.called:
            raise ConnectionError("no store")


@pytest.mark.parametrize("where", ["load", "save", "hook", "policy"])
@pytest.mark.parametrize("saves", ["consumer", "worker", "make room"])
def test_around_a_store(where: str, saves: str) -> None:
    """Whichever thread saves."""
    app = Application(where)
    with ScriptedServer([OPEN], then=OPEN) as server:
        app.source = SyncReconnectingEventSource(
            server.url,
            cursor=app,
            cursor_policy=app.policy,
            auto_ack=saves != "worker",
            max_unacked=1 if saves == "make room" else 100,
            hooks=[app.hook],
        )
        with app.source as source:
            for event in source:
                app.acknowledged.append(event)
                if saves == "worker":
                    with suppress(ValueError):  # the other thread was faster
                        source.ack(event)
    assert app.called == 1


@pytest.mark.timing
@needs_redis
def test_around_a_lost_lease(sse_history: HistoryServer) -> None:
    """Hooks hear of it in the thread that noticed."""
    app = Application("lease hook")
    sse_history.publish("one")
    with RedisServer() as server, RedisLease(server.url, "orders", ttl=0.4) as lease:
        app.source = lease.sync_source(sse_history.url, hooks=[app.hook])
        with app.source as source:
            next(source)
            key = "resilient-sse:{orders}:leases"
            server.client.hset(key, "orders", f"other {2**52} {2**52}")
            with pytest.raises(LeaseLost):
                next(source)
        assert app.called == 1
        assert not lease.held
