"""Starting servers, knowing when they are up, and ending them whatever happens."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

__all__ = ["NGINX_BASICS", "ROOT", "end", "free_port", "python", "running", "start"]

# How each nginx of the tests begins, up to what it serves: in the foreground, all in one folder.
NGINX_BASICS = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
"""

# If the tests are killed, the servers end too.
_SETPRIV = shutil.which("setpriv")
_WITH_ITS_PARENT = [_SETPRIV, "--pdeathsig", "TERM", "--"] if _SETPRIV else []


def free_port() -> int:
    """A port that nobody listens at, and that the system gives to no other test meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
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
