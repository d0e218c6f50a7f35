"""`ServerProcess`: the server's process, which may be killed and started again at its port."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import Process

__all__ = ["ServerProcess"]

_MODULE: Final = "examples.demo.server"
_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 20


class ServerProcess:
    """Runs the server as long as the block.

    Args:
        rate: Events per second.

    Attributes:
        port: Where it listens; the same after a restart.
    """

    def __init__(self, rate: float) -> None:
        self.port = 0
        self._rate = rate
        self._began = time.time()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The URL of the stream."""
        return f"http://127.0.0.1:{self.port}/events"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the process end, or end it if something went wrong."""
        if exc_type is None:
            with anyio.move_on_after(_PATIENCE_SECONDS):
                await self._hang_up()
        await self.kill()

    async def start(self) -> None:
        """Start the process, and return when it listens."""
        command = [sys.executable, "-m", _MODULE]
        command += [str(self.port), repr(self._began), str(self._rate)]
        # A session of its own, so that Ctrl-C reaches this process alone.
        self._process = await anyio.open_process(
            command, cwd=_ROOT, stderr=None, start_new_session=True
        )
        self.port = await self._answer()

    async def tell(self, command: str) -> None:
        """Have something go wrong."""
        assert self._process is not None  # noqa: S101 - it is started
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        await self._process.stdin.send(f"{command}\n".encode())

    async def finish(self) -> int:
        """Let the stream end; return how many events it has, the last one not counted."""
        await self.tell("finish")
        return await self._answer()

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                if self._process.returncode is None:
                    self._process.kill()
                await self._process.aclose()

    async def _hang_up(self) -> None:
        assert self._process is not None  # noqa: S101 - it is started
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        await self._process.stdin.aclose()
        await self._process.wait()

    async def _answer(self) -> int:
        assert self._process is not None  # noqa: S101 - it is started
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        lines = BufferedByteReceiveStream(self._process.stdout)
        return int(await lines.receive_until(b"\n", _LONGEST_ANSWER))
