"""Draw what `benchmarks/takeover.py` measured as an SVG file.

python scripts/plot_takeover.py docs/explanation/takeover.json docs/images/takeover.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

NAMES = {"kill": "killed (SIGKILL)", "stop": "stopped (SIGSTOP)", "cut": "cut off from Redis"}
LEFT, WIDTH, ROW, TOP = 190, 560, 56, 34
GREY, COLOUR = "#808080", "#00897b"


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Write something."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def row(number: int, kind: str, seconds: list[float], scale: float) -> list[str]:
    """One kind of fault: a dot for each takeover, a line at the median, the numbers."""
    y = TOP + ROW * number + ROW / 2
    dots = [
        f'<circle cx="{LEFT + value * scale:.1f}" cy="{y + (place % 5 - 2) * 4:.1f}" r="3"/>'
        for place, value in enumerate(seconds)
    ]
    x = LEFT + median(seconds) * scale
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 18:.1f}" y2="{y + 18:.1f}" class="median"/>'
    numbers = f"median {median(seconds):.2f} s, worst {max(seconds):.2f} s"
    return [text(0, y, NAMES[kind]), text(0, y + 15, numbers), *dots, line]


def axis(longest: int, scale: float, ttl: float, bottom: float) -> list[str]:
    """Whole seconds, and the time of a lease."""
    marks: list[str] = []
    for second in range(longest + 1):
        x = LEFT + second * scale
        marks.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" class="grid"/>')
        marks.append(text(x, bottom + 16, f"{second} s", "middle"))
    x = LEFT + ttl * scale
    marks.append(f'<line x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}" class="ttl"/>')
    return [*marks, text(x, TOP - 12, f"lease time {ttl:g} s", "middle")]


def draw(measured: Path) -> str:
    """Draw the whole picture."""
    data = json.loads(measured.read_text())
    longest = int(max(map(max, data["seconds"].values()))) + 1
    scale = WIDTH / longest
    bottom = TOP + ROW * len(data["seconds"])
    parts = axis(longest, scale, data["ttl"], bottom)
    for number, (kind, seconds) in enumerate(data["seconds"].items()):
        parts += row(number, kind, seconds, scale)
    style = (
        f"text{{font:12px sans-serif;fill:{GREY}}}"
        f"circle{{fill:{COLOUR};fill-opacity:.5}}"
        f".median{{stroke:{COLOUR};stroke-width:2}}"
        f".grid{{stroke:{GREY};stroke-opacity:.3}}"
        f".ttl{{stroke:{GREY};stroke-dasharray:4 3}}"
    )
    size = f'viewBox="0 0 {LEFT + WIDTH + 30} {bottom + 24}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(Path(sys.argv[1])))
