"""`ScriptedTransport`: the same scripts without a network, as a transport of httpx or httpx2."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any

from resilient_sse._values.library import (
    AsyncTransport,
    BlockingTransport,
    Headers,
    kind_for,
    library_of,
)
from resilient_sse.testing._actions import header_fields
from resilient_sse.testing._bodies import AsyncBody, SyncBody
from resilient_sse.testing._request import RecordedRequest, RequestLog
from resilient_sse.testing._script import Script
from resilient_sse.testing._timeline import body, opening

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._values.http_messages import HTTPRequest
    from resilient_sse._values.library import Library, Response
    from resilient_sse.testing._script import Connection, ScriptEntry

__all__ = ["ScriptedTransport"]


class ScriptedTransport(BlockingTransport, AsyncTransport):
    """A transport that follows a script, for tests in memory.

    It serves ``Client`` and ``AsyncClient`` (asyncio and trio) of httpx and httpx2. Endings become
    the exceptions that these raise for them on a real connection; pauses and silence obey the
    request's read timeout.

    ```python
    transport = ScriptedTransport([Connection(event("one")), Connection(status=503)])
    client = httpx.AsyncClient(transport=transport)
    ```

    Args:
        script: As for `ScriptedServer`.
        then: What answers when the script is used up; 204 by default.
    """

    def __init__(
        self, script: Iterable[ScriptEntry] = (), *, then: ScriptEntry | None = None
    ) -> None:
        self._script = Script(script, then)
        self._log = RequestLog()
        self._numbers = itertools.count(1)
        self._open: set[SyncBody | AsyncBody] = set()

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far."""
        return self._log.all()

    @property
    def open_connections(self) -> int:
        """How many responses are not closed yet."""
        return len(self._open)

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """Wait until ``count`` requests have come; for threads.

        Raises:
            TimeoutError: There are fewer after ``timeout`` seconds.
        """
        return self._log.wait_for(count, timeout)

    def add(self, *entries: ScriptEntry) -> None:
        """Make the script longer."""
        self._script.add(*entries)

    def handle_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either library's
        """Answer one request, as httpx and httpx2 ask for it."""
        connection = self._answer(request, request.read())
        library, patience = library_of(request), _patience(request)
        kind = kind_for(SyncBody, library.SyncByteStream)
        stream = kind(body(connection, patience, library), self._open, library)
        try:
            for seconds in opening(connection, patience, library):
                stream.wait(seconds)
        except BaseException:
            stream.close()
            raise
        return _response(connection, stream, library)

    async def handle_async_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either library's
        """Answer one request, as httpx and httpx2 ask for it."""
        connection = self._answer(request, await request.aread())
        library, patience = library_of(request), _patience(request)
        kind = kind_for(AsyncBody, library.AsyncByteStream)
        stream = kind(body(connection, patience, library), self._open, library)
        try:
            for seconds in opening(connection, patience, library):
                await stream.wait(seconds)
        except BaseException:
            await stream.aclose()
            raise
        return _response(connection, stream, library)

    def close(self) -> None:
        """End the responses that are still open; blocked readers get ``httpx.ReadError``."""
        for stream in tuple(self._open):
            stream.end()

    async def aclose(self) -> None:
        """The same as `close`."""
        self.close()

    def _answer(self, request: HTTPRequest, content: bytes) -> Connection:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        recorded = RecordedRequest(
            method=request.method,
            path=path,
            query=query,
            headers=Headers(request.headers),
            body=content,
            time=time.monotonic(),
            connection=next(self._numbers),
        )
        self._log.add(recorded)
        return self._script.answer(recorded)


def _patience(request: HTTPRequest) -> float:
    read: float | None = request.extensions.get("timeout", {}).get("read")
    return math.inf if read is None else read


def _response(connection: Connection, stream: Any, library: Library) -> Response:  # noqa: ANN401 - of the library's
    version = f"HTTP/{connection.http_version}".encode()
    # As bytes, in UTF-8, as the server sends them: httpx would encode text as ASCII.
    fields = header_fields(connection).items()
    return library.Response(
        connection.status,
        headers=[(name.encode(), value.encode()) for name, value in fields],
        stream=stream,
        extensions={"http_version": version},
    )
