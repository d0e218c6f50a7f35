"""The demonstration tells the truth: it ends well when all is well, and only then."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples._demo_ledger import Ledger
from resilient_sse import Disconnected, Failure, FailureKind, ServerSentEvent, StreamEnded

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "examples.demo"]
CUT = Disconnected(
    url="http://127.0.0.1/events",
    source_id=1,
    failure=Failure(error=StreamEnded("over"), kind=FailureKind.ENDED),
    seconds=1.0,
    events=1,
    bytes=10,
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_demo_loses_nothing(backend: str) -> None:
    """A short demonstration survives all five faults, and counts every event once."""
    command = [*COMMAND, "--seconds", "5", "--backend", backend]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert not result.stderr
    counts = dict(re.findall(r"^  (\w[\w ]*\w) +(\d+)$", result.stdout, re.MULTILINE))
    assert int(counts["events sent"]) == int(counts["delivered"]) > 50
    assert counts["lost"] == counts["delivered twice"] == "0"
    assert int(counts["outages survived"]) >= 5
    for kind in ("transport", "status", "idle", "connect", "ended"):
        assert f"kind={kind}" in result.stdout


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_demo_is_interrupted_cleanly(backend: str) -> None:
    """Ctrl-C ends the demonstration and its server at once, without a traceback."""
    process = subprocess.Popen(
        [*COMMAND, "--backend", backend],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        while "sse.connected" not in (line := lines.readline()):
            assert line, "the demonstration ended before it began"
        process.send_signal(signal.SIGINT)
        # Ends only when nobody holds the pipe any more, the server's process included.
        rest = lines.read()

    assert process.wait() == 130
    assert rest.endswith("Interrupted.\n")
    assert "Traceback" not in rest


def ledger_of(*numbers: int, sent: int, faults: int = 1) -> Ledger:
    """Make a ledger: these events delivered, with a cut before the last."""
    ledger = Ledger()
    ledger.sent, ledger.faults = sent, faults
    for number in numbers:
        ledger.delivered(ServerSentEvent(data=str(number)))
    ledger(CUT)
    ledger.delivered(ServerSentEvent(event="end"))
    return ledger


def test_ledger_is_content_with_every_event_once() -> None:
    """All events once, in order, over at least the outages that were made."""
    ledger = ledger_of(1, 2, 3, sent=3)

    assert ledger.is_good
    assert "Every event came once" in ledger.summary()


@pytest.mark.parametrize(
    ("numbers", "lost", "twice"),
    [((1, 3), 1, 0), ((1, 2, 2, 3), 0, 1), ((2, 1, 3), 0, 0)],
    ids=["lost", "twice", "out of order"],
)
def test_ledger_notices(numbers: tuple[int, ...], lost: int, twice: int) -> None:
    """An event that is missing, comes twice or out of order is no success."""
    ledger = ledger_of(*numbers, sent=3)

    assert not ledger.is_good
    assert (ledger.lost, ledger.twice) == (lost, twice)
    assert "This should not happen" in ledger.summary()


@pytest.mark.parametrize("faults", [0, 2], ids=["no fault", "a fault that nobody felt"])
def test_ledger_wants_faults(faults: int) -> None:
    """A demonstration in which nothing broke has shown nothing."""
    assert not ledger_of(1, 2, 3, sent=3, faults=faults).is_good
