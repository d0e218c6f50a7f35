"""Steps: what a scripted body is made of."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "Forever",
    "Gate",
    "Live",
    "News",
    "Pause",
    "Step",
    "check_steps",
    "comment",
    "event",
    "forever",
    "pause",
    "raw",
    "retry",
]

_LINE_END = re.compile(r"\r\n|\r|\n")


def event(
    data: str = "",
    *,
    event: str | None = None,
    id: str | None = None,  # noqa: A002 - the field's name in the standard
    retry: int | None = None,
) -> bytes:
    """One event as a server writes it; every line of the data becomes a data line.

    Args:
        data: The payload.
        event: The event type; no ``event`` field without it.
        id: The event's id; no ``id`` field without it.
        retry: Milliseconds; no ``retry`` field without it.
    """
    fields = {"event": event, "id": id, "retry": retry}
    lines = [f"{name}: {value}\n" for name, value in fields.items() if value is not None]
    lines += [f"data: {line}\n" for line in _LINE_END.split(data)]
    return ("".join(lines) + "\n").encode()


def comment(text: str = "") -> bytes:
    """A comment, which most servers use as a heartbeat, and a blank line.

    Args:
        text: The comment; every line of it becomes a line with a colon.
    """
    lines = [f": {line}\n" for line in _LINE_END.split(text)]
    return ("".join(lines) + "\n").encode()


def retry(milliseconds: int) -> bytes:
    """A block with a ``retry`` field only.

    Args:
        milliseconds: Its value.
    """
    return f"retry: {milliseconds}\n\n".encode()


def raw(data: bytes | str) -> bytes:
    """Exactly these bytes (text is encoded as UTF-8)."""
    return data.encode() if isinstance(data, str) else data


@dataclass(frozen=True, slots=True)
class Pause:
    """A step in which nothing is sent.

    Attributes:
        seconds: How long.
    """

    seconds: float


def pause(seconds: float) -> Pause:
    """Send nothing for so many seconds."""
    return Pause(seconds)


@dataclass(frozen=True, slots=True)
class Forever:
    """A step that repeats other steps until the connection is over.

    Attributes:
        steps: What is repeated.
    """

    steps: tuple[Step, ...]


def forever(*steps: Step) -> Forever:
    """Repeat the steps until the client leaves; nothing after this is reached.

    Raises:
        ValueError: Without a step there is nothing to repeat.
        TypeError: One of them is no step.
    """
    if not steps:
        raise ValueError("forever() needs at least one step, for example pause(1)")
    check_steps(steps)
    return Forever(steps)


class News:
    """Tells those who subscribed, in any thread, that there is something new."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[], object]] = []

    def subscribe(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` at every announcement."""
        self._watchers.append(wake)

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Stop calling ``wake``."""
        self._watchers.remove(wake)

    def announce(self) -> None:
        """Call all of them."""
        for wake in tuple(self._watchers):
            wake()


class Live(ABC):
    """A step whose bytes are decided while the connection is open.

    Args:
        news: Announces that `take` may have something new.
        patience: Ask again after so many seconds even if nothing was announced.
    """

    def __init__(self, news: News, patience: float | None = None) -> None:
        self.news = news
        self.patience = patience

    @abstractmethod
    def take(self) -> Sequence[bytes] | None:
        """What is to be sent now; None when this step is over."""


class Gate(Live):
    """A step that waits until the test opens it.

    ```python
    gate = Gate()
    script = [Connection(event("one"), gate, event("two"))]
    ...
    gate.open()
    ```
    """

    def __init__(self) -> None:
        super().__init__(News())
        self._opened = False

    def open(self) -> None:
        """Let this and every later connection pass."""
        self._opened = True
        self.news.announce()

    def take(self) -> Sequence[bytes] | None:
        """Nothing to send; the step is over once the gate is open."""
        return None if self._opened else ()


def check_steps(steps: Iterable[object]) -> None:
    """Refuse what is no step where the script is written, not where it is run.

    Raises:
        TypeError: One of them is none.
    """
    for step in steps:
        if not isinstance(step, bytes | Pause | Forever | Live):
            msg = f"a step is made by event(), comment(), raw(), pause()..., and {step!r} is none"
            raise TypeError(msg)


Step: TypeAlias = "bytes | Pause | Forever | Live"
"""One step of a body: bytes (made by `event`, `comment`, `retry`, `raw`), a pause, a gate..."""
