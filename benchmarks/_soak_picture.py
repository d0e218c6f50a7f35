"""The picture of a soak run: throughput and outages over time, one strip for each runtime."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["draw"]

WIDTH, STRIP, LEFT, TOP = 880, 150, 90, 40
_PLOT_HEIGHT: Final = 105
_PLOT_WIDTH: Final = WIDTH - LEFT - 70
_SHORTEST, _LONGEST = 0.001, 1.0
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#777}"
    ".t{fill:none;stroke:#00897b;stroke-width:1}.o{fill:#e64a19;fill-opacity:.35}"
    ".a{fill:none;stroke:#999;stroke-width:1}"
)


def draw(reports: Sequence[Any], bucket: float) -> str:
    """Draw the runs as SVG.

    Args:
        reports: With ``runtime``, ``seconds``, ``throughput`` and ``outages``.
        bucket: Seconds that one number of ``throughput`` is for.
    """
    height = TOP + STRIP * len(reports) + 20
    longest = max(report.seconds for report in reports)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img"><title>Throughput and outages of a soak run</title><style>{_STYLE}</style>',
        f'<text x="{LEFT}" y="20">line: events per second (left); dots: outages, from a millisecond'
        " to a second (right, logarithmic)</text>",
    ]
    for position, report in enumerate(reports):
        parts += _strip(report, bucket, longest, TOP + position * STRIP)
    return "\n".join([*parts, "</svg>", ""])


def _strip(report: Any, bucket: float, longest: float, top: int) -> Iterator[str]:  # noqa: ANN401
    bottom = top + _PLOT_HEIGHT
    rates = [count / bucket for count in report.throughput[:-1]] or [0.0]
    most = max(*rates, 1.0)
    right = LEFT + _PLOT_WIDTH
    yield f'<text x="4" y="{(top + bottom) // 2}">{report.runtime}</text>'
    yield f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>'
    yield f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
    yield f'<text x="{right + 6}" y="{top + 10}">{_LONGEST:g} s</text>'
    yield f'<text x="{right + 6}" y="{bottom}">{_SHORTEST * 1000:g} ms</text>'
    yield f'<text x="{right}" y="{bottom + 16}" text-anchor="end">{longest:.0f} s</text>'
    yield f'<path class="a" d="M{LEFT} {top}V{bottom}H{right}V{top}"/>'
    for when, gap in _thinned(report.outages):
        x = LEFT + when / longest * _PLOT_WIDTH
        y = bottom - _share(gap) * _PLOT_HEIGHT
        yield f'<circle class="o" cx="{x:.1f}" cy="{y:.1f}" r="1.3"/>'
    points = " ".join(
        f"{LEFT + (i + 0.5) * bucket / longest * _PLOT_WIDTH:.1f},"
        f"{bottom - rate / most * _PLOT_HEIGHT:.1f}"
        for i, rate in enumerate(rates)
    )
    yield f'<polyline class="t" points="{points}"/>'


def _share(gap: float) -> float:
    """Where an outage of so many seconds stands between the shortest and the longest."""
    span = math.log(_LONGEST / _SHORTEST)
    return min(1.0, max(0.0, math.log(max(gap, _SHORTEST) / _SHORTEST) / span))


def _thinned(outages: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Keep every outage above 50 ms, and of the others as many as can be told apart."""
    step = max(1, len(outages) // 1500)
    return [gap for i, gap in enumerate(outages) if gap[1] > 0.05 or i % step == 0]  # noqa: PLR2004
