"""Proxies on the way: the configurations in the documentation, and the way out through CONNECT."""

from __future__ import annotations

import os
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from resilient_sse import ExponentialBackoff
from resilient_sse.testing import (
    Connection,
    Ending,
    HistoryServer,
    ScriptedServer,
    event,
    pause,
)
from tests.servers.processes import NGINX_BASICS, ROOT, free_port, running
from tests.support.consumers import Consumer
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from resilient_sse.testing import Step

PAGE = ROOT / "docs" / "how-to" / "behind-a-proxy.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

NGINX_CONFIG = (
    NGINX_BASICS
    + """\
    gzip on;
    gzip_proxied any;
    gzip_types text/event-stream;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
)
GAP = 0.4
NEWS: list[Step] = [event("one"), pause(GAP), event("two"), pause(GAP), event("three")]

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not in a checkout")


def documented(language: str, backend: int) -> str:
    """The configuration on the page, for a backend that listens elsewhere."""
    (block,) = re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert "127.0.0.1:8000" in block
    return str(block.replace("127.0.0.1:8000", f"127.0.0.1:{backend}"))


@contextmanager
def nginx(folder: Path, location: str) -> Generator[str]:
    """Run nginx, which compresses what it passes on; gives the URL of the stream."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    text = NGINX_CONFIG.format(user=user, folder=folder, port=port, location=location)
    path.write_text(text, encoding="ascii")
    command = [str(NGINX), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(path)]
    with running(command, port, folder / "log"):
        yield f"http://127.0.0.1:{port}/events"


@contextmanager
def haproxy(folder: Path, config: str) -> Generator[str]:
    """Run haproxy; gives the URL of the stream."""
    port = free_port()
    path = folder / "haproxy.cfg"
    path.write_text(config.replace("127.0.0.1:8080", f"127.0.0.1:{port}"), encoding="ascii")
    with running([str(HAPROXY), "-db", "-f", str(path)], port, folder / "log"):
        yield f"http://127.0.0.1:{port}/events"


def gaps(url: str) -> list[float]:
    """Read the news; gives the times between the events."""
    with Consumer("asyncio", url) as consumer:
        consumer.wait_for(3)
    return [later - earlier for earlier, later in pairwise(consumer.times)]


def live(gaps: list[float]) -> bool:
    """Whether the events came as they were sent, and not together."""
    return all(GAP / 2 < gap < GAP * 2 for gap in gaps)


@needs_nginx
@pytest.mark.parametrize(
    ("location", "header", "comes_live"),
    [
        pytest.param("", {}, True, id="as documented"),
        pytest.param("{pass}", {}, False, id="as nginx does by itself"),
        pytest.param("{pass}", {"X-Accel-Buffering": "no"}, True, id="the application says so"),
    ],
)
def test_nginx_passes_on_what_comes(
    location: str, header: dict[str, str], comes_live: bool, tmp_path: Path
) -> None:
    """With buffering it compresses first, so that all events come together at the end."""
    with ExitStack() as stack:
        backend = stack.enter_context(ScriptedServer([Connection(*NEWS, headers=header)]))
        passing = f"location /events {{ proxy_pass http://127.0.0.1:{backend.port}; }}"
        text = passing if location else documented("nginx", backend.port)
        url = stack.enter_context(nginx(tmp_path, text))

        assert live(gaps(url)) == comes_live


@needs_haproxy
@pytest.mark.parametrize("option", ["option http-no-delay", ""])
def test_haproxy_passes_on_what_comes(option: str, tmp_path: Path) -> None:
    """As documented at once; without the option a fifth of a second later."""
    with ExitStack() as stack:
        backend = stack.enter_context(HistoryServer())
        config = documented("text", backend.port).replace("option http-no-delay", option)
        url = stack.enter_context(haproxy(tmp_path, config))
        consumer = stack.enter_context(Consumer("asyncio", url))
        backend.publish("first")
        consumer.wait_for(1)
        sent = time.monotonic()
        backend.publish("second")
        consumer.wait_for(2)

        assert (consumer.times[1] - sent < 0.1) == bool(option)


@needs_haproxy
@pytest.mark.parametrize(
    ("setting", "heartbeat", "cut"),
    [
        ("", None, True),
        ("timeout tunnel 1h", None, True),
        ("", 0.1, False),
    ],
    ids=["timeout server", "timeout tunnel does not help", "heartbeats do"],
)
def test_haproxy_cuts_what_is_quiet(
    setting: str, heartbeat: float | None, cut: bool, tmp_path: Path
) -> None:
    """`timeout server` is what counts for an event stream."""
    policy = ExponentialBackoff(wait_initial=0.05, wait_max=0.05)
    with ExitStack() as stack:
        backend = stack.enter_context(HistoryServer(heartbeat=heartbeat))
        config = documented("text", backend.port)
        config = config.replace("timeout server 1h", f"timeout server 500ms\n    {setting}")
        url = stack.enter_context(haproxy(tmp_path, config))
        consumer = stack.enter_context(Consumer("asyncio", url, policy=policy))
        backend.publish("first")
        consumer.wait_for(1)
        time.sleep(1.2)

        assert bool(consumer.failures) == cut


class Tunnels(socketserver.ThreadingTCPServer):
    """A proxy that only knows CONNECT; ``asked`` has what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Tunnel)


class Tunnel(socketserver.StreamRequestHandler):
    """One connection to it."""

    def handle(self) -> None:
        """Answer a CONNECT, then carry bytes both ways."""
        method, target, _ = self.rfile.readline().decode("ascii").split()
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, Tunnels)
        self.server.asked.append(f"{method} {target}")
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_carry, args=(there, self.connection), daemon=True)
            back.start()
            _carry(self.connection, there)
            back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes until one side is done; then the other is, too."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("runtime", ["asyncio", "trio", "threads"])
def test_a_stream_over_tls_leaves_through_the_proxy_of_the_environment(
    runtime: str, name: str
) -> None:
    """Both connections are tunnels, and the second one resumes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    with (
        Tunnels() as proxy,
        HistoryServer(
            ssl_context=context, max_events_per_connection=1, ending=Ending.RESET
        ) as server,
    ):
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        server.publish("one")
        server.publish("two")
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environment |= {
            name: f"http://127.0.0.1:{proxy.server_address[1]}",
            "SSL_CERT_FILE": str(PEM),
        }
        done = subprocess.run(
            [sys.executable, "-c", READ_TWO, runtime, server.url],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        proxy.shutdown()

    assert done.stdout.split() == ["one", "two"], done.stderr
    assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port}"] * 2
    assert [request.last_event_id for request in server.requests] == ["", "1"]


READ_TWO = """
import sys

import stamina.instrumentation

from resilient_sse import ExponentialBackoff
from tests.support.consumers import Consumer

stamina.instrumentation.set_on_retry_hooks([])
policy = ExponentialBackoff(wait_initial=0.05, attempts=3)
with Consumer(sys.argv[1], sys.argv[2], policy=policy) as consumer:
    consumer.wait_for(2)
print(*consumer.data)
"""
