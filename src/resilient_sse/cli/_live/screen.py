"""The terminal: whether there is one that can be drawn on, and keeping it up to date."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import anyio
from rich.console import Console
from rich.live import Live

from resilient_sse.cli._outcome import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from rich.console import RenderableType

__all__ = ["can_draw", "keep_drawing", "put"]

REFRESH_SECONDS: Final = 0.25


def can_draw() -> bool:
    """Say whether stdout is a terminal with a cursor that can be moved."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


async def keep_drawing(render: Callable[[int, int], RenderableType]) -> NoReturn:
    """Draw on the whole screen, until cancelled; what was there before comes back then.

    Args:
        render: Returns what fills a terminal of this width and height.
    """
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
        while True:
            size = console.size
            live.update(render(size.width, size.height), refresh=True)
            await anyio.sleep(REFRESH_SECONDS)


def put(*lines: RenderableType) -> None:
    """Write lines to stdout, with colours if they can be seen.

    Raises:
        BrokenPipeError: If nobody reads it.
        OSError: If it cannot be written.
    """
    console = Console()
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False)
    write(captured.get().encode(console.encoding, errors="replace"))
