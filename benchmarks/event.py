"""What making an event costs, for each way to write an immutable class and two mutable ones.

Run it with ``python -m benchmarks.event``. The classes take turns; the numbers are nanoseconds of
CPU time.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import process_time
from timeit import Timer
from typing import NamedTuple

ROUNDS, EVENTS = 25, 50_000


class Named(NamedTuple):
    """A named tuple, as `ServerSentEvent` is."""

    event: str
    data: str
    id: str
    retry: int | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataclass."""

    event: str
    data: str
    id: str
    retry: int | None


@dataclass(slots=True)
class Mutable:
    """A dataclass that is not frozen."""

    event: str
    data: str
    id: str
    retry: int | None


VALUES = "'message', 'x', '', None"
WAYS = {
    "named tuple, by `tuple.__new__` as the decoder does": f"new(Named, ({VALUES}))",
    "named tuple, called": f"Named({VALUES})",
    "frozen dataclass with slots": f"Frozen({VALUES})",
    "dataclass with slots, not frozen": f"Mutable({VALUES})",
}


def measure() -> dict[str, list[float]]:
    """Measure the nanoseconds of CPU time for one event, round by round, each way in its turn."""
    names = {"new": tuple.__new__, "Named": Named, "Frozen": Frozen, "Mutable": Mutable}
    timers = {way: Timer(code, timer=process_time, globals=names) for way, code in WAYS.items()}
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, timer in timers.items():
            taken[way].append(timer.timeit(EVENTS) / EVENTS * 1e9)
    return taken


def main() -> None:
    """Print the medians."""
    for way, times in measure().items():
        print(f"{way:54}{median(times):5.0f} ns")


if __name__ == "__main__":
    main()
