"""Whose turn it is to send a request over HTTP/2: httpcore mixes up what two threads send at once.

A blocking connection of httpcore's gives a request the next number of a stream and then sends its
head, without a lock around both. Two threads may get the same number, and what both have written
is sent twice or not at all. So the sources of a client take turns, for each server: from before
httpcore has the request until its head is sent. Who stops waiting for an answer gives the turn
back, wherever its request hangs, so nobody waits for a server that does not answer.

Over HTTP/1.1 nobody need take turns, and nobody does once that is known. It is known as soon as
somebody is connected, by the names of what httpcore tells the ``trace`` extension.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.http_messages import HTTPResponse

T = TypeVar("T")

# A transport that is not httpcore's tells nothing. httpcore does before it does anything.
_PATIENCE: Final = 1.0
_HEAD_SENT: Final = "http2.receive_response_headers.started"


class Turns:
    """The turns at one server.

    Attributes:
        needed: Whether requests have to take turns; None as long as nobody knows.
    """

    def __init__(self) -> None:
        self.needed: bool | None = None
        self._lock = threading.Lock()
        self._connecting = False

    def take(self) -> bool:
        """Wait for a turn; say whether there is one to be given back."""
        while self.needed is not False:
            if self._lock.acquire(timeout=_PATIENCE):
                return self._still_needed()
            if self.needed is None and not self._connecting:
                break
        return False

    def _still_needed(self) -> bool:
        if self.needed is False:
            self._lock.release()
        return self.needed is not False

    def give_back(self) -> None:
        """Let the next one have it."""
        self._lock.release()

    def hear(self, name: str) -> None:
        """Note what httpcore does."""
        self._connecting = True
        if name.startswith("http2."):
            self.needed = True
        elif name.startswith("http11."):
            self.needed = False


class Turn:
    """One request's turn.

    Attributes:
        over: Whether nobody waits for the answer any more.
    """

    def __init__(self, turns: Turns) -> None:
        self.over = False
        self._turns = turns
        self._lock = threading.Lock()  # for whether it is held
        self._held = False

    def call(self, send: Callable[[], T]) -> T:
        """Send a request when it is its turn, and return the response.

        Raises:
            TimeoutError: Nobody waits for it any more.
        """
        self._take()
        try:
            return send()
        finally:
            self.give_back()

    def _take(self) -> None:
        taken = self._turns.take()
        with self._lock:
            self._held = taken
        if self.over:
            self.give_back()
            msg = "nobody waits for the answer any more"
            raise TimeoutError(msg)

    def hear(self, name: str) -> None:
        """Note what httpcore does for this request."""
        self._turns.hear(name)
        if name == _HEAD_SENT or self._turns.needed is False:
            self.give_back()

    def give_back(self) -> None:
        """Let the next one have it, if that was not done yet; from any thread."""
        with self._lock:
            held, self._held = self._held, False
        if held:
            self._turns.give_back()

    def end(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.over = True
        self.give_back()


def may_be_http2() -> bool:
    """Say whether any client speaks HTTP/2: httpx and httpx2 import h2 to make one that does."""
    return "h2" in sys.modules


def is_http2(response: HTTPResponse) -> bool:
    """Say whether a response came over HTTP/2."""
    return getattr(response, "extensions", {}).get("http_version") == b"HTTP/2"
