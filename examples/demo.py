"""See a client survive what a network does to it: ``make demo``, or ``python -m examples.demo``.

This process publishes numbered events to a file. A second one, a real server (uvicorn with
sse-starlette), streams them; it is made to cut, to refuse, to fall silent, to die. A
`ReconnectingEventSource` reads the stream meanwhile. In the end the numbers are compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import stamina.instrumentation
import structlog

from examples._demo_ledger import Ledger
from resilient_sse import ExponentialBackoff, ReconnectingEventSource
from resilient_sse.instrumentation import StructlogHook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import Process

SERVER = Path(__file__).with_name("_demo_server.py")
EVENTS_PER_SECOND = 50
PATIENCE = 30.0  # seconds for the client to get over one fault, on the slowest of machines

log = structlog.get_logger("demo")


class Server:
    """The server's process, which may be killed and started again at the same port."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._process: Process | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The URL of the stream."""
        return f"http://127.0.0.1:{self.port}/events"

    async def start(self) -> None:
        """Start the process, and return when it listens."""
        command = [sys.executable, str(SERVER), str(self._history), str(self.port)]
        # A session of its own, so that Ctrl-C reaches this process alone.
        self._process = await anyio.open_process(command, stderr=None, start_new_session=True)
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.port = int(await self._process.stdout.receive())

    async def tell(self, command: str) -> None:
        """Have something go wrong."""
        assert self._process is not None  # noqa: S101 - it is started
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        await self._process.stdin.send(f"{command}\n".encode())

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            with anyio.CancelScope(shield=True):
                await self._process.aclose()


@asynccontextmanager
async def running(history: Path) -> AsyncGenerator[Server]:
    """Run the server as long as the block."""
    server = Server(history)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


async def publish(history: Path, ledger: Ledger, stop: anyio.Event) -> None:
    """Append numbered events to the history until it is time to stop, then the last one."""
    with history.open("a", encoding="utf-8") as file:
        while not stop.is_set():
            ledger.sent += 1
            print(f"message {ledger.sent}", file=file, flush=True)
            await anyio.sleep(1 / EVENTS_PER_SECOND)
        print("end", file=file, flush=True)


async def torment(server: Server, ledger: Ledger, seconds: float) -> None:
    """Let one thing after the other go wrong, each when the client got over the one before."""

    async def kill_and_restart() -> None:
        await server.kill()
        await anyio.sleep(max(0.5, seconds / 20))  # longer than the client's first wait
        await server.start()

    refusals = max(1, round(seconds / 10))
    faults: dict[str, Callable[[], Awaitable[None]]] = {
        "the connection is cut in the middle of an event": partial(server.tell, "cut"),
        "503 with Retry-After": partial(server.tell, f"unavailable {refusals}"),
        "the server falls silent": partial(server.tell, "silence"),
        "SIGKILL, and a restart": kill_and_restart,
        "the server ends the stream": partial(server.tell, "end"),
    }
    pace = seconds / (len(faults) + 1)
    began = anyio.current_time()
    for number, (fault, inflict) in enumerate(faults.items(), start=1):
        await anyio.sleep_until(began + number * pace)
        recovered = ledger.recovered = anyio.Event()
        log.warning("demo.fault", fault=fault)
        await inflict()
        with anyio.move_on_after(PATIENCE):
            await recovered.wait()
        ledger.faults += 1
    await anyio.sleep_until(began + seconds)


async def read(server: Server, ledger: Ledger) -> None:
    """Read the stream; all that a program needs to do is here."""
    async with ReconnectingEventSource(
        server.url,
        idle_timeout=1.0,
        policy=ExponentialBackoff(wait_initial=0.2, wait_max=2.0),
        until=lambda event: event.event == "end",
        hooks=[StructlogHook(), ledger],
    ) as source:
        async for event in source:
            ledger.delivered(event)


async def demonstrate(seconds: float, history: Path) -> Ledger:
    """Run everything, and return what was counted."""
    ledger, stop = Ledger(), anyio.Event()
    async with running(history) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(publish, history, ledger, stop)
        tasks.start_soon(read, server, ledger)
        await torment(server, ledger, seconds)
        stop.set()
        with anyio.move_on_after(PATIENCE):
            await ledger.ended.wait()
        tasks.cancel_scope.cancel()
    return ledger


def show_lifecycle() -> None:
    """Print log lines for people."""
    # stamina announces waits to structlog as well; here, once is enough.
    stamina.instrumentation.set_on_retry_hooks([])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            _shorten,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=20),
        ]
    )


def _shorten(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out what is the same in all lines, or was said in the line before."""
    known = {"url", "source_id", "bytes", "failed_attempt", "outage_seconds"}
    if line["event"] == "sse.retry_scheduled":
        known.add("error")
    return {key: value for key, value in line.items() if key not in known}


def main() -> int:
    """Run the demonstration; the result is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m examples.demo")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default: 20)")
    arguments = parser.parse_args()
    if find_spec(arguments.backend) is None:
        parser.error(f"{arguments.backend} is not installed")
    show_lifecycle()
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder, "history.txt")
        history.touch()
        try:
            ledger = anyio.run(demonstrate, arguments.seconds, history, backend=arguments.backend)
        except* KeyboardInterrupt:
            ledger = None
    if ledger is None:
        print("\nInterrupted.")
        return 130
    print(ledger.summary())
    return 0 if ledger.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
