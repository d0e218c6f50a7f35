"""One request and its response over HTTP/1.1, without I/O: bytes to send, bytes received.

h11 is for the heads, a framing for the body. The transports carry the bytes; whatever more than one
of them has to know about HTTP is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

import h11
import httpx

from resilient_sse.transports._framing import framing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.transports._framing import Framing

__all__ = ["BodyBase", "Dialogue", "Origin", "Stream", "origin_of"]

_MOST_HEAD: Final = 100 * 1024  # bytes, as in httpcore
_SWITCHING_PROTOCOLS: Final = 101
_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a request goes, and whom a certificate must name there."""

    scheme: str
    host: str
    port: int
    server_name: str


def origin_of(request: httpx.Request) -> Origin:
    """Return the origin of a request.

    Raises:
        httpx.UnsupportedProtocol: If the URL is not of HTTP.
    """
    url = request.url
    if url.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(
            f"the URL must begin with http:// or https://, not {url.scheme}://"
        )
    host = url.raw_host.decode("ascii")
    server_name = request.extensions.get("sni_hostname") or host
    return Origin(url.scheme, host, url.port or _PORTS[url.scheme], server_name)


class Dialogue:
    """What to send for a request, and what came back up to the body.

    Raises:
        httpx.LocalProtocolError: From what makes bytes to send: HTTP does not allow it.
        httpx.RemoteProtocolError: From `receive`: it is no HTTP.

    Attributes:
        answered: Whether the head of the response is complete.
    """

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
        self._head: Any = None
        self.answered = False

    def begin(self) -> bytes:
        """Return the request's head."""
        request = self._request
        return self._send(
            lambda: h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
        )

    def part(self, data: bytes) -> bytes:
        """Return a part of the request's body as it is sent."""
        return self._send(lambda: h11.Data(data=data))

    def end(self) -> bytes:
        """Return what ends the request."""
        return self._send(h11.EndOfMessage)

    def _send(self, make: Callable[[], h11.Request | h11.Data | h11.EndOfMessage]) -> bytes:
        try:
            return self._http.send(make()) or b""
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error

    def receive(self, data: bytes) -> None:
        """Take what came from the connection, ``b""`` for its end."""
        if not data:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        self._http.receive_data(data)
        try:
            while not isinstance(event := self._http.next_event(), type):
                if isinstance(event, h11.Response) or _switches(event):
                    self._head, self.answered = event, True
                    return
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    @property
    def rest(self) -> bytes:
        """What came after the head."""
        return self._http.trailing_data[0]

    def framing(self) -> Framing:
        """Choose the framing of the response's body."""
        head = self._head
        method = self._request.method.upper().encode()
        framing = framing_of(method, head.status_code, [*head.headers])
        if self._http.our_state is not h11.DONE:  # one side said ``Connection: close``
            framing.reusable = False
        return framing

    def response(self, body: Any, stream: Stream) -> httpx.Response:  # noqa: ANN401 - of either kind
        """Make the response."""
        head = self._head
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=body,
            extensions={
                "http_version": b"HTTP/" + head.http_version,
                "reason_phrase": head.reason,
                "network_stream": stream,
            },
        )


def _switches(event: h11.Event) -> bool:
    """Say whether an interim response is the last that is HTTP."""
    return (
        isinstance(event, h11.InformationalResponse) and event.status_code == _SWITCHING_PROTOCOLS
    )


class Stream(Protocol):
    """What a body needs of its connection."""

    def abort(self) -> None:
        """Close the connection at once; a read that is pending elsewhere fails."""


S = TypeVar("S", bound=Stream)


class BodyBase(Generic[S]):
    """What the body of a response knows, but for how to read it."""

    def __init__(
        self, request: httpx.Request, stream: S, framing: Framing, release: Callable[[S], None]
    ) -> None:
        """Make the body.

        Args:
            request: The request that it answers.
            stream: The connection that it is read from.
            framing: Where it ends.
            release: Called with the connection when another request can be sent over it.
        """
        self._request = request
        self._timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        self._stream = stream
        self._framing = framing
        self._release = release
        self._closed = False

    def abort(self) -> None:
        """Close the connection at once; a read that is pending elsewhere fails."""
        self._stream.abort()

    def _broken_by(self, error: BaseException) -> None:
        """Close the connection, which is in no known state; the error learns of its request."""
        self._stream.abort()
        if isinstance(error, httpx.RequestError):
            error.request = self._request

    def _check_end(self) -> None:
        """Raise what was wrong with a body that has been read to its end, if anything was."""
        if self._framing.error:
            self._stream.abort()
            raise httpx.RemoteProtocolError(self._framing.error, request=self._request)

    def _let_go(self) -> bool:
        """Release the connection if it can be used again; return whether to close it instead."""
        if self._closed:
            return False
        self._closed = True
        if self._framing.open or not self._framing.reusable:
            return True
        self._release(self._stream)
        return False
