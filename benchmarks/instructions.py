"""How many instructions a client takes for an event and for a reconnect, as callgrind counts them.

    python -m benchmarks.instructions

It needs valgrind. The counts hardly change from one run to the next, however busy the machine is;
what the system does is not in them. A client's own start is taken out: it runs twice, with few
events and with more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import stamina

from benchmarks._drops import DROPS
from benchmarks._parts import WORKLOADS, serving
from benchmarks._peers import PEERS

__all__ = ["COUNTED", "measure"]

COUNTED = (
    *("httpx-sse", "resilient_sse", "launchdarkly async", "bare decoder loop"),
    *("httpx-sse blocking", "resilient_sse blocking", "launchdarkly blocking"),
    "bare decoder loop blocking",
)
"""The clients that are counted, those with an event loop first."""


class _Shape(NamedTuple):
    part: str
    path: str
    few: int
    more: int


SHAPES = {
    "an event, one per read": _Shape("each", WORKLOADS["each"].path, 100, 1100),
    "a drop": _Shape("drop", "/drop", 5, 45),
}
_VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def measure() -> dict[str, dict[str, list[float]]] | None:
    """Count, for each shape and client; None without valgrind."""
    if shutil.which(_VALGRIND[0]) is None:
        print("  (left out: valgrind is not installed)")
        return None
    found: dict[str, dict[str, list[float]]] = {}
    for title, shape in SHAPES.items():
        with serving(shape.part) as address:
            for name in COUNTED:
                if name in (DROPS if shape.part == "drop" else PEERS):
                    counted = _per_event(shape, name, address)
                    found.setdefault(title, {})[name] = [counted]
                    print(f"  {title}: {name:28} {counted:12,.0f}", flush=True)
    return found


def _per_event(shape: _Shape, name: str, address: str) -> float:
    few, more = (_count(shape, name, address, count) for count in (shape.few, shape.more))
    return (more - few) / (shape.more - shape.few)


def _count(shape: _Shape, name: str, address: str, events: int) -> int:
    """Count the instructions of a process in which a client reads so many events."""
    program = [
        sys.executable,
        "-m",
        "benchmarks.instructions",
        shape.part,
        name,
        address + shape.path,
        str(events),
    ]
    settled = os.environ | {"PYTHONHASHSEED": "0"}  # so that dictionaries are the same every time
    done = subprocess.run(
        [*_VALGRIND, *program], env=settled, capture_output=True, text=True, check=True
    )
    counted = re.search(r"Collected *: *(\d+)", done.stderr)
    assert counted is not None, done.stderr
    return int(counted[1])


def _read(part: str, name: str, url: str, events: str) -> None:
    """Be the process that is counted."""
    stamina.instrumentation.set_on_retry_hooks([])
    clients = DROPS if part == "drop" else PEERS
    clients[name](url.format(events), int(events))


if __name__ == "__main__":
    if sys.argv[1:]:
        _read(*sys.argv[1:])
    else:
        measure()
