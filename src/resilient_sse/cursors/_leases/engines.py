"""Which engine keeps the leases of a group: what its URL says."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.schemes import SCHEMES

if TYPE_CHECKING:
    from resilient_sse.cursors._leases.protocol import LeaseServer

_LEASES: Final = {"redis": "RedisLeases", "postgresql": "PostgreSQLLeases"}


@without_locals
def server_of(leases: Any, name: str, ttl: float, options: dict[str, Any]) -> LeaseServer:  # noqa: ANN401 - a URL, a client, or what makes a server
    """Make the engine of one group for a replica.

    Args:
        leases: A URL, a client of redis-py, or a callable that takes ``name`` and ``ttl``.
        name: The group.
        ttl: Seconds that a lease lasts.
        options: More for an engine of ours.

    Raises:
        ValueError: If no engine is known for the URL, ``ttl`` is not a positive number, or the
            engine can do nothing with the name.
    """
    made: LeaseServer
    kind = "redis"
    if isinstance(leases, str):
        scheme = leases.partition(":")[0]
        if scheme not in SCHEMES:
            known = ", ".join(SCHEMES)
            raise ValueError(f"the scheme of a URL picks the engine, and must be one of {known}")
        kind = SCHEMES[scheme]
    elif callable(leases):
        make: Any = leases
        made = make(name, ttl=ttl, **options)
        return made
    engine: Any = getattr(import_module("resilient_sse.cursors"), _LEASES[kind])
    made = engine(leases, name, ttl=ttl, **options)
    return made
