"""The lease protocol through thousands of lives: real scripts in a real Redis, invented clocks.

Every replica has a clock of its own, that starts anywhere and runs a little fast or slow. Requests
take time, and a replica may stall before it sends or after it is answered. The server restarts
empty or from an old snapshot, or its clock goes back. Whatever happens, no two replicas believe
that they hold the lease, nobody who lost it changes the cursor, tokens grow, and no event is passed
over.

A model that cannot fail proves nothing: the last tests break the protocol in every way that we
could think of, one at a time, and want each found.
"""

from __future__ import annotations

from contextlib import contextmanager
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

from resilient_sse.cursors import LeaseLost, _leases, _scripts
from resilient_sse.cursors._held import Held
from resilient_sse.cursors._leases import Leases
from resilient_sse.cursors._redis_client import Redis
from tests.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

pytestmark = [needs_redis, pytest.mark.timeout(240)]

TTL = 10.0
REPLICAS = range(3)
SPACE = "test:{machine}"
# Clocks of computers differ by some parts in 10,000; this is a hundred times as much.
SPEEDS = st.sampled_from([0.98, 1.0, 1.02])
DELAYS = st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.1, 3.0, 9.0, 30.0])


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
        now = (world.time * world.server_speed - world.went_back) * 1000 + 1e12
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
        forgets=st.booleans(),
    )
    def born(
        self,
        speeds: tuple[float, ...],
        offsets: tuple[float, ...],
        server_speed: float,
        *,
        forgets: bool,
    ) -> None:
        """The replicas, with clocks of their own; the server, new."""
        self.client.flushall()
        self.time = 0.0
        self.server_speed = server_speed
        self.went_back = 0.0
        # Tokens come from the server's clock once it forgot the last one: not both can go wrong.
        self.forgets = forgets
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
        self.position: dict[Held, int] = {}
        self.handled: set[int] = set()
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
            self.position[answer] = int(answer.load("") or 0)
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
    @rule(before=DELAYS, after=DELAYS)
    def handle(self, before: float, after: float) -> None:
        """Whoever holds the lease handles the next event and saves; which may take its time."""
        (which,) = self.holders()
        (held,) = [held for held in self.grants[which] if held.valid]
        assert held is self.grants[which][-1]
        self.position[held] += 1
        self.handled.add(self.position[held])
        self.redis[which].before, self.redis[which].after = before, after
        try:
            held.save("", str(self.position[held]))
        except LeaseLost:
            assert not held.valid
            assert self.lost_data, "a holder's save fails only if the server forgot who holds"
        else:
            assert self.stored() == self.position[held]

    @precondition(lambda self: self.holders())
    @rule()
    def handle_without_saving(self) -> None:
        """The program is killed, or the store out of reach, before it is saved."""
        (which,) = self.holders()
        held = self.grants[which][-1]
        self.handled.add(self.position[held] + 1)

    def former(self, which: int, data: st.DataObject) -> tuple[Held, bool] | None:
        """Pick a grant that is over, and say whether Redis must know that of a newer one."""
        found = [held for held in self.grants[which] if not held.valid]
        if not found:
            return None
        held = data.draw(st.sampled_from(found))
        return held, held.token < max(self.tokens) and not self.lost_data

    @rule(which=st.sampled_from(REPLICAS), data=st.data())
    def renew_late(self, which: int, data: st.DataObject) -> None:
        """A renewal of a former holder was long on its way; it takes nothing from a newer one."""
        if found := self.former(which, data):
            held, superseded = found
            words = (held.name, held.token, *held.saved)
            request = self.leases[which].request(_scripts.RENEW, *words)
            assert self.redis[which].script(*request) == [0] or not superseded

    @rule(which=st.sampled_from(REPLICAS), data=st.data())
    def release_late(self, which: int, data: st.DataObject) -> None:
        """So was a release."""
        if found := self.former(which, data):
            words = (found[0].name, found[0].token)
            self.redis[which].script(*self.leases[which].request(_scripts.RELEASE, *words))

    @rule(which=st.sampled_from(REPLICAS), data=st.data())
    def save_late(self, which: int, data: st.DataObject) -> None:
        """A save of a former holder arrives; it fails if anyone else was granted the lease."""
        found = self.former(which, data)
        if not found:
            return
        held, superseded = found
        before = self.stored()
        try:
            held.save("", str(self.position[held]))
        except LeaseLost:
            assert self.stored() == before
        else:
            assert not superseded

    @precondition(lambda self: self.holders())
    @rule()
    def release(self) -> None:
        """The holder gives the lease back."""
        (which,) = self.holders()
        self.leases[which].release([self.grants[which][-1]])

    @precondition(lambda self: not self.forgets)
    @rule(seconds=st.sampled_from([1.0, 20.0, 4000.0]))
    def server_clock_goes_back(self, seconds: float) -> None:
        """Somebody sets it, or a new master has another one."""
        self.went_back += seconds

    @rule()
    def server_takes_a_snapshot(self) -> None:
        """As it does for its disk, or for a replica of its own."""
        self.snapshot = {key: self.client.dump(key) for key in self.client.keys("test:*")}

    @precondition(lambda self: self.forgets)
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

    @invariant()
    def nothing_is_passed_over(self) -> None:
        """Whoever goes on from the cursor misses nothing: all before it was handled."""
        assert self.handled >= set(range(1, self.stored() + 1))


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


# What is broken, in which script, and how. Each was a line of the protocol that seemed to matter.
BROKEN_SCRIPTS = {
    "no quarantine": ("ACQUIRE", "local wait = quarantine", "local wait = 0"),
    "owner is not looked at": ("ACQUIRE", "holder and holder ~= owner", "false"),
    "expiry is not looked at": ("ACQUIRE", "math.max(wait, expires - now)", "wait"),
    "token starts anew": ("ACQUIRE", "math.max(latest + 1, now * 1000)", "now * 1000 - latest"),
    "token stays": ("ACQUIRE", "math.max(latest + 1, now * 1000)", "math.max(latest, 1)"),
    "any save is taken": ("SAVE", "not holds(name, token)", "false"),
    "save looks at the owner only": ("SAVE", "and latest == token", ""),
    "renewal is for everyone": ("RENEW", "not given_back and holds(name, token)", "true"),
    "quarantine takes any token": ("RENEW", "quarantine > 0 and latest < token", "quarantine > 0"),
    "a new server is not noted": ("ACQUIRE", "known[1] ~= run or", "not since or"),
    "release is for everyone": (
        "RELEASE",
        "if holder == owner and latest == token then grant(name, token, 0)",
        "if true then grant(name, token, 0)",
    ),
}


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, script: str, right: str, wrong: str) -> Generator[None]:
    """Change one line of a script."""
    text = getattr(_scripts, script)
    assert text.count(right) == 1
    with monkeypatch.context() as patch:
        patch.setattr(_scripts, script, text.replace(right, wrong))
        yield


def search(*, derandomize: bool = True) -> None:
    """Look for a life in which something goes wrong."""
    with RedisServer() as server:
        World.client = server.client
        run_state_machine_as_test(
            World,
            settings=settings(
                max_examples=2500,
                stateful_step_count=50,
                derandomize=derandomize,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


def search_on() -> None:
    """Search again if nothing was found: it also depends on which modules were imported so far."""
    for derandomize in (True, False, False):
        search(derandomize=derandomize)


@pytest.mark.alone
@pytest.mark.parametrize("what", BROKEN_SCRIPTS)
def test_the_machine_finds_a_broken_script(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of the protocol, as Redis runs it, is wrong: some life ends badly."""
    with broken(monkeypatch, *BROKEN_SCRIPTS[what]), pytest.raises((AssertionError, ValueError)):
        search_on()


def renew_from_the_answer(self: Leases, renew: Any = Leases.renew) -> None:
    """Count the time of a lease from when the answer came, not from when it was asked for."""
    renew(self)
    for held in self.held.values():
        held.until = self._until()


def believe_for_ever(self: Leases) -> float:
    """Wait for Redis to say that it is lost."""
    return self.clock() + 1e9


BROKEN_CODE: dict[str, Any] = {
    "renewed from the answer": (Leases, "renew", renew_from_the_answer, 9.0, 2.0),
    "no margin for clocks": (_leases, "_SAFETY", 0.0, 0.0, 9.9),
    "its own clock is not looked at": (Leases, "_until", believe_for_ever, 0.0, 20.0),
}


def live(answer_takes: float, then: float) -> None:
    """One life, with the slowest clock and the fastest server, that takes luck to be found."""
    world = World()
    world.born((0.98, 1.0, 1.0), (0.0, 0.0, 0.0), server_speed=1.02, forgets=False)
    world.acquire(0, 0.0, 0.0)
    world.time_passes(TTL)
    world.acquire(0, 0.0, 0.0)
    assert world.holders() == [0]
    world.renew(0.0, answer_takes)
    assert world.holders() == [0]
    world.time_passes(then)
    world.acquire(1, 0.0, 0.0)
    world.one_holder()
    assert world.holders() == [1]


@pytest.mark.parametrize(("answer_takes", "then"), [(0.0, 9.9), (9.0, 2.0), (0.0, 20.0)])
def test_a_life_on_the_edge(answer_takes: float, then: float) -> None:
    """The holder stops believing before the server grants the lease to the next one."""
    with RedisServer() as server:
        World.client = server.client
        live(answer_takes, then)


@pytest.mark.parametrize("what", BROKEN_CODE)
def test_broken_code_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replica's side of the protocol is wrong: a life on the edge ends badly."""
    *wrong, answer_takes, then = BROKEN_CODE[what]
    monkeypatch.setattr(*wrong)
    with RedisServer() as server:
        World.client = server.client
        with pytest.raises(AssertionError):
            live(answer_takes, then)
