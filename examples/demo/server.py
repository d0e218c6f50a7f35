"""The server's process: ``python -m examples.demo.server PORT BEGAN RATE``.

It prints its port, and ends with its standard input, each line of which is something that goes
wrong.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from resilient_sse.cli._ticking import TickingServer
from resilient_sse.testing import Connection, Ending, event, raw

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS", "main"]

_HALF_AN_EVENT: Final = event("half an ev", id="999999999").rstrip()


def _cut(server: TickingServer) -> None:
    server.fail_next(Connection(raw(_HALF_AN_EVENT), ending=Ending.MID_CHUNK))
    server.drop_all(Ending.RESET)


def _end(server: TickingServer) -> None:
    server.drop_all(Ending.CLEAN)


def _silence(server: TickingServer) -> None:
    server.drop_all(Ending.SILENCE)


def _unavailable(server: TickingServer) -> None:
    refusal = Connection(raw("back soon\n"), status=503, headers={"Retry-After": "1"})
    server.fail_next(refusal, refusal)
    server.drop_all(Ending.CLEAN)


def _finish(server: TickingServer) -> None:
    print(server.finish(), flush=True)  # the parent process reads it


COMMANDS: Final[dict[str, Callable[[TickingServer], None]]] = {
    "cut": _cut,
    "end": _end,
    "silence": _silence,
    "unavailable": _unavailable,
    "finish": _finish,
}


def main() -> None:
    """Serve until standard input ends, which it does with the parent process at the latest."""
    port, began, rate = sys.argv[1:]
    with TickingServer(port=int(port), began=float(began), rate=float(rate)) as server:
        print(server.port, flush=True)  # the parent process reads it
        for command in sys.stdin:
            COMMANDS[command.strip()](server)


if __name__ == "__main__":
    main()
