"""haproxy in front: it cuts what is quiet, and answers 503 while the backend is down."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from resilient_sse import ExponentialBackoff
from resilient_sse.testing import HistoryServer
from tests.servers.processes import free_port, running
from tests.support.consumers import RUNTIMES, Consumer

if TYPE_CHECKING:
    from pathlib import Path

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
CONFIG = """\
defaults
    mode http
    timeout connect 200ms
    timeout client 1s
    timeout server 300ms
    retries 0
listen events
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
"""

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


def test_what_the_proxy_cuts_is_resumed(tmp_path: Path) -> None:
    """Quiet streams that are cut and a backend that is down cost time and no event."""
    port = free_port()
    policy = ExponentialBackoff(wait_initial=0.05, wait_max=0.1)
    with ExitStack() as stack:
        backend = stack.enter_context(HistoryServer())
        text = CONFIG.format(port=port, backend=backend.port)
        (tmp_path / "haproxy.cfg").write_text(text, encoding="ascii")
        command = [str(HAPROXY), "-db", "-f", str(tmp_path / "haproxy.cfg")]
        stack.enter_context(running(command, port, tmp_path / "log"))
        url = f"http://127.0.0.1:{port}/events"
        consumers = [
            stack.enter_context(Consumer(runtime, url, policy=policy)) for runtime in RUNTIMES
        ]
        backend.publish("before")
        _until(lambda: all(len(consumer.failures) >= 2 for consumer in consumers))
        backend.publish("between")
        for consumer in consumers:
            consumer.wait_for(2)
        backend.stop()
        _until(lambda: all(503 in _statuses(consumer) for consumer in consumers))
        backend.publish("while down")
        backend.start()
        back = time.monotonic()
        for consumer in consumers:
            assert consumer.wait_for_event_after(back) < 3

    for consumer in consumers:
        assert consumer.data == ["before", "between", "while down"]


def _statuses(consumer: Consumer) -> set[int | None]:
    return {failure.status_code for failure in consumer.failures}


def _until(condition: object) -> None:
    """Wait until something holds."""
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
