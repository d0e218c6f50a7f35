"""The script: connections in order, each with a status, headers, a body and an ending."""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from resilient_sse.testing._steps import Forever, Live, check_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from resilient_sse.testing._request import RecordedRequest
    from resilient_sse.testing._steps import Step

__all__ = ["Connection", "Ending", "Framing", "Script", "ScriptEntry"]


class Ending(Enum):
    """How a connection ends once its steps are done."""

    CLEAN = "clean"
    """The body is complete; the server closes after it (see ``keep_alive``)."""
    CLOSE = "close"
    """The body has no length, the end of the connection is its end (``Framing.CLOSE``)."""
    TRUNCATED = "truncated"
    """The server closes (FIN) although the terminating chunk or promised bytes are missing."""
    MID_CHUNK = "mid_chunk"
    """The server announces one more chunk of 16 bytes and closes (FIN) without sending it."""
    RESET = "reset"
    """The server resets the connection (a real TCP RST). What the client's system has not yet
    received is lost, as in real life."""
    GARBAGE = "garbage"
    """Bytes that are no chunk header, then FIN."""
    SILENCE = "silence"
    """The connection stays open and nothing comes until the client leaves or it is dropped."""
    REFUSED = "refused"
    """No connection at all; see `refused`."""


class Framing(Enum):
    """How the client can tell where the body ends."""

    CHUNKED = "chunked"
    """``Transfer-Encoding: chunked``: one chunk per step, or per ``chunk_size`` bytes."""
    LENGTH = "length"
    """``Content-Length``; 16 bytes more than the steps have unless the ending is CLEAN."""
    CLOSE = "close"
    """Neither: the body ends with the connection."""
    BARE = "bare"
    """The steps are the whole response: no status line, no headers, nothing is added."""


_BODILESS = {204, 304}
_INVISIBLE = {
    Framing.CHUNKED: {Ending.CLOSE, Ending.REFUSED},
    Framing.LENGTH: {Ending.CLOSE, Ending.MID_CHUNK, Ending.GARBAGE, Ending.REFUSED},
    Framing.CLOSE: {Ending.TRUNCATED, Ending.MID_CHUNK, Ending.GARBAGE, Ending.REFUSED},
    Framing.BARE: {Ending.CLEAN, Ending.MID_CHUNK},
}


class Connection:
    """One request's answer: a status, headers, a body made of steps, and an ending.

    Args:
        steps: The body, in order: `event`, `comment`, `retry`, `raw` (or any bytes), `pause`,
            `forever`, `Gate`.
        status: The HTTP status.
        headers: Added to the response. A 200 has ``Content-Type: text/event-stream`` unless given
            here; a header whose value is None is not sent.
        ending: How the connection ends.
        framing: How the client can tell where the body ends. By default chunked; close-delimited
            for ``Ending.CLOSE`` and HTTP/1.0; with a length for a body without steps.
        chunk_size: Cut what every step sends into pieces of so many bytes.
        gzip: Send the body with ``Content-Encoding: gzip``, flushed after every step.
        http_version: "1.1" or "1.0".
        before_headers: Seconds between the request and the first byte of the response.
        after_headers: Seconds between the headers and the first byte of the body.
        keep_alive: After a CLEAN end the same TCP connection serves the next request.

    Raises:
        ValueError: The combination cannot be put on the wire.
        TypeError: One of the steps is none, or the ending or the framing is no member of its enum.
    """

    def __init__(  # noqa: PLR0913 - each is one word of the story
        self,
        *steps: Step,
        status: int = 200,
        headers: Mapping[str, str | None] | None = None,
        ending: Ending = Ending.CLEAN,
        framing: Framing | None = None,
        chunk_size: int | None = None,
        gzip: bool = False,
        http_version: str = "1.1",
        before_headers: float = 0.0,
        after_headers: float = 0.0,
        keep_alive: bool = False,
    ) -> None:
        check_steps(steps)
        _check_member(Ending, ending)
        _check_member(Framing, framing or Framing.CHUNKED)
        self.steps = steps
        self.status = status
        self.headers: dict[str, str | None] = dict(headers or {})
        self.ending = ending
        self.chunk_size = chunk_size
        self.gzip = gzip
        self.http_version = http_version
        self.before_headers = before_headers
        self.after_headers = after_headers
        self.keep_alive = keep_alive
        self.framing: Framing = framing or self._usual_framing()
        self._check()

    def __repr__(self) -> str:
        steps = "".join(f"{step!r}, " for step in self.steps)
        return f"Connection({steps}status={self.status}, ending={self.ending})"

    def _usual_framing(self) -> Framing:
        if self.ending is Ending.CLOSE or self.http_version == "1.0":
            return Framing.CLOSE
        if not self.steps and self.status != 200:  # noqa: PLR2004 - a well-known status
            return Framing.LENGTH
        return Framing.CHUNKED

    def _check(self) -> None:
        if self.ending in _INVISIBLE[self.framing]:
            raise ValueError(f"a client cannot see the ending {self.ending} with {self.framing}")
        if self.framing is Framing.LENGTH and self._is_endless():
            raise ValueError("a body with forever() or a Gate has no length; use another framing")
        if self.status in _BODILESS and (self.steps or self.ending is not Ending.CLEAN):
            raise ValueError(f"a {self.status} has no body, so neither steps nor another ending")
        if self.chunk_size is not None and self.chunk_size < 1:
            raise ValueError("chunk_size must be at least 1")

    def _is_endless(self) -> bool:
        return any(isinstance(step, Forever | Live) for step in self.steps)


def _check_member(kind: type[Enum], given: object) -> None:
    if not isinstance(given, kind):
        raise TypeError(f"expected a member of {kind.__name__}, not {given!r}")


ScriptEntry: TypeAlias = "Connection | Callable[[RecordedRequest], Connection]"
"""An answer, or a function that decides on it from the recorded request."""


class Script:
    """The entries that are still to be used, in order; shared by many threads.

    Args:
        entries: One for every request.
        then: What answers when they are used up; 204 by default, so that clients stop.

    Raises:
        TypeError: One of them is neither a connection nor a function.
    """

    def __init__(self, entries: Iterable[ScriptEntry], then: ScriptEntry | None) -> None:
        self._entries = deque(entries)
        self._then = then or Connection(status=204)
        self._lock = threading.Lock()
        for entry in (*self._entries, self._then):
            _check_entry(entry)

    def add(self, *entries: ScriptEntry) -> None:
        """Put entries at the end."""
        for entry in entries:
            _check_entry(entry)
        with self._lock:
            self._entries.extend(entries)

    def refuses_next(self) -> bool:
        """Whether the next entry is `refused`; if so, it is used up."""
        with self._lock:
            refuses = bool(self._entries) and _is_refusal(self._entries[0])
            if refuses:
                self._entries.popleft()
            return refuses

    def answer(self, request: RecordedRequest) -> Connection:
        """Use up the next entry."""
        with self._lock:
            entry = self._entries.popleft() if self._entries else self._then
        answer = entry if isinstance(entry, Connection) else entry(request)
        _check_answer(answer, entry)
        return answer


def _check_answer(answer: object, entry: ScriptEntry) -> None:
    if not isinstance(answer, Connection):
        raise TypeError(f"{entry!r} must return a Connection, not {answer!r}")


def _check_entry(entry: object) -> None:
    if not isinstance(entry, Connection) and not callable(entry):
        msg = f"a script is made of Connection(...) and functions that return one, not {entry!r}"
        raise TypeError(msg)


def _is_refusal(entry: ScriptEntry) -> bool:
    return isinstance(entry, Connection) and entry.ending is Ending.REFUSED
