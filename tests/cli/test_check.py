"""``resilient-sse check``: what it says about servers that are real, and good or bad."""

from __future__ import annotations

import json
import os
import re
import ssl

import pytest
from rich.cells import cell_len

from resilient_sse._values.library import Headers
from resilient_sse.cli._check.heard import Ear, Heard
from resilient_sse.testing import (
    Connection,
    Ending,
    HistoryServer,
    RecordedRequest,
    ScriptedServer,
    event,
    pause,
    raw,
    redirect,
)
from tests.support.cli_process import run_cli, started_cli
from tests.support.files import PEM

UTF8 = {"PYTHONIOENCODING": "utf-8"}
NO_CACHE = {"Cache-Control": "no-cache"}


def findings(output: str) -> list[tuple[str, str]]:
    """Join what was wrapped, and split it into levels and texts."""
    lines: list[tuple[str, str]] = []
    for line in output.splitlines():
        level, text = line[:9].strip(), line[9:]
        if level:
            lines.append((level, text))
        else:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {text}")
    return lines


def test_no_more_events_are_kept_than_are_compared() -> None:
    """A firehose has more: all are counted, the first thousand are compared."""
    heard = Heard(status=200, headers=Headers(), headers_after=0.0)
    Ear(heard, "").take(b"id: 1\ndata: x\n\n" * 1001, 0.1)
    assert (heard.count, len(heard.events), len(heard.identified)) == (1001, 1000, 1000)


def test_a_good_server_passes() -> None:
    """Everything is said, and nothing is wrong; it stops as soon as it knows enough."""
    with HistoryServer(heartbeat=0.1, retry=2000) as server:
        for number in range(3):
            server.publish(f"news {number}")
        result = run_cli("check", server.url, "-H", "X-One: 1")
        assert all(request.headers["x-one"] == "1" for request in server.requests)
    found = findings(result.stdout)
    assert result.returncode == 0
    assert result.stderr == ""
    assert {level for level, text in found if "Cache-Control" not in text} == {"ok"}
    texts = " ".join(text for _, text in found)
    assert "content type is text/event-stream" in texts
    assert re.search(r"heartbeats every \d\.\d+ s", texts)  # a busy machine beats out of time
    assert "3 of 3 events have an id" in texts
    assert "clients are to wait 2000 ms" in texts
    assert "resuming works: asked for what comes after id 1, got all 2 that had come" in texts


def test_a_server_that_cannot_resume_is_found_out() -> None:
    """It begins anew whatever it is asked; the exit code says that there is a problem."""
    stream = Connection(*(event("news", id=str(n)) for n in (1, 2, 3)), headers=NO_CACHE)
    with ScriptedServer(then=stream) as server:
        result = run_cli("check", server.url)
    asked = "resuming does not work: asked for what comes after id 3, the newest, got id 1 again"
    (text,) = [text for level, text in findings(result.stdout) if level == "problem"]
    assert text.startswith(f"{asked} [resume-ignored] send an id with every event")
    assert result.stderr == f"resilient-sse: {server.url}: 1 problem that would break clients\n"
    assert result.returncode == 1


def test_a_server_that_ends_with_204() -> None:
    """The end of a stream is a note, and what comes after it is tried."""

    def answer(request: RecordedRequest) -> Connection:
        events = [event(f"news {number}", id=str(number)) for number in (1, 2)]
        rest = events[int(request.last_event_id or 0) :]
        return Connection(*rest, headers=NO_CACHE) if rest else Connection(status=204)

    with ScriptedServer(then=answer) as server:
        result = run_cli("check", server.url)
    assert result.returncode == 0
    texts = [text for _, text in findings(result.stdout)]
    assert "to a client that has everything it says 204: clients stop" in texts
    assert any(text.startswith("the stream ended after") for text in texts)


def test_a_broken_stream_is_told_from_an_end() -> None:
    """A reset connection is named, and one that comes to nothing when resumed too."""
    script = [
        Connection(event("one", id="1"), event("two", id="2"), ending=Ending.RESET),
        Connection(pause(5)),
    ]
    with ScriptedServer(script) as server:
        result = run_cli("check", server.url, "--seconds", "0.5")
    assert result.returncode == 1
    assert "broke off" in result.stdout
    assert "and no event with an id came" in " ".join(result.stdout.split())


def test_what_is_no_stream_is_asked_once() -> None:
    """Behind a redirect too; what would come of it is not tried."""
    with ScriptedServer([redirect("/there"), Connection(status=405)]) as server:
        result = run_cli("check", server.url)
        assert len(server.requests) == 2
    assert result.returncode == 1
    assert "does it want a POST?" in result.stdout


def test_a_key_goes_to_no_other_origin() -> None:
    """Credentials stay behind at a redirect, as a source's do; other headers go along."""
    stream = Connection(event("one", id="1"))
    with ScriptedServer(then=stream) as there, ScriptedServer(then=redirect(there.url)) as here:
        result = run_cli("check", here.url, "-H", "X-Api-Key: secret", "-H", "X-One: 1")
        assert "secret" not in {request.headers.get("x-api-key") for request in there.requests}
        assert {request.headers["x-one"] for request in there.requests} == {"1"}
        assert {request.headers["x-api-key"] for request in here.requests} == {"secret"}
    assert "content type is text/event-stream" in result.stdout


def test_a_refusal_that_repeats_the_key_does_not_show_it() -> None:
    """Reports get about: what this side sent as a secret is taken out of what the server says."""

    def answer(request: RecordedRequest) -> Connection:
        said = f"no {request.headers['authorization']} for {request.path}, https://u:pw@x/"
        return Connection(raw(said), status=401)

    with ScriptedServer(then=answer) as server:
        url = f"{server.url}?key=hidden&empty="
        headers = ("-H", "Authorization: Bearer t0ken", "-H", "X-Key: ", "-H", "X-One: no")
        result = run_cli("check", url, *headers)
    said = " ".join(result.stdout.split())
    assert "it says: no Bearer *** for" in said
    assert not {word for word in ("t0ken", "hidden", "pw") if word in result.stdout}


@pytest.mark.parametrize(("columns", "widest"), [("80", 80), ("40", 40), ("250", 100)])
def test_text_fits_the_terminal(columns: str, widest: int) -> None:
    """Facts and advice are wrapped behind the level, whatever the server says, wide or not."""
    body = " ".join(("long" * 30, "\u65e5\u672c" * 30))
    with ScriptedServer(then=Connection(raw(body), status=500)) as server:
        result = run_cli("check", server.url, env={**os.environ, "COLUMNS": columns, **UTF8})
    lines = result.stdout.splitlines()
    assert len(lines) > 3
    assert max(cell_len(line) for line in lines) <= widest
    assert lines[0].startswith("problem  status 500")
    assert all(line.startswith(" " * 9) and line == line.rstrip() for line in lines[1:])
    assert "".join(body.split()) in "".join(result.stdout.split())


def test_json_is_one_object_per_finding() -> None:
    """``--format json`` is for programs; ``--json`` still is the request's body."""
    with ScriptedServer(then=Connection(raw("busy\u0085\n"), status=503)) as server:
        result = run_cli("check", server.url, "--format", "json", "--json", "{}")
        assert [request.body for request in server.requests] == [b"{}"]
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert line.isascii()
    assert set(found) == {"finding", "level", "exit_code", "text", "advice"}
    assert (found["finding"], found["level"], found["exit_code"]) == ("unavailable", "problem", 1)
    assert found["text"].endswith("it says: busy")


def test_tls_is_told_about(tls: ssl.SSLContext) -> None:
    """A redirect out of it is refused; for a strange certificate there is a hint."""
    with (
        ScriptedServer(then=Connection(event("one"))) as plain,
        ScriptedServer(then=redirect(plain.url), ssl_context=tls) as server,
    ):
        result = run_cli("check", server.url, "--insecure")
        assert plain.requests == []
        refused = f"refused to follow the redirect from https to {plain.url}"
        assert refused in " ".join(result.stdout.split())
        assert result.returncode == 1
        assert "--ca FILE" in run_cli("check", server.url).stdout


@pytest.fixture
def tls() -> ssl.SSLContext:
    """The server's side of TLS, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def test_nobody_there_is_a_problem() -> None:
    """The reason is said in one line."""
    result = run_cli("check", "http://127.0.0.1:9/")
    assert result.returncode == 1
    ((level, text),) = findings(result.stdout)
    assert level == "problem"
    assert text.startswith("no response: ")
    assert text.endswith("[unreachable] is the server running, and is the address right?")


def test_a_post_is_not_repeated_unless_asked_for() -> None:
    """The server may act on it; that it cannot be resumed is said once."""
    answer = Connection(event("one"), event("two"), headers=NO_CACHE)
    with ScriptedServer(then=answer) as server:
        once = run_cli("check", server.url, "--json", "{}")
        assert len(server.requests) == 1
        run_cli("check", server.url, "--json", "{}", "--retry-unsafe")
        assert len(server.requests) == 3
    assert "resuming was not tried: it would repeat the POST" in once.stdout
    assert "no heartbeat" not in once.stdout
    assert once.returncode == 1


def test_a_reader_that_goes_is_no_problem_of_the_server() -> None:
    """As in ``check | head -1``."""
    with started_cli("check", "http://127.0.0.1:9/") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
