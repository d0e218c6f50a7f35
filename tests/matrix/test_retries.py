"""Waiting between attempts: stamina does it, and whatever stamina calls may fail."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import stamina
import structlog
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from resilient_sse import GiveUpError, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse._drivers import retries as _retries
from resilient_sse._drivers import sync_retries as _sync_retries
from resilient_sse.testing import Connection, ScriptedServer, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse import Attempt, Failure
    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


@pytest.fixture
def set_hooks() -> Iterator[Callable[..., None]]:
    """Set hooks as stamina's users do."""
    before = get_on_retry_hooks()
    yield lambda *hooks: set_on_retry_hooks(hooks)
    set_on_retry_hooks(before)


class Raising:
    """A hook of stamina's that raises, and counts how often it is called."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, _details: object) -> None:
        self.calls += 1
        raise self.error


def waits(*seconds: float) -> Callable[[Failure], float | None]:
    """Make a policy that waits so long in turn, and then gives up."""
    answers = iter(seconds)
    return lambda _failure: next(answers, None)


@pytest.mark.parametrize(
    "error", [LookupError("mine"), OSError("full"), StopIteration(), StopAsyncIteration()], ids=repr
)
def test_a_hook_that_raises(
    home: World,
    set_hooks: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """The stream goes on, after the same wait; it is reported once; the next outage tells again."""
    hook = Raising(error)
    set_hooks(hook)
    broken = Connection(status=503)
    server = home.serve(Connection(ONE), broken, broken, Connection(TWO), broken)
    began = time.monotonic()
    reading = home.read(server, waits=waits(0.01, 0.15, 0.01, 0.01, 0.01)).wait()
    assert reading.data == ["one", "two"]
    assert time.monotonic() - began >= 0.15
    assert hook.calls == 2  # once an outage
    assert len([line for line in caplog.records if line.name == "resilient_sse"]) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_hook_that_raises_shortens_no_wait(
    home: World, set_hooks: Callable[..., None], before: int
) -> None:
    """Neither that of the failure which it was told of, nor those that follow in the outage."""
    set_hooks(Raising(LookupError("mine")))
    server = home.serve(*[Connection(status=503)] * (before + 1), Connection(ONE))
    began = time.monotonic()
    home.read(server, waits=waits(*[0.0] * before, 0.15, 0.0)).wait()
    assert time.monotonic() - began >= 0.15


def test_a_hook_that_raises_the_failure_itself(home: World, set_hooks: Callable[..., None]) -> None:
    """It is not taken for stamina's refusal to go on."""

    def hook(details: Any) -> None:
        raise details.caused_by

    set_hooks(hook)
    assert home.run(Connection(ONE), Connection(TWO)).data == ["one", "two"]


def test_a_hook_that_exits(thread: World, set_hooks: Callable[..., None]) -> None:
    """SystemExit and the like pass; the wait goes on with the next pull."""
    set_hooks(Raising(SystemExit(3)))
    source, _, _ = thread.source(thread.serve(Connection(ONE), Connection(TWO)))
    with source:
        assert next(source).data == "one"
        with pytest.raises(SystemExit):
            next(source)
        assert next(source).data == "two"


@pytest.mark.parametrize("attempts", [1, 3])
def test_testing_mode_with_a_hook_that_raises(
    home: World, set_hooks: Callable[..., None], attempts: int
) -> None:
    """The attempts that it allows are counted all the same, and nothing waits."""
    set_hooks(Raising(LookupError("mine")))
    with stamina.set_testing(True, attempts=attempts):
        server = home.serve(*[Connection(status=503)] * 5)
        reading = home.read(server, waits=lambda _failure: 60.0)
        with pytest.raises(GiveUpError) as caught:
            reading.wait()
    assert len(caught.value.failures) == attempts


@pytest.mark.parametrize("broken", [False, True], ids=["stamina", "library"])
def test_switched_off_in_the_middle(
    home: World, set_hooks: Callable[..., None], broken: bool
) -> None:
    """``set_active(False)`` during an outage ends it at the next failure, whoever waits."""
    set_hooks(*([Raising(LookupError("mine"))] if broken else []))

    def switch_off(_request: object, attempt: Attempt) -> None:
        stamina.set_active(attempt.number < 3)

    server = home.serve(*[Connection(status=503)] * 5)
    try:
        reading = home.read(server, prepare_request=switch_off)
        with pytest.raises(GiveUpError):
            reading.wait()
    finally:
        stamina.set_active(True)
    assert len(server.requests) == 3


def test_a_hook_that_switches_stamina_off_and_raises(
    home: World, set_hooks: Callable[..., None]
) -> None:
    """The wait that was announced goes on; the next failure is the last."""

    def hook(_details: object) -> None:
        stamina.set_active(False)
        raise LookupError("mine")

    set_hooks(hook)
    try:
        reading = home.read(home.serve(*[Connection(status=503)] * 5))
        with pytest.raises(GiveUpError) as caught:
            reading.wait()
    finally:
        stamina.set_active(True)
    assert len(caught.value.failures) == 2


def test_numbers_of_a_whole_outage(home: World, set_hooks: Callable[..., None]) -> None:
    """One generator an outage: numbers, waits and causes are those of the outage."""
    seen: list[Any] = []
    set_hooks(seen.append)
    script = [Connection(ONE), Connection(), Connection(status=503), Connection(TWO)]
    home.read(home.serve(*script), waits=waits(0.01, 0.02, 0.03, 0.0)).wait()
    assert [each.retry_num for each in seen] == [1, 2, 3, 1]
    assert [each.wait_for for each in seen] == pytest.approx([0.01, 0.02, 0.03, 0.0])
    assert seen[2].waited_so_far == pytest.approx(0.03)


def test_no_trace_of_stamina_in_the_story(home: World) -> None:
    """The traceback of the error behind a give-up ends where the failure happened."""
    broken = Connection(status=503)
    server = home.serve(broken, broken, broken)
    reading = home.read(server, waits=waits(0.0, 0.0))
    with pytest.raises(GiveUpError) as caught:
        reading.wait()
    for failure in caught.value.failures:
        names, trace = set[str](), failure.error.__traceback__
        while trace is not None:
            names.add(trace.tb_frame.f_globals["__name__"].partition(".")[0])
            trace = trace.tb_next
        assert not names & {"stamina", "tenacity"}


@pytest.mark.anyio
async def test_a_wait_cut_short_is_told_once(set_hooks: Callable[..., None]) -> None:
    """Time limits around a pull cut the wait; neither kind of hook hears of it again."""
    seen: list[Any] = []
    set_hooks(seen.append)
    with ScriptedServer([Connection(ONE)], then=Connection(TWO)) as server:
        async with ReconnectingEventSource(server.url, policy=waits(0.2)) as source:
            assert (await anext(source)).data == "one"
            got = None
            while got is None:
                with anyio.move_on_after(0.03):
                    got = await anext(source)
            assert got.data == "two"
    assert [each.retry_num for each in seen] == [1]


# -- In threads ------------------------------------------------------------------------------------


def helpers() -> set[threading.Thread]:
    """The threads in which stamina waits."""
    return {each for each in threading.enumerate() if each.name == "resilient_sse wait"}


@pytest.fixture(params=[False, True], ids=["stamina", "library"])
def who_waits(request: pytest.FixtureRequest, set_hooks: Callable[..., None]) -> None:
    """Have stamina wait, or the library, because a hook of stamina's raises."""
    set_hooks(*([Raising(LookupError("mine"))] if request.param else []))


def waiting_source(url: str) -> tuple[SyncReconnectingEventSource, threading.Thread]:
    """Begin to read a server that is down, up to the wait."""
    source = SyncReconnectingEventSource(url, policy=lambda _failure: 600.0)

    def read() -> None:
        with source:
            for _ in source:
                raise AssertionError

    thread = threading.Thread(target=read)
    thread.start()
    while source.state != "waiting":
        time.sleep(0.001)
    return source, thread


@pytest.mark.timing
@pytest.mark.usefixtures("who_waits")
def test_closing_a_wait() -> None:
    """The reading thread ends at once."""
    source, thread = waiting_source("http://127.0.0.1:9/")
    began = time.monotonic()
    source.close()
    thread.join(5)
    assert time.monotonic() - began < 1


@pytest.mark.timeout(20)
def test_closing_just_before_the_library_waits(
    thread: World, set_hooks: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of stamina's has raised, and another thread closes the source this very moment."""
    set_hooks(Raising(LookupError("mine")))
    source, _, _ = thread.source(thread.serve(Connection(status=503)), waits=lambda _: 600.0)

    def close_first(retry: Any) -> float:
        source.close()
        seconds: float = retry.seconds
        return seconds

    monkeypatch.setattr(_sync_retries, "seconds_without_stamina", close_first)
    with source:
        assert list(source) == []


@pytest.mark.usefixtures("who_waits")
def test_reconnecting_from_a_wait() -> None:
    """The next attempt goes out at once."""
    with ScriptedServer([Connection(status=503), Connection(ONE)]) as server:
        source = SyncReconnectingEventSource(server.url, policy=lambda _failure: 600.0)
        events = list[str]()

        def read() -> None:
            with source:
                events.append(next(source).data)

        thread = threading.Thread(target=read)
        thread.start()
        while source.state != "waiting":
            time.sleep(0.001)
        source.reconnect()
        thread.join(5)
    assert events == ["one"]


def test_a_helper_that_is_left_behind_holds_nothing() -> None:
    """Source, client and error are collected although it sleeps on."""
    before = helpers()
    source, thread = waiting_source("http://127.0.0.1:9/")
    (helper,) = helpers() - before
    failure = weakref.ref(source._session._outage.failures[-1].error)
    source.close()
    thread.join(5)
    dead = weakref.ref(source)
    del source, thread
    deadline = time.monotonic() + 5  # the helper may have been about to begin its wait
    while dead() or failure():
        gc.collect()
        assert time.monotonic() < deadline
    assert helper.is_alive()


def test_a_helper_ends_with_its_outage(thread: World) -> None:
    """After progress no thread of the library's is left."""
    server = thread.serve(Connection(status=503), Connection(ONE, TWO))
    source, _, _ = thread.source(server)
    before = helpers()
    with source:
        assert next(source).data == "one"
        deadline = time.monotonic() + 5
        while helpers() - before:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_outages_in_a_row_have_one_helper(thread: World) -> None:
    """A server that ends its stream after each event does not cost a thread each time."""
    server = thread.serve(*(Connection(event(str(number))) for number in range(5)))
    source, _, _ = thread.source(server)
    before, seen = helpers(), set[threading.Thread]()
    with source:
        for number in range(5):
            assert next(source).data == str(number)
            seen |= helpers() - before
        assert len(seen) == 1
    (helper,) = seen
    helper.join(0.5)  # the source is closed: it waits for no other outage
    assert not helper.is_alive()


def test_a_helper_stays_while_an_outage_lasts(
    thread: World, monkeypatch: pytest.MonkeyPatch, set_hooks: Callable[..., None]
) -> None:
    """However long an attempt takes: stamina's counts are those of its thread."""
    monkeypatch.setattr(_sync_retries, "_STAYS", 0.01)
    seen = list[Any]()
    set_hooks(seen.append)
    slow = Connection(status=503, before_headers=0.1)
    server = thread.serve(slow, slow, Connection(ONE), Connection(TWO))
    source, _, _ = thread.source(server)
    before = helpers()
    with source:
        assert next(source).data == "one"
        while helpers() - before:
            time.sleep(0.001)
        assert next(source).data == "two"
    assert [each.retry_num for each in seen] == [1, 2, 1]


def test_no_thread_can_be_started(
    thread: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the library waits by itself."""
    start = threading.Thread.start

    def no_helper(starting: threading.Thread) -> None:
        if starting.name == "resilient_sse wait":
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(starting)

    monkeypatch.setattr(threading.Thread, "start", no_helper)
    server = thread.serve(Connection(ONE), Connection(TWO))
    source, _, _ = thread.source(server)
    with source:
        assert [next(source).data, next(source).data] == ["one", "two"]
    assert "can't start new thread" in caplog.text


THOUSAND = """
import threading, time, sys
from resilient_sse import SyncReconnectingEventSource
url, policy = "http://127.0.0.1:9/", lambda _: 600.0
sources = [SyncReconnectingEventSource(url, policy=policy) for _ in range(1000)]
def read(source):
    with source:
        for _ in source: pass
threads = [threading.Thread(target=read, args=[each]) for each in sources]
for each in threads: each.start()
while any(each.state != "waiting" for each in sources): time.sleep(0.01)
for each in sources: each.close()
for each in threads: each.join()
print(time.time(), flush=True)
"""


@pytest.mark.timing
@pytest.mark.alone
@pytest.mark.timeout(120)
def test_a_thousand_sources_in_one_outage() -> None:
    """Closed, they let the interpreter exit at once, although a thousand helpers sleep."""
    done = subprocess.run(
        [sys.executable, "-c", THOUSAND], capture_output=True, text=True, check=True
    )
    assert time.time() - float(done.stdout) < 5  # most of it frees what a thousand sources are


# -- Standard output -------------------------------------------------------------------------------

PROGRAM = """
import sys, {imports}
from resilient_sse import SyncReconnectingEventSource
answers = iter([0.0, None])
{setup}
with SyncReconnectingEventSource(sys.argv[1], policy=lambda _: next(answers)) as source:
    try:
        for event in source: {body}
    except Exception as error:
        sys.exit(repr(error) if type(error).__name__ != "GiveUpError" else 0)
"""


def run_program(setup: str = "", body: str = "pass", imports: str = "os", **options: Any) -> Any:
    """Run a program that reads two connections; returns how it went."""
    program = PROGRAM.format(setup=setup, body=body, imports=imports)
    with ScriptedServer([Connection(ONE), Connection(TWO)]) as server:
        return subprocess.run(
            [sys.executable, "-c", program, server.url],
            text=True,
            check=False,
            timeout=20,
            **options,
        )


def test_standard_output_is_the_programs() -> None:
    """With all defaults the line about the retry goes to standard error."""
    done = run_program(body="print(event.data)", capture_output=True)
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
    assert done.stderr.count("stamina.retry_scheduled") == 1


@pytest.mark.parametrize(
    "setup",
    [
        "sys.stderr = None",
        "sys.stderr.close()",
        "sys.stderr = sys.stdout = open('/dev/full', 'w')",
        "os.close(1); os.close(2)",
        "structlog.configure(logger_factory=structlog.PrintLoggerFactory(open('/dev/full', 'w')))",
        "structlog.configure(processors=[structlog.stdlib.render_to_log_kwargs],"
        " logger_factory=structlog.stdlib.LoggerFactory())",
    ],
)
def test_a_place_that_lines_cannot_go_to(setup: str) -> None:
    """Whatever becomes of a line, the stream goes on."""
    done = run_program(setup, "seen = event.data", "os, structlog", capture_output=True)
    assert done.returncode in {0, 120}, done.stderr  # 120: the interpreter could not flush stdout


def test_what_the_program_configured_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a structlog that nobody has set up is given another default, and is_configured stays."""
    monkeypatch.setattr(_retries, "_moved", [])
    structlog.reset_defaults()
    _retries.keep_off_stdout()
    assert not structlog.is_configured()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    monkeypatch.setattr(_retries, "_moved", [])
    _retries.keep_off_stdout()
    assert isinstance(structlog.get_config()["logger_factory"], structlog.ReturnLoggerFactory)
    structlog.reset_defaults()


def test_a_process_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Windows service is: its lines go nowhere."""
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(_retries._stderr_logger(), structlog.ReturnLogger)
