"""How a command ends: an exit code, and at most one line that says what to do."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import anyio

from resilient_sse._values.failure import FailureKind
from resilient_sse.errors import GiveUpError

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from resilient_sse._values.failure import Failure

__all__ = [
    "DONE",
    "HINTS",
    "Command",
    "Outcome",
    "outcome_of",
    "printable",
    "reader_has_gone",
    "run_until_interrupted",
    "say",
    "say_last_id",
    "why_not_connected",
    "write",
]

DONE_CODE: Final = 0
PROBLEM: Final = 1
USAGE: Final = 2
GAVE_UP: Final = 3
CANNOT_WRITE: Final = 4
INTERRUPTED: Final = 128 + signal.SIGINT

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)

# What a terminal may take for a command (C0 and C1 but tab and line feed).
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HINTS: Final[dict[FailureKind | int, str]] = {
    FailureKind.CONNECT: "is the server running, and is the address right?",
    FailureKind.TIMEOUT: "is the server overloaded, or a proxy in between?",
    FailureKind.CONTENT_TYPE: "is this the URL of an event stream? resilient-sse check says more",
    FailureKind.UNSAFE: "add --retry-unsafe if repeating the request does no harm",
    401: "check the credentials: -H or --auth-env",
    403: "check the credentials: -H or --auth-env",
    404: "check the path of the URL",
    405: "does it want a POST? --method, --data or --json",
}

NO_HTTP: Final = "if it hung up on the request: does the server want https:// there?"
NO_TLS: Final = "the server speaks no TLS there: is it http://, or another port?"
UNTRUSTED: Final = "trust its certificate with --ca FILE, or check nothing with --insecure"


class Outcome(NamedTuple):
    """How a command ends.

    Attributes:
        code: The exit code.
        message: One line for stderr; "" for none.
    """

    code: int
    message: str = ""


DONE: Final = Outcome(DONE_CODE)


def outcome_of(error: GiveUpError | OSError) -> Outcome:
    """Return the outcome that an error means; all others are bugs."""
    if isinstance(error, GiveUpError):
        return Outcome(GAVE_UP, f"{error}; {_hint(error.failure)}")
    if isinstance(error, BrokenPipeError):  # whoever read this has what it wanted
        return DONE
    return Outcome(CANNOT_WRITE, f"cannot write the output: {error.strerror}")


def why_not_connected(error: BaseException) -> str:
    """Return the hint for a connection that did not come about."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UNTRUSTED
    # OpenSSL takes the first bytes of an HTTP response for a record of TLS.
    spoke_http = any(word in str(error).upper() for word in ("WRONG_VERSION", "RECORD_LAYER"))
    return NO_TLS if spoke_http else HINTS[FailureKind.CONNECT]


def _hint(failure: Failure) -> str:
    if failure.kind is FailureKind.CONNECT:
        return why_not_connected(failure.error)
    if "no TLS connection" in str(failure.error):  # it waits for the rest of a request
        return NO_TLS
    hung_up = failure.kind is FailureKind.TRANSPORT and not failure.progress
    if hung_up or "HTTPS port" in str(failure.error):  # as nginx and Go say it, with status 400
        return NO_HTTP
    status = HINTS.get(failure.status_code) if failure.status_code else None
    return status or HINTS.get(failure.kind) or "resilient-sse check says more"


def printable(text: str) -> str:
    """Return the text without what a terminal would take for a command."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def say(message: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"resilient-sse: {printable(message)}\n")
    sys.stderr.flush()


def say_last_id(last_event_id: str) -> None:
    """Tell where to go on, if that is known."""
    if last_event_id:
        say(f"to go on from here: --last-event-id {shlex.quote(last_event_id)}")


def write(data: bytes) -> None:
    """Write to stdout at once.

    Nothing stays in a buffer, so that a closed pipe cannot surprise the end of the interpreter.

    Raises:
        BrokenPipeError: If nobody reads it.
        OSError: If it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def reader_has_gone() -> bool:
    """Say whether nobody reads stdout any more.

    Where the system cannot tell, the next write does.
    """
    poll = getattr(select, "poll", None)
    if poll is None:
        return False
    poller = poll()
    poller.register(sys.stdout.fileno(), 0)
    return bool(poller.poll(0))


class Command(Protocol):
    """What a command does."""

    async def run(self) -> None:
        """Do the work, until it is done or cancelled."""
        ...

    def sum_up(self) -> Outcome:
        """Say what is to be said when it is over, and how it ended."""
        ...


def run_until_interrupted(command: Command, backend: str = "asyncio") -> Outcome:
    """Run a command in an event loop; Ctrl-C and SIGTERM cancel it, and it cleans up.

    Args:
        command: What to run.
        backend: The event loop: "asyncio" or "trio".
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        anyio.run(_run, command, received, backend=backend)
    except* KeyboardInterrupt:  # a second Ctrl-C, or a system without signals to wait for
        received.append(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    outcome = command.sum_up()
    return Outcome(128 + received[0], outcome.message) if received else outcome


async def _run(command: Command, received: list[int]) -> None:
    async with anyio.create_task_group() as tasks:
        await tasks.start(_wait_for_signal, tasks.cancel_scope, received)
        await command.run()
        tasks.cancel_scope.cancel()


async def _wait_for_signal(
    scope: anyio.CancelScope, received: list[int], *, task_status: TaskStatus[None]
) -> None:
    """Cancel everything at the first signal; the next one has the effect that it usually has."""
    # In the background of a script SIGINT is ignored, and stays so.
    heeded = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        with anyio.open_signal_receiver(*heeded) as signals:
            task_status.started()
            received.append(await anext(signals))
    except NotImplementedError:  # asyncio on Windows
        task_status.started()
    else:
        scope.cancel()
