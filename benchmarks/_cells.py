"""The cells of the tables."""

from __future__ import annotations

from benchmarks._results import spread

__all__ = ["cell", "rule"]


def rule(columns: int) -> str:
    """Return the line under the head; all columns but the first hold numbers."""
    return "|---" + "|---:" * (columns - 1) + "|"


def cell(values: list[float] | None, best: float | None = None) -> str:
    """Return a median with its quartiles, in bold if it is the best; nothing for no values."""
    if not values:
        return ""
    low, middle, high = spread(values)
    bold = "**" if middle == best else ""
    return f"{bold}{_digits(middle)}{bold} ({_digits(low)} to {_digits(high)})"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - how many digits say something
