"""Saving in a transaction of the program's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

# Whoever goes on after a lost lease, having swallowed the error, can commit nothing.
_FAIL: Final = "SELECT CAST('resilient_sse: the lease is lost' AS integer)"


def check_kind(connection: object) -> None:
    """Refuse what is no connection of psycopg.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(connection, (psycopg.Connection, psycopg.AsyncConnection)):
        kind = type(connection).__name__
        raise TypeError(f"save_in takes a connection of psycopg, not {kind}")


def save_in(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    statement: bytes,
    words: Mapping[str, object],
) -> str | Awaitable[str]:
    """Run a statement that changes a row if the lease is held; if not, the transaction fails.

    Returns:
        What the statement returns of the server; nothing if the lease is not held.

    Raises:
        RuntimeError: If the connection is in no transaction.
    """
    _check_transaction(connection)
    if isinstance(connection, psycopg.AsyncConnection):
        return _asave_in(connection, statement, words)
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement, words).fetchone()
    if row is not None:
        return str(row[0])
    with suppress(psycopg.Error):
        connection.execute(_FAIL)
    return ""


async def _asave_in(
    connection: psycopg.AsyncConnection[Any], statement: bytes, words: Mapping[str, object]
) -> str:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(statement, words)).fetchone()
    if row is not None:
        return str(row[0])
    with suppress(psycopg.Error):
        await connection.execute(_FAIL)
    return ""


def _check_transaction(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
) -> None:
    if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        raise RuntimeError("save_in belongs into a transaction: with connection.transaction(): ...")
