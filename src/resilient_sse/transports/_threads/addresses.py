"""Where a host can be reached: its addresses, in the order in which to try them."""

from __future__ import annotations

import itertools
import socket
from typing import Any, TypeAlias

__all__ = ["Address", "addresses_of"]

Address: TypeAlias = tuple[int, Any]
"""An address family, and an address as this family writes it."""


def addresses_of(where: tuple[str, int] | str) -> list[Address]:
    """Find the addresses of a host and port, or of the path of a Unix domain socket.

    Those of the preferred family and of the other one take turns (RFC 8305 4).

    Raises:
        OSError: If the name cannot be resolved.
        UnicodeError: If it cannot be a name.
    """
    if isinstance(where, str):
        return [(socket.AF_UNIX, where)]
    found = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)
    preferred = found[0][0]
    first = [(family, address) for family, *_, address in found if family == preferred]
    others = [(family, address) for family, *_, address in found if family != preferred]
    turns = itertools.zip_longest(first, others)
    return [address for turn in turns for address in turn if address is not None]
