"""What a run of the tests tells `run_tests.py`: which tests failed, and of what kind.

A test fails of time if it is marked `timing`: a machine that stands still for a second can fail it.
A test fails of a leak if something it made is left to the garbage collector; that is no matter of
luck. What is left is collected at the end of the test that made it, so that no other is blamed.
"""

from __future__ import annotations

import gc
import json
import sys
import traceback
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

LEAKS = (
    ResourceWarning,
    pytest.PytestUnraisableExceptionWarning,
    pytest.PytestUnhandledThreadExceptionWarning,
)
FAILED = pytest.StashKey[bool]()
WIDER = pytest.StashKey[bool]()  # whether a fixture outlived its test in this module


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the place for the list of failures."""
    parser.addoption("--failures-to", metavar="FILE", help="write what failed to a file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Record failures in the process that hears of all of them."""
    place: str | None = config.getoption("--failures-to")
    if place and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(Path(place)))


class Failures:
    """Everything that failed in a run."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._found: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a failure with what tells its kind, which a crashed process does not know."""
        if report.failed:
            kind = {name: getattr(report, name, False) for name in ("timing", "leak")}
            self._keep(report, **kind)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep also what could not be imported."""
        if report.failed:
            self._keep(report, timing=False, leak=False)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport, **kind: bool) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = report.longreprtext
        reason = crash.message if crash else text.strip().rpartition("\n")[2]
        self._found.append({"test": report.nodeid, "reason": reason, "text": text, **kind})

    def pytest_sessionfinish(self) -> None:
        """Write them down."""
        self._place.write_text(json.dumps(self._found), encoding="utf-8")


def pytest_collection_finish() -> None:
    """Leave what is there before the tests out of every collection: that makes them cheap."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter collect as it is used to."""
    gc.unfreeze()


def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> None:
    """Note that something outlives its test."""
    if fixturedef.scope != "function":
        request.session.stash[WIDER] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report, which may go to another process, of what kind a failure is."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        kind = {
            "timing": item.get_closest_marker("timing") is not None,
            "leak": call.excinfo is not None and _is_leak(call.excinfo.value),
        }
        vars(report).update(kind)
    return report


def _is_leak(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_leak(inner) for inner in error.exceptions)
    return isinstance(error, LEAKS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Collect what a test left, after its fixtures; pytest would wait for the collector's whim.

    What outlives a test is not looked at again before the module ends whose fixtures outlive their
    tests, or all of them have run: to look at everything takes half a second.
    """
    try:
        yield
    except BaseException:
        item.stash[FAILED] = True
        raise
    finally:
        if nextitem is None or (
            nextitem.path != item.path and item.session.stash.get(WIDER, False)
        ):
            item.session.stash[WIDER] = False
            gc.unfreeze()
        left = _collect(item)
        gc.freeze()
    # A failed test's traceback held whatever it had in hand: that is no fault of its own.
    if left and not item.stash.get(FAILED, False):
        raise pytest.PytestUnraisableExceptionWarning("\n".join(left))


def _collect(item: pytest.Item) -> list[str]:
    """Let go of what pytest still holds, run the collector, and say what finalisers complain of."""
    found: list[str] = []
    pytests_own = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: found.append(_describe(unraisable))
    try:
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            vars(sys).pop(name, None)
        getattr(item, "funcargs", {}).clear()
        gc.collect()
    finally:
        sys.unraisablehook = pytests_own
    return found


def _describe(unraisable: sys.UnraisableHookArgs) -> str:
    """Turn it into text at once: to keep the object would bring it back to life."""
    what = traceback.format_exception_only(unraisable.exc_type, unraisable.exc_value)
    made = tracemalloc.get_object_traceback(unraisable.object)
    where = made.format() if made else ["(PYTHONTRACEMALLOC=20 in the environment shows where)"]
    return "\n".join(["left to the collector: " + "".join(what).strip(), *where])
