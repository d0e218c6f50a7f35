"""The examples that run until they are told to stop: real processes, real sockets, real signals."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from examples import _wikimedia_server as wikimedia_server
from resilient_sse.cursors import SQLiteCursorStore
from resilient_sse.testing import (
    Connection,
    Ending,
    HistoryServer,
    ScriptedServer,
    event,
    raw,
)
from tests.servers.processes import free_port, python, start
from tests.support.example_server import serve
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


pytestmark = pytest.mark.skipif(not (ROOT / "examples").exists(), reason="not in a checkout")


@contextlib.contextmanager
def running(name: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """An example that warns of nothing, in a process that ends with the block at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that the process prints."""
    assert process.stdout is not None
    for line in process.stdout:
        return line.rstrip("\n")
    return ""


def ends(process: subprocess.Popen[str]) -> tuple[list[str], str, int]:
    """Wait for the end; gives what was still printed, what was complained of, and the exit code."""
    assert process.stdout is not None
    out = (
        process.stdout.read()
    )  # also what `next_line` has buffered, of which communicate is ignorant
    _, err = process.communicate(timeout=20)
    # stamina announces each wait through structlog, for which the library sets standard error.
    complaints = [line for line in err.splitlines(True) if "stamina.retry_scheduled" not in line]
    return out.splitlines(), "".join(complaints), process.returncode


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cursor_of(url: str, path: Path) -> str | None:
    """Read what a program saved."""
    with SQLiteCursorStore(path) as store:
        return store.load(url)


def test_a_service_handles_what_it_has_at_sigterm_and_goes_on_later(tmp_path: Path) -> None:
    """Told to stop in the middle of a batch it finishes the batch, saves, and exits with 0."""
    at_once = b"".join(event(f"number {n}", id=str(n)) for n in range(1, 21))
    script = [
        Connection(raw(at_once), ending=Ending.SILENCE),
        Connection(event("number 21", id="21"), ending=Ending.SILENCE),
    ]
    path = tmp_path / "cursors.db"
    with ScriptedServer(script) as server:
        with running("service", server.url, str(path)) as process:
            first = next_line(process)
            process.send_signal(signal.SIGTERM)
            rest, complaints, code = ends(process)
        assert [first, *rest] == [f"{n} number {n}" for n in range(1, 21)]
        assert (complaints, code) == ("", 0)
        assert cursor_of(server.url, path) == "20"

        with running("service", server.url, str(path)) as process:
            assert next_line(process) == "21 number 21"
            process.send_signal(signal.SIGINT)
            assert ends(process) == ([], "", 0)
        assert cursor_of(server.url, path) == "21"

    assert [request.last_event_id for request in server.requests] == ["", "20"]


@pytest.mark.timing
def test_a_service_stops_while_it_waits_for_a_server_that_is_down(tmp_path: Path) -> None:
    """The wait before the next attempt, half a minute here, does not hold up the end."""
    script = [
        Connection(event("one", id="1")),
        Connection(status=503, headers={"Retry-After": "30"}),
    ]
    with (
        ScriptedServer(script) as server,
        running("service", server.url, str(tmp_path / "cursors.db")) as process,
    ):
        assert next_line(process) == "1 one"
        until(lambda: len(server.requests) == 2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert ends(process) == ([], "", 0)

    assert time.monotonic() - began < 10
    assert cursor_of(server.url, tmp_path / "cursors.db") == "1"


def test_a_service_says_why_it_cannot_go_on(tmp_path: Path) -> None:
    """One line on stderr, and exit code 1 for whoever is to start it again."""
    with (
        ScriptedServer([Connection(status=404)]) as server,
        running("service", server.url, str(tmp_path / "cursors.db")) as process,
    ):
        lines, complaints, code = ends(process)

    assert (lines, code) == ([], 1)
    assert complaints.startswith(f"gave up on {server.url} after 1 failure")
    assert complaints.count("\n") == 1


def test_trio_workers_acknowledge_what_is_done(tmp_path: Path) -> None:
    """Told to stop they finish what they have; the cursor is that of the last event done."""
    path = tmp_path / "cursors.db"
    with HistoryServer() as server:
        for number in range(1, 101):
            server.publish(f"number {number}")
        with running("trio_workers", server.url, str(path)) as process:
            printed = [next_line(process) for _ in range(10)]
            process.send_signal(signal.SIGTERM)
            rest, complaints, code = ends(process)
        assert (complaints, code) == ("", 0)
        done = sorted(int(line.split()[0]) for line in [*printed, *rest])
        assert done == list(range(1, done[-1] + 1))
        assert 10 <= done[-1] < 100
        assert cursor_of(server.url, path) == str(done[-1])

        with running("trio_workers", server.url, str(path)) as process:
            again = {int(next_line(process).split()[0]) for _ in range(100 - done[-1])}
            process.send_signal(signal.SIGINT)
            assert ends(process) == ([], "", 0)

    assert again == set(range(done[-1] + 1, 101))


@contextlib.contextmanager
def web_server(framework: str, log: Path) -> Generator[tuple[subprocess.Popen[bytes], str]]:
    """A web application, and its URL. When the block ends it is asked to end, and does."""
    port = free_port()
    arguments = {
        "fastapi": ["uvicorn", "examples.fastapi_app:app"],
        "flask": ["flask", "--app", "examples.flask_app", "run", "--no-reload"],
    }[framework]
    process = start(python(*arguments, "--port", str(port)), port, log)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def get(url: str) -> tuple[int, Any]:
    """Ask the web server."""
    response = httpx.get(url)
    return response.status_code, response.json() if response.status_code != 404 else None


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_web_application_follows_a_stream(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves what came last, after an outage too, and says if it gave up."""
    log = tmp_path / "log"
    with HistoryServer() as stream:
        monkeypatch.setenv("STREAM_URL", stream.url)
        stream.publish('{"name": "tea", "price": 3.5}')
        with web_server(framework, log) as (process, url):
            until(lambda: get(f"{url}/prices/tea") == (200, {"name": "tea", "price": 3.5}))
            assert get(f"{url}/prices/coffee")[0] == 404
            assert get(f"{url}/health")[0] == 200

            stream.drop_all(Ending.RESET)
            stream.publish('{"name": "coffee", "price": 4.0}')
            until(lambda: get(f"{url}/prices/coffee")[0] == 200)

            stream.fail_next(Connection(status=410))
            stream.drop_all()
            until(lambda: get(f"{url}/health")[0] == 503)
            assert "gave up on" in get(f"{url}/health")[1]["problem"]
            assert get(f"{url}/prices/tea")[0] == 200
        assert process.returncode == (0 if framework == "flask" else -signal.SIGTERM)

    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.timing
@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_web_application_closes_its_stream(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At SIGTERM, in the middle of a silent stream, it is gone at once and leaves nothing open."""
    log = tmp_path / "log"
    with HistoryServer() as stream:
        monkeypatch.setenv("STREAM_URL", stream.url)
        with web_server(framework, log):
            until(lambda: len(stream.requests) == 1)
            began = time.monotonic()
        assert time.monotonic() - began < 10
        until(lambda: stream.open_connections == 0)

    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_web_application_tells_of_its_own_bugs(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that it cannot read ends its reading, and `/health` says which error that was."""
    with HistoryServer() as stream:
        monkeypatch.setenv("STREAM_URL", stream.url)
        stream.publish("no JSON")
        with web_server(framework, tmp_path / "log") as (_, url):
            until(lambda: get(f"{url}/health")[0] == 503)
            assert "JSONDecodeError" in get(f"{url}/health")[1]["problem"]


def test_changes_of_wikipedia(tmp_path: Path) -> None:
    """Every change by a person once, over many connections and two runs; canaries are left out."""
    everyone = [
        change for change in wikimedia_server.HISTORY if change["meta"]["domain"] != "canary"
    ]
    people = [change for change in everyone if change["type"] == "edit" and not change["bot"]]
    expected = [f"enwiki: Somebody changed {change['title']}" for change in people]
    application = wikimedia_server.application()
    since = "2025-11-21T04:40:00Z"
    path = str(tmp_path / "changes.db")
    with serve(application) as server:
        url = f"{server}/v2/stream/recentchange"
        with running("wikimedia", url, path, since, "7") as process:
            first = ends(process)
        with running("wikimedia", url, path, since, str(len(expected) - 7)) as process:
            second = ends(process)

    assert (first[1:], second[1:]) == (("", 0), ("", 0))
    assert first[0] + second[0] == expected
    cursors = [cursor for _, cursor in application.state.requests]
    assert cursors[0] == ""
    topics = [{entry["topic"] for entry in json.loads(cursor)} for cursor in cursors[1:]]
    assert all(sent == set(wikimedia_server.TOPICS) for sent in topics)
    assert len(set(cursors)) == len(cursors) > 5
