"""``resilient-sse tail``: real processes, real servers, pipes and terminals."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import stamina.instrumentation
import structlog

from resilient_sse.cli import main
from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    HistoryServer,
    ScriptedServer,
    comment,
    event,
    raw,
    retry,
)
from tests.support.cli_process import run_cli, started_cli, terminal
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Iterator


class Here(Protocol):
    """Runs the command in this process, which is much faster than in one of its own."""

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return what it returned and wrote."""
        ...


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """The command in this process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = main(arguments)
        output = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, output.out, output.err)

    yield run
    structlog.reset_defaults()
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.fixture
def server() -> Iterator[HistoryServer]:
    """A server with five numbered events."""
    with HistoryServer() as made:
        for number in range(1, 6):
            made.publish(f"news {number}", event="even" if number % 2 == 0 else "message")
        yield made


def test_one_event_per_line_as_json(server: HistoryServer) -> None:
    """Type, id and data; --max-events ends it with success, and stderr says where to go on."""
    result = run_cli("tail", server.url, "--max-events", "2")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"event": "message", "id": "1", "data": "news 1"},
        {"event": "even", "id": "2", "data": "news 2"},
    ]
    assert result.returncode == 0
    assert result.stderr == "resilient-sse: to go on from here: --last-event-id 2\n"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", '{"event":"add","id":"7","data":"a\\nü","retry":3}\n'),
        ("text", "[add 7] a\\nü\n"),
        ("data", "a\nü\n"),
        ("raw", "id: 7\nevent: add\nretry: 3\ndata: a\ndata: ü\n\n"),
    ],
)
def test_formats(here: Here, form: str, expected: str) -> None:
    """JSON, text for people, the data alone, and what was on the wire."""
    script = [Connection(event("a\nü", event="add", id="7", retry=3))]
    with ScriptedServer(script) as server:
        result = here("tail", server.url, "--format", form, "--max-events", "1", "-q")
    assert (result.stdout, result.stderr) == (expected, "")


def test_raw_output_is_a_stream_again(here: Here) -> None:
    """An event without an id or a type of its own is written with its data alone."""
    with ScriptedServer([Connection(event("one"))]) as server:
        result = here("tail", server.url, "--format", "raw", "--max-events", "1")
    assert result.stdout == "data: one\n\n"
    assert result.stderr == ""


def test_it_lives_through_failures(here: Here, server: HistoryServer) -> None:
    """Nothing is lost or repeated; stderr has a line for every failure."""
    cut = Connection(retry(10), event("news 1", id="1"), ending=Ending.RESET)
    server.fail_next(cut)
    result = here("tail", server.url, "--format", "data", "--max-events", "5")
    assert result.stdout.splitlines() == [f"news {number}" for number in range(1, 6)]
    lines = result.stderr.splitlines()
    assert lines[0].startswith("resilient-sse: transport: ")
    assert "next try in" in lines[0]
    assert lines[1] == "resilient-sse: to go on from here: --last-event-id 5"


def test_quiet_is_quiet(here: Here) -> None:
    """With -q there is nothing on stderr, in spite of a failure; many events come at once."""
    backlog = b"".join(event(f"news {number}", id=str(number)) for number in range(100))
    script = [Connection(raw(retry(10) + backlog), ending=Ending.RESET), Connection(status=204)]
    with ScriptedServer(script) as server:
        result = here("tail", server.url, "-q", "--format", "data")
    assert result.stdout.splitlines() == [f"news {number}" for number in range(100)]
    assert (result.returncode, result.stderr) == (0, "")


def test_the_end_that_the_server_declares_is_success(here: Here) -> None:
    """After a 204 there is no more to come."""
    with ScriptedServer() as server:
        result = here("tail", server.url)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_filter_and_an_end(here: Here, server: HistoryServer) -> None:
    """--event chooses what is written, --until ends after the event whose data it is."""
    result = here("tail", server.url, "--event", "even", "--until", "news 4", "--format", "data")
    assert result.stdout == "news 2\nnews 4\n"
    assert result.returncode == 0


def test_the_cursor_goes_on_after_a_restart(server: HistoryServer, tmp_path: Path) -> None:
    """Every run takes up where the one before has stopped, also in the middle of a batch."""
    cursor = str(tmp_path / "cursor")
    arguments = ("tail", server.url, "--format", "data", "--cursor", cursor, "--max-events")
    assert run_cli(*arguments, "2").stdout == "news 1\nnews 2\n"
    assert run_cli(*arguments, "1").stdout == "news 3\n"
    assert run_cli(*arguments, "2").stdout == "news 4\nnews 5\n"
    assert server.requests[-1].last_event_id == "3"


def test_the_cursor_does_not_pass_a_line_that_nobody_got(
    server: HistoryServer, tmp_path: Path
) -> None:
    """A full disk stops it, with an error, and the event comes again the next time."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    cursor = str(tmp_path / "cursor")
    arguments = ("tail", server.url, "--format", "data", "--cursor", cursor)
    with full.open("wb") as output:
        result = run_cli(*arguments, capture_output=False, stdout=output, stderr=subprocess.PIPE)
    assert result.returncode == 4
    assert result.stderr == "resilient-sse: cannot write the output: No space left on device\n"
    assert run_cli(*arguments, "--max-events", "1").stdout == "news 1\n"


@pytest.mark.parametrize("content", ["no database", '{"http://127.0.0.1/": "7"}'])
def test_a_cursor_file_that_is_none_is_reported(
    here: Here, server: HistoryServer, tmp_path: Path, content: str
) -> None:
    """One line that names the file, before anything is read; it is not overwritten."""
    path = tmp_path / "cursor"
    path.write_text(content, encoding="utf-8")
    result = here("tail", server.url, "--cursor", str(path))
    (line,) = result.stderr.splitlines()
    assert f"cannot use the file '{path}': file is not a database" in line
    assert "choose another path" in line
    assert (result.returncode, result.stdout, server.requests) == (4, "", [])
    assert path.read_text(encoding="utf-8") == content


def test_a_cursor_file_without_a_folder_is_reported(here: Here, tmp_path: Path) -> None:
    """It says what may be wrong."""
    result = here("tail", "http://localhost/", "--cursor", str(tmp_path / "no" / "cursor"))
    assert "its folder does not exist; make it" in result.stderr
    assert result.returncode == 4


def test_a_cursor_file_that_breaks_is_reported(server: HistoryServer, tmp_path: Path) -> None:
    """While it runs: in a line at once, in the last line if it cannot be saved in the end."""
    path = tmp_path / "cursor"
    with started_cli("tail", server.url, "--cursor", str(path), "--format", "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert [process.stdout.readline() for _ in range(5)][-1] == "news 5\n"
        _wait_until(lambda: saved(path) == {server.url: "5"})
        path.write_text("no database any more", encoding="utf-8")
        # What is saved is written behind the program's back: it hears of it at a later save.
        while not select.select([process.stderr], [], [], 0.05)[0]:
            server.publish("more news")
        line = process.stderr.readline()
        assert f"cannot save the place: cannot use the file '{path}'" in line
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        *_, place, error = process.stderr.read().splitlines()
        assert "--last-event-id" in place
        assert f"cannot use the file '{path}': " in error


def test_many_streams_share_a_cursor_file(here: Here, tmp_path: Path) -> None:
    """Each has its place in it."""
    path = tmp_path / "cursors"
    with HistoryServer() as one, HistoryServer() as two:
        for server in (one, two):
            for number in range(1, 3):
                server.publish(f"news {number}")
        for server, count in ((one, "1"), (two, "2")):
            here("tail", server.url, "--cursor", str(path), "--max-events", count)
        assert saved(path) == {one.url: "1", two.url: "2"}


def test_the_cursor_survives_a_kill(server: HistoryServer, tmp_path: Path) -> None:
    """After SIGKILL the next run goes on from a line that was written, and leaves none out."""
    path = tmp_path / "cursor"
    arguments = ("tail", server.url, "--cursor", str(path), "--format", "data")
    written: list[int] = []
    for _ in range(2):
        with started_cli(*arguments) as process:
            assert process.stdout is not None
            for _ in range(5):
                server.publish(f"news {len(server.history) + 1}")
                written.append(_number(process.stdout.readline()))
            _wait_until(lambda: saved(path))
            process.kill()
            assert process.wait(10) == -signal.SIGKILL
            written += map(_number, process.stdout.read().splitlines())
    last = int(saved(path)[server.url])
    assert last in written
    assert set(written) == set(range(1, max(written) + 1))
    assert _number(run_cli(*arguments, "--max-events", "1").stdout) == last + 1


def _number(line: str) -> int:
    return int(line.removeprefix("news "))


def saved(path: Path) -> dict[str, str]:
    """Read the cursors by hand."""
    with closing(sqlite3.connect(path)) as db, suppress(sqlite3.OperationalError):
        return dict(db.execute("SELECT key, cursor FROM cursors").fetchall())
    return {}


def test_a_reader_that_goes_ends_it_quietly(server: HistoryServer) -> None:
    """As in ``tail | head -1``: no traceback, no error, also while the stream is quiet."""
    with started_cli("tail", server.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert '"news 1"' in process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert re.fullmatch(
            r"resilient-sse: to go on from here: --last-event-id [1-5]\n", process.stderr.read()
        )


@pytest.mark.timing
def test_a_reader_that_goes_ends_a_wait_too() -> None:
    """Nothing has to be written for it to be noticed."""
    script = [Connection(status=503, headers={"Retry-After": "60"})]
    with ScriptedServer(script) as server, started_cli("tail", server.url) as process:
        assert process.stdout is not None
        server.wait_for_requests(1)
        process.stdout.close()
        assert process.wait(10) == 0


def test_a_write_to_nobody_is_no_error(server: HistoryServer) -> None:
    """Where the reader went before the first line, too."""
    reader, writer = os.pipe()
    os.close(reader)
    with closing(os.fdopen(writer, "wb")) as output:
        result = run_cli(
            "tail", server.url, capture_output=False, stdout=output, stderr=subprocess.PIPE
        )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_quietly(server: HistoryServer, number: signal.Signals, code: int) -> None:
    """With the last id on stderr, and the connection closed."""
    with started_cli("tail", server.url, "--format", "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert [process.stdout.readline() for _ in range(5)][-1] == "news 5\n"
        process.send_signal(number)
        assert process.wait(10) == code
        assert process.stderr.read() == "resilient-sse: to go on from here: --last-event-id 5\n"
    server.wait_for_connections(0)


def test_an_interrupted_wait_saves_the_cursor(tmp_path: Path) -> None:
    """Ctrl-C while nothing comes: every line that was written is done with."""
    cursor = tmp_path / "cursor"
    script = [Connection(event("one", id="1"), event("two", id="2"), ending=Ending.SILENCE)]
    with (
        ScriptedServer(script) as server,
        started_cli("tail", server.url, "--cursor", str(cursor)) as process,
    ):
        assert process.stdout is not None
        assert '"two"' in [process.stdout.readline() for _ in range(2)][1]
        _wait_until(lambda: saved(cursor) == {server.url: "2"})
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def _wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_request_is_as_asked_for(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, a token from the environment, method, body, first cursor."""
    with ScriptedServer() as server:
        monkeypatch.setenv("TOKEN", "secret")
        here("tail", server.url, "-H", "X-One: 1", "--auth-env", "TOKEN")
        here("tail", server.url, "--json", '{"a": 1}', "--last-event-id", "7")
        here("tail", server.url, "--data", "text", "--method", "PUT")
        monkeypatch.setenv("TOKEN", "Basic dTpw")
        here("tail", server.url, "--auth-env", "TOKEN")
    plain, posted, put, other = server.requests
    assert plain.headers["x-one"] == "1"
    assert plain.headers["authorization"] == "Bearer secret"
    assert (posted.method, posted.body, posted.last_event_id) == ("POST", b'{"a": 1}', "7")
    assert posted.headers["content-type"] == "application/json"
    assert (put.method, put.body) == ("PUT", b"text")
    assert other.headers["authorization"] == "Basic dTpw"


def test_a_header_counts_once_in_any_case(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's own content type wins over --json's, --auth-env over -H; others may be repeated."""
    monkeypatch.setenv("TOKEN", "secret")
    with ScriptedServer() as server:
        here("tail", server.url, "--json", "{}", "-H", "content-type: application/x")
        here("tail", server.url, "--auth-env", "TOKEN", "-H", "authorization: Basic dTpw")
        here("tail", server.url, "-H", "X-One: 1", "-H", "x-one: 2")
    typed, authorized, repeated = server.requests
    assert typed.headers["content-type"] == "application/x"
    assert authorized.headers["authorization"] == "Bearer secret"
    assert repeated.headers["x-one"] == "1, 2"


def test_giving_up_is_one_line_that_says_what_to_do(here: Here) -> None:
    """For the failures that people meet, a hint; exit code 3."""
    cases = [
        (Connection(status=401), "check the credentials"),
        (Connection(status=404), "check the path"),
        (Connection(headers={"Content-Type": "text/html"}), "event stream?"),
        (Connection(status=418), "resilient-sse check says more"),
        (Connection(event("one"), ending=Ending.RESET), "--retry-unsafe"),
    ]
    with ScriptedServer(connection for connection, _ in cases) as server:
        for _, hint in cases:
            result = here("tail", server.url, "-q", "--data", "x")
            (line,) = result.stderr.splitlines()
            assert line.startswith(f"resilient-sse: gave up on {server.url} after 1 failure")
            assert hint in line
            assert result.returncode == 3


def test_attempts_and_timeout_limit_the_tries(here: Here) -> None:
    """With nobody at the address."""
    result = here("tail", "http://127.0.0.1:9/", "--attempts", "1")
    assert "is the server running" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.returncode == 3
    assert here("tail", "http://127.0.0.1:9/", "--timeout", "0.5").returncode == 3


def test_a_quiet_connection_is_reopened(here: Here) -> None:
    """--idle-timeout says when."""
    script = [Connection(comment("x"), retry(10), ending=Ending.SILENCE)]
    with ScriptedServer(script) as server:
        result = here("tail", server.url, "--idle-timeout", "0.2")
        assert len(server.requests) == 2
    assert "idle: no byte came for 0.2 s" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tail"], "Missing argument 'URL'"),
        (["tail", "localhost:1"], "url must begin with http://"),
        (["tail", "http://localhost:99999/"], "Port out of range"),
        (["tail", "http://localhost/", "-H", "nonsense"], "-H takes 'Name: value'"),
        (["tail", "http://localhost/", "-H", "X: ü"], "-H takes printable ASCII"),
        (["tail", "http://localhost/", "-H", "X Y: 1"], "-H takes 'Name: value'"),
        (["tail", "http://localhost/", "--method", "PO ST"], "--method takes a word such as POST"),
        (["tail", "http://localhost/", "--data", "x", "--json", "{}"], "give one of them"),
        (["tail", "http://localhost/", "--auth-env", "UNSET_1"], "no variable UNSET_1"),
        (["tail", "https://localhost/", "--ca", os.devnull], "no certificates"),
        (["tail", "https://localhost/", "--cert", os.devnull], "--cert: /dev/null and its key"),
        (["tail", "https://localhost/", "--key", os.devnull], "--key is of no use without --cert"),
        (["tail", "http://localhost/", "--proxy", "ftp://u:hush@h/"], "--proxy: ftp://h/ cannot"),
        (["tail", "http://localhost/", "--proxy", "x", "--unix-socket", "y"], "two ways"),
        (["tail", "http://localhost/", "--dialect", "Klingon"], "--dialect"),
        (["tail", "http://localhost/", "--connect-timeout", "0"], "--connect-timeout"),
        (["tail", "http://localhost/", "--max-events", "0"], "--max-events"),
        (["tail", "http://a\u200d.example/"], "Invalid IDNA hostname"),
        (["tail", "http://localhost/", "--cursor", ":memory:"], "--cursor: path must be"),
        (["watch", "http://localhost/"], "use tail"),
        (["nonsense"], "No such command"),
    ],
)
def test_mistakes_are_one_line(here: Here, arguments: list[str], complaint: str) -> None:
    """What is wrong, and where to look; exit code 2; nothing on stdout."""
    result = here(*arguments)
    (line,) = result.stderr.splitlines()
    assert complaint in line
    assert (result.returncode, result.stdout) == (2, "")


def test_without_a_command_it_explains_itself(here: Here) -> None:
    """The commands are listed, and there is help and a version."""
    result = here()
    assert "tail" in result.stderr
    assert result.returncode == 2
    assert here("tail", "--help").returncode == 0
    assert here("--version").stdout.startswith("resilient-sse ")


def test_without_the_extra_it_says_what_to_install() -> None:
    """One line instead of a traceback."""
    program = "import sys; sys.modules['click'] = None; sys.argv = ['x', 'tail'];"
    program += "from resilient_sse.cli import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    (line,) = result.stderr.splitlines()
    assert "pip install 'resilient-sse[cli]'" in line
    assert result.returncode == 2


def test_tls_is_checked_unless_told_otherwise(here: Here) -> None:
    """A certificate nobody knows is refused; --ca knows it; --insecure does not ask, and warns."""
    pem = PEM
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    then = Connection(event("one", id="1"))
    with ScriptedServer(then=then, ssl_context=context) as server:
        arguments = ("tail", server.url, "--max-events", "1", "--attempts", "1", "-q")
        refused = here(*arguments)
        assert refused.returncode == 3
        assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
        assert "trust its certificate with --ca FILE" in refused.stderr
        trusted = here(*arguments, "--ca", str(pem))
        assert (trusted.returncode, trusted.stderr) == (0, "")
        insecure = here(*arguments, "--insecure")
        assert insecure.returncode == 0
        assert insecure.stderr.startswith("resilient-sse: warning: --insecure")


def test_a_client_certificate(here: Here) -> None:
    """Who shows none is refused; its key may stand in a file of its own, or in the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    context.load_verify_locations(PEM)
    context.verify_mode = ssl.CERT_REQUIRED
    with ScriptedServer(then=Connection(event("one", id="1")), ssl_context=context) as server:
        ask = ("tail", server.url, "--max-events", "1", "--attempts", "1", "-q", "--ca", str(PEM))
        assert here(*ask).returncode == 3
        for key in ((), ("--key", str(PEM))):
            shown = here(*ask, "--cert", str(PEM), *key)
            assert (shown.returncode, shown.stderr) == (0, "")


def test_a_unix_socket(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is where it goes, past the proxy of the environment; the URL's host is named."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    path, asked = tmp_path / "s", list[bytes]()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            taken, _ = listening.accept()
            with taken:
                asked.append(taken.recv(9999))
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                taken.sendall(head + b'Content-Length: 11\r\n\r\n{}\n{"a": 1}')

        with ThreadPoolExecutor() as pool:
            served = pool.submit(serve)
            got = here(
                *("tail", "http://docker/lines", "--unix-socket", str(path)),
                *("--dialect", "ndjson", "--format", "data"),
            )
            served.result()
    assert (got.returncode, got.stdout) == (0, '{}\n{"a": 1}\n')
    assert asked[0].startswith(b"GET /lines HTTP/1.1\r\nHost: docker\r\n")


def test_a_proxy(here: Here) -> None:
    """It is asked for the whole URL, and hears the headers; nothing else does."""
    with ScriptedServer(then=Connection(event("one", id="1"))) as proxy:
        at = proxy.url.replace("/events", "")
        arguments = ("tail", "http://nowhere.invalid/a", "--max-events", "1", "--proxy", at)
        got = here(*arguments, "--format", "data")
        (request,) = proxy.requests
    assert (got.returncode, got.stdout) == (0, "one\n")
    assert request.headers["host"] == "nowhere.invalid"


def test_a_dialect_says_where_to_go_on(here: Here) -> None:
    """The cursor is the dialect's, also where --max-events stops among what came together."""
    lines = [
        json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": version}}})
        for kind, version in (("ADDED", "7"), ("ADDED", ""), ("BOOKMARK", "8"), ("ADDED", "9"))
    ]
    body = raw("\n".join(lines) + "\n")
    answer = Connection(body, headers={"Content-Type": "application/json"})
    with ScriptedServer(then=answer) as server:
        ask = ("tail", server.url, "--dialect", "KubernetesWatch", "--format", "data")
        two = here(*ask, "--max-events", "2")
        all_of_it = here(*ask, "--max-events", "3", "--last-event-id", "6")
    assert two.stdout.splitlines() == lines[:2]
    assert two.stderr.endswith("--last-event-id 7\n")
    assert all_of_it.stderr.endswith("--last-event-id 9\n")
    assert [request.params.get("resourceVersion") for request in server.requests] == [None, "6"]


def test_the_status_line_lives_on_a_terminal() -> None:
    """State, rate, reconnects and last id, then the seconds to the next try; all in one line."""
    gate = Gate()
    script = [
        Connection(event("one", id="1"), gate, ending=Ending.RESET),
        Connection(status=503, headers={"Retry-After": "50"}),
    ]
    with terminal() as screen, ScriptedServer(script) as server:
        with started_cli(
            "tail", server.url, stderr=screen.slave, env=screen.environment()
        ) as process:
            screen.wait_for(lambda text: "open · " in text and "last id 1" in text)
            assert "0 reconnects" in screen.text
            gate.open()
            screen.wait_for(lambda text: "waiting · next try in" in text and "503" in text)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        rest = screen.read_rest()
    assert "waiting ·" not in rest
    assert rest.splitlines()[2] == "resilient-sse: to go on from here: --last-event-id 1"


def test_lines_and_status_share_a_terminal() -> None:
    """The lines stay whole, the status stays below, and nothing the server sends is obeyed."""
    evil = "\x1b[2J\x9b2J\x07 red\x1b[31m"
    script = [
        Connection(event("news", id="\x1b[2J"), raw(event(evil)), ending=Ending.SILENCE),
    ]
    with terminal() as screen, ScriptedServer(script) as server:
        with started_cli("tail", server.url, "--format", "data", **screen.options) as process:
            screen.wait_for(lambda text: "red" in text and "open ·" in text)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        rest = screen.read_rest()
    assert rest.splitlines()[:2] == ["news", "\\x1b[2J\\x9b2J\\x07 red\\x1b[31m"]
    assert b"\x1b[2J" not in screen.output
    assert b"\x07" not in screen.output


def test_the_installed_program_is_the_same() -> None:
    """``resilient-sse`` stands beside the interpreter."""
    program = Path(sys.executable).with_name("resilient-sse")
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == run_cli("--version").stdout
