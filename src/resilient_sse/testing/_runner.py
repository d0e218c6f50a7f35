"""Where a connection is run on a socket."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from resilient_sse.testing._actions import MISSING_BYTES, actions_of, head
from resilient_sse.testing._client_socket import Cut
from resilient_sse.testing._script import Ending, Framing
from resilient_sse.testing._steps import Live, Pause

if TYPE_CHECKING:
    from resilient_sse.testing._actions import Action
    from resilient_sse.testing._client_socket import ClientSocket
    from resilient_sse.testing._script import Connection

__all__ = ["end", "run"]

_LAST_WORDS = {
    (Framing.CHUNKED, Ending.CLEAN): b"0\r\n\r\n",
    (Framing.CHUNKED, Ending.MID_CHUNK): b"%x\r\n" % MISSING_BYTES,
    (Framing.CHUNKED, Ending.GARBAGE): b"\xff no chunk header\r\n",
    (Framing.BARE, Ending.GARBAGE): b"\xff no status line\r\n\r\n",
}
_ORDERLY = {Ending.CLEAN, Ending.CLOSE}


def run(connection: Connection, client: ClientSocket) -> bool:
    """Perform it to the end.

    Returns:
        Whether the client may send another request.
    """
    runner = _ConnectionRunner(client)
    try:
        runner.respond(connection)
    except Cut as cut:
        end(client, cut.ending, runner.framing)
        return False
    if connection.keep_alive and connection.ending is Ending.CLEAN:
        client.send(_LAST_WORDS.get((runner.framing, Ending.CLEAN), b""))
        return True
    end(client, connection.ending, runner.framing)
    return False


def end(client: ClientSocket, ending: Ending, framing: Framing = Framing.BARE) -> None:
    """End the connection in this way, or in another that is asked for meanwhile."""
    try:
        _end(client, ending, framing)
    except Cut as cut:
        end(client, cut.ending, framing)


def _end(client: ClientSocket, ending: Ending, framing: Framing) -> None:
    if ending in {Ending.RESET, Ending.REFUSED}:
        client.reset()
        return
    while ending is Ending.SILENCE:
        client.wait()
    client.send(_LAST_WORDS.get((framing, ending), b""))
    if ending in _ORDERLY:
        client.finish()


class _ConnectionRunner:
    """Remembers whether the headers are out: before that nothing has a framing."""

    def __init__(self, client: ClientSocket) -> None:
        self.framing = Framing.BARE
        self._client = client

    def respond(self, connection: Connection) -> None:
        self._pause(connection.before_headers)
        if connection.framing is not Framing.BARE:
            self._client.send(head(connection))
            self.framing = connection.framing
        with contextlib.closing(actions_of(connection, self._client.wake)) as actions:
            for action in actions:
                self._act(action)

    def _act(self, action: Action) -> None:
        if isinstance(action, Pause):
            self._pause(action.seconds)
        elif isinstance(action, Live):
            self._client.wait(action.patience)
        else:
            self._send(action)

    def _send(self, data: bytes) -> None:
        chunked = self.framing is Framing.CHUNKED
        self._client.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._client.wait(left)
