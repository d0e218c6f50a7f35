"""The server of the demonstration: real, and told how to misbehave.

    python _demo_server.py LOG PORT

It serves the lines of the file LOG as events, numbered from 1, and goes on with new lines as they
come. The file is the history: it outlives this process. The lines of standard input say what goes
wrong ("cut", "end", "silence", "unavailable 2" for the next two requests); its end is the end.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import anyio
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

POLL_SECONDS = 0.02
RETRY_AFTER = "1"


class Faults:
    """What is wrong with the server at the moment."""

    def __init__(self) -> None:
        self.kind = ""
        self.count = 0
        self.refusals = 0

    def obey(self, commands: TextIO) -> None:
        """Read commands until the parent process is gone, and follow it."""
        for command in commands:
            self.kind, _, requests = command.strip().partition(" ")
            self.refusals = int(requests or 0)
            self.count += 1
        os._exit(0)


class History:
    """The events in the file that are still to be sent to one client."""

    def __init__(self, log: TextIO, last_event_id: int) -> None:
        self._log = log
        self._number = 0
        self._unfinished = ""
        for _ in self.new(last_event_id):
            pass

    def new(self, up_to: float = float("inf")) -> Iterator[ServerSentEvent]:
        """Read the events that were added."""
        while self._number < up_to and (text := self._log.readline()):
            self._unfinished += text
            if text.endswith("\n"):
                line, self._unfinished = self._unfinished.rstrip("\n"), ""
                self._number += 1
                kind, _, data = line.partition(" ")
                yield ServerSentEvent(data, event=kind, id=str(self._number))

    def half_an_event(self) -> bytes:
        """Begin the next event, as far as a server comes that is cut off in the middle."""
        return f"id: {self._number + 1}\r\nevent: message\r\ndata: half an ev".encode()


def application(log: Path, faults: Faults) -> Starlette:
    """Make the web application."""

    async def stream(last_event_id: int) -> AsyncIterator[ServerSentEvent | bytes]:
        before = faults.count
        with log.open(encoding="utf-8") as file:
            history = History(file, last_event_id)
            while faults.count == before:
                for event in history.new():
                    yield event
                await anyio.sleep(POLL_SECONDS)
        if faults.kind == "silence":
            await anyio.sleep_forever()
        if faults.kind == "cut":
            yield history.half_an_event()
        if faults.kind != "end":
            raise ConnectionAbortedError  # the server closes the socket, the body is unfinished

    async def events(request: Request) -> Response:
        if faults.refusals:
            faults.refusals -= 1
            return Response("back soon\n", 503, {"Retry-After": RETRY_AFTER})
        last_event_id = int(request.headers.get("Last-Event-ID", "0"))
        return EventSourceResponse(stream(last_event_id), ping=3600)

    return Starlette(routes=[Route("/events", events)])


def main() -> None:
    """Serve until standard input ends."""
    log, port = Path(sys.argv[1]), int(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", port))
    faults = Faults()
    threading.Thread(target=faults.obey, args=[sys.stdin], daemon=True).start()
    config = uvicorn.Config(application(log, faults), log_config=None, log_level="critical")
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
