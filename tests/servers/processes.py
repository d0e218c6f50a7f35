"""Starting servers, knowing when they are up, and ending them whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["ROOT", "end", "free_port", "python", "running", "start"]

ROOT = Path(__file__).parent.parent.parent
# If the tests are killed, the servers end too.
_SETPRIV = shutil.which("setpriv")
_WITH_ITS_PARENT = [_SETPRIV, "--pdeathsig", "TERM", "--"] if _SETPRIV else []


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def python(*arguments: str) -> list[str]:
    """The command to run a module with this interpreter."""
    return [sys.executable, "-m", *arguments]


def start(command: Sequence[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a server and wait until it listens."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_WITH_ITS_PARENT, *command],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            raise RuntimeError(f"{command[0]} did not start: {log.read_text(encoding='utf-8')}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    """Ask it to end, and make it end after three seconds, its workers included."""
    if not kill:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
    with contextlib.suppress(ProcessLookupError):  # nobody is left of its group
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, log: Path
) -> Generator[subprocess.Popen[bytes], None, None]:
    """A server that runs as long as the block."""
    process = start(command, port, log)
    try:
        yield process
    finally:
        end(process)
