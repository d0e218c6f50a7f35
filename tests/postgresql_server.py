"""A real PostgreSQL server for tests, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
# It refuses to run as root.
USER = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"
needs_postgresql = pytest.mark.skipif(not PROGRAMS, reason="postgresql is not installed")


class PostgreSQLServer:
    """A server that listens on a socket in its folder only."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        shutil.chown(self._folder, USER)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"host={self._folder} user={USER} dbname=postgres"

    def __enter__(self) -> Self:
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "--no-sync").wait()
        self._process = self._run("postgres", "-D", str(data), "-k", str(self._folder), "-h", "")
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)  # a fast shutdown
        self._process.wait(20)
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(PROGRAMS[-1] / program), *arguments],
            cwd=self._folder,
            user=USER if os.getuid() == 0 else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
