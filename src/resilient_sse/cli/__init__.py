"""The command ``resilient-sse``: ``tail``, ``watch``, ``check``, ``cursors``, ``demo``.

It needs the extra ``cli``.

Exit codes:

- 0: it ended as it should: the server said that there is no more, ``--until`` or ``--max-events``
  was met, whoever read the output has gone, or the server passed the check;
- 1: the check found a problem, or there is no such cursor, or its lease is held;
- 2: the command line is wrong;
- 3: it gave up on the stream;
- 4: the output could not be written, or the cursors not be read or written;
- 130, 143: Ctrl-C, SIGTERM.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line; by default that of this process.

    Returns:
        The exit code.
    """
    try:
        from resilient_sse.cli._commands import run  # noqa: PLC0415 - click and rich are an extra
    except ImportError as error:
        hint = "pip install 'resilient-sse[cli]'"
        sys.stderr.write(f"resilient-sse: the command line needs an extra: {hint} ({error})\n")
        return 2
    return run(arguments)
