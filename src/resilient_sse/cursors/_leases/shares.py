"""Who is to read which stream: even shares that move as little as possible.

Every replica that knows the same comes to the same answer. It starts from who holds what now. A
member's quota is its weighted share of all streams, rounded down or up; who holds more than that
gives some away, and what nobody holds goes to who is below it. A stream is read by one who knows
it, even above the quota: during a rolling deploy replicas know different streams.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["preferred_owner"]

_NEARLY: Final = 1e-9  # what sums of weights may be off by


class Member(NamedTuple):
    """A replica, as the others see it."""

    weight: float
    """How much it takes on, compared with the others."""
    knows: frozenset[str]
    """The streams that it could read."""


def preferred_owner(url: str, members: Iterable[str]) -> str:
    """Return which of several members a stream goes to: the one with the highest hash of both.

    This is rendezvous hashing (Thaler and Ravishankar 1996). `StreamGroup` decides with it among
    the replicas that are below their share.

    Args:
        url: The stream.
        members: The replicas; at least one.

    Raises:
        ValueError: If there are no members.
    """
    return max(members, key=lambda member: _rank(url, member))


def assign(members: Mapping[str, Member], holders: Mapping[str, str]) -> dict[str, str]:
    """Say who is to read each stream that anybody knows.

    Args:
        members: The replicas that are there, by name; at least one.
        holders: Who holds the lease of each stream now.
    """
    knowing = {owner: one for owner, one in sorted(members.items()) if one.knows}
    return _Assignment(knowing, holders).made()


class _Assignment:
    def __init__(self, members: Mapping[str, Member], holders: Mapping[str, str]) -> None:
        self._members = members
        self._streams = sorted(_all(members))
        self._knowing = {
            url: [owner for owner, one in members.items() if url in one.knows]
            for url in self._streams
        }
        self._owners = {
            url: holders[url] for url in self._streams if holders.get(url) in self._knowing[url]
        }
        self._load = dict.fromkeys(members, 0)
        for owner in self._owners.values():
            self._load[owner] += 1
        self._quota = self._quotas()

    def made(self) -> dict[str, str]:
        free = [url for url in self._streams if url not in self._owners]
        # Those that few know come first: the others have more to choose from.
        for url in sorted(free, key=lambda url: (len(self._knowing[url]), url)):
            self._give(url, self._below(url) or self._lightest(url))
        moved = True
        while moved:  # whoever got a stream may pass on another one
            busy = [one for one in self._members if self._load[one] > self._quota[one]]
            moved = sum(map(self._relieve, busy)) > 0
        return self._owners

    def _quotas(self) -> dict[str, int]:
        total = sum(one.weight for one in self._members.values())
        shares = {
            owner: len(self._streams) * one.weight / total for owner, one in self._members.items()
        }
        quota = {owner: int(share + _NEARLY) for owner, share in shares.items()}
        # Who holds more already is rounded up first.
        rounded = sorted(
            (owner for owner in quota if shares[owner] - quota[owner] > _NEARLY),
            key=lambda owner: (self._load[owner] <= quota[owner], _rank("", owner), owner),
        )
        for owner in rounded[: len(self._streams) - sum(quota.values())]:
            quota[owner] += 1
        return quota

    def _relieve(self, owner: str) -> bool:
        """Move streams away from a member above its quota; say whether any was."""
        moved = False
        for url in self._least_wanted(owner):
            if self._load[owner] <= self._quota[owner]:
                return moved
            if better := self._below(url) or self._lighter(url, owner):
                self._give(url, better)
                moved = True
        return self._pass_on(owner) or moved

    def _pass_on(self, owner: str) -> bool:
        """Have one that takes a stream pass on another, to where the first may not go."""
        if self._load[owner] <= self._quota[owner]:
            return False
        came: dict[str, tuple[str, str]] = {}  # from whom to whom with which stream
        queue = [owner]
        for giver in queue:
            for url in self._least_wanted(giver):
                for taker in self._knowing[url]:
                    if taker in came or taker == owner:
                        continue
                    came[taker] = (giver, url)
                    queue.append(taker)
                    if self._load[taker] < self._quota[taker]:
                        self._move_along(came, taker)
                        return True
        return False

    def _move_along(self, came: dict[str, tuple[str, str]], taker: str) -> None:
        while taker in came:
            giver, url = came[taker]
            self._give(url, taker)
            taker = giver

    def _least_wanted(self, owner: str) -> list[str]:
        """Return a member's streams, those first that the hash would rather give others."""
        own = [url for url in self._streams if self._owners[url] == owner]
        return sorted(own, key=lambda url: _rank(url, owner))

    def _give(self, url: str, owner: str) -> None:
        if url in self._owners:
            self._load[self._owners[url]] -= 1
        self._owners[url] = owner
        self._load[owner] += 1

    def _below(self, url: str) -> str | None:
        """Choose among those that know a stream and have not got their share."""
        found = [owner for owner in self._knowing[url] if self._load[owner] < self._quota[owner]]
        return self._least(url, found) if found else None

    def _lightest(self, url: str) -> str:
        return self._least(url, self._knowing[url])

    def _least(self, url: str, owners: list[str]) -> str:
        """Choose the one that has the least to do; of equals the one that the hash prefers."""
        load, members = self._load, self._members
        least = min(load[owner] / members[owner].weight for owner in owners)
        equal = [owner for owner in owners if load[owner] / members[owner].weight <= least]
        return preferred_owner(url, equal)

    def _lighter(self, url: str, owner: str) -> str | None:
        """Choose one that has less to do than the owner, also after it got the stream."""
        other = self._lightest(url)
        # Half of the stream counts on either side, so that no two pass one back and forth.
        lighter = (self._load[other] + 0.5) / self._members[other].weight
        heavier = (self._load[owner] - 0.5) / self._members[owner].weight
        return other if lighter < heavier - _NEARLY else None


def _all(members: Mapping[str, Member]) -> frozenset[str]:
    return frozenset[str]().union(*(one.knows for one in members.values()))


def _rank(url: str, member: str) -> bytes:
    stream = blake2b(url.encode(), digest_size=16).digest()
    return blake2b(stream + member.encode(), digest_size=8).digest()
