"""HTTP/2 with nginx and with hypercorn: what is dropped, what dies, what is reloaded."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.servers.processes import NGINX_BASICS, end, free_port, python, running, start
from tests.support.files import PEM
from tests.support.http2_readers import RUNTIMES, Reader, Stage
from tests.support.relay import Relay
from tests.support.runners import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator
    from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
APP = "tests.servers.apps:counting_app()"
DROPS = int(os.environ.get("RESILIENT_SSE_DROPS", "100"))
CONFIG = (
    NGINX_BASICS
    + """\
    http2_max_concurrent_streams 20;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
)


def soon(_failure: object) -> float:
    """A policy that never gives up."""
    return 0.1


pytestmark = [pytest.mark.timeout(100 + DROPS // 5), pytest.mark.thorough]


class Server:
    """One of both, with the application of numbered events.

    Attributes:
        port: Where it speaks HTTP/2 over TLS.
        process: The one that does.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes], asked: str) -> None:
        self.port = port
        self.process = process
        self._asked = asked

    def open_streams(self) -> int:
        """How many streams the application writes to."""
        trusted = ssl.create_default_context(cafile=str(PEM)) if "https" in self._asked else None
        with urlopen(self._asked, context=trusted, timeout=20) as answer:  # noqa: S310 - our own
            return int(answer.read())


@contextmanager
def hypercorn(folder: Path) -> Generator[Server, None, None]:
    """Hypercorn, which speaks HTTP/2 itself."""
    pytest.importorskip("hypercorn")
    port = free_port()
    tls = ("--certfile", str(PEM), "--keyfile", str(PEM), "--graceful-timeout", "1")
    command = python("hypercorn", "--bind", f"127.0.0.1:{port}", *tls, APP)
    with running(command, port, folder / "log") as process:
        yield Server(port, process, f"https://127.0.0.1:{port}/open")


@contextmanager
def nginx(folder: Path) -> Generator[Server, None, None]:
    """nginx, in front of an application server that speaks HTTP/1.1."""
    pytest.importorskip("hypercorn")
    if NGINX is None:
        pytest.skip("nginx is not installed")
    port, upstream = free_port(), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIG.format(user=user, folder=folder, port=port, upstream=upstream, pem=PEM)
    config = folder / "nginx.conf"
    config.write_text(text, encoding="ascii")
    behind = python("hypercorn", "--bind", f"127.0.0.1:{upstream}", APP)
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    with running(behind, upstream, folder / "app"), running(command, port, folder / "log") as it:
        yield Server(port, it, f"http://127.0.0.1:{upstream}/open")


@pytest.fixture(params=[hypercorn, nginx], ids=["hypercorn", "nginx"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server, None, None]:
    """Each of them."""
    with request.param(tmp_path) as made:
        yield made


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    """Whose client it is."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=RUNTIMES)
def stage(request: pytest.FixtureRequest, library: str) -> Stage:
    """Every runtime with either library."""
    return Stage(request.param, library, patience=20 + DROPS / 10)


@pytest.mark.parametrize("others", [0, 9], ids=["alone", "among ten"])
def test_drops_leave_no_more_than_the_limit_behind(
    server: Server, stage: Stage, others: int
) -> None:
    """Every event once, on all; and nothing is open once all have left."""
    url, most = f"https://127.0.0.1:{server.port}/events", [0]
    dropping = Reader(url, events=DROPS, reconnect_every=1)
    quiet = [Reader(url, events=DROPS * 6 // 10) for _ in range(others)]

    def watch() -> None:
        while not dropping.done:
            most.append(server.open_streams())
            time.sleep(0.05)

    stage.run(dropping, *quiet, then=watch)
    assert all(reader.exact for reader in (dropping, *quiet))
    assert len(dropping.ids) == DROPS
    assert [len(reader.ids) for reader in quiet] == [DROPS * 6 // 10] * others
    eventually(lambda: server.open_streams() == 0)
    assert max(most) <= 100 + others


def test_a_connection_that_dies_silently_is_replaced(server: Server, stage: Stage) -> None:
    """Within the idle timeout and a second."""
    with Relay(server.port) as relay:
        url = f"https://127.0.0.1:{relay.port}/events"
        readers = [Reader(url, events=150, idle_timeout=1) for _ in range(3)]
        silent = [0.0]

        def die() -> None:
            eventually(lambda: all(len(reader.ids) > 20 for reader in readers))
            relay.freeze()
            had, silent[0] = [len(reader.ids) for reader in readers], -time.monotonic()
            eventually(lambda: all(len(r.ids) > n + 5 for r, n in zip(readers, had, strict=True)))
            silent[0] += time.monotonic()

        stage.run(*readers, then=die)
        assert all(reader.exact for reader in readers)
        assert silent[0] < 2
        assert relay.connections > 1
    eventually(lambda: server.open_streams() == 0)


def test_a_server_that_is_reloaded_loses_nothing(stage: Stage, tmp_path: Path) -> None:
    """Nginx takes new workers, and its old ones end their connections (GOAWAY)."""
    with nginx(tmp_path) as server:
        url = f"https://127.0.0.1:{server.port}/events"
        readers = [Reader(url, events=200) for _ in range(3)]

        def reload() -> None:
            for number in (20, 60, 100):
                eventually(lambda: all(len(r.ids) > number for r in readers))  # noqa: B023 - at once
                server.process.send_signal(signal.SIGHUP)

        stage.run(*readers, then=reload)
        assert all(reader.exact for reader in readers)
        eventually(lambda: server.open_streams() == 0)


# httpcore lets go of a connection whose handshake the end of the server has interrupted.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("kill", [False, True], ids=["graceful", "killed"])
def test_a_server_that_is_restarted_loses_nothing(
    stage: Stage, tmp_path: Path, *, kill: bool
) -> None:
    """Hypercorn ends its connections with GOAWAY, or is killed."""
    pytest.importorskip("hypercorn")
    port = free_port()
    tls = ("--certfile", str(PEM), "--keyfile", str(PEM), "--graceful-timeout", "1")
    command = python("hypercorn", "--bind", f"127.0.0.1:{port}", *tls, APP)
    url = f"https://127.0.0.1:{port}/events"
    # More than the server sends in the second in which it ends its connections gracefully.
    readers = [Reader(url, events=300, policy=soon) for _ in range(3)]
    with ExitStack() as stack:
        process = start(command, port, tmp_path / "log")

        def restart() -> None:
            eventually(lambda: all(len(reader.ids) > 20 for reader in readers))
            end(process, kill=kill)
            again = start(command, port, tmp_path / "log")
            stack.callback(end, again, kill=True)

        stage.run(*readers, then=restart)
        assert all(reader.exact for reader in readers)
        assert all(reader.failures for reader in readers)
