"""A real PostgreSQL server for tests, in a folder of its own, to be killed, stopped and copied."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """A server that listens on a free port of the loopback, and on a socket in its folder.

    Args:
        options: More of its settings, as "name=value".
        standby_of: The primary of which it is a copy, by streaming replication.
    """

    def __init__(self, *options: str, standby_of: PostgreSQLServer | None = None) -> None:
        self._primary = standby_of
        self._options = [word for option in options for word in ("-c", option)]
        self._folder = Path(tempfile.mkdtemp())
        shutil.chown(self._folder, USER)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, as a URL."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self._folder / "data"

    def __enter__(self) -> Self:
        if self._primary is None:
            subprocess.run(["/bin/cp", "-a", str(_new_cluster()), str(self.data)], check=True)
        else:
            copied = ("-D", str(self.data), "-d", self._primary.url, "-R", "-c", "fast")
            self._finish("pg_basebackup", *copied, "--no-sync")
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it with what it has, and wait until it answers."""
        settings = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder), "-F"]
        self._process = self._run("postgres", "-D", str(self.data), *settings, *self._options)
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Shut it down fast, or by another signal: SIGQUIT is as good as a crash."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(20)

    def kill(self) -> None:
        """Have it crash."""
        self.stop(signal.SIGQUIT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, for example SIGSTOP, to it and to all that serve a connection."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in [self._process.pid, *map(int, children.read_text().split())]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self._finish("pg_ctl", "promote", "-D", str(self.data))

    def fall_behind(self) -> None:
        """Have a standby receive nothing more."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str, *words: Any) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), words or None)
            return cursor.fetchall() if cursor.description else []

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none while the program at work has not made the table."""
        try:
            return self.execute(query)
        except psycopg.errors.UndefinedTable:
            return []

    def grow_old(self) -> None:
        """Have it grant leases at once, however long they last."""
        self.execute("UPDATE resilient_sse_server SET since = 'epoch'")

    def _finish(self, program: str, *arguments: str) -> None:
        assert self._run(program, *arguments).wait() == 0, program

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return _run(self._folder, program, *arguments)


@cache
def _new_cluster() -> Path:
    """Make what every server begins with, once: a copy takes a tenth of the time."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    shutil.chown(folder, USER)
    made = _run(folder, "initdb", "-D", "data", "-A", "trust", "--no-sync")
    assert made.wait() == 0, "initdb"
    return folder / "data"


def _run(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(PROGRAMS[-1] / program), *arguments],
        cwd=folder,
        user=USER if os.getuid() == 0 else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class PostgreSQLPair:
    """A primary, and a standby that follows it.

    Args:
        synchronous: Whether a commit is answered when the standby has it, too.
    """

    def __init__(self, *, synchronous: bool) -> None:
        self._synchronous = synchronous
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.primary = stack.enter_context(PostgreSQLServer())
            self.standby = stack.enter_context(PostgreSQLServer(standby_of=self.primary))
            if self._synchronous:
                self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                self.primary.execute("SELECT pg_reload_conf()")
            self._wait_for("sync" if self._synchronous else "async")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Whichever of the two is the primary."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=read-write"

    @property
    def conninfo(self) -> str:
        """The same as a connection string."""
        ports = f"{self.primary.port},{self.standby.port}"
        where = f"host=127.0.0.1,127.0.0.1 port={ports} user={USER} dbname=postgres"
        return f"{where} target_session_attrs=read-write"

    def fall_behind(self) -> None:
        """Have the standby receive nothing more, and wait until the primary knows."""
        self.standby.fall_behind()
        self._wait_for(None)

    def kill_primary(self) -> None:
        """Have it die with all that serve a connection, as its machine would."""
        self.primary.signal(signal.SIGKILL)
        self.primary.stop(signal.SIGKILL)

    def fail_over(self) -> float:
        """Kill the primary and promote the standby; return how many seconds that took."""
        began = time.monotonic()
        self.kill_primary()
        self.standby.promote()
        return time.monotonic() - began

    def _wait_for(self, state: str | None) -> None:
        deadline = time.monotonic() + 20
        rows = [] if state is None else [(state,)]
        while self.primary.execute("SELECT sync_state FROM pg_stat_replication") != rows:
            assert time.monotonic() < deadline
            time.sleep(0.05)
