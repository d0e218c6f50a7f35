"""A source's place among the streams of its client, which over HTTP/1.1 is a connection of its own.

`multiplexed` knows the connections that sources share over HTTP/2; here stands what each of them
does when it sends a request, reads its answer and leaves it.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._http.disorder import is_disorder
from resilient_sse._http.multiplexed import Opening, connections_of
from resilient_sse._http.turns import Turn, is_http2, may_be_http2
from resilient_sse._values.http import IDEMPOTENT_METHODS
from resilient_sse._values.library import library_of, own_library_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from resilient_sse._http.multiplexed import Multiplexed
    from resilient_sse._values.http_messages import HTTPURL, HTTPRequest, HTTPResponse

_ALL_IN_USE: Final = (
    ": the server allows {} streams on one HTTP/2 connection, and all of them are in use; give "
    "some sources a client of their own, or one that speaks HTTP/1.1"
)
_NO_ROOM: Final = "Max outbound streams"  # as h2 says it


class HTTP1Slot:
    """The place of a source whose client speaks HTTP/1.1 only: there is nothing to note."""

    _nothing: Final = nullcontext[None]()

    def begin(self) -> Opening | None:
        """Note that an attempt begins; return what is to hear of its connection, if anything."""
        return None

    def sending(self, request: HTTPRequest) -> HTTPResponse | None:  # noqa: ARG002
        """Note that a request goes out; it is under way until its stream is `answered`, or `over`.

        Returns:
            A response, once, by which httpcore is to `notice` a cut: one that this source left
            behind on a connection that was cut since. None if there is none.
        """
        return None

    def until_answered(self) -> AbstractContextManager[None]:
        """Note that nothing is under way if an attempt fails within the block."""
        return self._nothing

    def turn(self, request: HTTPRequest) -> Turn | None:  # noqa: ARG002
        """Return the turn of a request that a thread sends; None if it need not take one."""
        return None

    def sent(self, request: HTTPRequest, response: HTTPResponse) -> None:
        """Note that a request was answered: httpcore knows of all that was cut before."""

    def answered(self, response: HTTPResponse) -> Multiplexed | None:  # noqa: ARG002
        """Take the place that a response with a stream has; None if it is not of HTTP/2."""
        return None

    def ended(self) -> None:
        """Note that the body is at its end."""

    def left(self, error: Exception | None, idle: float | None) -> bool:  # noqa: ARG002
        """Give the place up; say whether httpcore is to `notice` that the connection was cut.

        Args:
            error: What ended the reading; None if it was this side.
            idle: The seconds that a read may take.
        """
        return False

    def unanswered(self, *, late: bool) -> str:  # noqa: ARG002
        """Note that a request got no answer; return what there is to say of it.

        Args:
            late: Whether its time was over, and not this side lost interest.
        """
        return ""

    def may_repeat(self, request: HTTPRequest, error: Exception) -> bool:  # noqa: ARG002
        """Say whether a request failed of a connection that had been cut, and is sent again."""
        return False


class StreamSlot(HTTP1Slot):
    """A source's place among the streams of its client.

    Args:
        client: The client, which may be other sources' too.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
        self._shared = connections_of(client)
        self._may_be_http2 = own_library_of(client) is not None
        self._opening = Opening()
        self._began = 0.0
        self._url: HTTPURL | None = None
        self._sending: HTTPURL | None = None
        self.connection: Multiplexed | None = None
        self._response: HTTPResponse | None = None
        self._ended = False
        self._behind: tuple[Multiplexed, HTTPResponse] | None = None

    def begin(self) -> Opening:
        """Note that an attempt begins."""
        self._opening, self._began, self._url = Opening(), monotonic(), None
        return self._opening

    def sending(self, request: HTTPRequest) -> HTTPResponse | None:
        """Note a request that goes out, and make room for its stream."""
        self.over()
        self._url = request.url
        self._shared.make_room(request.url)
        behind = self._behind
        if behind is not None and behind[0].dead:
            self._behind = None
        self._sending = request.url
        self._shared.sending(request.url, 1)
        return behind[1] if behind is not None and self._behind is None else None

    @contextmanager
    def until_answered(self) -> Generator[None]:
        """Note that nothing is under way if an attempt fails within the block."""
        try:
            yield
        except BaseException:
            self.over()
            raise

    def over(self) -> None:
        """Note that nothing is under way."""
        url, self._sending = self._sending, None
        if url is not None:
            self._shared.sending(url, -1)

    def turn(self, request: HTTPRequest) -> Turn | None:
        """Return the turn of a request that may go over a connection of others."""
        if not (self._may_be_http2 and may_be_http2()):
            return None
        turns = self._shared.turns(request.url)
        self._opening.turn = None if turns.needed is False else Turn(turns)
        return self._opening.turn

    def answered(self, response: HTTPResponse) -> Multiplexed | None:
        """Take the place that a response with a stream has."""
        self.connection = self._shared.join(response, self._opening.limit)
        self._response = response if self.connection is not None else None
        self._ended = False
        self.over()
        return self.connection

    def ended(self) -> None:
        """Note that the body is at its end."""
        self._ended = True

    def left(self, error: Exception | None, idle: float | None) -> bool:
        """Give the place up."""
        self.over()
        connection, self.connection = self.connection, None
        response, self._response = self._response, None
        if connection is None or response is None:
            return False
        kind = type(error).__name__
        if error is not None and is_disorder(error):
            self._shared.break_off(connection)
        ended = self._ended or kind == "RemoteProtocolError"  # at the server, too
        late = kind == "ReadTimeout"
        cut = self._shared.leave(connection, ended=ended, silent=idle if late else None)
        self._behind = None if cut else (connection, response)
        return cut

    def sent(self, request: HTTPRequest, response: HTTPResponse) -> None:
        """Note that a request was answered."""
        self._shared.cuts = 0
        self._shared.turns(request.url).needed = is_http2(response)

    def unanswered(self, *, late: bool) -> str:
        """Note that a request got no answer, of which its connection may have died."""
        if self._url is None:
            return ""
        limit = self._shared.limit_reached(self._url)
        if limit is not None:
            return _ALL_IN_USE.format(limit)
        since = self._began if late else -math.inf
        self._shared.unanswered(self._url, self._opening, since)
        return ""

    def may_repeat(self, request: HTTPRequest, error: Exception) -> bool:
        """Say whether a request failed of a connection that had been cut."""
        kinds = library_of(request)
        again = request.method in IDEMPOTENT_METHODS
        if isinstance(error, kinds.TimeoutException | kinds.ConnectError):
            return False
        if _NO_ROOM in str(error) or is_disorder(error):
            return self._shared.exhausted(request.url) and again
        return again and self._shared.noticed()


def slot_of(client: Any, *, own: bool) -> HTTP1Slot:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
    """Make a source's place.

    Args:
        client: The client, which may be other sources' too.
        own: Whether it is one that the source made for itself.
    """
    return HTTP1Slot() if own else StreamSlot(client)
