"""Record the pictures of the command: it runs in a terminal, and what that shows is drawn.

python -m scripts.pictures docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyte

from scripts.screen_to_svg import draw
from tests.support.cli_process import started_cli, terminal

COLUMNS, LINES = 90, 26
COMMAND = "make demo"
BACK_TO_NORMAL = b"\x1b[?1049l"
VIEW = "The live view: the server was killed and does not listen, the client waits to try again"
TIMELINE = "The summary: five faults on a timeline, how long each took, and that nothing was lost"


def is_in_the_middle_of_it(text: str) -> bool:
    """Choose the moment of the first picture: some faults are over, one is not."""
    return "fault 4: " in text and "waiting for" in text and "connect: " in text


def summary_of(output: bytes) -> pyte.Screen:
    """Return the screen with what remains when the live view is gone, below the command."""
    said = output.rpartition(BACK_TO_NORMAL)[2]
    lines = said.count(b"\n") + 1
    screen = pyte.Screen(COLUMNS, lines)
    pyte.ByteStream(screen).feed(b"$ " + COMMAND.encode() + b"\r\n" + said.rstrip())
    return screen


def record(folder: Path) -> None:
    """Run the demonstration once, and draw both pictures."""
    with terminal(COLUMNS, LINES) as shown:
        with started_cli(module="examples.demo", **shown.options) as process:
            shown.wait_for(is_in_the_middle_of_it, 60)
            (folder / "live-view.svg").write_text(draw(shown.screen, COMMAND, VIEW))
            shown.wait_for(lambda text: "in order." in text, 60)
            if process.wait(10) != 0:
                sys.exit("the demonstration has failed")
        shown.read_rest()
        (folder / "timeline.svg").write_text(draw(summary_of(shown.output), COMMAND, TIMELINE))


if __name__ == "__main__":
    record(Path(sys.argv[1]))
