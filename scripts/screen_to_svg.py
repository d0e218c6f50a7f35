"""Draw a terminal's screen as SVG.

Blocks and frames are drawn as shapes, and every piece of text is told its length, so that it looks
the same with whatever font there is. The picture has a background of its own, for light and for
dark surroundings.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyte
    from pyte.screens import Char

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 18.0, 14
FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
PADDING, BAR_HEIGHT = 14.0, 30.0
PAPER, BORDER, INK, GREY = "#161b22", "#6e7681", "#e6edf3", "#8b949e"
COLOURS = {"default": INK, "green": "#3fb950", "brown": "#d29922", "red": "#f85149"}
SHADES = {"█": 1.0, "▒": 0.7, "░": 0.45}
PHRASE = re.compile(r"\S+( \S+)*")
FRAME = {
    "─": "M0 {m}H{w}",
    "│": "M{c} 0V{h}",
    "╭": "M{c} {h}V{v}Q{c} {m} {u} {m}H{w}",
    "╮": "M0 {m}H{t}Q{c} {m} {c} {v}V{h}",
    "╰": "M{c} 0V{s}Q{c} {m} {u} {m}H{w}",
    "╯": "M0 {m}H{t}Q{c} {m} {c} {s}V0",
}


class Piece(NamedTuple):
    """Neighbours in a line that look alike."""

    x: float
    y: float
    text: str
    colour: str
    bold: bool

    def __str__(self) -> str:
        """Return it as SVG."""
        if self.text[0] in SHADES:
            return self._block()
        return self._frame() if self.text[0] in FRAME else self._words()

    @property
    def width(self) -> float:
        """How long it is."""
        return len(self.text) * CELL_WIDTH

    def _block(self) -> str:
        top, height = self.y + 1.5, CELL_HEIGHT - 3
        return (
            f'<rect x="{self.x:.1f}" y="{top:.1f}" width="{self.width:.1f}" height="{height:.1f}" '
            f'fill="{self.colour}" fill-opacity="{SHADES[self.text[0]]}"/>'
        )

    def _frame(self) -> str:
        centre, middle, radius = CELL_WIDTH / 2, CELL_HEIGHT / 2, CELL_WIDTH / 2
        path = FRAME[self.text[0]].format(
            w=self.width, h=CELL_HEIGHT, c=centre, m=middle,
            t=centre - radius, u=centre + radius, s=middle - radius, v=middle + radius,
        )  # fmt: skip
        place = f"translate({self.x:.1f} {self.y:.1f})"
        return f'<path transform="{place}" d="{path}" fill="none" stroke="{GREY}"/>'

    def _words(self) -> str:
        weight = ' font-weight="bold"' if self.bold else ""
        return (
            f'<text x="{self.x:.1f}" y="{self.y + 13:.1f}" textLength="{self.width:.1f}" '
            f'lengthAdjust="spacingAndGlyphs" fill="{self.colour}"{weight}>'
            f"{escape(self.text)}</text>"
        )


def draw(screen: pyte.Screen, title: str, description: str) -> str:
    """Draw the screen.

    Args:
        screen: A terminal.
        title: What stands above.
        description: What is to be seen, for those who do not.
    """
    width = screen.columns * CELL_WIDTH + 2 * PADDING
    height = screen.lines * CELL_HEIGHT + BAR_HEIGHT + PADDING
    pieces = "\n".join(map(str, _pieces(screen)))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">
<title>{escape(description)}</title>
<rect x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"
 fill="{PAPER}" stroke="{BORDER}"/>
<g fill="{GREY}">
<circle cx="20" cy="16" r="5"/><circle cx="38" cy="16" r="5"/><circle cx="56" cy="16" r="5"/>
<text x="{width / 2:.0f}" y="20" text-anchor="middle" font-family="sans-serif" font-size="13">
{escape(title)}</text>
</g>
<g font-family="{FONTS}" font-size="{FONT_SIZE}">
{pieces}
</g>
</svg>
"""


def _pieces(screen: pyte.Screen) -> Iterator[Piece]:
    for number in range(screen.lines):
        cells = [screen.buffer[number][column] for column in range(screen.columns)]
        column = 0
        for _, group in groupby(cells, _kind):
            found = list(group)
            yield from _phrases(found, column, number)
            column += len(found)


def _kind(cell: Char) -> tuple[str, str, bool]:
    """Return what neighbours have in common that are drawn as one; a word and a space have."""
    shape = cell.data if cell.data in SHADES or cell.data in FRAME else ""
    return shape, cell.fg, cell.bold


def _phrases(cells: list[Char], column: int, line: int) -> Iterator[Piece]:
    """Split at two blanks and more, of which a browser would make one."""
    first, y = cells[0], BAR_HEIGHT + line * CELL_HEIGHT
    for phrase in PHRASE.finditer("".join(cell.data for cell in cells)):
        x = PADDING + (column + phrase.start()) * CELL_WIDTH
        yield Piece(x, y, phrase[0], COLOURS.get(first.fg, INK), first.bold)
