"""The server that stands in for https://example.com when the documentation is executed.

A stream of nine events, numbered by their ids: every connection sends the three after the client's
``Last-Event-ID`` (or ``?after=``) and ends the body; when none is left the answer is 204. Paths
that differ:

- ``/chat``: tokens as a language model streams them, then ``[DONE]``;
- ``/lines``: three lines of newline-delimited JSON;
- ``/flaky``: 503 with ``Retry-After: 1`` to the first request, then the stream;
- ``/private``: 401 without the header ``Authorization: Bearer fresh``, else the stream;
- ``/page``: 200, but a web page;
- ``/missing``: 404;
- what `tests.support.docs_vendors` has, as if this were the vendor's server.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from httpx import Headers, QueryParams

from tests.support.docs_vendors import VENDORS, Asked

if TYPE_CHECKING:
    from collections.abc import Generator

LAST_EVENT = 9
EVENTS_PER_CONNECTION = 3

CHAT = b"""\
data: {"token": "Hello"}

data: {"token": ", "}

data: {"token": "world"}

data: [DONE]

"""
LINES = b'{"number": 1}\n{"number": 2}\n{"number": 3}\n'


class _Server(ThreadingHTTPServer):
    flaky_is_up = False


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # A client may leave in the middle of an answer; here that is no error.
        with suppress(ConnectionError):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, _, query = self.path.partition("?")
            if path in VENDORS:
                asked = Asked(
                    self.command,
                    path,
                    QueryParams(query),
                    Headers(list(self.headers.items())),
                    body,
                )
                answer = VENDORS[path](asked)
                self._send(answer.status, answer.content_type, answer.body, *answer.headers)
            else:
                self._answer()

    do_POST = do_GET  # noqa: N815 - the base class looks for this name

    def _answer(self) -> None:
        assert isinstance(self.server, _Server)
        match self.path.partition("?")[0]:
            case "/chat":
                self._send(200, "text/event-stream", CHAT)
            case "/lines":
                self._send(200, "application/x-ndjson", LINES)
            case "/flaky" if not self.server.flaky_is_up:
                self.server.flaky_is_up = True
                self._send(503, "text/plain", b"starting\n", ("Retry-After", "1"))
            case "/private" if self.headers.get("Authorization") != "Bearer fresh":
                self._send(401, "text/plain", b"who are you?\n")
            case "/page":
                self._send(200, "text/html", b"<title>Not a stream</title>")
            case "/missing":
                self._send(404, "text/plain", b"no such stream\n")
            case _:
                self._send_events()

    def _send_events(self) -> None:
        after = self.path.partition("?after=")[2]
        first = int(self.headers.get("Last-Event-ID") or after or 0) + 1
        numbers = range(first, min(first + EVENTS_PER_CONNECTION, LAST_EVENT + 1))
        body = "".join(f'id: {number}\ndata: {{"number": {number}}}\n\n' for number in numbers)
        self._send(200 if body else 204, "text/event-stream", body.encode())

    def _send(self, status: int, content_type: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the test's output is the document's."""


@contextmanager
def serve() -> Generator[str]:
    """Run the server in a thread; gives the URL that replaces https://example.com."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
