"""End to end over loopback: what an event costs, from the socket to the consumer.

    python -m benchmarks.end_to_end [--quick] [PART ...]

The server is a process of its own, on a core of its own; the clients share the other one. Where
events come one by one, both are on that one: neither works while the other does, and what a
virtual machine takes to wake a core that sleeps would be most of what is measured. The clients take
turns, in another order each time, so that what the machine does meanwhile hits all of them. CPU
time is that of the client's process, user and system. The parts that begin with ``tls-`` are the
others over TLS 1.3.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING
from urllib.request import urlopen

import stamina

from benchmarks._drops import DROPS
from benchmarks._many import CLIENTS, OVER_TLS
from benchmarks._parts import PARTS, STREAMS, TLS, WORKLOADS, serving
from benchmarks._peers import PEERS
from benchmarks._results import spread
from benchmarks._tls_peers import DROPS_OVER_TLS, PEERS_OVER_TLS, TRUSTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks._parts import Workload

__all__ = ["main", "measure"]

Results = dict[str, list[float]]


NODE = "node's eventsource"
_NODE_PROGRAM = Path(__file__).parent / "_node.mjs"


def take_turns(names: list[str], rounds: int, measure: Callable[[str], float | None]) -> Results:
    """Measure every client once a round, after one round that does not count."""
    results: Results = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in random.sample(list(results), len(results)):
            value = measure(name)
            if value is None:
                del results[name]
            elif turn:
                results[name].append(value)
        print(f"    {turn} of {rounds}", end="\r", flush=True)
    print()
    return results


def cpu_per_event(address: str, workload: Workload, walls: Results, name: str) -> float | None:
    """Measure the microseconds of CPU time that one event costs; None without the client.

    Args:
        address: The server's.
        workload: What to read.
        walls: Where the microseconds that passed are noted.
        name: The client's.
    """
    url = address + workload.path.format(workload.events)
    if name == NODE:
        return _node(url, workload.events, walls)
    began, began_at = process_time(), perf_counter()
    try:
        peers = PEERS_OVER_TLS if url.startswith("https") else PEERS
        peers[name](url, workload.events)
    except ImportError as error:
        print(f"  ({name} is left out: {error})")
        return None
    walls.setdefault(name, []).append((perf_counter() - began_at) / workload.events * 1e6)
    return (process_time() - began) / workload.events * 1e6


def _node(url: str, count: int, walls: Results) -> float | None:
    """Let node read; it says itself what it used, from its second stream on."""
    node, folder = shutil.which("node"), Path(sys.prefix, "node")
    if node is None or not (folder / "node_modules/eventsource").exists():
        print(f"  ({NODE} is left out: `make bench` installs it where there are node and npm)")
        return None
    # node looks for packages from where the program is.
    command = [node, shutil.copy(_NODE_PROGRAM, folder), url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  ({NODE} is left out: {done.stderr.strip().splitlines()[-1:]})")
        return None
    cpu, wall = map(float, done.stdout.split())
    walls.setdefault(NODE, []).append(wall / count)
    return cpu / count


def drop_to_request(address: str, count: int, name: str) -> float | None:
    """Measure the milliseconds from the end of a connection to the next request."""
    try:
        drops = DROPS_OVER_TLS if address.startswith("https") else DROPS
        drops[name](f"{address}/drop", count)
    except ImportError as error:
        print(f"  ({name} is left out: {error})")
        return None
    with urlopen(f"{address}/gaps", context=TRUSTING) as answer:  # noqa: S310 - our own server
        gaps: list[float] = json.load(answer)
    return median(gaps) * 1e3


def many(
    clients: Iterable[str], address: str, count: int, seconds: float, rounds: int
) -> dict[str, Results]:
    """Measure many quiet streams, every client in a process of its own."""
    results: dict[str, Results] = {"memory_kb": {}, "open_us": {}, "event_us": {}}
    for _ in range(rounds):
        for name in clients:
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
    """Print a table."""
    print(f"{title} ({unit})")
    for name, values in results.items():
        low, middle, high = spread(values)
        print(f"  {name:28} {middle:9.2f}   {low:.2f} to {high:.2f}", flush=True)


def measure(
    part: str, address: str, *, quick: bool, rounds: int | None = None
) -> dict[str, Results]:
    """Measure one part: a dictionary of what was measured, client by client, round by round."""
    if part.endswith("drop"):
        names = [*(DROPS_OVER_TLS if part.startswith(TLS) else DROPS)]
        drops = partial(drop_to_request, address, 10 if quick else 40)
        done = {"drop_ms": take_turns(names, rounds or (2 if quick else 7), drops)}
    elif part in STREAMS:
        clients = [*(OVER_TLS if part == "tls" else CLIENTS)]
        if part == "ten-thousand":  # httpx's pool looks at all of its connections for each
            clients.remove("httpx-sse")
        count = STREAMS[part] // 10 if quick else STREAMS[part]
        done = many(clients, address, count, 3.0, rounds or (1 if quick else 3))
    else:
        workload = WORKLOADS[part]
        if quick:
            workload = workload._replace(events=workload.events // 10)
        walls: Results = {}
        run = partial(cpu_per_event, address, workload, walls)
        turns = rounds or (2 if quick else workload.rounds)
        names = [*PEERS_OVER_TLS] if part.startswith(TLS) else [*PEERS, NODE]
        done = {"cpu_us": take_turns(names, turns, run)}
        if not part.startswith(TLS):  # there some have to wait for their connections to end
            done["wall_us"] = {name: values[1:] for name, values in walls.items()}
    for what, results in done.items():
        name, _, unit = what.rpartition("_")
        show(f"{part}: {name}", unit, results)
    return done


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("part", nargs="*", help=", ".join(PARTS))
    options = parser.parse_args()
    # What an application logs about retries, and where to, is its own affair.
    stamina.instrumentation.set_on_retry_hooks([])
    for part in options.part or PARTS:
        with serving(part) as address:
            measure(part, address, quick=options.quick, rounds=options.rounds)


if __name__ == "__main__":
    main()
