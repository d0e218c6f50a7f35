"""A thousand clients lose one server: when do they come back?

    python -m examples.herd                  # print a table
    python -m examples.herd --svg herd.svg   # and draw it

The server dies, and all its streams with it; after an outage it is there again. Every client asks
its policy after each failure and tries again when the wait is over, until the server is there. It
takes no time: policies get the failures that a source would give them, and nobody sleeps.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from resilient_sse import ExponentialBackoff, Failure, FailureKind, ServerRetry, StreamEnded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse import RetryPolicy

CLIENTS = 1000
OUTAGE = 60.0

WIDTH, PANEL, LEFT, SPAN = 720, 90, 60, 70
# Without a ground of its own, for light pages and dark ones.
STYLE = (
    "text{fill:#263238}.bar{fill:#00796b}"
    "@media(prefers-color-scheme:dark){text{fill:#e0e0e0}.bar{fill:#4db6ac}}"
)


def come_back(
    policy: RetryPolicy, *, outage: float = OUTAGE, server_retry: float | None = None
) -> list[float]:
    """Return the times of one client's attempts, in seconds since the server died."""
    times: list[float] = []
    now = 0.0
    while now < outage:
        delay = policy(failure_number(len(times) + 1, now, server_retry))
        if delay is None:
            break
        now += delay
        times.append(now)
    return times


def failure_number(number: int, now: float, server_retry: float | None) -> Failure:
    """Make the failure that a source would: first the stream is cut, then nobody is there."""
    first = number == 1
    return Failure(
        error=StreamEnded("cut") if first else httpx.ConnectError("refused"),
        kind=FailureKind.ENDED if first else FailureKind.CONNECT,
        attempt=number,
        outage_seconds=now,
        server_retry=server_retry,
        progress=first,
    )


def arrivals(
    policy: RetryPolicy, *, clients: int = CLIENTS, server_retry: float | None = None
) -> list[float]:
    """Return when each client found the server again, in seconds since it died."""
    return [come_back(policy, server_retry=server_retry)[-1] for _ in range(clients)]


def most_within(times: Iterable[float], seconds: float) -> int:
    """Count the most arrivals in any window of so many seconds, wherever it begins."""
    ordered, begin, most = sorted(times), 0, 0
    for end, time in enumerate(ordered):
        while time - ordered[begin] >= seconds:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def additive_jitter(failure: Failure) -> float:
    """Wait as stamina does by default: at most 5 s, up to one random second of it."""
    return min(5.0, 0.1 * 2.0 ** (failure.attempt - 1) + random.uniform(0, 1))  # noqa: S311


POLICIES: dict[str, RetryPolicy] = {
    "constant, as in browsers: ServerRetry()": ServerRetry(),
    "exponential, no jitter": ExponentialBackoff(wait_jitter=0.0),
    "exponential, additive jitter under a cap of 5 s": additive_jitter,
    "the default: ExponentialBackoff()": ExponentialBackoff(),
}


def draw(results: dict[str, list[float]]) -> str:
    """Draw arrivals per second as SVG, one panel for every policy, all on the same scale."""
    axis = PANEL * len(results) + 18
    height = axis + 26
    root = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    parts = [
        f'<svg {root} font-family="sans-serif" font-size="12">',
        f"<title>Arrivals per second of {CLIENTS} clients after {OUTAGE:.0f} s of outage</title>",
        f"<style>{STYLE}</style>",
    ]
    for row, (name, times) in enumerate(results.items()):
        parts += _panel(name, times, (row + 1) * PANEL)
    for second in range(0, SPAN + 1, 10):
        parts.append(f'<text x="{_x(second):.0f}" y="{axis}" text-anchor="middle">{second}</text>')
    middle = f'x="{_x(SPAN / 2):.0f}" y="{axis + 18}" text-anchor="middle"'
    return "\n".join(
        [*parts, f"<text {middle}>seconds since the server is back</text>", "</svg>", ""]
    )


def _panel(name: str, times: list[float], base: int) -> list[str]:
    tall, bar = PANEL - 30, _x(1) - _x(0) - 1
    counts = Counter(int(time - OUTAGE) for time in times)
    bars = [
        f'<rect x="{_x(second):.1f}" y="{base - count / CLIENTS * tall:.1f}" '
        f'width="{bar:.1f}" height="{count / CLIENTS * tall:.1f}" class="bar"/>'
        for second, count in sorted(counts.items())
        if second <= SPAN
    ]
    label = f"{name} - at most {most_within(times, 1.0)} of {CLIENTS} in any second"
    return [
        f'<text x="{LEFT}" y="{base - tall - 6}" font-weight="bold">{label}</text>',
        f'<text x="{LEFT - 6}" y="{base - tall + 10}" text-anchor="end">{CLIENTS}</text>',
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">0</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - 14}" y1="{base}" y2="{base}" stroke="#888"/>',
        *bars,
    ]


def _x(second: float) -> float:
    return LEFT + second * (WIDTH - LEFT - 20) / SPAN


def main() -> None:
    """Print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m examples.herd")
    parser.add_argument("--svg", type=Path, help="where to draw")
    path: Path | None = parser.parse_args().svg
    random.seed(2026)  # the same picture every time
    results = {name: arrivals(policy) for name, policy in POLICIES.items()}
    print(f"{CLIENTS} clients, {OUTAGE:.0f} s of outage: the most that come within")
    print(f"{'':50}{'1 s':>6}{'100 ms':>8}   all are back after")
    for name, times in results.items():
        second, tenth = most_within(times, 1.0), most_within(times, 0.1)
        print(f"{name:50}{second:6}{tenth:8}{max(times) - OUTAGE:10.1f} s")
    if path is not None:
        path.write_text(draw(results), encoding="utf-8")


if __name__ == "__main__":
    main()
