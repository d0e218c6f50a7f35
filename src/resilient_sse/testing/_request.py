"""Requests: how they are read from the wire and what is recorded of them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resilient_sse._values.library import Headers, QueryParams

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RecordedRequest", "RequestLog", "RequestReader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request as the server saw it.

    Attributes:
        method: The HTTP method.
        path: The path as sent, percent-encoded.
        query: The query as sent, without the question mark.
        headers: The headers, a mapping that ignores case.
        body: The body, chunks joined.
        time: When it had been read, on the monotonic clock.
        connection: The number of the connection it came on, from 1.
    """

    method: str
    path: str
    query: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    time: float = 0.0
    connection: int = 1

    @property
    def params(self) -> QueryParams:
        """The query, parsed."""
        return QueryParams(self.query)

    @property
    def last_event_id(self) -> str:
        """The ``Last-Event-ID`` header, "" without one."""
        value: str = self.headers.get("last-event-id", "")
        return value

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body, parsed as JSON."""
        return json.loads(self.body)


class RequestReader:
    """Reads HTTP/1.1 requests by hand; a test server needs no more.

    Args:
        receive: Returns the next bytes; raises when there are none to come.
        connection: The number recorded with every request.
    """

    def __init__(self, receive: Callable[[], bytes], connection: int) -> None:
        self._receive = receive
        self._connection = connection
        self._buffer = bytearray()

    def read(self) -> RecordedRequest:
        """Read one whole request.

        Raises:
            ValueError: It is not HTTP.
        """
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        method, target, _version = first.decode("latin-1").split(" ")
        headers = Headers([_header(line) for line in lines])
        path, _, query = target.partition("?")
        return RecordedRequest(
            method=method,
            path=path,
            query=query,
            headers=headers,
            body=self._body(headers),
            time=time.monotonic(),
            connection=self._connection,
        )

    def _body(self, headers: Headers) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return body

    def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            self._buffer += self._receive()
        return self._exactly(end + len(mark))[:end]

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._receive()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise ValueError(f"not a header line: {line!r}")
    return name, value.strip()


class RequestLog:
    """The requests so far; a thread may wait for more."""

    def __init__(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._news = threading.Condition()

    def add(self, request: RecordedRequest) -> None:
        """Record one."""
        with self._news:
            self._requests.append(request)
            self._news.notify_all()

    def all(self) -> list[RecordedRequest]:
        """A copy of the list; takes no lock, so that event loops may call it."""
        return list(self._requests)

    def wait_for(self, count: int, timeout: float) -> list[RecordedRequest]:
        """Wait until there are ``count``.

        Raises:
            TimeoutError: There are fewer after ``timeout`` seconds.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(
                    f"{len(self._requests)} of {count} requests came within {timeout} s"
                )
        return self.all()
