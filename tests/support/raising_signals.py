"""A program that reads a stream again and again; each time a signal handler raises, a point later.

A handler runs between two instructions of the main thread: at the beginning of a function, when a
loop begins again, and after a call that was not one of a Python function. Here a trace function
raises in its place, so that no such point of the library's is left to luck.

``python -m tests.support.raising_signals URL STEP HOOKS`` prints what went wrong, and where.
"""

from __future__ import annotations

import dis
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

import resilient_sse
from resilient_sse import SyncReconnectingEventSource

if TYPE_CHECKING:
    from types import FrameType

    from resilient_sse import LifecycleEvent

LIBRARY = str(Path(resilient_sse.__file__).parent)
CALLS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW"}
POINTS = {*CALLS, "RESUME", "JUMP_BACKWARD"}
NO_INSTRUCTIONS = {"CACHE", "EXTENDED_ARG", "PRECALL"}
LAST = 7  # the id of the last event
HANGS_AFTER = 5.0  # seconds


class Raised(BaseException):
    """What the handler raises."""


class Hangs(BaseException):
    """Raised by the one handler that is real, if the library does not come back."""


class Handler:
    """Raises at one point.

    Args:
        at: At which, from 1.

    Attributes:
        where: Which point that was; "" if there are not so many.
    """

    def __init__(self, at: int) -> None:
        self.where = ""
        self._left = at
        self._before: dict[FrameType, str] = {}
        self._called: set[FrameType] = set()

    def trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """Have the instructions of the library's functions looked at."""
        if frame.f_back is not None:
            self._called.add(frame.f_back)
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._look

    def _look(self, frame: FrameType, event: str, _argument: object) -> Any:
        name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if event != "opcode" or name in NO_INSTRUCTIONS:
            return self._look
        before, self._before[frame] = self._before.get(frame, ""), name
        of_python = before in CALLS and frame in self._called
        self._called.discard(frame)
        if before in POINTS and not of_python:
            self._left -= 1
            if not self._left:
                sys.settrace(None)
                self.where = f"{frame.f_code.co_filename[len(LIBRARY) :]}:{frame.f_lineno}"
                raise Raised
        return self._look


def read(source: SyncReconnectingEventSource, handler: Handler, got: list[int]) -> None:
    """Read to the last event, whatever is raised."""
    sys._getframe().f_trace_opcodes = True  # else CPython 3.12 learns of it too late
    sys.settrace(handler.trace)
    try:
        while LAST not in got:
            try:
                got.append(int(next(source).id))
            except Raised:
                if source.last_event_id == str(LAST):  # it was in the library's hands already
                    return
    finally:
        sys.settrace(None)


def wrong_with(url: str, handler: Handler, *, hooks: bool) -> str:
    """Read the stream once, and say what went wrong."""
    got: list[int] = []
    told: list[str] = []

    def hear(event: LifecycleEvent) -> None:
        told.append(type(event).__name__)

    try:
        with SyncReconnectingEventSource(
            url, policy=lambda _: 0.0, hooks=[hear] if hooks else []
        ) as source:
            read(source, handler, got)
            closing = threading.Thread(target=source.close, daemon=True)
            closing.start()
            closing.join(HANGS_AFTER / 2)
            if closing.is_alive():
                return "another thread cannot close it"
    except Hangs:
        return "it hangs"
    except Exception as error:
        return repr(error)
    if hooks and told[-1:] != ["Closed"]:
        return "hooks do not hear of the end"
    if got != sorted(set(got)) or len(got) < LAST - 1:  # one may have been in its hands
        return f"got {got}"
    return ""


def main(url: str, step: int, *, hooks: bool) -> None:
    """Try every point, or every second, third... of them."""

    def hangs(*_arguments: object) -> None:
        raise Hangs

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    signal.signal(signal.SIGALRM, hangs)
    wrong: list[str] = []
    point = 1
    while True:
        handler = Handler(point)
        signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER)
        if what := wrong_with(url, handler, hooks=hooks):
            wrong.append(f"{handler.where}: {what}")
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not handler.where or len(wrong) > 5:
            break
        point += step
    sys.stdout.writelines([*(f"{what}\n" for what in wrong), f"{point > 100}\n"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), hooks=sys.argv[3] == "True")
