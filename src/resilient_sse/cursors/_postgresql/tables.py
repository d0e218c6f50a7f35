"""The tables in which PostgreSQL keeps leases and cursors.

    prefix_server    run, since                                 which server this is, and since when
    prefix_leases    space, name -> owner, token, expires
    prefix_saves     space, name -> fence, token, number, cursor, lasting, saved_at
    prefix_members   space, owner -> expires, weight, streams
    prefix_streams   space, digest -> names                     the streams that a member knows
    prefix_cursors   key -> writer, number, cursor, saved_at    those of stores without leases

A *space* is a lease, or a group of streams. Times are those of the server's clock.

The cursor of a lease is in a row of its own, so that a transaction that saves in it keeps nobody
from renewing the lease. Its *fence* is the newest token that was granted: to grant is to raise the
fence, and for that the row must not be locked by a transaction of the one before.
"""

from __future__ import annotations

import re
from string import Template
from typing import Final

_PREFIX: Final = re.compile(r"([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,50}")

_CREATE: Final = Template("""
SELECT pg_advisory_xact_lock(hashtext('$prefix'));
CREATE TABLE IF NOT EXISTS $server (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), run text NOT NULL,
    since timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS $leases (
    space text, name text, owner text NOT NULL DEFAULT '', token bigint NOT NULL DEFAULT 0,
    expires timestamptz NOT NULL DEFAULT 'epoch', PRIMARY KEY (space, name)
);
CREATE TABLE IF NOT EXISTS $saves (
    space text, name text, fence bigint NOT NULL DEFAULT 0, token bigint NOT NULL DEFAULT 0,
    number bigint NOT NULL DEFAULT 0, cursor text NOT NULL DEFAULT '',
    lasting boolean NOT NULL DEFAULT true,
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (space, name)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS $members (
    space text, owner text, expires timestamptz NOT NULL, weight float8 NOT NULL,
    streams text NOT NULL, PRIMARY KEY (space, owner)
);
CREATE TABLE IF NOT EXISTS $streams (
    space text, digest text, names text[] NOT NULL, PRIMARY KEY (space, digest)
);
CREATE TABLE IF NOT EXISTS $cursors (
    key text PRIMARY KEY, writer text NOT NULL, number bigint NOT NULL, cursor text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
""")


class Tables:
    """The names of the tables, to be put into statements.

    Args:
        prefix: What they begin with; a schema may stand before it, with a dot.

    Raises:
        ValueError: If it is no plain name.
    """

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(
                "a prefix of tables has small letters, digits and underscores, perhaps after a "
                f"schema and a dot, not {prefix!r}"
            )
        self._names = {
            name: f"{prefix}_{name}"
            for name in ("server", "leases", "saves", "members", "streams", "cursors")
        }
        self.create: bytes = self.named(_CREATE, prefix=prefix)

    def named(self, statement: Template, **more: str) -> bytes:
        """Put the names into a statement."""
        return statement.substitute(self._names, **more).encode()
