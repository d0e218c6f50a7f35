"""Facts of HTTP that more than one place goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import HTTPURL

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

CONNECTION_MADE: Final = (".connect_tcp.complete", ".start_tls.complete")
"""How the names end by which httpcore tells the ``trace`` extension of a connection it made."""

CLOSED_HERE: Final = "the connection was closed on this side"
TOO_LATE: Final = "no bytes came in time"

NO_CONTENT: Final = 204
"""The status by which a server tells a client to stop reconnecting (WHATWG HTML 9.2.1)."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
"""Those that ask for nothing but an answer (RFC 9110 9.2.1, and the QUERY method)."""

IDEMPOTENT_METHODS: Final = SAFE_METHODS | {"PUT", "DELETE"}
"""Those of which two do no more than one (RFC 9110 9.2.2): they may be sent again."""


def origin_of_url(url: HTTPURL) -> tuple[str, str, int | None]:
    """Return a URL's scheme, host and port (RFC 6454 4)."""
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme)
