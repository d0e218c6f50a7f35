"""``resilient-sse demo --serve`` gives people a stream that survives its server."""

from __future__ import annotations

import json
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from resilient_sse import ServerSentEvent
from resilient_sse.cli import _serve, main
from resilient_sse.cli._ticking import TickingServer
from tests.servers.processes import free_port
from tests.support.cli_process import run_cli, started_cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(90)
def test_a_tail_goes_on_although_both_were_started_again(tmp_path: Path) -> None:
    """As the documentation says: a stream to play with, which survives its server."""
    port, cursor = str(free_port()), str(tmp_path / "cursor")
    found: list[int] = []
    for _ in range(2):
        with started_cli("demo", "--serve", "--port", port) as server:
            assert server.stderr is not None
            url = server.stderr.readline().split()[-1]
            tail = ("tail", url, "--format", "data", "--max-events", "2", "--cursor", cursor)
            found += [json.loads(line)["number"] for line in run_cli(*tail).stdout.splitlines()]
            server.send_signal(signal.SIGINT)
            assert server.wait(10) == 130
            assert "Traceback" not in server.stderr.read()
    assert found == list(range(found[0], found[0] + 4))


def test_a_port_that_is_taken_is_said() -> None:
    """One line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run_cli("demo", "--serve", "--port", port)
    (line,) = result.stderr.splitlines()
    assert f"cannot listen at port {port}" in line
    assert "--port" in line
    assert result.returncode == 2


def test_without_serve_it_says_where_the_demonstration_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The command carries none."""
    assert main(["demo"]) == 2
    said = capfd.readouterr().err
    assert "--serve" in said
    assert "make demo" in said


def test_serving_ends_without_a_signal_too() -> None:
    """What is summed up is that it is over."""
    serve = _serve.Serve(free_port())
    assert serve.sum_up().code == 0


def numbers(server: TickingServer) -> list[int]:
    """List the numbers of the history."""
    return [event.json()["number"] for event in server.history if event.data]


def test_a_server_that_was_down_has_forgotten_nothing() -> None:
    """Its history is that of the time, so that of a new process is that of the old one."""
    now = 1000.0
    make = partial(TickingServer, port=0, began=990.0, rate=1.0, clock=lambda: now)
    with make() as server:
        assert numbers(server) == list(range(1, 11))
    now += 5
    with make(first=3) as server:
        assert numbers(server) == list(range(3, 16))
        assert server.finish() == 15
        assert server.history[-1] == ServerSentEvent(event="end", id="16")


def test_a_server_that_was_never_started_can_be_closed() -> None:
    """Nothing has to be ended."""
    TickingServer(port=0, began=0.0, rate=1.0).close()
