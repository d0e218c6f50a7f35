"""Which replicas there are, what each of them knows, and what that leaves for this one."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from resilient_sse.cursors._leases.shares import Member, assign

if TYPE_CHECKING:
    from collections.abc import Collection

    from resilient_sse.cursors._leases.protocol import LeaseMember, LeaseServer

_LOOKS: Final = 5  # after so many it looks who holds what, although nothing has changed


class Census:
    """This replica's view of its group.

    Args:
        server: The engine.
        weight: How much this replica takes on, compared with the others.
    """

    def __init__(self, server: LeaseServer, weight: float) -> None:
        self.members: dict[str, Member] = {}
        self._server = server
        self._weight = weight
        self._sets: dict[str, frozenset[str]] = {}
        self._own = ("", frozenset[str]())
        self._share: frozenset[str] = frozenset()
        self._looks = 0

    @property
    def streams(self) -> frozenset[str]:
        """The streams that any of them knows."""
        return frozenset[str]().union(*{one.knows for one in self.members.values()})

    def share(self, urls: frozenset[str], held: Collection[str]) -> frozenset[str]:
        """Return the streams that are this replica's.

        Args:
            urls: Those that it knows.
            held: Those whose lease it has.
        """
        members, before = self._meet(urls), self.members
        self._looks = (self._looks + 1) % _LOOKS
        if members != before or self._share != frozenset(held) or not self._looks:
            self.members = members
            owners = assign(members, self._server.holders())
            me = self._server.owner
            self._share = frozenset(url for url, owner in owners.items() if owner == me)
        return self._share

    def _meet(self, urls: frozenset[str]) -> dict[str, Member]:
        digest = self._digest(urls)
        found = {one.owner: one for one in self._server.meet(self._weight, digest)}
        if not found[self._server.owner].known:
            self._server.tell_streams(digest, sorted(urls))
        self._learn({one.streams for one in found.values()})
        return {owner: self._member(one) for owner, one in found.items()}

    def _member(self, one: LeaseMember) -> Member:
        # One that has just come may not have told yet what it knows.
        return Member(one.weight, self._sets.get(one.streams, frozenset()))

    def _learn(self, digests: set[str]) -> None:
        self._sets = {digest: known for digest, known in self._sets.items() if digest in digests}
        if unknown := digests - self._sets.keys():
            told = self._server.ask_streams(sorted(unknown))
            self._sets |= {digest: frozenset(names) for digest, names in told.items()}

    def _digest(self, urls: frozenset[str]) -> str:
        if self._own[1] is not urls or not self._own[0]:
            text = "\n".join(sorted(urls)).encode()
            self._own = (blake2b(text, digest_size=16).hexdigest(), urls)
        self._sets[self._own[0]] = urls
        return self._own[0]
