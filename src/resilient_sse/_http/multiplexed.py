"""HTTP/2: one connection for many streams, and what is to be done because httpcore resets none.

A response that is closed before its end stays open at the server for as long as its connection is:
httpcore, under httpx and httpx2 alike, sends no RST_STREAM. Nor does it give up a connection that
has fallen silent. All that can be done from outside is to cut a connection as a whole, and so:

- whoever is alone on a connection cuts it when it leaves, and nothing stays behind;
- where others are on it, what is left behind is counted. When a source needs a stream and the
  server's limit is used up by that, the connection is cut: the others resume over a new one;
- a connection on which nobody has heard anything for the time of a limit is cut, too.

httpcore finds out that a connection was cut when it next reads from it; until then it would give it
to new requests. So whoever leaves it, or has left it, reads once more from the body that was left.
If a request finds it out all the same, it is repeated at once.

It all works by the extensions of requests and responses, which are public: ``http_version``,
``network_stream`` and ``trace``. Requests that are no source's are not seen: one that is under way
on a connection that is cut fails. A client for sources alone avoids it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from resilient_sse._http.shared_tls import share_tls
from resilient_sse._http.turns import Turns, is_http2
from resilient_sse._values.http import CONNECTION_MADE, origin_of_url
from resilient_sse._values.library import own_library_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from resilient_sse._http.turns import Turn
    from resilient_sse._values.http_messages import HTTPURL, HTTPResponse

    _Origin: TypeAlias = tuple[str, str, int | None]

# httpcore opens no more than that on one connection, whatever the server allows.
_MOST: Final = 100
_SETTINGS: Final = ".receive_remote_settings.complete"
_MAX_CONCURRENT_STREAMS: Final = 3  # RFC 9113 6.5.2
_WARNING: Final = (
    "%d streams that were left are still open at the server, which allows %d on one HTTP/2 "
    "connection: that connection is closed, and the other sources on it resume. HTTP/1.1 leaves "
    "nothing behind; so does a client for each source."
)
_logger: Final = logging.getLogger("resilient_sse")


class Multiplexed:
    """One HTTP/2 connection, as far as sources are on it.

    Attributes:
        origin: Where it leads to.
        open: The sources that read from it.
        left: The streams that are still open at the server although nobody reads them.
        limit: How many streams it can have at a time.
        heard: When anything last came, on the clock `time.monotonic`.
        dead: Whether it was cut.
    """

    def __init__(self, stream: Any, origin: _Origin, limit: int) -> None:  # noqa: ANN401 - httpcore's
        self._socket: Any = stream.get_extra_info("socket")
        self.origin = origin
        self.open = 0
        self.left = 0
        self.limit = limit
        self.heard = monotonic()
        self.dead = False

    @property
    def full(self) -> bool:
        """Whether it has no room for another stream."""
        return not self.dead and self.open + self.left >= self.limit

    def came(self) -> None:
        """Note that bytes came."""
        self.heard = monotonic()

    def cut(self) -> None:
        """End it, from any thread; whoever reads from it hears of that at once."""
        self.dead = True
        cut(self._socket)


def cut(sock: Any) -> None:  # noqa: ANN401 - as its event loop wraps it
    """Shut a socket down, of whatever event loop it is: none of them notices but by reading."""
    # Closed already; there is no way to do it to asyncio's or trio's own objects that suits all.
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


class Opening:
    """What a request's ``trace`` extension tells: the connection that was made, the server's limit.

    Attributes:
        limit: How many streams the server allows on one connection; None if it has not said.
        turn: The request's turn, if it is sent aside.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.turn: Turn | None = None
        self._stream: Any = None

    async def atrace(self, name: str, info: dict[str, Any]) -> None:
        """Be the ``trace`` extension of an asynchronous request."""
        self.trace(name, info)

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """Take note of what httpcore does for a request."""
        if self.turn is not None:
            self.turn.hear(name)
        if name.endswith(CONNECTION_MADE):
            self._stream = info["return_value"]
            if self.turn is None:
                return
            share_tls(self._stream)  # others may get it, in threads of theirs
            if self.turn.over:
                cut(self._stream.get_extra_info("socket"))
        elif name.endswith(_SETTINGS):
            changed = info["return_value"].changed_settings.get(_MAX_CONCURRENT_STREAMS)
            self.limit = self.limit if changed is None else changed.new_value

    def made(self) -> Any:  # noqa: ANN401 - httpcore's
        """Return, once, the connection that was made, if one was."""
        stream, self._stream = self._stream, None
        return stream


class SharedConnections:
    """The HTTP/2 connections of one client, which its sources share.

    Attributes:
        cuts: How many were cut that httpcore may not have noticed yet.
    """

    def __init__(self) -> None:
        self.cuts = 0
        self._lock = threading.Lock()
        self._connections: WeakKeyDictionary[Any, Multiplexed] = WeakKeyDictionary()
        self._turns: defaultdict[_Origin, Turns] = defaultdict(Turns)
        self._sending: Counter[_Origin] = Counter()
        self._warned = False

    def join(self, response: HTTPResponse, limit: int | None) -> Multiplexed | None:
        """Note that a source reads this response; None if it is not of HTTP/2."""
        if not is_http2(response):
            return None
        with self._lock:
            stream = response.extensions["network_stream"]
            found = self._known(stream, response.request.url, limit)
            found.open += 1
            found.heard = monotonic()
        return found

    def _known(self, stream: Any, url: HTTPURL, limit: int | None) -> Multiplexed:  # noqa: ANN401
        found = self._connections.get(stream)
        if found is None:
            found = self._connections[stream] = Multiplexed(stream, origin_of_url(url), _MOST)
            share_tls(stream)  # that a request of the program's own may have made
        if limit is not None:
            found.limit = min(limit, _MOST)
        return found

    def leave(self, connection: Multiplexed, *, ended: bool, silent: float | None = None) -> bool:
        """Note that a source is done with its stream; say whether the connection was cut meanwhile.

        Args:
            connection: What `join` returned.
            ended: Whether the stream is at its end, at the server too.
            silent: The seconds that nothing came for, if the source leaves for that.
        """
        with self._lock:
            connection.open -= 1
            if connection.dead:
                return True
            if ended:
                return False
            unheard = silent is not None and monotonic() - connection.heard >= silent
            if unheard or not self._is_used(connection):
                self._cut(connection)
                return True
            connection.left += 1
            return False

    def _is_used(self, connection: Multiplexed) -> bool:
        """Say whether a source reads from it, or may be about to."""
        return connection.open > 0 or self._sending[connection.origin] > 0

    def unanswered(self, url: HTTPURL, opening: Opening, since: float) -> None:
        """Note that a request to this URL, made at this time, got no answer.

        A connection is cut over which nothing came since, or which nobody else uses; on any other
        the request may have left a stream behind.
        """
        with self._lock:
            made = opening.made()
            if made is not None and made not in self._connections:
                self._unanswered_over(made, url, opening)
            for connection in self._to(url):
                if connection.heard < since or not self._is_used(connection):
                    self._cut(connection)
                else:
                    connection.left += 1

    def _unanswered_over(self, stream: Any, url: HTTPURL, opening: Opening) -> None:  # noqa: ANN401
        """Note a new connection over which nothing came yet, to be cut, but not if others wait."""
        tls = stream.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._known(stream, url, opening.limit).heard = -math.inf
        elif opening.turn is not None:  # else whoever sends has seen to it
            cut(stream.get_extra_info("socket"))

    def break_off(self, connection: Multiplexed) -> None:
        """Cut a connection that is of no use to anybody any more."""
        with self._lock:
            if not connection.dead:
                self._cut(connection)

    def exhausted(self, url: HTTPURL) -> bool:
        """Note that no request to this URL can be sent; say whether one may be now."""
        with self._lock:
            connections = list(self._to(url))
            for connection in connections:
                self._cut(connection)
            return bool(connections)

    def sending(self, url: HTTPURL, change: int) -> None:
        """Note that one more request to this URL is under way, or one fewer."""
        with self._lock:
            self._sending[origin_of_url(url)] += change

    def turns(self, url: HTTPURL) -> Turns:
        """Return the turns at the server of this URL."""
        with self._lock:
            return self._turns[origin_of_url(url)]

    def limit_reached(self, url: HTTPURL) -> int | None:
        """Return the limit for which a request to this URL has to wait, if it has to."""
        with self._lock:
            return next((each.limit for each in self._to(url) if each.full), None)

    def _to(self, url: HTTPURL) -> Iterator[Multiplexed]:
        origin = origin_of_url(url)
        for connection in list(self._connections.values()):
            if connection.origin == origin and not connection.dead:
                yield connection

    def make_room(self, url: HTTPURL) -> None:
        """Cut the connection to this URL if what was left behind uses its limit up."""
        if not self._connections:
            return
        with self._lock:
            for connection in self._to(url):
                if connection.full and connection.left:
                    self._warn(connection)
                    self._cut(connection)

    def _warn(self, connection: Multiplexed) -> None:
        if not self._warned:
            self._warned = True
            with suppress(Exception):  # of a logger's own
                _logger.warning(_WARNING, connection.left, connection.limit)

    def _cut(self, connection: Multiplexed) -> None:
        self.cuts += 1
        connection.cut()

    def noticed(self) -> bool:
        """Say whether a request may have failed of a connection that was cut, and forget one."""
        with self._lock:
            if not self.cuts:
                return False
            self.cuts -= 1
            return True


_of_clients: Final[WeakKeyDictionary[Any, SharedConnections]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def connections_of(client: Any) -> SharedConnections:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
    """Return the HTTP/2 connections of a client, which may be one of several sources."""
    if own_library_of(client) is None:
        return SharedConnections()
    with _making:
        return _of_clients.setdefault(client, SharedConnections())
