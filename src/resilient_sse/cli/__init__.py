"""The ``resilient-sse`` command: ``tail``, ``watch``, ``check``, ``demo``; needs the extra ``cli``.

Exit codes:

- 0: it ended as it should: the server said that there is no more, ``--until`` or ``--max-events``
  was met, whoever read the output has gone, the server passed the check, or the demonstration
  lost nothing;
- 1: the check found a problem, or the demonstration lost something;
- 2: the command line is wrong;
- 3: it gave up on the stream;
- 4: the output or the cursor file could not be written;
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
