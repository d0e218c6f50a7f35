"""What an engine has to do to keep leases, and what a source has to be told of one.

`LeaseServer` is what an engine implements; `Lease` is what stands between it and a source. The
rules that hold on every engine (until when a lease may be believed in, who renews it, what a
process remembers) are not an engine's business: they lie in this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

from resilient_sse.cursors._engine.memory import SavedCursor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from psycopg import AsyncConnection, Connection

__all__ = ["Lease", "LeaseAnswer", "LeaseMember", "LeaseSave", "LeaseServer", "LeaseWanted"]


class LeaseWanted(NamedTuple):
    """A lease that is asked for, and what whoever asks knows of it.

    Attributes:
        name: The lease.
        highest: The highest token known; 0 for none.
        known: The newest cursor known.
    """

    name: str
    highest: int = 0
    known: SavedCursor = SavedCursor()


class LeaseAnswer(NamedTuple):
    """What the engine says to whoever asks for a lease.

    Attributes:
        token: The fencing token of the grant; 0 if it is not granted.
        seconds: Until there is a point in asking again, unless it is given back earlier.
        saved: The newest cursor, what the asker knew included.
        lasting: Whether it is what the asker is to remember, in case that the engine forgets it.
            False if it was saved with its effects: they would be forgotten, too.
    """

    token: int
    seconds: float
    saved: SavedCursor
    lasting: bool = True


class LeaseSave(NamedTuple):
    """A cursor that is saved under a lease.

    Attributes:
        name: The lease.
        token: That of the grant.
        number: Which save of this replica it is; it grows with each.
        cursor: It; "" is one, too.
    """

    name: str
    token: int
    number: int
    cursor: str


class LeaseMember(NamedTuple):
    """A replica that is there.

    Attributes:
        owner: Its name.
        weight: How much it takes on, compared with the others.
        streams: What stands for the streams that it knows.
        known: Whether the engine was told which these are.
    """

    owner: str
    weight: float
    streams: str
    known: bool


class LeaseServer(Protocol):
    """An engine that keeps the leases and the cursors of one group of streams, for one replica.

    Two objects for the same group are two replicas, also in one process; in a forked child an
    object is another replica than in its parent. All methods but ``asave`` and ``aclose`` may
    block; all may be called from any thread, several at a time. What they raise is the engine's
    own; `is_outage` says what it means.

    `resilient_sse.testing.lease_checks` shows whether an engine keeps what is said here.

    The engine's clock is the only one that counts. A lease is held by the owner that it was granted
    to until its time is over, or it is given back. Tokens grow with every grant of a name, whatever
    becomes of the engine. An engine that comes back after a restart or a failover may have
    forgotten who holds what. So for one ``ttl`` it grants nothing, and takes a renewal or save
    under a token higher than what it knows for true.
    """

    @property
    def name(self) -> str:
        """The group, or the one lease that there is."""
        ...

    @property
    def ttl(self) -> float:
        """Seconds that a lease lasts; the same for all replicas."""
        ...

    @property
    def owner(self) -> str:
        """The name of this replica, which no other has."""
        ...

    @property
    def place(self) -> object:
        """What tells this engine, its database and this group from all others in this process.

        What the process knows of the cursors is kept for each place: a tuple, for as long as the
        process lives; or any object that can be referred to weakly, with which it goes.
        """
        ...

    def grant(self, wanted: Sequence[LeaseWanted], /) -> Sequence[LeaseAnswer]:
        """Grant what is free or this replica's own, in one step for each lease.

        A cursor that the asker knows and that is newer than the saved one is saved, also if the
        lease is not granted. A token exceeds the one before it and all that the asker knows.

        Args:
            wanted: At most 1,000 leases, each once.

        Returns:
            An answer to each, in order.
        """
        ...

    def renew(self, held: Sequence[LeaseSave], /) -> Sequence[bool]:
        """Have leases last for another ``ttl``.

        A lease whose time is over is renewed, too, unless it was given back or somebody else has
        been granted it.

        Args:
            held: At most 1,000, each with what was saved last under it.

        Returns:
            Whether each is still held, in order.
        """
        ...

    def save(self, saves: Sequence[LeaseSave], /) -> Sequence[bool]:
        """Save cursors, each if its token is the newest of its lease.

        One that comes late, after a save of a higher number, is taken and changes nothing.

        Args:
            saves: At most 1,000.

        Returns:
            Whether each was taken, in order.
        """
        ...

    async def asave(self, saves: Sequence[LeaseSave], /) -> Sequence[bool]:
        """Do what `save` does without blocking the event loop, on asyncio and trio."""
        ...

    def give_back(self, leases: Sequence[tuple[str, int]], /) -> None:
        """Have leases end now, so that others need not wait for it.

        Args:
            leases: At most 1,000 names with their tokens. Those of somebody else, and those under
                another token, are left alone.
        """
        ...

    def meet(self, weight: float, streams: str, /) -> Sequence[LeaseMember]:
        """Say that this replica is there for another ``ttl``; return all that are.

        Args:
            weight: How much it takes on, compared with the others.
            streams: A digest of the streams that it knows.
        """
        ...

    def tell_streams(self, streams: str, names: Sequence[str], /) -> None:
        """Keep which streams a digest stands for, at least for as long as a replica uses it.

        Args:
            streams: The digest.
            names: The streams.
        """
        ...

    def ask_streams(self, streams: Sequence[str], /) -> Mapping[str, Sequence[str]]:
        """Return which streams digests stand for; without those that nobody told of.

        Args:
            streams: The digests.
        """
        ...

    def holders(self) -> Mapping[str, str]:
        """Return who holds what now: the owner of each lease whose time is not over."""
        ...

    def leave(self) -> None:
        """Say that this replica goes."""
        ...

    def listen(self, wake: Callable[[], object], /) -> Callable[[], object]:
        """Have something called whenever a lease may have become free, or somebody come or gone.

        It is called from any thread, perhaps too often, perhaps not at all: whoever waits looks by
        himself several times in a ``ttl``.

        Args:
            wake: What is called; it blocks nobody.

        Returns:
            What ends it; it may be called again.
        """
        ...

    def is_outage(self, error: Exception, /) -> bool:
        """Say whether what a method raised may pass by itself: waiting helps.

        If it does not (a wrong password, a missing right, a bug), whoever asks is told at once.

        Args:
            error: What a method of this object raised.
        """
        ...

    def close(self) -> None:
        """Close what was opened here; it is opened again when it is needed."""
        ...

    async def aclose(self) -> None:
        """Close what was opened here, also for this event loop."""
        ...


class Lease(Protocol):
    """A lease that was granted, as its source sees it: also the store of its cursor.

    `LeasedSource` and `SyncLeasedSource` take any object of this shape.
    """

    reader: object
    """The source that reads under it; set by the source."""

    @property
    def name(self) -> str:
        """What it is about."""
        ...

    @property
    def token(self) -> int:
        """The fencing token: grows with every grant of the name."""
        ...

    @property
    def valid(self) -> bool:
        """Whether no other replica can hold it now."""
        ...

    def watch(self, wake: Callable[[], object], /) -> None:
        """Have something called when it is over.

        Args:
            wake: What is called, from any thread; it takes the place of the one before.
        """
        ...

    def end(self) -> None:
        """Believe in it no more; whoever watches is called."""
        ...

    def load(self, key: str, /) -> str | None:
        """Return the cursor that came with the grant, or that was saved since, or None.

        Args:
            key: The name of the lease; a lease has one cursor.
        """
        ...

    def save(self, key: str, cursor: str, /) -> None:
        """Save, if the lease is still held.

        Args:
            key: The name of the lease.
            cursor: It; "" is one, too.

        Raises:
            LeaseLost: If it is not.
            CursorError: If the engine says what no waiting changes.
            Exception: What the engine raises if it does not answer.
        """
        ...

    async def asave(self, key: str, cursor: str, /) -> None:
        """Do what `save` does without blocking the event loop."""
        ...

    @overload
    def save_in(self, connection: Connection[Any], cursor: str, /) -> None: ...

    @overload
    def save_in(self, connection: AsyncConnection[Any], cursor: str, /) -> Awaitable[None]: ...

    def save_in(self, connection: Any, cursor: str, /) -> Any:
        """Save in the transaction that a connection is in, with what an event does: exactly once.

        The source needs ``auto_ack=False``. When the transaction is committed, everything up to
        this cursor is acknowledged; if it is not, nothing was saved. Save in one transaction after
        the other, in the order of the events. Needs `PostgreSQLLeases`, and their database.

        Whoever tries again because the connection broke at the commit may do so over another one:
        if the first transaction was committed after all, `LeaseLost` is raised, and the next reader
        goes on behind it.

        A transaction that then stands still for longer than ``ttl`` is ended by the server, since
        it would keep the next replica from going on.

        Args:
            connection: One of psycopg, in a transaction. With an asynchronous one the result is
                awaited.
            cursor: That of an event that was delivered: ``event.id``, or ``source.last_event_id``.

        Raises:
            LeaseLost: If the lease is lost, or this was committed before; the transaction fails.
            RuntimeError: If there is no transaction, or the source acknowledges by itself.
            ValueError: If no event with this cursor waits for its acknowledgement.
            TypeError: If the engine has no transactions, or it is no connection of psycopg.
        """
        ...
