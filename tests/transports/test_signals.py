"""Time limits of a thread that signals interrupt again and again, and the thread that watches."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import weakref
from math import inf
from typing import Any

import pytest

from resilient_sse import ServerRetry, SyncReconnectingEventSource
from resilient_sse.testing import (
    Connection,
    Ending,
    InstantRetries,
    ScriptedServer,
    event,
    no_answer,
)
from resilient_sse.transports._threads import stream, transport
from resilient_sse.transports._threads import watchdog as _watchdog
from resilient_sse.transports._threads.watchdog import Watchdog
from tests.support.runners import eventually

PROGRAM = """
import os, signal, sys, time
import httpx
from resilient_sse import ServerRetry, SyncReconnectingEventSource

signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, {period}, {period})
kinds = []
client = {client}
began = time.monotonic()
try:
    with SyncReconnectingEventSource(
        sys.argv[1], client=client, connect_timeout={connect}, idle_timeout=0.5,
        policy=lambda failure: kinds.append(str(failure.kind)),
    ) as source:
        for _ in source:
            began = time.monotonic()
except Exception:
    print(kinds, time.monotonic() - began < 1.5)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def run(url: str, client: str, period: float, connect: float = 5) -> str:
    """Read a stream in the main thread of a program with a timer."""
    program = PROGRAM.format(client=client, period=period, connect=connect)
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


clients = pytest.mark.parametrize("client", ["None", "httpx.Client()"])
periods = pytest.mark.parametrize("period", [0.2, 0.02])


@clients
@periods
def test_idle_timeout(client: str, period: float) -> None:
    """It is no longer than without the timer, or hardly."""
    with ScriptedServer([Connection(event("one"), ending=Ending.SILENCE)]) as server:
        assert run(server.url, client, period) == "['idle'] True"


@clients
@periods
def test_connect_timeout(client: str, period: float) -> None:
    """The same up to the headers."""
    with ScriptedServer([no_answer(Ending.SILENCE)]) as server:
        assert run(server.url, client, period, connect=0.5) == "['timeout'] True"


class Reader:
    """Stands for a connection."""

    def __init__(self, limit: float | None, until: float) -> None:
        self.limit = limit
        self.reading_until = until
        self.ended = threading.Event()

    def overdue(self) -> None:
        """Note that it was ended."""
        self.ended.set()


def watchers() -> list[threading.Thread]:
    """The threads that watch."""
    return [each for each in threading.enumerate() if each.name == "resilient_sse watch"]


def test_a_nearer_limit_wakes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps for the shortest limit; when nothing is left to watch, its thread ends."""
    monkeypatch.setattr(_watchdog, "_REST", 0.1)
    others = set(watchers())
    watchdog = Watchdog()
    far = Reader(600.0, time.monotonic() + 600)
    near = Reader(0.05, time.monotonic() + 0.05)
    watchdog.watch(far, 600.0)
    (thread,) = set(watchers()) - others
    time.sleep(0.05)
    watchdog.watch(far, 700.0)  # which need not wake it
    watchdog.watch(near, 0.05)
    assert near.ended.wait(5)
    assert not far.ended.is_set()
    near.reading_until = far.reading_until
    near.limit = far.limit = None
    watchdog.watch(near, 0.0)
    del near, far
    thread.join(5)
    assert not thread.is_alive()


def test_it_begins_anew_in_a_forked_child() -> None:
    """The parent's thread is not there, and its lock may be held for ever."""
    watchdog, reader = Watchdog(), Reader(0.05, time.monotonic() + 0.05)
    others, lock = set(watchers()), watchdog._changed
    watchdog.watch(Reader(600.0, time.monotonic() + 600), 600.0)
    with lock:  # as another thread of the parent may have had it
        watchdog.begin_anew()
        watchdog.watch(reader, 0.05)
        assert reader.ended.wait(5)
        lock.notify_all()
    watchdog.unwatch([reader])
    eventually(lambda: set(watchers()) <= others)


def test_it_holds_nothing_while_it_rests() -> None:
    """What nobody else holds any more is gone at once, though its thread looks much later."""
    watchdog, reader = Watchdog(), Reader(600.0, time.monotonic() + 600)
    gone = weakref.ref(reader)
    watchdog.watch(reader, 600.0)
    eventually(lambda: watchdog._awake_at < inf)
    del reader
    assert gone() is None
    watchdog.unwatch([])
    assert watchdog._thread is None


def test_its_thread_has_ended_when_nothing_is_left_to_watch() -> None:
    """Whoever closes a client finds no thread left over, and the next one gets a new thread."""
    others = set(watchers())
    watchdog = Watchdog()
    first, second = (Reader(600.0, time.monotonic() + 600) for _ in range(2))
    watchdog.watch(first, 600.0)
    watchdog.watch(second, 600.0)
    watchdog.unwatch([first])
    assert set(watchers()) - others
    watchdog.unwatch([second])
    assert not set(watchers()) - others
    watchdog.unwatch([second])
    watchdog.watch(first, 600.0)
    assert set(watchers()) - others
    watchdog.unwatch([first])


def test_threads_that_come_and_go_at_once_leave_none_behind() -> None:
    """Whatever the order in which they begin and end, nobody waits for long."""
    others = set(watchers())
    watchdog = Watchdog()

    def come_and_go() -> None:
        for _ in range(200):
            reader = Reader(600.0, time.monotonic() + 600)
            watchdog.watch(reader, 600.0)
            watchdog.unwatch([reader])

    began = time.monotonic()
    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 10
    assert not set(watchers()) - others


def test_a_closed_source_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a moment, nor after a reconnect."""
    watchdog = Watchdog()
    for module in (stream, transport):
        monkeypatch.setattr(module, "watchdog", watchdog)
    others = set(watchers())
    with ScriptedServer([Connection(event("one")), Connection(event("two"))]) as server:
        with SyncReconnectingEventSource(
            server.url, policy=InstantRetries(ServerRetry())
        ) as source:
            for received in source:
                assert set(watchers()) - others
                if received.data == "two":
                    break
        assert not set(watchers()) - others


LEFT_OPEN = """
import sys
from resilient_sse import SyncReconnectingEventSource

def events():
    with SyncReconnectingEventSource(sys.argv[1]) as source:
        yield from source

left_open = events()
print(next(left_open).data)
"""


def test_a_source_that_only_the_end_of_the_program_closes() -> None:
    """By then the thread that watches is stopped, and nobody may wait for it."""
    with ScriptedServer([Connection(event("one"), ending=Ending.SILENCE)]) as server:
        done = subprocess.run(
            [sys.executable, "-c", LEFT_OPEN, server.url],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    assert (done.stdout, done.stderr) == ("one\n", "")


def test_nobody_waits_for_it_while_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same within this process, where the thread goes on."""
    watchdog = Watchdog()
    reader = Reader(600.0, time.monotonic() + 600)
    watchdog.watch(reader, 600.0)
    with monkeypatch.context() as ending:
        ending.setattr(sys, "is_finalizing", lambda: True)
        watchdog.unwatch([reader])
    assert watchdog._thread is not None
    watchdog.unwatch([reader])
    assert watchdog._thread is None


def test_a_response_is_left_to_the_system_while_the_interpreter_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closing it takes the time, and CPython 3.13.0 dies of that by then."""
    with ScriptedServer([Connection(event("one"), ending=Ending.SILENCE)]) as server:
        with SyncReconnectingEventSource(server.url) as source:
            next(source)
            response: Any = source.response
            with monkeypatch.context() as ending:
                ending.setattr(sys, "is_finalizing", lambda: True)
                source.close()
        assert source.state == "closed"
        assert not response.is_closed
        response.close()
