"""The lease protocol through thousands of lives: real scripts in a real Redis, invented clocks.

Every replica has a clock of its own, that starts anywhere and runs a little fast or slow. Requests
take time, and a replica may stall before it sends or after it is answered. The server restarts
empty or from an old snapshot. Whatever happens, no two replicas believe that they hold the lease,
and nobody who lost it changes the cursor.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from resilient_sse.cursors import LeaseLost, _scripts
from resilient_sse.cursors._lease_core import Held, Leases
from resilient_sse.cursors._redis import Redis
from tests.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [needs_redis, pytest.mark.timeout(240)]

TTL = 10.0
REPLICAS = range(3)
SPACE = "test:{machine}"
# Clocks of computers differ by some parts in 10,000; this is a hundred times as much.
SPEEDS = st.sampled_from([0.98, 1.0, 1.02])
DELAYS = st.sampled_from([0.0, 0.1, 3.0, 9.0, 30.0])


class InventedTime(Redis):
    """Runs the scripts with the world's time and server instead of the real ones."""

    def __init__(self, client: Any, world: World) -> None:
        super().__init__(client)
        self._world = world
        self.before = self.after = 0.0

    def script(self, script: str, keys: Sequence[str], words: Sequence[object]) -> Any:
        """Take time to arrive, run, and take time to answer."""
        world = self._world
        world.time += self.before
        now = world.time * world.server_speed * 1000 + 1e12
        script = script.replace(_scripts.CLOCK, f"local now = {now:.3f}")
        script = script.replace(_scripts.RUN, f"local run = '{world.run}'")
        assert script.count("redis.call('TIME')") == 0
        answer = self.call("EVAL", script, len(keys), *keys, *words)
        world.time += self.after
        self.before = self.after = 0.0
        return answer


class World(RuleBasedStateMachine):
    """Three replicas, one lease, one server."""

    client: Any = None

    @initialize(
        speeds=st.tuples(SPEEDS, SPEEDS, SPEEDS),
        offsets=st.tuples(*[st.floats(0, 1e6)] * 3),
        server_speed=SPEEDS,
    )
    def born(
        self, speeds: tuple[float, ...], offsets: tuple[float, ...], server_speed: float
    ) -> None:
        """The replicas, with clocks of their own; the server, new."""
        self.client.flushall()
        self.time = 0.0
        self.server_speed = server_speed
        self.run = 1
        self.snapshot: dict[bytes, bytes] = {}
        self.redis = [InventedTime(self.client, self) for _ in REPLICAS]
        self.leases = [
            Leases(
                self.redis[which],
                SPACE,
                TTL,
                clock=partial(self.clock, speeds[which], offsets[which]),
            )
            for which in REPLICAS
        ]
        # Every grant of each replica, the last of which it may believe in.
        self.grants: list[list[Held]] = [[] for _ in REPLICAS]
        self.tokens: list[int] = []
        self.cursor = 0
        self.lost_data = False

    def clock(self, speed: float, offset: float) -> float:
        """A replica's clock."""
        return self.time * speed + offset

    def holders(self) -> list[int]:
        """Who believes that it holds the lease."""
        return [which for which in REPLICAS if any(held.valid for held in self.grants[which])]

    def stored(self) -> int:
        """The cursor in Redis."""
        entry = self.client.hget(f"{SPACE}:cursors", "stream")
        return int(entry.split()[2]) if entry else 0

    @rule(seconds=st.sampled_from([0.5, 2.5, 5.0, 9.4, 9.6, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        """For everyone."""
        self.time += seconds

    @rule(which=st.sampled_from(REPLICAS), before=DELAYS, after=DELAYS)
    def acquire(self, which: int, before: float, after: float) -> None:
        """A replica asks, and the request and the answer take their time."""
        self.redis[which].before, self.redis[which].after = before, after
        answer = self.leases[which].acquire(["stream"])["stream"]
        if isinstance(answer, Held):
            self.grants[which].append(answer)
            assert all(answer.token > token for token in self.tokens), "tokens grow"
            self.tokens.append(answer.token)

    @precondition(lambda self: self.holders())
    @rule(before=DELAYS, after=DELAYS)
    def renew(self, before: float, after: float) -> None:
        """The holder asks for more time."""
        (which,) = self.holders()
        self.redis[which].before, self.redis[which].after = before, after
        self.leases[which].renew()

    @precondition(lambda self: self.holders())
    @rule()
    def save(self) -> None:
        """Whoever holds the lease saves the next cursor."""
        (which,) = self.holders()
        held = self.grants[which][-1]
        self.cursor += 1
        try:
            held.save("", str(self.cursor))
        except LeaseLost:
            assert not held.valid
            assert self.lost_data, "a holder's save fails only if the server forgot who holds"
        else:
            assert self.stored() == self.cursor

    @rule(which=st.sampled_from(REPLICAS), data=st.data())
    def save_late(self, which: int, data: st.DataObject) -> None:
        """A save of a former holder arrives; it fails if anyone else was granted the lease."""
        former = [held for held in self.grants[which] if not held.valid]
        if not former:
            return
        held = data.draw(st.sampled_from(former))
        before = self.stored()
        superseded = held.token < max(self.tokens)
        try:
            held.save("", "-1")
        except LeaseLost:
            assert self.stored() == before
        else:
            assert not superseded or self.lost_data
            self.client.hset(f"{SPACE}:cursors", "stream", f"machine 1 {before}")

    @precondition(lambda self: self.holders())
    @rule()
    def release(self) -> None:
        """The holder gives the lease back."""
        (which,) = self.holders()
        self.leases[which].release([self.grants[which][-1]])

    @rule()
    def server_takes_a_snapshot(self) -> None:
        """As it does for its disk, or for a replica of its own."""
        self.snapshot = {key: self.client.dump(key) for key in self.client.keys("test:*")}

    @rule(empty=st.booleans())
    def server_restarts(self, empty: bool) -> None:
        """It comes back with nothing, or with what it had some time ago."""
        self.client.flushall()
        if not empty:
            for key, value in self.snapshot.items():
                self.client.restore(key, 0, value)
        self.run += 1
        self.lost_data = True

    @invariant()
    def one_holder(self) -> None:
        """No two replicas believe that they hold the lease."""
        assert len(self.holders()) <= 1


def test_one_replica_holds_the_lease_whatever_happens() -> None:
    """The state machine, with a server of its own."""
    with RedisServer() as server:
        World.client = server.client
        run_state_machine_as_test(
            World,
            settings=settings(
                max_examples=150,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


def test_the_machine_finds_a_missing_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the quarantine of a new server, two replicas would hold the lease: it finds that."""
    monkeypatch.setattr(
        _scripts, "ACQUIRE", _scripts.ACQUIRE.replace("local wait = quarantine", "local wait = 0")
    )
    with RedisServer() as server, pytest.raises(AssertionError):  # noqa: PT012 - the whole life is what fails
        World.client = server.client
        run_state_machine_as_test(
            World,
            settings=settings(
                max_examples=5000,
                stateful_step_count=20,
                derandomize=True,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
