"""Python's servers, with sse-starlette and with FastAPI's own events, are restarted."""

from __future__ import annotations

import importlib.util
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from resilient_sse import ExponentialBackoff
from tests.servers.processes import end, free_port, python, start
from tests.support.consumers import RUNTIMES, Consumer

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "uvicorn": "uvicorn --factory --port {port} --timeout-graceful-shutdown 1 {app}",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} --graceful-timeout 1 {app}()",
    "granian": "granian --interface asgi --factory --port {port} {app}",
}
NEEDS = {"starlette_app": "sse_starlette", "fastapi_app": "fastapi.sse"}


def available(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.timeout(60)
@pytest.mark.parametrize("app", NEEDS)
@pytest.mark.parametrize("server", COMMANDS)
def test_streams_survive_restarts(
    server: str, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended politely and killed: every runtime gets every event once, in order."""
    for module in (server, NEEDS[app]):
        if not available(module):
            pytest.skip(f"{module} is not installed")
    monkeypatch.setenv("EPOCH", str(time.time() - 1))
    port, log = free_port(), tmp_path / "log"
    command = python(*COMMANDS[server].format(port=port, app=f"tests.servers.apps:{app}").split())
    policy = ExponentialBackoff(wait_initial=0.05, wait_max=0.2)
    with ExitStack() as stack:
        process = start(command, port, log)
        stack.callback(lambda: end(process, kill=True))
        url = f"http://127.0.0.1:{port}/events"
        consumers = [
            stack.enter_context(Consumer(runtime, url, policy=policy)) for runtime in RUNTIMES
        ]
        for kill in (False, True):
            for consumer in consumers:
                consumer.wait_for(len(consumer.events) + 5)
            end(process, kill=kill)
            process = start(command, port, log)
            back = time.monotonic()
            for consumer in consumers:
                assert consumer.wait_for_event_after(back) < 5

    for consumer in consumers:
        numbers = [int(event.id) for event in consumer.events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert [event.data for event in consumer.events] == [f"tick {n}" for n in numbers]
        assert consumer.failures
