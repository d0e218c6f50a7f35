"""One connection, on which nothing is waited for without an end."""

from __future__ import annotations

import math
import selectors
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.waiting import Ready, Wait

from resilient_sse._values.frames import without_locals
from resilient_sse.transports._sockets import Selector

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")

_EVENTS: Final = {
    Wait.R: selectors.EVENT_READ,
    Wait.W: selectors.EVENT_WRITE,
    Wait.RW: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_SHORTEST: Final = 2  # seconds to connect in; libpq knows no less


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is broken when an answer does not come in time.

    psycopg itself waits for a server that hangs for as long as it hangs.

    Attributes:
        until: The time on the monotonic clock at which the answer is there.
    """

    until: float = math.inf

    def wait(
        self,
        gen: PQGen[T],
        interval: float = 0.0,  # noqa: ARG002 - psycopg's own
        timeout: float | None = None,  # noqa: ARG002 - and that of its newest versions
    ) -> T:
        """Do what psycopg wants done on the socket."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self._ready(wanted))
        except StopIteration as over:
            answer: T = over.value
            return answer

    def _ready(self, wanted: Wait) -> Ready:
        left = None if self.until == math.inf else max(0.0, self.until - time.monotonic())
        with Selector() as selector:
            selector.register(self.pgconn.socket, _EVENTS[wanted])
            found = selector.select(left)
        if not found:
            self.close()
            raise psycopg.OperationalError("the server did not answer in time")
        return Ready(found[0][1])


def checked(conninfo: object) -> str:
    """Return what leads to a database.

    Raises:
        TypeError: If it is no text.
        ValueError: If libpq does not understand it; it is not shown, a password may stand in it.
    """
    if not isinstance(conninfo, str):
        raise TypeError(
            "a database is given as a URL or a connection string, since several connections to it "
            f"are needed, not as {type(conninfo).__name__}"
        )
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        pass
    else:
        return conninfo
    raise ValueError("neither a URL nor a connection string that PostgreSQL understands")


@without_locals
def connect(conninfo: str, timeout: float) -> Connection:
    """Open a connection.

    Args:
        conninfo: What leads to the database.
        timeout: Seconds, unless ``conninfo`` has a ``connect_timeout``.

    Raises:
        psycopg.OperationalError: If the server cannot be reached, or does not want us.
    """
    given = conninfo_to_dict(conninfo)
    given.setdefault("connect_timeout", max(_SHORTEST, math.ceil(timeout)))
    given.setdefault("fallback_application_name", "resilient_sse")
    made = make_conninfo("", **{**given, "client_encoding": "utf8"})
    # PgBouncer may have each statement run on another connection: none is prepared.
    return Connection.connect(made, autocommit=True, prepare_threshold=None)


def place_of(conninfo: str, *parts: str) -> tuple[object, ...]:
    """Return what tells a part of a database from all others, for `memory_of`."""
    given = conninfo_to_dict(conninfo)
    names = ("service", "host", "hostaddr", "port", "dbname", "user", "options")
    return ("postgresql", *parts, *(given.get(name) for name in names))
