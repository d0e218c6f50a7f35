"""``make demo`` tells the truth: it ends well when all is well, and only then."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.console import Console

from examples.demo import faults
from examples.demo.__main__ import demo
from examples.demo.command import Demo
from examples.demo.ledger import Ledger
from examples.demo.process import ServerProcess
from examples.demo.server import COMMANDS
from examples.demo.story import Screen
from examples.demo.summary import summary
from resilient_sse import Disconnected, Failure, FailureKind, ServerSentEvent, StreamEnded
from resilient_sse.cli._commands import run
from resilient_sse.cli._live.monitor import Monitor
from resilient_sse.cli._live.panels import View
from tests.support.cli_process import run_cli, started_cli, terminal
from tests.support.files import ROOT

FACTS: dict[str, Any] = {"url": "http://127.0.0.1/events", "source_id": 1}
CUT = Disconnected(
    **FACTS,
    failure=Failure(error=StreamEnded("over"), kind=FailureKind.ENDED),
    seconds=1.0,
    events=1,
    bytes=10,
)
GOOD = "Every event came once, in order."
BAD = "This should not happen."
run_demo = partial(run_cli, module="examples.demo", cwd=ROOT)
started_demo = partial(started_cli, module="examples.demo", cwd=ROOT)
COUNT = re.compile(r"^  (\w[\w ]*\w) +(\d+)$", re.MULTILINE)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.thorough)])
def test_nothing_is_lost_in_a_pipe(backend: str) -> None:
    """Plain lines tell of five faults of all kinds, then everything is counted once."""
    result = run_demo("--seconds", "3", "--backend", backend, timeout=100)

    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "\x1b" not in result.stdout
    counts = dict(COUNT.findall(result.stdout))
    assert int(counts["events sent"]) == int(counts["delivered"]) > 150
    assert counts["lost"] == counts["delivered twice"] == "0"
    assert int(counts["outages survived"]) >= 5
    for kind in ("transport", "status", "idle", "connect", "ended"):
        assert f" s  {kind}: " in result.stdout
    assert len(re.findall(r"s  fault \d: ", result.stdout)) == 5
    assert result.stdout.count("events again after") == 5
    assert "█" in result.stdout
    assert result.stdout.endswith(f"{GOOD}\n")


@pytest.mark.timeout(120)
def test_a_terminal_shows_the_live_view() -> None:
    """What happens to the server, the state, the timeline; in the end the summary remains."""
    with terminal() as screen:
        with started_demo("--seconds", "3", **screen.options) as process:
            parts = ["fault ", "░ waiting", "0 lost · 0 delivered twice", "last id", '{"number": ']
            screen.wait_for(lambda text: all(part in text for part in parts), 60)
            screen.wait_for(lambda text: GOOD in text, 60)
            assert process.wait(10) == 0
        rest = screen.read_rest()
    assert "outages survived" in rest
    assert screen.output.count(b"\x1b[?1049l") == 1  # back to the screen as it was before


def test_the_screen_is_calm_at_first() -> None:
    """Before the first fault, there is none to name."""
    calm = Demo(1.0, 1)
    view = View("http://h/", calm._monitor, calm._ledger.newest)
    console = Console(width=60)
    with console.capture() as captured:
        console.print(Screen(view, calm._ledger, 20.0).render(60, 20))
    assert "all is well, so far" in captured.get()


def test_the_seed_decides_on_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed has the same story; another one has another."""
    monkeypatch.setattr(faults, "_DOWN_SECONDS", 0.0)

    async def story(seed: int) -> list[str]:
        told: list[str] = []
        ledger = Ledger(time.monotonic, told.append)

        class Server:
            """Everything is got over at once."""

            async def start(self) -> None:
                ledger(CUT)
                ledger.deliver(ServerSentEvent(data='{"number": 1}'))

            async def tell(self, command: str) -> None:
                told.append(command)
                await self.start()

            async def kill(self) -> None:
                told.append("kill")

        server: Any = Server()
        await server.start()
        await faults.torment(server, ledger, 0.1, seed)
        return told

    stories = [anyio.run(story, seed) for seed in (1, 1, 2)]
    assert stories[0] == stories[1] != stories[2]
    assert sorted(stories[0][1::2]) == ["cut", "end", "kill", "silence", "unavailable"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_it_is_interrupted_cleanly(backend: str) -> None:
    """Ctrl-C ends the demonstration and its server at once, without a traceback."""
    with started_demo("--backend", backend, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert "connected to" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        # Ends only when nobody holds the pipe any more, the server's process included.
        rest = process.stdout.read()
        assert process.wait(10) == 130
    assert re.search(
        r"^resilient-sse: interrupted after \d+ events, 0 lost\n\Z", rest, re.MULTILINE
    )


def test_a_reader_that_goes_is_no_success() -> None:
    """Nobody has seen that nothing was lost; but it is quiet about it."""
    with started_demo() as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 4
        assert process.stderr.read() == ""


def test_a_full_disk_is_said() -> None:
    """In one line, and the demonstration ends."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("wb") as output:
        result = run_demo(capture_output=False, stdout=output, stderr=subprocess.PIPE)
    assert result.returncode == 4
    assert result.stderr == "resilient-sse: cannot write the output: No space left on device\n"


def test_a_loop_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what to install."""

    def find_nothing(_: str) -> None:
        """Nothing is installed."""

    monkeypatch.setattr("examples.demo.__main__.find_spec", find_nothing)
    assert run(["--backend", "trio"], demo, "demo") == 2
    assert "trio is not installed: pip install trio" in capfd.readouterr().err


class Told:
    """A demonstration whose clock ticks at every look at it.

    Attributes:
        ledger: These events delivered, with faults and a cut before the last.
        demo: It, as if it was over.
    """

    def __init__(self, *numbers: int, published: int, faults: int = 1) -> None:
        ticks = itertools.count()
        self.demo = Demo(1.0, 1)
        self.demo._monitor = Monitor(lambda: next(ticks))
        self.demo._ledger = self.ledger = ledger = Ledger(lambda: next(ticks))
        ledger.published = published
        for number in numbers:
            ledger.deliver(ServerSentEvent(data=json.dumps({"number": number})))
        for _ in range(faults):
            ledger.fault("a fault")
        ledger(CUT)
        ledger.deliver(ServerSentEvent(event="end"))
        if faults:
            anyio.run(ledger.recovery)

    @property
    def summary(self) -> str:
        """What is said in the end."""
        return "\n".join(line.plain for line in summary(self.ledger, self.demo._monitor))


def test_the_ledger_is_content_with_every_event_once() -> None:
    """All events once, in order, over at least the outages that were made."""
    told = Told(1, 2, 3, published=3)

    assert told.ledger.is_good
    assert told.summary.endswith(GOOD)


@pytest.mark.parametrize(
    ("numbers", "lost", "repeated"),
    [((1, 3), 1, 0), ((1, 2, 2, 3), 0, 1), ((2, 1, 3), 0, 0), ((), 3, 0)],
    ids=["lost", "twice", "out of order", "nothing"],
)
def test_the_ledger_notices(numbers: tuple[int, ...], lost: int, repeated: int) -> None:
    """An event that is missing, comes twice or out of order is no success."""
    told = Told(*numbers, published=3)

    assert not told.ledger.is_good
    assert (told.ledger.lost, told.ledger.repeated) == (lost, repeated)
    assert told.summary.endswith(BAD)


def test_what_is_missing_shows_while_it_runs() -> None:
    """Before the number of events is known, those before the newest one count."""
    ledger = Told(1, 3, published=3).ledger
    ledger.published = None

    assert ledger.lost == 1
    assert not ledger.is_good


@pytest.mark.parametrize("faults", [0, 2], ids=["no fault", "a fault that nobody felt"])
def test_the_ledger_wantsfaults(faults: int) -> None:
    """A demonstration in which nothing broke has shown nothing."""
    told = Told(1, 2, 3, published=3, faults=faults)

    assert not told.ledger.is_good
    assert told.summary.count("not got over") == max(0, faults - 1)


def test_a_bad_end_has_an_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    """1 if something is missing."""
    assert Told(1, 3, published=3).demo.sum_up().code == 1
    assert BAD in capfd.readouterr().out


# The server's process


@pytest.mark.anyio
async def test_a_server_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left behind, and nobody waits for it for long."""
    monkeypatch.setattr("examples.demo.process._PATIENCE_SECONDS", 0.1)
    async with ServerProcess(1.0) as server:
        assert server._process is not None
        process = server._process
        os.kill(process.pid, signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.anyio
async def test_a_server_that_never_started_needs_no_end() -> None:
    """As when the program cannot start another process."""
    server = ServerProcess(1.0)
    await server.kill()


def test_the_server_is_a_program() -> None:
    """It says where it listens, does what it is told, and ends with its standard input."""
    command = [sys.executable, "-m", "examples.demo.server", "0", "0.0", "0.000001"]
    result = subprocess.run(
        command,
        input="".join(f"{told}\n" for told in COMMANDS),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    port, events = map(int, result.stdout.split())
    assert port > 0
    assert events == int(time.time() * 0.000001)
