"""What PostgreSQL says no with: whether waiting helps."""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg import errors

# What somebody has to put right. While connecting libpq has words only, and no code.
_REFUSALS: Final = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
)
_LASTING: Final = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|does not exist"
    r"|permission denied|certificate verify failed|server certificate|does not support SSL"
    r"|no such (database|user)|not allowed|invalid (connection|sslmode|port)|requires? .*password",
    re.IGNORECASE,
)


def is_lasting(error: Exception) -> bool:
    """Say whether somebody has to put something right: a password, a right, a certificate."""
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return False
    if not isinstance(error, psycopg.OperationalError):
        return isinstance(error, psycopg.Error)
    words = error.sqlstate is None and _LASTING.search(str(error))
    return isinstance(error, _REFUSALS) or bool(words)


def is_outage(error: Exception) -> bool:
    """Say whether PostgreSQL cannot be reached or cannot write for now: waiting may help.

    A server that may only read has another one for its primary, or will be it in a moment.
    """
    return isinstance(error, psycopg.Error) and not is_lasting(error)
