"""A thousand clients do not come back together; policy and time only, nobody sleeps."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from examples.herd import CLIENTS, OUTAGE, arrivals, come_back, most_within
from resilient_sse import ExponentialBackoff, Failure, FailureKind, ServerRetry
from tests.support.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RETRIES = pytest.mark.parametrize("server_retry", [None, 3.0, 10.0])


RANDOM = pytest.mark.usefixtures("_seed")


@pytest.fixture(params=range(5), ids=lambda seed: f"seed{seed}")
def _seed(request: pytest.FixtureRequest) -> None:
    random.seed(request.param)


@RANDOM
@RETRIES
def test_no_second_sees_more_than_a_few_percent(server_retry: float | None) -> None:
    """After 60 s of outage no second sees 7 % of the clients, and no tenth of one 2 %."""
    times = arrivals(ExponentialBackoff(), server_retry=server_retry)

    assert len(times) == CLIENTS
    assert most_within(times, 1.0) < 0.07 * CLIENTS
    assert most_within(times, 0.1) < 0.02 * CLIENTS


@RANDOM
@RETRIES
def test_all_are_back_before_long(server_retry: float | None) -> None:
    """Nobody waits longer than twice the cap for a server that is there again."""
    times = arrivals(ExponentialBackoff(), server_retry=server_retry)

    assert min(times) >= OUTAGE
    assert max(times) <= OUTAGE + 2 * ExponentialBackoff().wait_max


@RANDOM
@pytest.mark.parametrize("server_retry", [0.5, 3.0, 10.0, 45.0])
def test_nobody_comes_before_the_servers_retry(server_retry: float) -> None:
    """Between two attempts of a client lies at least what the server's retry field asks for."""
    for _ in range(CLIENTS):
        times = [0.0, *come_back(ExponentialBackoff(), server_retry=server_retry)]
        waits = [after - before for before, after in itertools.pairwise(times)]
        assert min(waits) >= server_retry - 1e-9  # differences of floats


@RANDOM
def test_retry_after_is_no_appointment() -> None:
    """A thousand clients that are told to come in 30 s come then or later, not together."""
    busy = httpx.HTTPError("503")
    failure = Failure(error=busy, kind=FailureKind.STATUS, status_code=503, retry_after=30.0)
    waits = [ExponentialBackoff()(failure) or 0.0 for _ in range(CLIENTS)]

    assert min(waits) >= 30.0
    assert most_within(waits, 1.0) < 0.07 * CLIENTS


@RETRIES
def test_constant_delays_bring_all_at_once(server_retry: float | None) -> None:
    """The measure can fail: with the browser's rule all clients come in the same moment."""
    times = arrivals(ServerRetry(), server_retry=server_retry)

    assert most_within(times, 0.1) == CLIENTS


def test_no_jitter_brings_all_at_once() -> None:
    """It is the jitter that spreads the clients, not the exponent."""
    times = arrivals(ExponentialBackoff(wait_jitter=0.0))

    assert most_within(times, 0.1) == CLIENTS


def test_window_may_begin_anywhere() -> None:
    """Arrivals on both sides of a full second count as within one second."""
    assert most_within([0.9, 1.1, 1.8, 2.0, 5.0], 1.0) == 3
    assert most_within([], 1.0) == 0


def test_client_that_gives_up_stops_coming() -> None:
    """A policy with a limit ends the simulated client as it ends a real one."""
    assert len(come_back(ExponentialBackoff(attempts=3))) == 2


def test_picture_in_the_documentation_is_made_by_the_program(
    tmp_path: Path,
) -> None:
    """The committed picture is what the program draws from the policies of today."""
    path = tmp_path / "herd.svg"
    command = [sys.executable, "-m", "examples.herd", "--svg", str(path)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    drawn = path.read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs/images/herd.svg").read_text(encoding="utf-8")
    page = (ROOT / "docs/explanation/timing.md").read_text(encoding="utf-8")
    for second, tenth in re.findall(r" +(\d+) +(\d+) +[\d.]+ s$", output, re.MULTILINE):
        assert f"| {second} | {tenth} |" in page
