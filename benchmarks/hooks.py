"""What the hooks cost for an event: ``python -m benchmarks.hooks``.

One process reads a backlog of small events over a loopback connection: without hooks, and with
each of the hooks that report. Printed is the CPU time of this process for an event, the median of
several runs in random order. The server runs in a process of its own, and does not count.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from resilient_sse import SyncReconnectingEventSource
from resilient_sse.instrumentation import OpenTelemetryHook, PrometheusHook, StructlogHook

if TYPE_CHECKING:
    from collections.abc import Generator

    from resilient_sse import Hook

EVENTS = 200_000
RUNS = 15
SERVER = f"""
import socket
events = b'id: 1\\ndata: {{"token": "hello"}}\\n\\n' * {EVENTS}
head = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\n"
length = b"content-length: " + str(len(events)).encode() + b"\\r\\n\\r\\n"
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.recv(65536)
            client.sendall(head + length + events)
            client.recv(1)
"""


@contextmanager
def server() -> Generator[str]:
    """Run the server in a process of its own; gives its URL."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def hooks() -> dict[str, list[Hook]]:
    """Make each hook, reporting to where nobody reads."""
    silent = structlog.wrap_logger(None, processors=[_drop])
    return {
        "no hook": [],
        "StructlogHook": [StructlogHook(silent)],
        "PrometheusHook": [PrometheusHook(registry=CollectorRegistry())],
        "OpenTelemetryHook": [
            OpenTelemetryHook(meter_provider=MeterProvider(), tracer_provider=TracerProvider())
        ],
    }


def _drop(_logger: object, _name: str, _event: object) -> str:
    raise structlog.DropEvent


def microseconds_per_event(url: str, observers: list[Hook]) -> float:
    """Read the backlog once."""
    began = time.process_time()
    with SyncReconnectingEventSource(url, hooks=observers) as source:
        for _ in range(EVENTS):
            next(source)
    return (time.process_time() - began) / EVENTS * 1e6


def main() -> None:
    """Measure and print."""
    with server() as url:
        contestants = hooks()
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(RUNS):
            # In another order each time: the machine's slower moments hit all of them.
            for name in random.sample(list(contestants), len(contestants)):
                times[name].append(microseconds_per_event(url, contestants[name]))
    print(f"{EVENTS} events, {RUNS} runs, CPU time per event in µs: median (fastest to slowest)")
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:20}{median:8.3f}   ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
