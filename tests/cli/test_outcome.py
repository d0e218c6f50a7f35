"""How commands end: codes, hints, signals; in this process."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
import stamina.instrumentation
import structlog

from resilient_sse.cli import main
from resilient_sse.cli._outcome import (
    DONE,
    Outcome,
    outcome_of,
    printable,
    reader_has_gone,
    run_until_interrupted,
)
from resilient_sse.testing import Connection, ScriptedServer, event
from tests.support.cli_process import run_cli, started_cli, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """Undo what the command does to this process, which is usually its own."""
    yield
    structlog.reset_defaults()
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_work(number: signal.Signals, code: int) -> None:
    """It can clean up, and the handler of before is back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    happened: list[str] = []

    class Command:
        """Waits, and takes note."""

        async def run(self) -> None:
            """Be interrupted."""
            try:
                signal.raise_signal(number)
                await anyio.sleep(10)
            finally:
                happened.append("cleaned")

        def sum_up(self) -> Outcome:
            """Say something."""
            happened.append("summed up")
            return DONE

    assert run_until_interrupted(Command()) == (code, "")
    assert happened == ["cleaned", "summed up"]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_system_without_signals_to_wait_for_has_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """As Windows; and so a second Ctrl-C ends what the first one did not."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    class Command:
        """Is interrupted."""

        async def run(self) -> None:
            """Wait."""
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep(10)

        def sum_up(self) -> Outcome:
            """Say something."""
            return Outcome(1, "what there is to say")

    monkeypatch.setattr(anyio, "open_signal_receiver", refuse)
    assert run_until_interrupted(Command(), backend) == (130, "what there is to say")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_sigterm_ends_what_a_script_runs_in_the_background() -> None:
    """A shell has such a process ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        context = started_cli("demo", "--serve", "--port", "0")
        process = context.__enter__()
    finally:
        signal.signal(signal.SIGINT, before)
    with ExitStack() as stack:
        stack.push(context)
        assert process.stderr is not None
        assert "http://" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


def test_errors_of_the_output_are_told_apart() -> None:
    """A reader that has gone is no error, a full disk is one."""
    assert outcome_of(BrokenPipeError()) == DONE
    full = OSError(errno.ENOSPC, "No space left on device")
    assert outcome_of(full) == (4, "cannot write the output: No space left on device")


@pytest.mark.skipif(sys.platform == "win32", reason="closes file descriptors as a shell does")
@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [(">&-", 4, "resilient-sse: cannot write the output: stdout is closed\n"), ("2>&-", 0, "")],
)
def test_closed_outputs_are_no_defect(closed: str, code: int, said: str) -> None:
    """Without stdout there is nothing to do; without stderr there is less to say."""
    command = f"exec {sys.executable} -m resilient_sse --help {closed}"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (code, said)
    assert bool(result.stdout) is (code == 0)


def test_help_that_cannot_be_written_is_said() -> None:
    """One line, as for every other output."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("wb") as output:
        result = run_cli("--help", capture_output=False, stdout=output, stderr=subprocess.PIPE)
    assert result.stderr == "resilient-sse: cannot write the output: No space left on device\n"
    assert result.returncode == 4


def test_control_characters_are_shown() -> None:
    """All that a terminal could obey, and nothing else."""
    assert printable("a\tü\n\x1b[0m\x9b\x7f\r") == "a\tü\n\\x1b[0m\\x9b\\x7f\\x0d"


def test_a_system_that_cannot_poll_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no poll: that the reader has gone is noticed at the next line."""
    monkeypatch.delattr("select.poll")
    assert not reader_has_gone()


def test_an_interrupt_before_the_beginning_is_quiet_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the command still reads its options."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resilient_sse.cli._target.Target.client", interrupted)
    assert main(["tail", "http://localhost/"]) == 130


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_tail_in_this_process(capfd: pytest.CaptureFixture[str], quiet: list[str]) -> None:
    """The command is a function of its arguments; what it returns is the exit code."""
    with ScriptedServer([Connection(event("one", id="1"))]) as server:
        assert main(["tail", server.url, "--format", "data", "--max-events", "1", *quiet]) == 0
    output = capfd.readouterr()
    assert output.out == "one\n"
    assert ("--last-event-id 1" in output.err) is (not quiet)


def test_watch_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the view, on a terminal."""
    with terminal() as screen, ScriptedServer([Connection(status=404)]) as server:
        with open(screen.slave, "w", closefd=False, encoding="utf-8") as output:
            monkeypatch.setattr(sys, "stdout", output)
            assert main(["watch", server.url]) == 3
        assert "0 events in" in screen.read_rest()
