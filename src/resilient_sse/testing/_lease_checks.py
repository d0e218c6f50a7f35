"""What holds on every engine of leases: checks for whoever writes another one."""

from __future__ import annotations

import time
import uuid
from functools import wraps
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio

from resilient_sse.cursors import LeaseSave, LeaseWanted, SavedCursor

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors import LeaseAnswer, LeaseMember, LeaseServer

    Make: TypeAlias = Callable[..., LeaseServer]
    Check: TypeAlias = Callable[[Make], None]

_TTL: Final = 1.0
_LONG: Final = 3.0
_ODD: Final = ("a b", "é\n'\"\\", "%s {x} $1", "https://example.com/events?a=b&c=d", "x" * 500)


class _Replica:
    """One replica of a group of its own, or of another one's.

    Args:
        make: Makes its server.
        like: The other one.
        ttl: Seconds that a lease lasts.
    """

    def __init__(self, make: Make, like: _Replica | None = None, ttl: float = _LONG) -> None:
        self.group: str = like.group if like else f"check {uuid.uuid4().hex}"
        self.ttl: float = like.ttl if like else ttl
        self.server: LeaseServer = make(self.group, ttl=self.ttl)
        self._number = 0

    def ask(
        self, name: str = "x", highest: int = 0, known: SavedCursor | None = None
    ) -> LeaseAnswer:
        """Ask once."""
        (answer,) = self.server.grant([LeaseWanted(name, highest, known or SavedCursor())])
        return answer

    def get(self, name: str = "x") -> LeaseAnswer:
        """Ask until it is granted: an engine that was just started, or knows nobody, waits."""
        began = time.monotonic()
        while not (answer := self.ask(name)).token:
            assert time.monotonic() - began < 3 * self.ttl + 10, "a free lease is granted"
            assert answer.seconds > 0, "who is to wait is told for how long"
            time.sleep(min(answer.seconds, 0.2))
        return answer

    def word(self, token: int, cursor: str = "", name: str = "x", number: int = 0) -> LeaseSave:
        """Make a save with the next number, or a given one."""
        self._number += 1
        return LeaseSave(name, token, number or self._number, cursor)

    def save(self, token: int, cursor: str, name: str = "x", number: int = 0) -> bool:
        """Save one cursor."""
        (kept,) = self.server.save([self.word(token, cursor, name, number)])
        return bool(kept)

    def renew(self, token: int) -> bool:
        """Renew one lease."""
        (kept,) = self.server.renew([self.word(token)])
        return bool(kept)

    def meet(self, weight: float = 1.0, streams: str = "") -> dict[str, LeaseMember]:
        """Say that it is there."""
        return {one.owner: one for one in self.server.meet(weight, streams)}

    def pass_on(self, other: _Replica, token: int) -> LeaseAnswer:
        """Give the lease back, and have another one get it."""
        self.server.give_back([("x", token)])
        return other.get()


def _two(make: Make, ttl: float = _LONG) -> tuple[_Replica, _Replica]:
    first = _Replica(make, ttl=ttl)
    return first, _Replica(make, first)


def one_replica_at_a_time_holds_a_lease(make: Make) -> None:
    """Another one waits, and is told how long at most."""
    first, second = _two(make, _TTL)
    first.get()
    answer = second.ask()
    assert not answer.token
    assert 0 < answer.seconds <= _TTL
    assert second.get("y").token, "another lease is another lease"


def every_replica_has_a_name_of_its_own(make: Make) -> None:
    """Which does not change."""
    first, second = _two(make)
    assert first.server.owner == first.server.owner != second.server.owner
    assert first.server.place == second.server.place, "what is known is shared in a process"
    assert first.server.ttl == _LONG
    assert first.server.name == first.group


def a_lease_ends_after_its_time(make: Make) -> None:
    """Without anybody doing anything, and not before."""
    first, second = _two(make, _TTL)
    first.get()
    began = time.monotonic()
    second.get()
    assert time.monotonic() - began > 0.8 * _TTL


def a_lease_that_is_renewed_lasts(make: Make) -> None:
    """For as long as it is."""
    first, second = _two(make, _TTL)
    token = first.get().token
    for _ in range(6):
        time.sleep(_TTL / 4)
        assert first.renew(token)
        assert not second.ask().token


def a_lease_that_is_over_is_renewed_if_nobody_took_it(make: Make) -> None:
    """And not if somebody did."""
    first, second = _two(make, _TTL)
    token = first.get().token
    time.sleep(1.2 * _TTL)
    assert first.renew(token)
    assert not second.ask().token
    second.get()
    assert not first.renew(token)


def a_lease_that_is_given_back_is_free_at_once(make: Make) -> None:
    """And is not renewed; giving back what one does not hold changes nothing."""
    first, second = _two(make)
    token = first.get().token
    second.server.give_back([("x", token), ("never heard of", 1)])
    first.server.give_back([("x", token - 1)])
    assert not second.ask().token
    first.server.give_back([("x", token)])
    assert not first.renew(token)
    assert second.ask().token


def whoever_listens_may_be_told(make: Make) -> None:
    """An engine that tells nobody is as good; one that is told to stop stops, twice if need be."""
    first, second = _two(make)
    heard: list[float] = []
    stop = second.server.listen(lambda: heard.append(time.monotonic()))
    token = first.get().token
    first.server.give_back([("x", token)])
    time.sleep(0.3)
    stop()
    stop()
    told = len(heard)
    token = first.get().token
    first.server.give_back([("x", token)])
    time.sleep(0.3)
    assert len(heard) == told


def tokens_grow(make: Make) -> None:
    """With every grant, whoever gets it."""
    replicas = _two(make)
    tokens: list[int] = []
    for number in range(4):
        replica = replicas[number % 2]
        tokens.append(replica.get().token)
        tokens.append(replica.get().token)
        replica.server.give_back([("x", tokens[-1])])
    assert tokens == sorted(set(tokens))
    assert tokens[0] > 0


def the_cursor_comes_with_the_grant(make: Make) -> None:
    """The last one that was saved, with the token and the number of its save."""
    first, second = _two(make)
    answer = first.get()
    assert answer.saved == SavedCursor(), "nothing was saved yet"
    assert first.save(answer.token, "7")
    assert first.save(answer.token, "8")
    assert first.pass_on(second, answer.token).saved == SavedCursor(answer.token, 2, "8")


def whoever_waits_sees_the_cursor(make: Make) -> None:
    """So that it is not forgotten if the engine is, and the reader with it."""
    first, second = _two(make)
    token = first.get().token
    first.save(token, "7")
    assert second.ask().saved == SavedCursor(token, 1, "7")


def a_save_under_an_older_token_is_refused(make: Make) -> None:
    """It changes nothing."""
    first, second = _two(make)
    old = first.get().token
    first.save(old, "7")
    new = first.pass_on(second, old).token
    assert not first.save(old, "8")
    assert second.save(new, "9")
    assert not first.save(old, "10")
    assert second.pass_on(first, new).saved.cursor == "9"


def a_save_that_comes_late_changes_nothing(make: Make) -> None:
    """It is taken: whoever sent it holds the lease, and need not try again."""
    first, second = _two(make)
    token = first.get().token
    assert first.save(token, "8", number=8)
    assert first.save(token, "7", number=7)
    assert first.pass_on(second, token).saved.cursor == "8"


def an_empty_cursor_is_one(make: Make) -> None:
    """The server of a stream may take its id back."""
    first, second = _two(make)
    token = first.get().token
    assert first.save(token, "7")
    assert first.save(token, "")
    assert first.pass_on(second, token).saved == SavedCursor(token, 2, "")


def what_a_replica_knows_is_taken(make: Make) -> None:
    """Also from one that waits; and what it knows to be older is not."""
    first, second = _two(make)
    token = first.get().token
    first.save(token, "7")
    assert second.ask(known=SavedCursor(token - 1, 9, "6")).saved.cursor == "7"
    assert second.ask(known=SavedCursor(token, 9, "8")).saved.cursor == "8"
    assert first.pass_on(second, token).saved.cursor == "8"


def the_next_token_exceeds_what_is_known(make: Make) -> None:
    """Whether or not anything was saved under it."""
    first, second = _two(make)
    token = first.get().token
    first.server.give_back([("x", token)])
    higher = second.ask(highest=token + 1000).token
    assert higher > token + 1000
    second.server.give_back([("x", higher)])
    assert first.ask(known=SavedCursor(higher + 1000, 1, "7")).token > higher + 1000


def a_save_under_a_token_below_what_is_known_is_refused(make: Make) -> None:
    """Somebody was granted a newer one, which this engine has forgotten."""
    first, second = _two(make)
    token = first.get().token
    second.ask(known=SavedCursor(token + 1, 1, "9"))
    assert not first.save(token, "8")


def many_are_asked_for_at_once(make: Make) -> None:
    """Answers come in order, and one that is refused leaves the others alone."""
    first, second = _two(make)
    second.get("7")
    names = [str(number) for number in range(1000)]
    answers = first.server.grant([LeaseWanted(name) for name in names])
    assert [name for name, one in zip(names, answers, strict=True) if not one.token] == ["7"]
    words = [
        first.word(one.token, f"cursor {name}", name)
        for name, one in zip(names, answers, strict=True)
    ]
    expected = [name != "7" for name in names]
    assert [bool(kept) for kept in first.server.renew(words)] == expected
    assert [bool(kept) for kept in first.server.save(words)] == expected
    first.server.give_back([(word.name, word.token) for word in words])
    again = second.server.grant([LeaseWanted(name) for name in reversed(names)])
    found = {one.saved.cursor for one in again}
    assert found == {f"cursor {name}" for name in names if name != "7"} | {""}


def two_saves_of_one_lease_may_come_together(make: Make) -> None:
    """The newest one stays."""
    first, second = _two(make)
    token = first.get().token
    words = [first.word(token, "7"), first.word(token, "8"), first.word(token, "6", number=1)]
    assert [bool(kept) for kept in first.server.save(words)] == [True] * 3
    assert first.pass_on(second, token).saved.cursor == "8"


def nothing_may_be_asked_for(make: Make) -> None:
    """An empty request has an empty answer."""
    server = _Replica(make).server
    assert [*server.grant([]), *server.renew([]), *server.save([])] == []
    server.give_back([])


def any_text_is_a_name_or_a_cursor(make: Make) -> None:
    """Whatever stands in it."""
    first, second = _two(make)
    for text in _ODD:
        token = first.get(text).token
        assert first.save(token, text, name=text)
        assert second.ask(text).saved.cursor == text


def saving_without_blocking_is_the_same(make: Make) -> None:
    """On asyncio and on trio."""
    first, second = _two(make)
    token = first.get().token

    async def save(cursor: str) -> None:
        words = [first.word(token, cursor), first.word(token - 1, "older")]
        assert [bool(kept) for kept in await first.server.asave(words)] == [True, False]
        await first.server.aclose()

    anyio.run(save, "7", backend="asyncio")
    anyio.run(save, "8", backend="trio")
    assert first.pass_on(second, token).saved.cursor == "8"


def replicas_meet_and_leave(make: Make) -> None:
    """One that says nothing for a while is not there any more."""
    first, second = _two(make, _TTL)
    me, other = first.server.owner, second.server.owner
    assert list(first.meet()) == [me]
    assert set(second.meet()) == {me, other}
    assert set(first.meet()) == {me, other}
    second.server.leave()
    assert list(first.meet()) == [me]
    second.meet()
    time.sleep(1.2 * _TTL)
    assert list(first.meet()) == [me]
    assert not _Replica(make).meet().keys() & {me, other}, "another group is another group"


def replicas_tell_what_they_know(make: Make) -> None:
    """How much they take on, and which streams they know, which is told once for all."""
    first, second = _two(make)
    assert not first.meet(2.5, "digest")[first.server.owner].known
    first.server.tell_streams("digest", list(_ODD))
    found = second.meet(1.0, "other")
    assert found[first.server.owner] == (first.server.owner, 2.5, "digest", True)
    assert found[second.server.owner] == (second.server.owner, 1.0, "other", False)
    told = second.server.ask_streams(["digest", "other"])
    assert {digest: list(names) for digest, names in told.items()} == {"digest": list(_ODD)}
    second.server.tell_streams("other", [])
    assert second.meet(1.0, "other")[second.server.owner].known
    assert list(first.server.ask_streams(["other"])["other"]) == []


def everybody_sees_who_holds_what(make: Make) -> None:
    """Without what was given back, or is over."""
    first, second = _two(make, _TTL)
    assert dict(first.server.holders()) == {}
    tokens = {name: first.get(name).token for name in _ODD}
    second.get("x")
    found = dict.fromkeys(_ODD, first.server.owner) | {"x": second.server.owner}
    assert dict(second.server.holders()) == found
    first.server.give_back([(_ODD[0], tokens[_ODD[0]])])
    assert _ODD[0] not in first.server.holders()
    time.sleep(1.2 * _TTL)
    assert dict(first.server.holders()) == {}


def what_is_closed_is_opened_again(make: Make) -> None:
    """When it is needed."""
    replica = _Replica(make)
    token = replica.get().token
    replica.server.close()
    assert replica.renew(token)
    replica.server.close()
    replica.server.close()


def a_mistake_is_no_outage(make: Make) -> None:
    """Waiting does not help, so whoever asks is told."""
    assert not _Replica(make).server.is_outage(TypeError("a mistake"))


def lease_checks() -> tuple[Callable[[Callable[..., LeaseServer]], None], ...]:
    """Return what shows whether a `LeaseServer` keeps what it promises.

    These are functions. Each takes a callable that takes the name of a group and the keyword
    ``ttl``, and makes the server of another replica on every call. It raises an `AssertionError`
    for what does not hold. All of them take some seconds; a minute on an engine that grants nothing
    to a new group for one ``ttl``.
    """
    return tuple(
        map(
            _closing,
            (
                one_replica_at_a_time_holds_a_lease,
                every_replica_has_a_name_of_its_own,
                a_lease_ends_after_its_time,
                a_lease_that_is_renewed_lasts,
                a_lease_that_is_over_is_renewed_if_nobody_took_it,
                a_lease_that_is_given_back_is_free_at_once,
                whoever_listens_may_be_told,
                tokens_grow,
                the_cursor_comes_with_the_grant,
                whoever_waits_sees_the_cursor,
                a_save_under_an_older_token_is_refused,
                a_save_that_comes_late_changes_nothing,
                an_empty_cursor_is_one,
                what_a_replica_knows_is_taken,
                the_next_token_exceeds_what_is_known,
                a_save_under_a_token_below_what_is_known_is_refused,
                many_are_asked_for_at_once,
                two_saves_of_one_lease_may_come_together,
                nothing_may_be_asked_for,
                any_text_is_a_name_or_a_cursor,
                saving_without_blocking_is_the_same,
                replicas_meet_and_leave,
                replicas_tell_what_they_know,
                everybody_sees_who_holds_what,
                replicas_tell_what_they_know,
                everybody_sees_who_holds_what,
                what_is_closed_is_opened_again,
                a_mistake_is_no_outage,
            ),
        )
    )


def _closing(check: Check) -> Check:
    """Close all servers that a check has made."""

    @wraps(check)
    def run(make: Make) -> None:
        made: list[LeaseServer] = []

        def make_one(name: str, *, ttl: float) -> LeaseServer:
            made.append(make(name, ttl=ttl))
            return made[-1]

        try:
            check(make_one)
        finally:
            for server in made:
                server.close()

    return run
