"""Who waits for an engine's answer, and whose turn it is to ask: many requests, sent as one.

While one request is under way, the next ones gather; whoever came first then sends for all. So
however many ask at once, one connection serves them, and nobody waits who is alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_MOST: Final = 1000  # in one request: an engine does nothing else meanwhile


class Event(Protocol):
    """What somebody waits for: of threads, or of an event loop."""

    def set(self) -> object:
        """Wake whoever waits."""


class Request:
    """What somebody asks, and what came of it.

    Args:
        word: What is asked.
        event: Wakes whoever asks: there is an answer, or it is their turn to send.

    Attributes:
        turn: Whether it is theirs to send.
        over: Whether it was answered, or nobody waits for the answer any more.
    """

    __slots__ = ("_answer", "_error", "_event", "over", "turn", "word")

    def __init__(self, word: Any, event: Event) -> None:  # noqa: ANN401 - any word
        self.word = word
        self.turn = self.over = False
        self._event = event
        self._answer: Any = None
        self._error: Exception | None = None

    def wake(self) -> None:
        """Have whoever waits look what there is."""
        self._event.set()

    def settle(self, answer: object, error: Exception | None = None) -> None:
        """Give the answer to whoever waits."""
        self._answer, self._error, self.over = answer, error, True
        self.wake()

    def outcome(self) -> Any:  # noqa: ANN401 - any answer
        """Return the answer.

        Raises:
            Exception: What all who asked together failed with.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)  # else each raise would make it longer
        return self._answer


class Line:
    """The requests that wait, in order. It is locked for moments only, and calls nobody then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._sent: list[Request] = []
        self._busy = False

    @property
    def idle(self) -> bool:
        """Whether nobody waits or sends."""
        return not self._busy

    @contextmanager
    def place(self, request: Request) -> Generator[None]:
        """Stand in the line, and pass the turn on in the end.

        An exception while it is this one's turn is told to all whose requests were sent. Whoever
        is cancelled then leaves them to the next one, who sends them again.
        """
        self._join(request)
        try:
            yield
        except BaseException as error:
            if not (request.turn and isinstance(error, Exception)):
                self._leave(request)
                raise
            for one in self._sent:
                one.settle(None, error)
        finally:
            if request.turn:
                self._pass_on()

    def take(self) -> list[Any]:
        """Return the words that are sent now, the first of which is that of whoever sends."""
        with self._lock:
            self._sent = self._waiting[:_MOST]
            del self._waiting[:_MOST]
            return [one.word for one in self._sent]

    def settle(self, answers: Iterable[object]) -> None:
        """Give out the answers to what was taken."""
        for one, answer in zip(self._sent, answers, strict=True):
            one.settle(answer)

    def _join(self, request: Request) -> None:
        with self._lock:
            self._waiting.append(request)
            request.turn, self._busy = not self._busy, True

    def _leave(self, request: Request) -> None:
        with self._lock:
            request.over = True
            everyone = [*self._sent, *self._waiting] if request.turn else self._waiting
            self._waiting = [one for one in everyone if not one.over]

    def _pass_on(self) -> None:
        with self._lock:
            self._sent = []
            heir = self._waiting[0] if self._waiting else None
            self._busy = heir is not None
            if heir is not None:
                heir.turn = True
        if heir is not None:
            heir.wake()
