"""A run of the tests tells the truth: what ``scripts/run_tests.py`` makes of a small suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = ("run_tests.py", "suite_plugin.py")

pytestmark = [
    pytest.mark.skipif(not (ROOT / "scripts").exists(), reason="not in a checkout"),
    pytest.mark.thorough,
    pytest.mark.timeout(120),  # each is one or two runs of pytest in processes of their own
]

# Neither this run's settings, nor plug-ins or coverage, which take long to start.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name[:6] not in {"PYTEST", "COVERA"}
}
ENVIRONMENT["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
WORKER = ("-p", "xdist", "-n", "1")

SETTINGS = """
[pytest]
addopts = --strict-markers
filterwarnings = error
markers =
    timing: verdict depends on the clock
"""

# What the tests of a suite are made of. Each is a whole test; OTHER says nothing wrong.
BEGIN = """
import gc, pathlib, socket, threading
import pytest

class Box:
    pass

def leak():
    box = Box()
    box.itself, box.socket = box, socket.socket()

def first_time(name):
    seen = pathlib.Path(name)
    if seen.exists():
        return False
    seen.touch()
    return True
"""
INNOCENT = """
def test_innocent():
    gc.collect()
"""
# Each way to leave something to the collector, before a test that does nothing wrong.
LEAKS = """
def test_leaking_cycle():
    leak()

def test_innocent_after_cycle():
    gc.collect()

@pytest.fixture
def left_open():
    return socket.socket()

def test_leaking_fixture(left_open):
    pass

def test_innocent_after_fixture():
    gc.collect()

@pytest.fixture(scope="class")
def leaking_at_its_end():
    yield
    leak()

class TestClass:
    def test_leaking_wider_fixture(self, leaking_at_its_end):
        pass

def test_innocent_after_wider_fixture():
    gc.collect()

async def never():
    pass

def test_leaking_coroutine():
    box = Box()
    box.itself, box.coroutine = box, never()

def test_innocent_after_coroutine():
    gc.collect()

def test_leaking_thread():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

def test_innocent_after_thread():
    gc.collect()
"""
LEAKING = """
@pytest.mark.timing
def test_leaking():
    leak()
"""
LEAKING_ONCE = """
@pytest.mark.timing
def test_leaking():
    if first_time("leaked"):
        leak()
"""
FLAKY = """
@pytest.mark.timing
def test_flaky():
    box = Box()
    box.itself, box.socket = box, socket.socket()
    assert not first_time("flaked"), "too late"
    box.socket.close()
"""
FLAKY_WITHOUT_MARKER = FLAKY.replace("@pytest.mark.timing", "")
FOUR_FLAKY = """
@pytest.mark.timing
@pytest.mark.parametrize("name", ["a", "b b", "c::c", "d[d]"])
def test_flaky(name):
    assert not first_time(name), "too late"
"""
THREE_FLAKY = FOUR_FLAKY.replace('"a", ', "")
SLOW = """
@pytest.mark.timing
def test_slow():
    assert False, "always too late"
"""
WRONG = """
def test_wrong():
    assert 1 == 2
"""
CRASHING = """
import os
@pytest.mark.timing
def test_crashing():
    if first_time("crashed"):
        os._exit(3)
"""
UNREADABLE = """
import nothing_of_that_name
"""


class Run:
    """One run over a suite in a folder of its own."""

    def __init__(self, folder: Path, tests: str, *arguments: str) -> None:
        (folder / "scripts").mkdir()
        for name in SCRIPTS:
            shutil.copy(ROOT / "scripts" / name, folder / "scripts")
        (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
        (folder / "test_it.py").write_text(BEGIN + tests, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "scripts/run_tests.py", "--name", "it", "--", "-q", *arguments],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.status = result.returncode
        self.output = result.stdout + result.stderr
        self.end = self.output.partition("==> Failed first")[2]
        kept = folder / ".cache" / "first-failures" / "it.txt"
        self.kept = kept.read_text(encoding="utf-8") if kept.exists() else ""


@pytest.mark.parametrize("arguments", [(), WORKER], ids=["here", "in-a-worker"])
def test_a_leak_is_blamed_on_its_test(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Whatever is left to the collector fails the test that left it, and no other."""
    run = Run(tmp_path, LEAKS, *arguments)

    assert run.status == 1, run.output
    leaking = ["cycle", "fixture", "wider_fixture", "coroutine", "thread"]
    assert re.findall(r"::test_leaking_(\w+)\n    leak: ", run.end) == leaking
    assert "innocent" not in run.end
    assert "Once more" not in run.output


@pytest.mark.parametrize("tests", [LEAKING, LEAKING_ONCE], ids=["always", "once"])
def test_a_leak_gets_no_second_chance(tmp_path: Path, tests: str) -> None:
    """Not even in a timing test, and not even if it would not leak again."""
    run = Run(tmp_path, tests + INNOCENT)

    assert run.status == 1, run.output
    assert "test_it.py::test_leaking\n    leak: " in run.end
    assert "Once more" not in run.output
    assert "unclosed <socket" in run.kept


@pytest.mark.parametrize("tests", [FLAKY, THREE_FLAKY], ids=["one", "three"])
def test_a_timing_test_gets_one_more_chance(tmp_path: Path, tests: str) -> None:
    """The run is green, and says at its end and in a file what failed first, and of what.

    What a failed test had in hand is no leak of its own, nor of the next.
    """
    run = Run(tmp_path, tests + INNOCENT)

    assert run.status == 0, run.output
    assert "Once more" in run.output
    assert "test_it.py::test_flaky" in run.end
    assert "passed when run again" in run.end
    assert "timing: AssertionError: too late" in run.end
    assert "test_innocent" not in run.end
    assert "first_time" in run.kept, "the traceback is kept"


def test_a_timing_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    """What is really too slow is so by itself as well."""
    run = Run(tmp_path, SLOW + FLAKY)

    assert run.status == 1, run.output
    assert "test_slow" in run.end
    assert "test_flaky" in run.end
    assert "the run has failed" in run.end


@pytest.mark.parametrize("tests", [WRONG, FLAKY_WITHOUT_MARKER, FLAKY + WRONG])
def test_other_tests_get_no_second_chance(tmp_path: Path, tests: str) -> None:
    """A failure that is no matter of time is final, also beside one that is."""
    run = Run(tmp_path, INNOCENT + tests)

    assert run.status == 1, run.output
    assert "Once more" not in run.output
    assert "failure: " in run.end
    assert run.kept


def test_more_than_three_failures_are_no_accident(tmp_path: Path) -> None:
    """Four timing tests that fail in the first round fail the run, even if they would pass now."""
    run = Run(tmp_path, FOUR_FLAKY)

    assert run.status == 1, run.output
    assert "Once more" not in run.output
    assert run.end.count("timing: ") == 4


def test_a_crashed_process_gets_no_second_chance(tmp_path: Path) -> None:
    """A test that takes its process along fails the run."""
    run = Run(tmp_path, CRASHING + INNOCENT, *WORKER)

    assert run.status == 1, run.output
    assert "test_crash" in run.end


@pytest.mark.parametrize(("tests", "status"), [(UNREADABLE, 2), ("", 5)])
def test_tests_that_cannot_run_fail_the_run(tmp_path: Path, tests: str, status: int) -> None:
    """Neither an import that fails nor a suite without a test is a green run, or runs again."""
    run = Run(tmp_path, tests)

    assert run.status == status, run.output
    assert "Once more" not in run.output


def test_a_green_run_keeps_nothing(tmp_path: Path) -> None:
    """Where nothing failed nothing is listed, and what an earlier run kept is gone."""
    kept = tmp_path / ".cache" / "first-failures" / "it.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of last time", encoding="utf-8")

    run = Run(tmp_path, INNOCENT)

    assert run.status == 0, run.output
    assert not run.end
    assert not kept.exists()
