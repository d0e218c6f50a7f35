"""Several replicas as real processes, a real engine, and everything that may happen to them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROGRAM = ROOT / "examples" / "replicas.py"


class Line(NamedTuple):
    """One event that a replica handled."""

    when: float
    pid: int
    url: str
    token: int
    event_id: str


class Cable:
    """What connects one replica with its engine: a proxy that can be cut, unnoticed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.whole = threading.Event()
        self.whole.set()
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take it away."""
        self._over = True
        self.whole.set()
        # Closing alone would leave accept() blocked.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self.whole.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            near.close()
            return
        for pair in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.whole.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Replica:
    """A process, and its cable to the engine.

    Args:
        engine: Its URL, with the port.
        log: What it handles.
        ttl: Seconds that a lease lasts.
        urls: The streams.
    """

    def __init__(self, engine: str, log: Path, ttl: float, urls: Sequence[str]) -> None:
        port = urlsplit(engine).port or 0
        self.cable = Cable(port)
        url = engine.replace(f":{port}", f":{self.cable.port}")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, str(log), str(ttl), *urls],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def kill(self) -> str:
        """Kill it, and return what it complained about."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        _, errors = self.process.communicate()
        self.cable.close()
        return errors.decode()


def end_of(log: Path) -> int:
    """Return how long a log is by now."""
    return log.stat().st_size if log.exists() else 0


def lines_of(log: Path, begin: int = 0) -> list[Line]:
    """Read what the replicas handled, in order, from where `end_of` was once."""
    if not log.exists():
        return []
    with log.open() as file:
        file.seek(begin)
        rows = [line.split() for line in file]
    return [Line(float(when), int(pid), url, int(token), i) for when, pid, url, token, i in rows]


def wait_until_handled(log: Path, count: int, seconds: float = 30.0) -> None:
    """Wait until there are so many lines more than there were."""
    begin = end_of(log)
    deadline = time.monotonic() + seconds
    while len(lines_of(log, begin)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody handles anything")
        time.sleep(0.02)
