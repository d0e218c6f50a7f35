"""The tables that hold what was measured against what was aimed at."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks._cells import rule
from benchmarks._results import spread
from benchmarks._targets import (
    AGAINST,
    DECODER,
    DECODER_WORST,
    MEMORY_KB,
    OVERHEAD,
    is_blocking,
)
from benchmarks.decoder import BASELINE, OURS, ratios

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks._targets import Aim, Target

__all__ = ["BARE", "against", "decoder_targets", "overhead"]

BARE = {
    "resilient_sse": "bare decoder loop",
    "resilient_sse batches()": "bare decoder loop",
    "resilient_sse blocking": "bare decoder loop blocking",
}
"""Our clients, and the bare loop over the same decoder and transport."""


def decoder_targets(data: dict[str, Any]) -> Iterator[str]:
    """A row for each workload of the decoder."""
    yield "| | target | median | target | worst | ns per event | |"
    yield rule(6) + "---|"
    for kind, target in DECODER.items():
        found = {name: median(values) for name, values in ratios(data[kind]).items()}
        worst = ratios(data[kind])[OURS][0]
        taken = [spread(times[OURS]).middle for times in data[kind].values()]
        met = found[OURS] >= target.value and worst >= DECODER_WORST
        outcome = "met" if met else target.missed
        first = "first; " if found[OURS] == max(found.values()) else ""
        yield (
            f"| {kind} | {target.value} | {found[OURS]:.2f} | {DECODER_WORST} | {worst:.2f} "
            f"| {min(taken):,.0f} to {max(taken):,.0f} | {first}{outcome} |"
        )


def overhead(parts: dict[str, Any], titles: dict[str, str]) -> Iterator[str]:
    """A row for each of our clients, part by part."""
    yield "| | µs per event | bare loop | times the bare loop | target | |"
    yield rule(5) + "---|"
    for part, data in parts.items():
        middles = _middles(data["cpu_us"])
        for name, bare in BARE.items():
            if not {name, bare} <= middles.keys():
                continue
            times = middles[name] / middles[bare]
            numbers = f"{middles[name]:.2f} | {middles[bare]:.2f} | {times:.2f}"
            yield f"| {titles[part]}, {name} | {numbers} | {_within((part, name), times)} |"


def _within(measured: tuple[str, str], times: float) -> str:
    target = OVERHEAD.get(measured)
    if target is None:
        return " | "
    return f"{target.value} | {'met' if times <= target.value else target.missed}"


def against(results: dict[str, Any]) -> Iterator[str]:
    """A row for each aim that was measured, and one for memory."""
    yield "| | beside httpx-sse | target | | beside launchdarkly | target | | best of its kind |"
    yield "|---|---:|---:|---|---:|---:|---|---|"
    for aim in AGAINST:
        if aim.part in results:
            middles = _middles(results[aim.part]["data"][aim.figure])
            if {aim.client, aim.baseline} <= middles.keys():
                yield f"| {aim.title} | {' | '.join(_compared(aim, middles))} |"
    if "many" in results:
        memory = _middles(results["many"]["data"]["memory_kb"])
        ours = memory["resilient_sse"]
        verdict = "met" if ours <= MEMORY_KB else "missed"
        numbers = f"{memory[BASELINE] / ours:.2f} | {MEMORY_KB} KB | {verdict}"
        yield f"| memory of a quiet stream, KB: {ours:.1f} | {numbers} | | | | |"


def _compared(aim: Aim, middles: dict[str, float]) -> Iterator[str]:
    """Compare one of our clients with its like."""
    ours = middles[aim.client]
    yield _beside(middles.get(aim.baseline), ours, aim.target)
    yield _beside(middles.get(aim.rival), ours, aim.ahead)
    kind = is_blocking(aim.client)
    others = {name: middle for name, middle in middles.items() if _is_another(name, kind)}
    best = min(others, key=others.__getitem__)
    yield f"{best}: {others[best] / ours:.2f}"


def _beside(theirs: float | None, ours: float, target: Target | None) -> str:
    """Return three cells: how many times better ours is, what was aimed at, and whether it is."""
    if theirs is None:
        return " |  | "
    times = theirs / ours
    return f"{times:.2f} | " + (f"{target.value} | {target.says(times)}" if target else " | ")


def _is_another(name: str, blocking: bool) -> bool:  # noqa: FBT001 - as the client's own kind
    """Say whether it is a client of somebody else's, for events, and of this kind."""
    is_theirs = not name.startswith(("resilient_sse", "bare "))
    return is_theirs and is_blocking(name) == blocking


def _middles(figures: dict[str, list[float]]) -> dict[str, float]:
    return {name: spread(values).middle for name, values in figures.items()}
