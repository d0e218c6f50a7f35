"""The results: one JSON file, from which the tables and the plots of the documentation are made."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks._machine import facts

__all__ = ["RESULTS", "Spread", "load", "save", "spread"]

RESULTS = Path(__file__).parent.parent / "docs/explanation/performance.json"


class Spread(NamedTuple):
    """A median, and the quartiles around it."""

    low: float
    middle: float
    high: float


def spread(values: list[float]) -> Spread:
    """Sum up what several rounds gave."""
    ordered = sorted(values)
    count = len(ordered)
    return Spread(ordered[count // 4], median(ordered), ordered[(3 * count) // 4])


def load(path: Path = RESULTS) -> dict[str, Any]:
    """Read what was measured so far: part by part, ``about`` and ``data``."""
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return parts


def save(part: str, data: object, path: Path = RESULTS) -> None:
    """Put a part in the place of what it was."""
    parts = load(path) | {part: {"about": facts(), "data": _rounded(data)}}
    path.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")


def _rounded(data: object) -> object:
    """Leave digits out that say nothing."""
    if isinstance(data, dict):
        return {name: _rounded(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_rounded(value) for value in data]
    return float(f"{data:.4g}") if isinstance(data, float) else data
