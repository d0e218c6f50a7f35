"""The parts of the end-to-end benchmarks, and the server of each."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from benchmarks._machine import CLIENT, SERVER, pin
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PARTS", "STREAMS", "TLS", "WORKLOADS", "Workload", "serving"]

TLS = "tls-"
"""How the names of the parts begin that are another one over TLS."""


class Workload(NamedTuple):
    """What is read.

    Attributes:
        path: Of the server, with a place for the number of events.
        events: How many.
        rounds: How often, without the first.
    """

    path: str
    events: int
    rounds: int


# Runs of some 40 ms differ by a factor of two and more, those of 400 ms by a tenth.
_PLAIN = {
    "backlog": Workload("/blocks/tokens?n={}", 250_000, 7),
    "burst": Workload("/burst?n={}", 30_000, 9),
    "each": Workload("/each?n={}", 20_000, 9),
    "flushed": Workload("/flushed?n={}", 40_000, 9),
    "paced": Workload("/paced?n={}&rate=2000", 1_000, 15),
    "json": Workload("/blocks/json?n={}", 40_000, 7),
}
WORKLOADS = _PLAIN | {TLS + part: _PLAIN[part] for part in ("backlog", "burst", "each")}
"""What is read, part by part."""

STREAMS = {"many": 1000, "tls": 1000, "ten-thousand": 10_000}
"""How many quiet streams the parts have that are about them."""

PARTS = (*WORKLOADS, "drop", f"{TLS}drop", *STREAMS)
_ONE_BY_ONE = frozenset({"each", "paced", "drop"})
_EVENT_BY_EVENT = frozenset({"each", "flushed"})


@contextlib.contextmanager
def serving(part: str) -> Iterator[str]:
    """Run the server for a part; yield its address."""
    shape = part.removeprefix(TLS)
    command = [sys.executable, "-m", *_server_of(part)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        pin(CLIENT if shape in _ONE_BY_ONE else SERVER, server.pid)
        pin(CLIENT)
        scheme = "https" if _is_over_tls(part) else "http"
        yield f"{scheme}://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def _is_over_tls(part: str) -> bool:
    return part == "tls" or part.startswith(TLS)


def _server_of(part: str) -> list[str]:
    over_tls = _is_over_tls(part)
    if part.removeprefix(TLS) in _EVENT_BY_EVENT:
        return ["benchmarks._event_server", *(["tls"] if over_tls else [])]
    return ["benchmarks._tls_server" if over_tls else "benchmarks._server"]
