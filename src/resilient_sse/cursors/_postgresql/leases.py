"""`PostgreSQLLeases`: leases and their cursors in PostgreSQL."""

from __future__ import annotations

import time
from hashlib import blake2b
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import psycopg

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.identity import Identity
from resilient_sse.cursors._engine.memory import SavedCursor
from resilient_sse.cursors._engine.threads import in_store_thread
from resilient_sse.cursors._leases.clock import check_ttl
from resilient_sse.cursors._leases.protocol import LeaseAnswer, LeaseMember, LeaseSave
from resilient_sse.cursors._postgresql import statements as _statements
from resilient_sse.cursors._postgresql.answers import is_outage
from resilient_sse.cursors._postgresql.client import PostgreSQL
from resilient_sse.cursors._postgresql.connection import place_of
from resilient_sse.cursors._postgresql.effects import Effect, Effects
from resilient_sse.cursors._postgresql.listener import Listener
from resilient_sse.cursors._postgresql.tables import Tables
from resilient_sse.cursors._postgresql.transaction import check_kind, save_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from string import Template

    from resilient_sse.cursors._leases.protocol import LeaseWanted
    from resilient_sse.cursors._postgresql.client import Rows

__all__ = ["PostgreSQLLeases"]

_SOON: Final = 0.05  # for a row that is locked


class PostgreSQLLeases:
    """Keeps the leases of one group of streams in PostgreSQL: a `LeaseServer`.

    Args:
        conninfo: What leads to the database: a URL, or a connection string of libpq. Several
            connections are opened, as they are needed.
        name: The group, the same in all replicas.
        ttl: Seconds that a lease lasts; the same in all replicas.
        prefix: What the names of the tables begin with; a schema may stand before it, with a dot.
            They are made when they are first needed.

    Raises:
        TypeError: If ``conninfo`` is no text.
        ValueError: If ``ttl`` is not a positive number, the name is empty, or libpq does not
            understand ``conninfo``.
    """

    @without_locals
    def __init__(
        self, conninfo: str, name: str, *, ttl: float = 10.0, prefix: str = "resilient_sse"
    ) -> None:
        check_ttl(ttl)
        if not name:
            raise ValueError("a name must not be empty")
        self.name: str = name
        self.ttl: float = ttl
        self._tables = Tables(prefix)
        self._database = PostgreSQL(conninfo, self._tables, timeout=ttl / 4)
        self.place: object = place_of(conninfo, prefix, name)
        self._identity = Identity()
        digest = blake2b(f"{prefix} {name}".encode(), digest_size=16).hexdigest()
        self._channel = f"resilient_sse_{digest}"
        self._effects = Effects()
        self._listener = Listener(self._database.open, self._channel)

    @property
    def owner(self) -> str:
        """The name of this replica."""
        return self._identity.name

    def grant(self, wanted: Sequence[LeaseWanted], /) -> list[LeaseAnswer]:
        """Grant what is free or this replica's own."""
        names = [one.name for one in wanted]
        tokens = [max(one.highest, one.known.token) for one in wanted]
        rows = self._asked(_statements.GRANT, {"names": names, "tokens": tokens})
        known = {one.name: one.known for one in wanted}
        answers = [_answer(known[name], row) for name, row in zip(names, rows, strict=True)]
        for name, answer, row in zip(names, answers, rows, strict=True):
            if answer.token:
                self._begin(name, answer, row[8])
        self._tell(
            [
                LeaseSave(name, *known[name])
                for name, row in zip(names, rows, strict=True)
                if known[name][:2] > tuple(row[4:6])
            ]
        )
        return answers

    def renew(self, held: Sequence[LeaseSave], /) -> list[bool]:
        """Have leases last for another ``ttl``."""
        names, tokens = [one.name for one in held], [one.token for one in held]
        rows = self._asked(_statements.RENEW, {"names": names, "tokens": tokens})
        # What this server has may be older than what the one before it was given.
        new = [one for one, row in zip(held, rows, strict=True) if row[2] and row[3]]
        made = self._effects.of([one.name for one in new])
        self._tell([one for one in new if one.cursor and one.name not in made])
        gone = self._without(made)
        return [bool(row[2]) and one.name not in gone for one, row in zip(held, rows, strict=True)]

    def save(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save cursors, each if its token is the newest of its lease."""
        tokens: dict[str, int | None] = {}
        rest, until = list(saves), time.monotonic() + self._database.timeout
        while rest:
            rows = self._save_once(rest)
            tokens |= {row[0]: row[4] for row in rows if row[3] or not row[2]}
            rest = [one for one in rest if one.name not in tokens]
            if rest and time.monotonic() > until:
                raise psycopg.OperationalError(
                    f"the cursor of {rest[0].name!r} is locked by a transaction that saves in it"
                )
            time.sleep(_SOON if rest else 0)
        kept = [one.token == tokens[one.name] for one in saves]
        for one, taken in zip(saves, kept, strict=True):
            if taken:
                self._effects.forget(one.name)
        return kept

    async def asave(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save in a thread."""
        return await in_store_thread(self.save, saves)

    def save_in(self, connection: Any, save: LeaseSave, /) -> Any:  # noqa: ANN401 - psycopg's own
        """Save in a transaction of the program's, if the token is the newest of the lease.

        Returns:
            Whether it was; awaitable with an asynchronous connection.
        """
        check_kind(connection)
        before = self._effects.words(save.name)
        words = self._words({**save._asdict(), **before, "limit": round(self.ttl * 1000)})
        run = save_in(connection, self._tables.named(_statements.SAVE_IN), words)
        return self._amade(save, run) if isawaitable(run) else self._made(save, run)

    def saved_in(self, name: str, token: int, /) -> int:
        """Return the number of the last save under a token that is there to stay; 0 for none."""
        words = self._words({"name": name, "token": token})
        rows = self._database.run(self._tables.named(_statements.SAVED), words)
        return int(rows[0][0]) if rows else 0

    def give_back(self, leases: Sequence[tuple[str, int]], /) -> None:
        """Have leases end now, and tell whoever listens."""
        names, tokens = [name for name, _ in leases], [token for _, token in leases]
        self._run(_statements.GIVE_BACK, {"names": names, "tokens": tokens})

    def meet(self, weight: float, streams: str, /) -> list[LeaseMember]:
        """Say that this replica is there, and return all that are."""
        rows = self._run(_statements.MEET, {"weight": weight, "streams": streams})
        return [LeaseMember(*row[:4]) for row in rows]

    def tell_streams(self, streams: str, names: Sequence[str], /) -> None:
        """Keep which streams a digest stands for."""
        self._run(_statements.TELL_STREAMS, {"streams": streams, "names": list(names)})

    def ask_streams(self, streams: Sequence[str], /) -> dict[str, list[str]]:
        """Return which streams digests stand for."""
        return dict(self._run(_statements.ASK_STREAMS, {"streams": list(streams)}))

    def holders(self) -> dict[str, str]:
        """Return who holds what now."""
        return dict(self._run(_statements.HOLDERS, {}))

    def leave(self) -> None:
        """Say that this replica goes, and tell whoever listens."""
        self._run(_statements.LEAVE, {})

    def listen(self, wake: Callable[[], object], /) -> Callable[[], object]:
        """Have something called whenever a lease was given back, or somebody came or left."""
        return self._listener.add(wake)

    def is_outage(self, error: Exception, /) -> bool:
        """Say whether PostgreSQL cannot be reached or cannot write for now."""
        return is_outage(error)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._database.close()

    async def aclose(self) -> None:
        """Close them without blocking the event loop."""
        await self._database.aclose()

    # -- What transactions have made ------------------------------------------------------------

    def _begin(self, name: str, answer: LeaseAnswer, run: str) -> None:
        if answer.lasting:
            self._effects.forget(name)
        else:
            token, number, _ = answer.saved
            self._effects.note(name, Effect(token, number, run))

    async def _amade(self, save: LeaseSave, run: Awaitable[str]) -> bool:
        return self._made(save, await run)

    def _made(self, save: LeaseSave, run: str) -> bool:
        if run:
            self._effects.note(save.name, Effect(save.token, save.number, run))
        return bool(run)

    def _without(self, made: dict[str, Effect]) -> set[str]:
        """Return those of which this server, which is a new one, lacks the effects."""
        if not made:
            return set()
        tokens, numbers, runs = map(list, zip(*made.values(), strict=True))
        words: dict[str, object] = {"tokens": tokens, "numbers": numbers, "runs": runs}
        words["names"] = list(made)
        return {row[0] for row in self._run(_statements.WITHOUT, words)}

    # -- Statements ----------------------------------------------------------------------------

    def _run(self, statement: Template, words: dict[str, object]) -> Rows:
        return self._database.run(self._tables.named(statement), self._words(words))

    def _words(self, words: dict[str, object]) -> dict[str, object]:
        common = {"space": self.name, "owner": self.owner, "ttl": self.ttl}
        return {**common, "channel": self._channel, **words}

    def _asked(self, statement: Template, words: dict[str, object]) -> Rows:
        """Run what answers for each name, first whether the server was noted, and has the name.

        Whoever holds a lease may be the first to tell a new server of it.
        """
        rows = self._run(statement, words)
        if any(not noted for noted, *_ in rows):
            self._run(_statements.NOTE, {})
        if all(there for _, there, *_ in rows):
            return rows
        self._run(_statements.MAKE, words)
        return self._run(statement, words)

    def _save_once(self, saves: Sequence[LeaseSave]) -> Rows:
        words = _columns(saves)
        rows = self._run(_statements.SAVE, words)
        if any(not row[1] for row in rows):
            self._run(_statements.NOTE, {})
        if any(row[5] and not row[2] for row in rows):  # a new server that knows nothing
            self._run(_statements.MAKE, words)
            return self._run(_statements.SAVE, words)
        return rows

    def _tell(self, known: Sequence[LeaseSave]) -> None:
        if known:
            self._run(_statements.TELL, _columns(known))


def _answer(known: SavedCursor, row: tuple[Any, ...]) -> LeaseAnswer:
    token, wait, under, number, cursor, lasting = row[2:8]
    saved = SavedCursor(under, number, cursor)
    seconds = 0.0 if token else max(wait, _SOON)
    return LeaseAnswer(token, seconds, max(known, saved), lasting or known > saved)


def _columns(rows: Sequence[LeaseSave]) -> dict[str, object]:
    names, tokens, numbers, cursors = map(list, zip(*rows, strict=True))
    return {"names": names, "tokens": tokens, "numbers": numbers, "cursors": cursors}
