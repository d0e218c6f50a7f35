"""A server whose events are a function of the time, in a process of its own.

Run as ``python -m tests.support.ticks PORT EPOCH``. Every 20 ms since the epoch there is one more
event, numbered from 1, so that a server that was killed and started again has the same history, and
a client that resumes can be checked exactly: every number once, in order.
"""

from __future__ import annotations

import argparse
import ssl
import threading
import time
from typing import TYPE_CHECKING, Final

from resilient_sse.testing import Connection, ScriptedServer, event
from resilient_sse.testing._listener import Listener, reserve_port
from resilient_sse.testing._steps import Live, News

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_sse.testing import RecordedRequest
    from resilient_sse.testing._client_socket import ClientSocket

INTERVAL: Final = 0.02


class Ticks(Live):
    """The events after one number.

    Args:
        epoch: The time of event 0, in seconds since 1970.
        last: The last one that the client has; 0 if it asks for what is new.
    """

    def __init__(self, epoch: float, last: int) -> None:
        super().__init__(News(), INTERVAL)
        self._epoch = epoch
        self._last = last or self._newest()

    def _newest(self) -> int:
        return int((time.time() - self._epoch) / INTERVAL)

    def take(self) -> Sequence[bytes] | None:
        numbers = range(self._last + 1, self._newest() + 1)
        self._last += len(numbers)
        return [event(f"tick {number}", id=str(number)) for number in numbers]


class TickServer(ScriptedServer):
    """Serves ticks at a given port."""

    def __init__(self, port: int, epoch: float, pem: str | None, chunk_size: int | None) -> None:
        def answer(request: RecordedRequest) -> Connection:
            return Connection(Ticks(epoch, int(request.last_event_id or 0)), chunk_size=chunk_size)

        context = None
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
        super().__init__(then=answer, port=port, ssl_context=context)


def slow_loris(port: int) -> Listener:
    """Answer every client with one byte of a header every 50 ms."""

    def serve(client: ClientSocket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
            client.send(bytes([byte]))
            time.sleep(0.05)

    return Listener(reserve_port(port), serve)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("epoch", type=float)
    parser.add_argument("--pem")
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument("--slow-loris", action="store_true")
    options = parser.parse_args()
    if options.slow_loris:
        slow_loris(options.port)
    else:
        TickServer(options.port, options.epoch, options.pem, options.chunk_size).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
