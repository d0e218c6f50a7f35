"""End to end over loopback: what an event costs, from the socket to the consumer.

    python -m benchmarks.end_to_end [--quick] [--only NAME] [--json FILE]

The server is a process of its own. Clients take turns (A B C A B C ...), so that what the machine
does meanwhile hits all of them; numbers are medians, with the range from the fastest to the
slowest round. CPU time is that of the client's process, user and system.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

import stamina

from benchmarks._many import CLIENTS
from benchmarks._peers import DROPS, PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["WORKLOADS", "main"]

Results = dict[str, list[float]]


class Workload(NamedTuple):
    """What is read.

    Attributes:
        path: Of the server, with a place for the number of events.
        events: How many.
    """

    path: str
    events: int


WORKLOADS = {
    "backlog": Workload("/blocks/tokens?n={}", 100_000),
    "burst": Workload("/burst?n={}", 20_000),
    "paced": Workload("/paced?n={}&rate=2000", 2_000),
    "json": Workload("/blocks/json?n={}", 10_000),
}


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server; yield its address."""
    command = [sys.executable, "-m", "benchmarks._server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def take_turns(names: list[str], rounds: int, measure: Callable[[str], float | None]) -> Results:
    """Measure every client once a round, after one round that does not count."""
    results: Results = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in list(results):
            value = measure(name)
            if value is None:
                del results[name]
            elif turn:
                results[name].append(value)
    return results


def cpu_per_event(address: str, workload: Workload, name: str) -> float | None:
    """Measure the microseconds of CPU time that one event costs; None without the client."""
    url = address + workload.path.format(workload.events)
    began = process_time()
    try:
        PEERS[name](url, workload.events)
    except ImportError as error:
        print(f"  ({name} is left out: {error})")
        return None
    return (process_time() - began) / workload.events * 1e6


def drop_to_request(address: str, count: int, name: str) -> float | None:
    """Measure the milliseconds from the end of a connection to the next request."""
    try:
        DROPS[name](f"{address}/drop", count)
    except ImportError as error:
        print(f"  ({name} is left out: {error})")
        return None
    with urlopen(f"{address}/gaps") as answer:  # noqa: S310 - our own server
        gaps: list[float] = json.load(answer)
    return statistics.median(gaps) * 1e3


def many(address: str, count: int, seconds: float, rounds: int) -> dict[str, Results]:
    """Measure many quiet streams, every client in a process of its own."""
    results: dict[str, Results] = {"memory_kb": {}, "open_us": {}, "event_us": {}}
    for _ in range(rounds):
        for name in CLIENTS:
            command = [sys.executable, "-m", "benchmarks._many", name, f"{address}/idle"]
            arguments = [str(count), str(seconds)]
            run = subprocess.run(command + arguments, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"  ({name} failed: {run.stderr.strip().splitlines()[-1]})")
                continue
            for what, value in json.loads(run.stdout).items():
                results[what].setdefault(name, []).append(value)
    return results


def show(title: str, unit: str, results: Results) -> None:
    """Print a table, the first client being what the others are compared with."""
    print(f"\n{title} ({unit})")
    base = statistics.median(next(iter(results.values())))
    for name, values in results.items():
        median = statistics.median(values)
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"  {name:28} {median:9.2f}   x{base / median:<6.2f} {spread}", flush=True)


def measure_all(address: str, only: str | None, rounds: int, *, quick: bool) -> dict[str, Results]:
    """Run what is asked for, printing as it goes."""
    done: dict[str, Results] = {}
    for name, workload in WORKLOADS.items():
        if only in {None, name}:
            smaller = workload._replace(events=workload.events // (4 if quick else 1))
            measure = partial(cpu_per_event, address, smaller)
            done[name] = take_turns(list(PEERS), rounds, measure)
            show(name, "µs of CPU per event", done[name])
    if only in {None, "drop"}:
        done["drop"] = take_turns(
            list(DROPS), rounds, lambda peer: drop_to_request(address, 20 if quick else 60, peer)
        )
        show("drop to next request", "ms", done["drop"])
    if only in {None, "many"}:
        streams = many(address, 200 if quick else 1000, 3.0, 1 if quick else 3)
        for what, results in streams.items():
            done[what] = results
            show(f"quiet streams: {what}", what.rpartition("_")[2], results)
    return done


def main() -> None:
    """Measure, print tables, and save the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events")
    parser.add_argument("--only", choices=[*WORKLOADS, "drop", "many"])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path, help="where to save the data")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 7)
    # What an application logs about retries, and where to, is its own affair.
    stamina.instrumentation.set_on_retry_hooks([])
    with serving() as address:
        done = measure_all(address, options.only, rounds, quick=options.quick)
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"machine": machine, "results": done}, indent=1))


if __name__ == "__main__":
    main()
