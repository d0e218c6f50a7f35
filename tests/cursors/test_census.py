"""What one replica sees of the others, when they come, tell and forget."""

from __future__ import annotations

from resilient_sse.cursors import LeaseWanted
from resilient_sse.cursors._leases.census import Census
from resilient_sse.testing import MemoryLeaseEngine

OLD = frozenset("abcd")
NEW = frozenset("abcdef")


def test_one_that_has_not_told_yet_gets_nothing() -> None:
    """It is there, and tells in the next moment."""
    engine = MemoryLeaseEngine()
    first, second = (engine("g", ttl=10) for _ in range(2))
    second.meet(1.0, "not told")
    census = Census(first, 1.0)
    assert census.share(OLD, ()) == OLD
    second.tell_streams("not told", list(NEW))
    assert census.share(OLD, ()) < OLD


def test_what_an_engine_forgets_is_told_again() -> None:
    """Also by a replica for which nothing has changed."""
    engine = MemoryLeaseEngine()
    first, second = (engine("g", ttl=10) for _ in range(2))
    census = Census(first, 1.0)
    census.share(OLD, ())
    engine.forget()
    census.share(OLD, ())
    other = Census(second, 1.0)
    other.share(OLD, ())
    assert set(other.members) == {first.owner, second.owner}
    assert {one.knows for one in other.members.values()} == {OLD}


def test_it_looks_now_and_then_although_nothing_has_changed() -> None:
    """Somebody may have given back what is this one's now."""
    engine = MemoryLeaseEngine()
    first, second = (engine("g", ttl=10) for _ in range(2))
    census, other = Census(first, 1.0), Census(second, 1.0)
    for name in "abc":
        first.grant([LeaseWanted(name)])
    share = frozenset[str]()
    for _ in range(6):
        other.share(OLD, ())
        share = census.share(OLD, share)
    assert len(share) == 2


def test_streams_that_are_replaced() -> None:
    """No stream at all is a set, too."""
    server = MemoryLeaseEngine()("g", ttl=10)
    census = Census(server, 1.0)
    assert census.share(frozenset(), ()) == frozenset()
    assert census.share(OLD, ()) == OLD
    assert census.share(NEW, OLD) == NEW
    assert census.share(frozenset(), NEW) == frozenset()
