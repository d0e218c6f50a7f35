"""The ``resilient-sse`` command and the demonstration in processes of their own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

COMMAND = "resilient_sse"


def _words(module: str, arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def run_cli(
    *arguments: str, module: str = COMMAND, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command, or another module, to its end."""
    given: dict[str, Any] = {
        "capture_output": True,
        "text": True,
        "timeout": 25,
        "check": False,
    } | options
    run: Any = subprocess.run
    return cast("subprocess.CompletedProcess[str]", run(_words(module, arguments), **given))


@contextmanager
def started_cli(
    *arguments: str, module: str = COMMAND, **options: Any
) -> Generator[subprocess.Popen[str]]:
    """Start the command, or another module, with pipes; it is killed at the end of the block."""
    given: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    } | options
    with subprocess.Popen(_words(module, arguments), **given) as process:
        try:
            yield process
        finally:
            process.kill()


class Terminal:
    """A terminal, and what is on its screen.

    Args:
        columns: How wide it is.
        lines: How high it is.
    """

    def __init__(self, columns: int = 100, lines: int = 30) -> None:
        self._master, self.slave = os.openpty()
        self.options: dict[str, Any] = {
            "stdout": self.slave,
            "stderr": self.slave,
            "env": self.environment(),
        }
        termios.tcsetwinsize(self.slave, (lines, columns))
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment of a program on this terminal."""
        # The size is the terminal's, not that of the one that the tests run in.
        others = {name: os.environ[name] for name in os.environ if name not in {"COLUMNS", "LINES"}}
        return {**others, "TERM": "xterm-256color"}

    def close(self) -> None:
        """Close both ends."""
        os.close(self._master)
        os.close(self.slave)

    @property
    def text(self) -> str:
        """The lines of the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, condition: Callable[[str], object], seconds: float = 15.0) -> str:
        """Wait until the screen is as it should be, and return it."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, f"after {seconds} s there is only:\n{self.text}"
            self._read(0.1)
        return self.text

    def read_rest(self) -> str:
        """Read what is there, and return the screen."""
        while self._read(0.05):
            pass
        return self.text

    def _read(self, patience: float) -> bool:
        if not select.select([self._master], [], [], patience)[0]:
            return False
        data = os.read(self._master, 65536)
        self.output += data
        self._stream.feed(data)
        return True


@contextmanager
def terminal(columns: int = 100, lines: int = 30) -> Generator[Terminal]:
    """Open a terminal."""
    made = Terminal(columns, lines)
    try:
        yield made
    finally:
        with suppress(OSError):
            made.close()
