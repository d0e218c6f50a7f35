"""The pytest plug-in: its fixtures, and how little it imports."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import resilient_sse_pytest
from resilient_sse.testing import pytest_plugin

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

# The same whether the plug-in is installed under its entry point's name or not.
ONCE = ("-p", "no:resilient_sse", "-p", "resilient_sse_pytest")

TESTS = """
import httpx
from resilient_sse.testing import Connection, Recorder, event

kept = []

def test_server(sse_server):
    first = sse_server([Connection(event("x"))])
    second = sse_server(then=Connection(event("y")))
    kept.extend([first, second])
    texts = [httpx.get(server.url, trust_env=False).text for server in (first, second)]
    assert texts == ["data: x\\n\\n", "data: y\\n\\n"]

def test_port(sse_server):
    server = sse_server()
    server.close()
    assert sse_server(port=server.port).port == server.port

def test_history(sse_history):
    kept.append(sse_history)
    assert sse_history.publish("x") == "1"
    sse_history.fail_next(Connection(status=503))
    assert httpx.get(sse_history.url, trust_env=False).status_code == 503

def test_recorder(sse_recorder):
    assert isinstance(sse_recorder, Recorder)

def test_all_were_closed():
    for server in kept:
        server.start()  # a running server would not start
        server.close()
    assert len(kept) == 3

def test_lost_errors(sse_server):
    def check(request):
        raise AssertionError("not so")
    try:
        httpx.get(sse_server([check]).url, trust_env=False)
    except httpx.ReadError:
        pass
"""


def test_fixtures_start_and_close(pytester: pytest.Pytester) -> None:
    """Servers run during a test and are closed after it; their errors are the test's errors."""
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess(*ONCE, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=6, errors=1)
    result.stdout.fnmatch_lines(["*AssertionError: not so*"])


def test_the_plugin_costs_a_run_next_to_nothing() -> None:
    """Every run of pytest loads it, whatever it tests: pytest and itself, no more."""
    program = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import resilient_sse_pytest\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == ["resilient_sse_pytest"]


def test_the_entry_point_is_that_module() -> None:
    """And pytest loads it by this."""
    (entry,) = (each for each in entry_points(group="pytest11") if each.name == "resilient_sse")
    assert entry.value == "resilient_sse_pytest"


def test_the_name_that_it_is_known_by() -> None:
    """Types and fixtures are still found there."""
    assert {getattr(pytest_plugin, name) for name in pytest_plugin.__all__} == {
        getattr(resilient_sse_pytest, name) for name in resilient_sse_pytest.__all__
    }
