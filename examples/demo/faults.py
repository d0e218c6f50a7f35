"""What happens to the server, and when."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from examples.demo.ledger import Ledger
    from examples.demo.process import ServerProcess

__all__ = ["FAULTS", "torment"]

_PATIENCE_SECONDS: Final = 30.0  # to get over one fault, on the slowest of machines
_DOWN_SECONDS: Final = 1.0  # longer than the client's first wait


async def _kill_and_restart(server: ServerProcess) -> None:
    await server.kill()
    await anyio.sleep(_DOWN_SECONDS)
    await server.start()


def _told(command: str) -> Callable[[ServerProcess], Awaitable[None]]:
    return lambda server: server.tell(command)


FAULTS: Final[dict[str, Callable[[ServerProcess], Awaitable[None]]]] = {
    "a reset, then half an event and a cut": _told("cut"),
    "503 with Retry-After, twice": _told("unavailable"),
    "the server falls silent": _told("silence"),
    "SIGKILL, and a restart": _kill_and_restart,
    "the server ends the stream": _told("end"),
}


async def torment(server: ServerProcess, ledger: Ledger, seconds: float, seed: int) -> None:
    """Let one thing after the other go wrong, each when the client got over the one before.

    The first one waits until there is an open stream that it can happen to.

    Args:
        server: What everything happens to.
        ledger: Takes the faults down.
        seconds: How long this takes, if the client is quick.
        seed: Decides on the order and the moments.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    pace = seconds / (len(FAULTS) + 1)
    with anyio.move_on_after(_PATIENCE_SECONDS):
        await ledger.begun.wait()
    began = anyio.current_time()
    for number, name in enumerate(chance.sample(list(FAULTS), len(FAULTS))):
        await anyio.sleep(pace / 4)
        await anyio.sleep_until(began + (number + chance.uniform(0.5, 1.0)) * pace)
        ledger.fault(name)
        await FAULTS[name](server)
        with anyio.move_on_after(_PATIENCE_SECONDS):
            await ledger.recovery()
    await anyio.sleep_until(began + seconds)
