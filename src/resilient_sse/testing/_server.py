"""`ScriptedServer`: a real server on a loopback socket that follows a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import anyio
from anyio import to_thread

from resilient_sse.testing._client_socket import Cut, Gone
from resilient_sse.testing._listener import Listener, reserve_port
from resilient_sse.testing._request import RequestLog, RequestReader
from resilient_sse.testing._runner import end, run
from resilient_sse.testing._script import Ending, Script

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterable

    from resilient_sse.testing._client_socket import ClientSocket
    from resilient_sse.testing._request import RecordedRequest
    from resilient_sse.testing._script import ScriptEntry

__all__ = ["ScriptedServer"]


class ScriptedServer:
    """A server that does exactly what its script says, broken responses included.

    It runs in threads of its own, so that it serves asyncio, trio and blocking code alike.

    ```python
    script = [
        Connection(event("one", id="1"), ending=Ending.RESET),
        Connection(status=503, headers={"Retry-After": "2"}),
        Connection(event("two", id="2")),
    ]
    with ScriptedServer(script) as server:
        ...  # connect to server.url
    assert server.requests[2].last_event_id == "1"
    ```

    It is a context manager, plain and async. An exception raised by a function in the script
    (a failed assertion, say) is raised again at the end of the block. If the block itself failed,
    its exception gets a note about the other one.

    Args:
        script: An answer for every request, in order: a `Connection`, or a function that makes
            one from the `RecordedRequest`.
        then: What answers when the script is used up; 204 by default, so that clients stop.
        port: Where to listen, at 127.0.0.1; 0 for any free port.
        ssl_context: Speak TLS with it (a context for the server's side).
    """

    def __init__(
        self,
        script: Iterable[ScriptEntry] = (),
        *,
        then: ScriptEntry | None = None,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.errors: list[Exception] = []
        self._script = Script(script, then)
        self._ssl_context = ssl_context
        self._log = RequestLog()
        self._reserved: socket.socket | None = None
        self._listener: Listener | None = None
        self._port = port
        self._connections = 0

    # What a client needs

    @property
    def port(self) -> int:
        """The port, the same after a restart; before the first start the one asked for."""
        return self._port

    @property
    def url(self) -> str:
        """Where to connect; every other path works as well."""
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://127.0.0.1:{self._port}/events"

    # What a test looks at

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far."""
        return self._log.all()

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return self._listener.open_connections if self._listener else 0

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """Wait until ``count`` requests have come, and return all.

        Raises:
            TimeoutError: There are fewer after ``timeout`` seconds.
        """
        return self._log.wait_for(count, timeout)

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until exactly ``count`` connections are open; 0 shows that clients clean up.

        Raises:
            TimeoutError: It is another number after ``timeout`` seconds.
        """
        if not (self._listener.wait_for(count, timeout) if self._listener else count == 0):
            raise TimeoutError(
                f"{self.open_connections} connections are open after {timeout} s, not {count}"
            )

    # What a test does to it

    def add(self, *entries: ScriptEntry) -> None:
        """Make the script longer."""
        self._script.add(*entries)

    def drop_all(self, ending: Ending = Ending.RESET) -> None:
        """End all current connections, and return when they are gone.

        Args:
            ending: How. With ``SILENCE`` they stay open and fall silent.
        """
        if self._listener:
            self._listener.cut_all(ending)

    def start(self) -> None:
        """Begin to listen, at the same port as before.

        Raises:
            OSError: The port is taken.
            RuntimeError: The server is running.
        """
        if self._listener:
            raise RuntimeError("the server is running already; stop() it first")
        sock = self._reserved or reserve_port(self._port)
        self._reserved = None
        self._port = sock.getsockname()[1]
        self._listener = Listener(sock, self._serve, self._connections)

    def stop(self) -> None:
        """Reset all connections and refuse new ones until `start`; the port is kept."""
        if self._listener:
            self._hang_up()
            self._reserved = reserve_port(self._port)

    def close(self) -> None:
        """End everything: connections, threads, sockets. May be called again."""
        self._hang_up()
        if self._reserved:
            self._reserved.close()
            self._reserved = None

    def _hang_up(self) -> None:
        if self._listener:
            self._listener.close()
            self._connections = self._listener.count
            self._listener = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()
        if not self.errors:
            return
        if not isinstance(error, BaseException):
            raise self.errors[0]
        error.add_note(f"in the script of the server: {self.errors[0]!r}")

    async def __aenter__(self) -> Self:
        return await to_thread.run_sync(self.__enter__)

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self.__exit__, kind, error, traceback)

    # In the threads of clients

    def _serve(self, client: ClientSocket) -> None:
        try:
            self._converse(client)
        except Gone:
            return
        except Cut as cut:
            end(client, cut.ending)
        except Exception as error:  # noqa: BLE001 - from the test's own code; raised at the end
            self.errors.append(error)
            client.reset()

    def _converse(self, client: ClientSocket) -> None:
        if self._script.refuses_next():
            client.reset()
            return
        if self._ssl_context:
            client.handshake(self._ssl_context)
        reader = RequestReader(client.receive, client.number)
        while self._exchange(client, reader):
            pass

    def _exchange(self, client: ClientSocket, reader: RequestReader) -> bool:
        try:
            request = reader.read()
        except ValueError:  # not HTTP
            return False
        self._log.add(request)
        return run(self._script.answer(request), client)
