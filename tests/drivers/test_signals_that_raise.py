"""A signal handler that raises, as that of Ctrl-C does, wherever the main thread is just then."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from resilient_sse.testing import Connection, Ending, ScriptedServer, raw

if TYPE_CHECKING:
    from resilient_sse.testing import RecordedRequest, Step

BLOCKS = ((1, 2), (3,), (4, 5), (6, 7))
"""The ids of the events that come at once, each time behind a comment."""


def answer(request: RecordedRequest) -> Connection:
    """Send what follows the cursor; the first connection ends after the second block."""
    after = int(request.last_event_id or 0)
    body: list[Step] = []
    for block in BLOCKS:
        events = "".join(f"id: {each}\ndata: {each}\n\n" for each in block if each > after)
        if events:
            body.append(raw(f": next\n\n{events}".encode()))
    if after < BLOCKS[1][0]:
        return Connection(*body[:2])
    return Connection(*body, ending=Ending.SILENCE)


@pytest.mark.timing
@pytest.mark.parametrize("hooks", [False, True])
def test_neither_hangs_nor_loses_what_came(hooks: bool) -> None:
    """It goes on, another thread can close it, the block can be left, and hooks hear of the end.

    Of the events only one may be lost: the one that was in the library's hands, on its way out.
    """
    program = [sys.executable, "-m", "tests.support.raising_signals"]
    with ScriptedServer(then=answer) as server:
        done = subprocess.run(
            [*program, server.url, "2", str(hooks)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("True\n", "")
