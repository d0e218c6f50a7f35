"""The plots of the documentation's page on performance, made from the results.

They are SVG without a background, in colours that can be told apart and read on white and on black.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks._parts import TLS
from benchmarks._report import TITLES
from benchmarks._results import spread
from benchmarks.decoder import OURS, ratios

mpl.use("svg")

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

IMAGES = Path(__file__).parent.parent / "docs/images"
_INK, _OURS, _PEERS, _LIMIT = "#808080", "#00897b", "#c98a00", "#9aa0a6"
_STYLE: Any = {
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "performance",  # the same results give the same file
    "text.color": _INK,
    "axes.facecolor": "none",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(results: dict[str, Any], folder: Path = IMAGES) -> None:
    """Draw every plot for which there are results."""
    with mpl.rc_context(_STYLE):
        if "decoder" in results:
            _decoder(results["decoder"]["data"], folder / "performance-decoder.svg")
        ends = {part: results[part]["data"]["cpu_us"] for part in TITLES if part in results}
        if ends:
            _bars(
                {TITLES[p]: d for p, d in ends.items()},
                "µs of CPU per event",
                folder / "performance-events.svg",
            )
        titles = {"drop": "from drop to next request", f"{TLS}drop": "over TLS"}
        drops = {titles[p]: results[p]["data"]["drop_ms"] for p in titles if p in results}
        if drops:
            _bars(drops, "milliseconds", folder / "performance-drop.svg")
        if "many" in results:
            data = results["many"]["data"]
            named = {
                "memory per stream, KB": data["memory_kb"],
                "µs of CPU per event": data["event_us"],
            }
            _bars(named, "", folder / "performance-streams.svg")


def _decoder(data: dict[str, Any], path: Path) -> None:
    """A row for each workload: where each decoder stands beside httpx-sse."""
    figure, axes = plt.subplots(figsize=(8.4, 5.2), layout="constrained")
    for row, variants in enumerate(data.values()):
        found = ratios(variants)
        for name, values in found.items():
            ours = name == OURS
            if ours:
                axes.plot([values[0], values[-1]], [row, row], color=_OURS, linewidth=2, alpha=0.4)
            axes.plot(
                median(values),
                row,
                "o",
                color=_OURS if ours else _PEERS,
                markersize=9 if ours else 6,
                alpha=1 if ours else 0.6,
            )
        best, named = max((median(values), name) for name, values in found.items() if name != OURS)
        axes.annotate(
            named,
            (best, row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=_PEERS,
        )
    axes.axvline(1, color=_INK, linewidth=0.8, linestyle=":")
    axes.set_xlim(left=0)
    axes.set_yticks(range(len(data)), list(data))
    axes.invert_yaxis()
    axes.set_xlabel(
        "times as fast as httpx-sse, median of the variants\n"
        "large: resilient_sse (line: from the worst to the best)\n"
        "small: the others, the best named"
    )
    _save(figure, path)


def _bars(groups: dict[str, dict[str, list[float]]], unit: str, path: Path) -> None:
    """A panel for each group: a bar for each client, with the quartiles."""
    most = max(len(clients) for clients in groups.values())
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    size = (4.4 * columns, (0.24 * most + 0.8) * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for panel, (title, clients) in zip(panels.flat, groups.items(), strict=False):
        _panel(panel, title, clients)
        panel.set_xlabel(unit)
    for panel in panels.flat[len(groups) :]:
        panel.set_visible(False)
    _save(figure, path)


def _panel(axes: Axes, title: str, clients: dict[str, list[float]]) -> None:
    ordered = sorted(clients.items(), key=lambda item: spread(item[1]).middle)
    for row, (name, values) in enumerate(ordered):
        low, middle, high = spread(values)
        colour = _LIMIT if name.startswith("bare ") else _OURS if name.startswith(OURS) else _PEERS
        axes.barh(row, middle, color=colour, height=0.7)
        axes.plot([low, high], [row, row], color=_INK, linewidth=1.5)
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's types change
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)
