"""What both twins share of stamina: it runs the waiting of an outage, one generator for each.

A failure is raised inside a generator function that `stamina.retry` decorates; stamina asks for the
seconds, tells the instrumentation that its users set up, sleeps, and begins the function again. So
its attempt numbers and the time waited so far are those of the outage. The function yields once the
wait is over; asked for more without another failure it returns, which costs a third of what closing
stamina's generator would, and the outage is over.

What its hooks raise ends that generator, but not the stream: for the rest of the outage the library
waits by itself, as long as stamina would.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import stamina
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.failure import Retry


class Due:
    """The failure that a generator of stamina's raises next, and how long it is to wait then."""

    def __init__(self) -> None:
        self._error: list[Exception] = []
        self._seconds = 0.0

    def set(self, retry: Retry) -> None:
        """Note what comes next."""
        self._error[:] = [retry.error]
        self._seconds = retry.seconds

    def throw(self) -> None:
        """Raise the failure, if there is one, and hold it no more: its traceback holds the source.

        Raises:
            Exception: The failure.
        """
        if self._error:
            raise self._error.pop()

    def delay(self, error: BaseException) -> float | bool:
        """Be stamina's backoff hook, which sees cancellation and the like, too."""
        return self._seconds if isinstance(error, Exception) else False


def decorated(function: Callable[..., Any], name: str, due: Due) -> Callable[..., Any]:
    """Have stamina retry a generator function, under a name that its hooks show."""
    keep_off_stdout()
    function.__module__, function.__qualname__ = "resilient_sse", name
    return stamina.retry(on=due.delay, attempts=None, timeout=None)(function)


def is_certain() -> bool:
    """Say whether stamina waits whenever it is told to: it is switched on, and not in testing."""
    return stamina.is_active() and not stamina.is_testing()


def seconds_without_stamina(retry: Retry) -> float | None:
    """Return how long to wait where stamina cannot do it; None if it would not retry."""
    if not stamina.is_testing():
        return retry.seconds
    # How many attempts `set_testing` allows is said nowhere in public.
    testing: Any = getattr(getattr(stamina, "_config", None), "CONFIG", None)
    allowed = getattr(getattr(testing, "testing", None), "attempts", 1)
    return 0.0 if retry.number < allowed else None


_moved: Final[list[bool]] = []


def keep_off_stdout() -> None:
    """Have structlog write to standard error, unless the program has set structlog up.

    stamina tells of every retry through structlog, whose default is standard output: that belongs
    to the program, which may be one end of a pipe.
    """
    if _moved or structlog.is_configured():
        return
    _moved.append(True)
    # `structlog.configure` would say that the program has done so.
    config: Any = getattr(getattr(structlog, "_config", None), "_CONFIG", SimpleNamespace())
    config.logger_factory = _stderr_logger


def _stderr_logger(*_names: object) -> Any:  # noqa: ANN401 - either kind of structlog's
    """Make a logger for what is standard error now; a process without one hears nothing."""
    return structlog.ReturnLogger() if sys.stderr is None else structlog.PrintLogger(sys.stderr)
