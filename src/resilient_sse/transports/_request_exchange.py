"""One request and its response over HTTP/1.1, without I/O: bytes to send, bytes received.

h11 is for the heads, a framing for the body. The transports carry the bytes; whatever more than one
of them has to know about HTTP is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import h11

from resilient_sse._values.http import DEFAULT_PORTS, IDEMPOTENT_METHODS
from resilient_sse._values.library import Library, library_of
from resilient_sse._values.redact import redact_text
from resilient_sse.transports._framing import framing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.http_messages import HTTPRequest
    from resilient_sse._values.library import Request, Response
    from resilient_sse.transports._framing import Framing

__all__ = ["BODY_EXTENSION", "Origin", "RequestExchange", "origin_of"]

BODY_EXTENSION: Final = "resilient_sse.body"
"""The body of a response, as a transport of ours made it, among the response's extensions."""

_MOST_HEAD: Final = 100 * 1024  # bytes, as in httpcore
_SWITCHING_PROTOCOLS: Final = 101


class Origin(NamedTuple):
    """Where a request goes, whom a certificate must name there, and whose client sends it."""

    scheme: str
    host: str
    port: int
    server_name: str
    library: Library


def origin_of(request: HTTPRequest) -> Origin:
    """Return the origin of a request.

    Raises:
        httpx.UnsupportedProtocol: If the URL is not of HTTP.
    """
    url, library = request.url, library_of(request)
    if url.scheme not in DEFAULT_PORTS:
        raise library.UnsupportedProtocol(
            f"the URL must begin with http:// or https://, not {url.scheme}://"
        )
    # A zone is written behind a percent sign that is quoted (RFC 6874), and no certificate has one.
    host = url.raw_host.decode("ascii").replace("%25", "%", 1)
    server_name = request.extensions.get("sni_hostname") or host.partition("%")[0]
    port = url.port or DEFAULT_PORTS[url.scheme]
    return Origin(url.scheme, host, port, server_name, library)


class RequestExchange:
    """What to send for a request, and what came back up to the body.

    Raises:
        httpx.LocalProtocolError: From what makes bytes to send: HTTP does not allow it.
        httpx.RemoteProtocolError: From `receive`: it is no HTTP.

    Attributes:
        request: The request.
        origin: Where it goes.
        library: That of the client that sends it.
        timeouts: How long each step may take; none for one that has no limit.
        body: The request's body, to be iterated as the client's kind asks for.
        in_memory: Whether all of that is.
        answered: Whether the head of the response is complete.
        rest: What came after that.
    """

    def __init__(self, request: HTTPRequest, origin: Origin) -> None:
        self.request = cast("Request", request)
        self.origin = origin
        self.library = library = origin.library
        self.timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        self.body: Any = request.stream
        self.in_memory = isinstance(request.stream, library.ByteStream)
        self.rest = b""
        self._heard = False
        self._http: Any = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
        self._head: Any = None
        self.answered = False

    def begin(self) -> bytes:
        """Return the request's head, and with it a body that is in memory: one write for both."""
        request = self.request
        target = request.extensions.get("target", request.url.raw_path)
        head = self._send(
            h11.Request, method=request.method, target=target, headers=request.headers.raw
        )
        data = b"".join(self.body) if self.in_memory else b""
        return head + self.part(data) if data else head

    def part(self, data: bytes) -> bytes:
        """Return a part of the request's body as it is sent."""
        return self._send(h11.Data, data=data)

    def end(self) -> bytes:
        """Return what ends the request."""
        return self._send(h11.EndOfMessage)

    def _send(self, kind: Callable[..., Any], **fields: Any) -> bytes:  # noqa: ANN401 - h11's
        try:
            sent: bytes | None = self._http.send(kind(**fields))
        except h11.LocalProtocolError as error:
            raise self.library.LocalProtocolError(str(error)) from error
        return sent or b""

    def receive(self, data: bytes) -> None:
        """Take what came from the connection, ``b""`` for its end."""
        if not data:
            why = "Server disconnected without sending a response."
            raise self.library.RemoteProtocolError(why)
        self._heard = True
        self._http.receive_data(data)
        try:
            while not isinstance(event := self._http.next_event(), type):
                # An interim response is followed by another one, unless it is the last of HTTP.
                if isinstance(event, h11.Response) or event.status_code == _SWITCHING_PROTOCOLS:
                    self._head, self.answered = event, True
                    self.rest = self._http.trailing_data[0]
                    return
        except h11.RemoteProtocolError as error:
            raise self.library.RemoteProtocolError(redact_text(str(error))) from None

    def may_repeat(self, error: BaseException) -> bool:
        """Say whether to send it again after a kept connection broke over which it was sent.

        The server may have closed that in the same moment (RFC 9112 9.3.1). It is sent again if the
        server has not begun to answer, and if that does no harm and is possible (RFC 9110 9.2.2).
        """
        broke = isinstance(error, (self.library.ReadError, self.library.RemoteProtocolError))
        possible = self.in_memory and self.request.method in IDEMPOTENT_METHODS
        return broke and possible and not self._heard

    def framing(self) -> Framing:
        """Choose the framing of the response's body."""
        head = self._head
        method = self.request.method.upper().encode()
        framing = framing_of(method, head.status_code, [*head.headers])
        if self._http.our_state is not h11.DONE:  # one side said ``Connection: close``
            framing.reusable = False
        return framing

    def response(self, body: Any, stream: Any) -> Response:  # noqa: ANN401 - of either kind
        """Make the response."""
        head = self._head
        return self.library.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=body,
            extensions={
                "http_version": b"HTTP/" + head.http_version,
                "reason_phrase": head.reason,
                "network_stream": stream,
                BODY_EXTENSION: body,
            },
        )
