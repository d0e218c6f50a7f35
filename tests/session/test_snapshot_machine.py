"""A consumer that mirrors a server's state, with ``on_gap`` as a function that loads a snapshot.

The server changes its state, forgets its history and restarts with another epoch, at any moment. At
every quiet moment the consumer's state must be the server's: a hole would leave it behind for ever.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from resilient_sse import (
    Attempt,
    ConnectionState,
    Dialect,
    ExponentialBackoff,
    GapDetected,
    ServerSentEvent,
    StatusError,
    Verdict,
)
from resilient_sse._values.failure import Retry
from resilient_sse.dialects import resume_by_query
from tests.support.how_much import tries
from tests.support.session_settings import make_settings, outcome_of, session_of

pytestmark = pytest.mark.timeout(300)

KEPT = 5  # changes that the server can replay


def judge(event: ServerSentEvent) -> Verdict:
    """Say what the server's events mean."""
    return Verdict.GAP if event.event == "gap" else Verdict.DELIVER


def position(event: ServerSentEvent, _cursor: str) -> str | None:
    """Find the version in the payload."""
    version: str = event.json()["version"]
    return version


class Server:
    """A state, and as much of its history as the server remembers."""

    def __init__(self) -> None:
        self.state: dict[str, int] = {}
        self.history: list[tuple[str, int]] = []
        self.epoch = self.number = 0

    @property
    def version(self) -> str:
        """Where it is now."""
        return f"{self.epoch}:{self.number}"

    def change(self, key: str, value: int) -> bytes:
        """Change the state, and tell of it."""
        self.state[key] = value
        self.number += 1
        self.history = [*self.history, (key, value)][-KEPT:]
        return self._event(self.number, key, value)

    def restart(self) -> None:
        """Begin a history anew; the state stays."""
        self.history.clear()
        self.epoch, self.number = self.epoch + 1, 0

    def replay(self, cursor: str) -> bytes | None:
        """Return what came after a cursor; None if some of it is forgotten."""
        epoch, _, number = cursor.partition(":")
        oldest = self.number - len(self.history)
        if epoch != str(self.epoch) or int(number) < oldest:
            return None
        begin = int(number) - oldest
        rest = enumerate(self.history[begin:], int(number) + 1)
        return b"".join(self._event(at, *change) for at, change in rest)

    def _event(self, number: int, key: str, value: int) -> bytes:
        body = {"version": f"{self.epoch}:{number}", "key": key, "value": value}
        return f"data: {json.dumps(body)}\n\n".encode()


class Mirror(RuleBasedStateMachine):
    """The consumer; the machine plays the driver and the network as well."""

    @initialize(refuses=st.booleans(), cut=st.integers(1, 200))
    def born(self, refuses: bool, cut: int) -> None:
        self.server = Server()
        self.server.change("a", 0)
        self.refuses, self.cut, self.now = refuses, cut, 0.0
        self.wire = b""
        self.state: dict[str, int] = {}
        settings = make_settings(
            dialect=Dialect(judge=judge, position=position, resume=resume_by_query("after")),
            on_gap=self.load_snapshot,
            last_event_id=self.load_snapshot(None),
            policy=ExponentialBackoff(wait_jitter=0),
        )
        self.session = session_of(settings)

    def load_snapshot(self, _gap: GapDetected | None) -> str:
        """Be ``on_gap``: take over the state, and go on from its version."""
        self.state = dict(self.server.state)
        return self.server.version

    @property
    def open(self) -> bool:
        return self.session.state is ConnectionState.OPEN

    def step(self) -> bool:
        """Do what a driver does next; False if there is nothing to do but to wait for bytes."""
        session = self.session
        if (event := session.quick()) is not None:
            self.apply(event)
        elif taken := session.take(self.now, 1):
            self.apply(*taken)
        elif session.must_drop:
            session.lost(None, self.now)
        elif self.open and not self.wire:
            return False
        elif self.open:
            chunk, self.wire = self.wire[: self.cut], self.wire[self.cut :]
            session.received(chunk, self.now)
        else:
            self.connect()
        assert not session.finished, outcome_of(session)
        return True

    def apply(self, event: ServerSentEvent) -> None:
        change: Any = event.json()
        self.state[change["key"]] = change["value"]

    def connect(self) -> None:
        session = self.session
        step = session.step(self.now, lambda: True)
        if isinstance(step, Retry):
            self.now += step.seconds
            session.waited(self.now, again=True)
            step = session.step(self.now, lambda: True)
        if isinstance(step, GapDetected):
            session.recovered(self.load_snapshot(step), self.now)
            return
        assert isinstance(step, Attempt)
        session.requested(httpx.Request("GET", "http://h/"))
        replayed = self.server.replay(step.last_event_id)
        if replayed is None and self.refuses:
            refusal = httpx.Response(410, request=httpx.Request("GET", "http://h/"))
            session.lost(StatusError("gone", response=refusal), self.now)
            return
        assert session.connected(200, {}, self.now)
        self.wire = b"event: gap\ndata: x\n\n" if replayed is None else replayed

    # -- What may happen -----------------------------------------------------------------------

    @rule(key=st.sampled_from("abc"), value=st.integers(0, 9), times=st.integers(1, KEPT + 2))
    def changes(self, key: str, value: int, times: int) -> None:
        for more in range(times):
            told = self.server.change(key, value + more)
            self.wire += told if self.open else b""

    @rule(count=st.integers(1, 6))
    def some_steps(self, count: int) -> None:
        for _ in range(count):
            if not self.step():
                return

    @precondition(lambda self: self.open)
    @rule()
    def breaks(self) -> None:
        while taken := self.session.take(self.now, 1):
            self.apply(*taken)
        if not self.session.must_drop:
            self.session.lost(httpx.ReadError("reset"), self.now)

    @rule()
    def restarts(self) -> None:
        if self.open:
            self.breaks()
        self.server.restart()

    @rule()
    def falls_quiet(self) -> None:
        """All that was told has arrived: no hole."""
        for _ in range(100_000):  # perhaps a byte at a time
            if not self.step():
                break
        else:
            pytest.fail("it never falls quiet")
        assert self.state == self.server.state
        assert self.session.last_event_id == self.server.version


Mirror.TestCase.settings = settings(max_examples=tries(2000), stateful_step_count=20, deadline=None)
TestMirror = Mirror.TestCase
