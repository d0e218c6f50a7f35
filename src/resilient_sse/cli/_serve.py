"""``resilient-sse demo --serve``: a stream to play with."""

from __future__ import annotations

import time
from typing import Final

import anyio
import click

from resilient_sse.cli._outcome import DONE, Outcome, say
from resilient_sse.cli._ticking import TickingServer

__all__ = ["Serve"]

_HISTORY_SECONDS: Final = 3600


class Serve:
    """Serves a stream until it is interrupted; it may be killed, too, and started again.

    Args:
        port: Where to listen.

    Raises:
        click.UsageError: If the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        first = int(time.time()) - _HISTORY_SECONDS
        self._server = TickingServer(port=port, began=0, rate=1, first=first, unknown="now")
        try:
            self._server.start()
        except OSError as error:
            reason = f"cannot listen at port {port} ({error.strerror})"
            raise click.UsageError(f"{reason}; choose another one with --port") from error

    async def run(self) -> None:
        """Say where the stream is, and wait."""
        say(f"an event every second, and those of the last hour: {self._server.url}")
        say("Ctrl-C ends it; start it again, and nothing is missing")
        await anyio.sleep_forever()

    def sum_up(self) -> Outcome:
        """Stop listening."""
        self._server.close()
        return DONE
