"""Where a connection is performed on a socket."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from resilient_sse.testing._peer import Cut
from resilient_sse.testing._performance import MISSING_BYTES, head, perform
from resilient_sse.testing._script import Ending, Framing
from resilient_sse.testing._steps import Live, Pause

if TYPE_CHECKING:
    from resilient_sse.testing._peer import Peer
    from resilient_sse.testing._performance import Action
    from resilient_sse.testing._script import Connection

__all__ = ["end", "play"]

_LAST_WORDS = {
    (Framing.CHUNKED, Ending.CLEAN): b"0\r\n\r\n",
    (Framing.CHUNKED, Ending.MID_CHUNK): b"%x\r\n" % MISSING_BYTES,
    (Framing.CHUNKED, Ending.GARBAGE): b"\xff no chunk header\r\n",
    (Framing.BARE, Ending.GARBAGE): b"\xff no status line\r\n\r\n",
}
_ORDERLY = {Ending.CLEAN, Ending.CLOSE}


def play(connection: Connection, peer: Peer) -> bool:
    """Perform it to the end.

    Returns:
        Whether the client may send another request.
    """
    stage = _Stage(peer)
    try:
        stage.respond(connection)
    except Cut as cut:
        end(peer, cut.ending, stage.framing)
        return False
    if connection.keep_alive and connection.ending is Ending.CLEAN:
        peer.send(_LAST_WORDS.get((stage.framing, Ending.CLEAN), b""))
        return True
    end(peer, connection.ending, stage.framing)
    return False


def end(peer: Peer, ending: Ending, framing: Framing = Framing.BARE) -> None:
    """End the connection in this way, or in another that is asked for meanwhile."""
    try:
        _end(peer, ending, framing)
    except Cut as cut:
        end(peer, cut.ending, framing)


def _end(peer: Peer, ending: Ending, framing: Framing) -> None:
    if ending in {Ending.RESET, Ending.REFUSED}:
        peer.reset()
        return
    while ending is Ending.SILENCE:
        peer.wait()
    peer.send(_LAST_WORDS.get((framing, ending), b""))
    if ending in _ORDERLY:
        peer.finish()


class _Stage:
    """Remembers whether the headers are out: before that nothing has a framing."""

    def __init__(self, peer: Peer) -> None:
        self.framing = Framing.BARE
        self._peer = peer

    def respond(self, connection: Connection) -> None:
        self._pause(connection.before_headers)
        if connection.framing is not Framing.BARE:
            self._peer.send(head(connection))
            self.framing = connection.framing
        with contextlib.closing(perform(connection, self._peer.wake)) as actions:
            for action in actions:
                self._act(action)

    def _act(self, action: Action) -> None:
        if isinstance(action, Pause):
            self._pause(action.seconds)
        elif isinstance(action, Live):
            self._peer.wait(action.patience)
        else:
            self._send(action)

    def _send(self, data: bytes) -> None:
        chunked = self.framing is Framing.CHUNKED
        self._peer.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._peer.wait(left)
