"""Read a million events from a server that breaks about every hundred, and lose none.

Run it with ``make soak`` or ``python -m benchmarks.soak``. The server (`benchmarks._soak_server`)
breaks in 27 ways, chosen by a seed. Each runtime reads in a process of its own and checks every
event as it comes: its id is the next one and its data is what it must be. At the end there must be
as many open sockets, threads and tasks as at the start, and no more memory than after a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import anyio
import stamina.instrumentation
import trio

from benchmarks._soak_picture import draw
from benchmarks._soak_server import KINDS, payload
from resilient_sse import (
    ExponentialBackoff,
    ReconnectingEventSource,
    RetryScheduled,
    SyncReconnectingEventSource,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_sse import LifecycleEvent, ServerSentEvent

RUNTIMES: Final = ("asyncio", "trio", "threads")
BUCKET: Final = 0.5
_OPTIONS: Final[dict[str, Any]] = {
    "policy": ExponentialBackoff(wait_initial=0.001, wait_max=0.05),
    "idle_timeout": 0.25,
    "connect_timeout": 0.25,
    "dedupe": 64,
}


@dataclass
class Report:
    """What one runtime did."""

    runtime: str
    events: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    failures: int = 0
    waited: float = 0.0
    outages: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    throughput: list[int] = field(default_factory=list[int])
    before: dict[str, int] = field(default_factory=dict[str, int])
    after: dict[str, int] = field(default_factory=dict[str, int])
    memory_at_a_tenth: int = 0
    memory_at_the_end: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])


class Checker:
    """Takes every event, and notes when they came and when they did not."""

    def __init__(self, runtime: str, total: int) -> None:
        self.report = Report(runtime)
        self.total = total
        self.began = time.monotonic()
        self._broke: float | None = None

    def hook(self, told: LifecycleEvent) -> None:
        """Note a failure and the wait that follows."""
        if isinstance(told, RetryScheduled):
            self.report.failures += 1
            self.report.waited += told.delay
            self._broke = self._broke or time.monotonic()

    def take(self, event: ServerSentEvent) -> None:
        """Check one event."""
        report = self.report
        report.events += 1
        number = report.events
        assert event.id == str(number), f"event {event.id} came in the place of {number}"
        assert event.data == payload(number), f"event {number} is {event.data!r}"
        now = time.monotonic()
        bucket = int((now - self.began) / BUCKET)
        report.throughput += [0] * (bucket + 1 - len(report.throughput))
        report.throughput[bucket] += 1
        if self._broke is not None:
            report.outages.append((self._broke - self.began, now - self._broke))
            self._broke = None
        if number == max(1, self.total // 10):
            report.memory_at_a_tenth = memory()

    def finish(self) -> None:
        """Check what only the end can show."""
        report = self.report
        assert report.events == self.total, f"{report.events} of {self.total} events came"
        assert report.after == report.before, f"{report.before} became {report.after}"
        report.seconds = time.monotonic() - self.began
        report.cpu_seconds = time.process_time()
        report.memory_at_the_end = memory()
        # What is remembered of the run itself, a few MB, is in there too.
        grown = report.memory_at_the_end - report.memory_at_a_tenth
        assert grown < 16 * 2**20, f"memory grew by {grown} bytes"


def memory() -> int:
    """The memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def resources(tasks: int) -> dict[str, int]:
    """What is open now."""
    sockets = sum(link.startswith("socket:") for link in _open_files())
    return {"sockets": sockets, "threads": threading.active_count(), "tasks": tasks}


def _open_files() -> list[str]:
    found = list[str]()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder that is being listed
            found.append(str(link.readlink()))
    return found


async def tasks() -> int:
    """The tasks of this event loop."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


async def read_async(url: str, checker: Checker) -> None:
    """Read to the end."""
    checker.report.before = resources(await tasks())
    async with ReconnectingEventSource(url, hooks=[checker.hook], **_OPTIONS) as source:
        async for event in source:
            checker.take(event)
    await anyio.sleep(0.05)  # what was told to end has ended
    checker.report.after = resources(await tasks())


def read_blocking(url: str, checker: Checker) -> None:
    """Read to the end."""
    checker.report.before = resources(0)
    with SyncReconnectingEventSource(url, hooks=[checker.hook], **_OPTIONS) as source:
        for event in source:
            checker.take(event)
    checker.report.after = resources(0)


def read(runtime: str, url: str, total: int) -> Report:
    """Read with one runtime, in this process."""
    stamina.instrumentation.set_on_retry_hooks([])  # a line for each failure would be too many
    checker = Checker(runtime, total)
    if runtime == "threads":
        read_blocking(url, checker)
    else:
        anyio.run(read_async, url, checker, backend=runtime)
    checker.finish()
    return checker.report


def soak(runtime: str, total: int, seed: str) -> Report:
    """Run a server and a reader, each in a process of its own."""
    command = [sys.executable, "-m", "benchmarks._soak_server", str(total), seed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            reader = [sys.executable, "-m", "benchmarks.soak", "--read", runtime, "--port", port]
            done = subprocess.run(
                [*reader, "--events", str(total)], check=True, stdout=subprocess.PIPE, text=True
            )
        finally:
            server.terminate()
        report = Report(**json.loads(done.stdout))
        report.kinds = json.loads(server.stdout.read())
    return report


def summary(report: Report) -> str:
    """One line of the table."""
    gaps = sorted(gap for _, gap in report.outages)
    worst = f"{gaps[-1]:.2f}" if gaps else "-"
    middle = f"{median(gaps) * 1000:.1f}" if gaps else "-"
    left = ", ".join(
        str(report.after[thing] - report.before[thing]) for thing in ("sockets", "threads", "tasks")
    )
    grown = (report.memory_at_the_end - report.memory_at_a_tenth) / 2**20
    return (
        f"| {report.runtime} | {report.events:,} | 0 | 0 | {sum(report.kinds.values()):,} "
        f"| {len(report.kinds)} | {report.seconds:.0f} s | {report.events / report.seconds:,.0f}/s "
        f"| {middle} ms | {worst} s | {left} | {grown:+.1f} MB |"
    )


HEADINGS: Final = (
    "| runtime | events | lost | twice | connections | kinds of faults | time | throughput "
    "| median outage | longest | left over | memory |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="per runtime")
    parser.add_argument("--seed", default="1", help="what breaks when")
    parser.add_argument("--runtime", action="append", choices=RUNTIMES, help="default: all")
    parser.add_argument("--picture", type=Path, help="where to draw the run, as SVG")
    parser.add_argument("--read", choices=RUNTIMES, help=argparse.SUPPRESS)
    parser.add_argument("--port", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read:
        url = f"http://127.0.0.1:{options.port}/events"
        print(json.dumps(asdict(read(options.read, url, options.events))))
        return
    print(f"{options.events:,} events, {len(KINDS)} kinds of faults, seed {options.seed}\n")
    print(HEADINGS, flush=True)
    reports = list[Report]()
    for runtime in options.runtime or RUNTIMES:
        reports.append(soak(runtime, options.events, options.seed))
        print(summary(reports[-1]), flush=True)
    if options.picture:
        options.picture.write_text(draw(reports, BUCKET), encoding="utf-8")


if __name__ == "__main__":
    main()
