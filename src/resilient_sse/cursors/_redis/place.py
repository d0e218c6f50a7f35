"""Which database of which Redis a client leads to, whatever else it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import redis.connection

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class _Unknown:
    """A space of a client whose database cannot be told."""


_unknown: Final[WeakKeyDictionary[Any, dict[str, _Unknown]]] = WeakKeyDictionary()


def place_of(client: Any, space: str) -> object:  # noqa: ANN401 - redis-py's own
    """Return what tells a space of an engine and database from all others, for `memory_of`.

    Args:
        client: A URL, or a client of redis-py.
        space: What the names of the keys begin with.

    Raises:
        ValueError: If the URL is none of Redis.
    """
    if isinstance(client, str):
        connections: Any = redis.connection
        return (space, None, *_address(connections.parse_url(client)))
    pool = getattr(client, "connection_pool", None)
    if pool is None:  # a cluster: it has many, and what is known of it goes with its client
        return _unknown.setdefault(client, {}).setdefault(space, _Unknown())
    watchers = getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())
    asked = [_address(one.connection_pool.connection_kwargs) for one in watchers]
    service = getattr(pool, "service_name", None)
    return (space, service, *asked, *_address(pool.connection_kwargs))


def _address(options: MutableMapping[str, Any]) -> tuple[object, ...]:
    defaults = {"path": None, "host": "localhost", "port": 6379, "db": 0}
    return tuple(options.get(name, default) for name, default in defaults.items())
