"""Even shares: who is to read which stream, through thousands of joins, leaves and deploys."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_sse.cursors._leases.shares import Member, assign, preferred_owner
from tests.support.how_much import tries

NAMES = [f"https://example.com/{number}" for number in range(40)]
OWNERS = [f"replica {number}" for number in range(8)]
WEIGHTS = st.sampled_from([0.5, 1.0, 1.0, 1.0, 2.0, 3.0])
LEADS = [frozenset(NAMES[:count]) for count in (0, 1, 7, 12, 24)]


def spread(members: dict[str, Member], holders: dict[str, str]) -> dict[str, str]:
    """Assign, and check what holds always."""
    made = assign(members, holders)
    everything = frozenset[str]().union(*(one.knows for one in members.values()))
    assert made.keys() == everything, "every stream that somebody knows has a reader"
    assert all(url in members[owner].knows for url, owner in made.items()), "who knows it"
    check_rest(members, made)
    check_equals(members, assign(members, {}))
    assert assign(dict(reversed(members.items())), holders) == made, "all come to the same answer"
    return made


def check_rest(members: dict[str, Member], made: dict[str, str]) -> None:
    """Where all know the same it stays there; else it comes to rest soon."""
    rounds = 1 if len({one.knows for one in members.values()}) == 1 else 4
    for _ in range(rounds - 1):
        made = assign(members, made)
    assert assign(members, made) == made


def check_equals(members: dict[str, Member], made: dict[str, str]) -> None:
    """Those with one weight that know the same get the same to do, if nobody has anything."""
    counts = Counter(made.values())
    for kind in set(members.values()):
        loads = [counts[owner] for owner, one in members.items() if one == kind]
        assert max(loads) - min(loads) <= 1


def check_even(members: dict[str, Member], made: dict[str, str]) -> None:
    """Where all know the same, each has its weighted share, rounded down or up."""
    total = sum(Fraction(one.weight) for one in members.values())
    counts = Counter(made.values())
    for owner, one in members.items():
        share = len(made) * Fraction(one.weight) / total
        assert floor(share) <= counts[owner] <= ceil(share)


@pytest.mark.parametrize("shared", NAMES[:2])
def test_whichever_of_two_streams_may_go_does(shared: str) -> None:
    """The first that is looked at, or the last."""
    both = frozenset(NAMES[:2])
    members = {"full": Member(1.0, both), "idle": Member(1.0, frozenset({shared}))}
    made = assign(members, dict.fromkeys(both, "full"))
    assert made == dict.fromkeys(both, "full") | {shared: "idle"}


@settings(max_examples=tries(200))
@given(st.data())
def test_shares_are_even_and_little_moves(data: st.DataObject) -> None:
    """Whoever comes and goes, with whatever weights and streams."""
    members: dict[str, Member] = {}
    holders: dict[str, str] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        owner = data.draw(st.sampled_from(OWNERS))
        if owner in members and len(members) > 1 and data.draw(st.booleans()):
            del members[owner]
        else:
            members[owner] = Member(data.draw(WEIGHTS), data.draw(st.sampled_from(LEADS)))
        if data.draw(st.booleans()):  # a deploy is over
            knows = members[next(iter(members))].knows
            members = {name: one._replace(knows=knows) for name, one in members.items()}
        made = spread(members, holders)
        if len({one.knows for one in members.values()}) == 1:
            check_even(members, made)
            check_little_moved(members, holders, made)
        holders = made


def check_little_moved(
    members: dict[str, Member], holders: dict[str, str], made: dict[str, str]
) -> None:
    """Nobody gives anything away who has no more than its share."""
    had, has = Counter(holders[url] for url in made if url in holders), Counter(made.values())
    for owner in members:
        lost = sum(holders.get(url) == owner != made[url] for url in made)
        assert lost == max(0, had[owner] - has[owner])


@given(st.permutations(range(40)), st.integers(1, 8))
def test_replicas_that_see_it_at_different_times_come_to_rest(order: list[int], count: int) -> None:
    """Each gives back and takes by what it sees in its own moment, in any order."""
    members = {owner: Member(1.0, frozenset(NAMES)) for owner in OWNERS[:count]}
    holders = dict.fromkeys(NAMES, OWNERS[0])
    for number in [*order, *range(40)]:
        owner = OWNERS[number % count]
        share = {url for url, who in assign(members, holders).items() if who == owner}
        for url in NAMES:
            if holders.get(url) == owner and url not in share:
                del holders[url]
            elif url in share:
                holders.setdefault(url, owner)
    assert holders.keys() == set(NAMES)
    check_even(members, holders)


def test_ten_streams_on_five_replicas() -> None:
    """Two each; none is idle."""
    members = {owner: Member(1.0, frozenset(NAMES[:10])) for owner in OWNERS[:5]}
    assert set(Counter(spread(members, {}).values()).values()) == {2}


def test_a_rolling_deploy() -> None:
    """What only the new ones know is read by them, and all have the same to do."""
    old, new = Member(1.0, frozenset(NAMES[:20])), Member(1.0, frozenset(NAMES))
    members = {OWNERS[0]: old, OWNERS[1]: old, OWNERS[2]: new, OWNERS[3]: new}
    assert set(Counter(spread(members, {}).values()).values()) == {10}
    holders = {url: OWNERS[number % 2] for number, url in enumerate(NAMES[:20])}
    assert set(Counter(spread(members, holders).values()).values()) == {10}


def test_one_passes_on_what_another_may_not_have() -> None:
    """Who knows more gives what both know, and takes what only it knows."""
    old, new = Member(1.0, frozenset(NAMES[:20])), Member(1.0, frozenset(NAMES))
    members = {OWNERS[0]: old, OWNERS[1]: old, OWNERS[2]: new, OWNERS[3]: new}
    holders = dict.fromkeys(NAMES[:8], OWNERS[0]) | dict.fromkeys(NAMES[8:16], OWNERS[1])
    holders |= dict.fromkeys(NAMES[16:26], OWNERS[2]) | dict.fromkeys(NAMES[26:], OWNERS[3])
    assert set(Counter(spread(members, holders).values()).values()) == {10}


def test_there_must_be_somebody() -> None:
    """Else there is nobody to prefer."""
    with pytest.raises(ValueError, match="empty"):
        preferred_owner("https://example.com", [])
