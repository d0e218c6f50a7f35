"""`ScriptedTransport`: the same scripts without a network, as an httpx transport."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

import httpx

from resilient_sse.testing._bodies import AsyncBody, SyncBody
from resilient_sse.testing._performance import header_fields
from resilient_sse.testing._request import RecordedRequest, RequestLog
from resilient_sse.testing._script import Script
from resilient_sse.testing._timeline import body, opening

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.testing._script import Connection, ScriptEntry

__all__ = ["ScriptedTransport"]


class ScriptedTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """An httpx transport that follows a script, for tests in memory.

    It serves ``httpx.Client`` and ``httpx.AsyncClient`` (asyncio and trio). Endings become the
    exceptions that httpx raises for them on a real connection; pauses and silence obey the
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

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, as httpx asks for it."""
        connection = self._answer(request, request.read())
        stream = SyncBody(body(connection, _patience(request)), self._open)
        try:
            for seconds in opening(connection, _patience(request)):
                stream.wait(seconds)
        except BaseException:
            stream.close()
            raise
        return _response(connection, stream)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, as httpx asks for it."""
        connection = self._answer(request, await request.aread())
        stream = AsyncBody(body(connection, _patience(request)), self._open)
        try:
            for seconds in opening(connection, _patience(request)):
                await stream.wait(seconds)
        except BaseException:
            await stream.aclose()
            raise
        return _response(connection, stream)

    def close(self) -> None:
        """End the responses that are still open; blocked readers get ``httpx.ReadError``."""
        for stream in tuple(self._open):
            stream.end()

    async def aclose(self) -> None:
        """The same as `close`."""
        self.close()

    def _answer(self, request: httpx.Request, content: bytes) -> Connection:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        recorded = RecordedRequest(
            method=request.method,
            path=path,
            query=query,
            headers=httpx.Headers(request.headers),
            body=content,
            time=time.monotonic(),
            connection=next(self._numbers),
        )
        self._log.add(recorded)
        return self._script.answer(recorded)


def _patience(request: httpx.Request) -> float:
    read: float | None = request.extensions.get("timeout", {}).get("read")
    return math.inf if read is None else read


def _response(connection: Connection, stream: SyncBody | AsyncBody) -> httpx.Response:
    version = f"HTTP/{connection.http_version}".encode()
    # As bytes, in UTF-8, as the server sends them: httpx would encode text as ASCII.
    fields = header_fields(connection).items()
    return httpx.Response(
        connection.status,
        headers=[(name.encode(), value.encode()) for name, value in fields],
        stream=stream,
        extensions={"http_version": version},
    )
