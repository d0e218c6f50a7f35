"""What holds for every test: both event loops, and nothing that blocks one of them."""

from __future__ import annotations

import signal
import sys
import zlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stamina.instrumentation
from hypothesis import given, is_hypothesis_test, settings
from hypothesis import strategies as st

from tests.support.blocking import no_blocking_calls
from tests.support.how_much import set_brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql_server import PostgreSQLServer
    from tests.support.redis_server import RedisServer

# What a test leaves to the collector fails that test, however the tests are run.
pytest_plugins = ["scripts.suite_plugin"]

# A shell has its background jobs ignore Ctrl-C, and their children with them; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that run tests are shared: a slow example is not a wrong one.
settings.register_profile("resilient_sse", deadline=None)
settings.load_profile("resilient_sse")

# At its first retry stamina imports what it instruments with, which reads files.
stamina.instrumentation.get_on_retry_hooks()


# The tests in these folders time networks, and servers of several processes.
ALONE = (
    "network/",
    *(f"servers/test_{what}" for what in ("asgi", "haproxy", "mcp", "nginx", "proxies")),
)


# Scenarios over real sockets and in processes of their own: each has a time limit that a machine
# that stands still for a moment can miss, whatever the test is about.
TIMED = (
    *("cli/", "cursors/", "dialects/", "docs/", "instrumentation/", "matrix/", "testing/"),
    *("servers/", "transports/"),
    *("drivers/test_security", "project/test_fuzz"),
)

# Every way in every runtime, or a process for each test: in a brief run a third will do, of which
# every Python draws its own.
CROSSED = (
    *("cli/", "docs/test_demo", "docs/test_examples", "testing/test_endings", "transports/test_"),
    *("matrix/test_answers", "matrix/test_bodies", "matrix/test_dialects", "matrix/test_endings"),
    *("matrix/test_http2", "matrix/test_redirects"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take how much is to run of what runs in many combinations."""
    parser.addoption("--httpx2", choices=("all", "third"), default="all", help="how much over it")
    today = f"{datetime.now(UTC).toordinal()}.{sys.version_info.minor}"
    parser.addoption("--third", default=today, help="which third it is; by default the day's")
    parser.addoption("--brief", action="store_true", help="what is enough for a small change")


def pytest_configure(config: pytest.Config) -> None:
    """Have less tried in a brief run."""
    set_brief(brief=bool(config.getoption("--brief")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish() -> None:
    """Have Hypothesis ready before `suite_plugin` hides from the collector what is there.

    If its examples are the same every time, as where ``CI`` is set, it asks the collector at the
    first one who holds its random numbers; from Python 3.14 on the holder would be hidden.
    """

    @settings(max_examples=1, database=None, derandomize=True)
    @given(st.none())
    def example(_: None) -> None:
        """Nothing to see."""

    example()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what the third was drawn with."""
    share, brief = config.getoption("--httpx2"), config.getoption("--brief")
    drawn = f"--third {config.getoption('--third')}" if brief or share == "third" else "all"
    return f"cases: {drawn}, httpx2: {share}, brief: {brief}"


def _is_over_httpx2(item: pytest.Item) -> bool:
    """Say whether this is a case over httpx2 of a test that has the same case over httpx."""
    given = getattr(getattr(item, "callspec", None), "params", {}).values()
    return any(getattr(value, "library", value) == "httpx2" for value in given)


def _left_out(item: pytest.Item) -> bool:
    """Say whether a test is too much for a brief run, or of the two thirds that were not drawn."""
    brief = item.config.getoption("--brief")
    if brief and item.get_closest_marker("thorough"):
        return True
    a_third_will_do = brief and (is_under(CROSSED, item.path) or item.get_closest_marker("crossed"))
    if item.config.getoption("--httpx2") == "third":
        a_third_will_do = a_third_will_do or _is_over_httpx2(item)
    chance = zlib.crc32(f"{item.config.getoption('--third')} {item.nodeid}".encode()) % 3
    return bool(a_third_will_do and chance)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that must not have others beside them, and those that time what they test."""
    if out := {item for item in items if _left_out(item)}:
        config.hook.pytest_deselected(items=list(out))
        items[:] = [item for item in items if item not in out]
    for item in items:
        timed, alone = is_under(TIMED, item.path), is_under(ALONE, item.path)
        if alone or item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.alone)
            timed = True
        if timed:
            item.add_marker(pytest.mark.timing)
        # Hundreds of examples, of which a busy machine makes only a few in a second.
        drawn = is_hypothesis_test(getattr(item, "obj", None))
        if drawn and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(180))


@cache
def is_under(places: tuple[str, ...], path: Path) -> bool:
    """Say whether a file is in one of these folders, or has such a name."""
    return path.relative_to(Path(__file__).parent).as_posix().startswith(places)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every test that is marked with ``pytest.mark.anyio`` on asyncio and on trio."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    """A Redis for those tests of a module that leave it alone."""
    from tests.support.redis_server import RedisServer  # noqa: PLC0415 - needs redis-py

    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared_postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL for those tests of a module that leave it alone."""
    from tests.support.postgresql_server import PostgreSQLServer  # noqa: PLC0415 - needs psycopg

    with PostgreSQLServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test on asyncio whose event loop is blocked by a call out of the library."""
    if "anyio_backend" not in request.fixturenames:
        yield
        return
    if request.getfixturevalue("anyio_backend_name") != "asyncio":
        yield
        return
    # The kit's servers are threads, and are started and stopped by tests.
    with no_blocking_calls(excluded_modules=["resilient_sse.testing"]):
        yield
