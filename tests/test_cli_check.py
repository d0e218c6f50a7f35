"""``resilient-sse check``: what it says about servers that are real, and good or bad."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from resilient_sse._event import ServerSentEvent
from resilient_sse.cli._findings import (
    Level,
    about_afterwards,
    about_response,
    about_resuming,
    about_stream,
    resumption,
)
from resilient_sse.cli._probe import Heard
from resilient_sse.testing import (
    Connection,
    Ending,
    HistoryServer,
    RecordedRequest,
    ScriptedServer,
    comment,
    event,
    pause,
    raw,
    redirect,
    retry,
)
from tests.cli_process import run_cli, started_cli

NO_CACHE = {"Cache-Control": "no-cache"}


def findings(output: str) -> list[tuple[str, str]]:
    """Split the lines into levels and texts."""
    return [(line[:9].strip(), line[9:]) for line in output.splitlines()]


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
    assert "heartbeats every 0.1 s" in texts
    assert "3 of 3 events have an id" in texts
    assert "clients are to wait 2000 ms" in texts
    assert "resuming works: asked for what comes after id 2, got the next one" in texts


def test_a_server_that_cannot_resume_is_found_out() -> None:
    """It begins anew whatever it is asked; the exit code says that there is a problem."""
    stream = Connection(*(event("news", id=str(n)) for n in (1, 2, 3)), headers=NO_CACHE)
    with ScriptedServer(then=stream) as server:
        result = run_cli("check", server.url)
    text = "resuming does not work: asked for what comes after id 2, got id 1"
    assert [found for found in findings(result.stdout) if found[0] == "problem"] == [
        ("problem", text)
    ]
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
    assert "and nothing came" in result.stdout


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (Connection(status=503), 1, "status 503"),
        (Connection(status=405), 1, "a stream needs 200; does it want a POST?"),
        (Connection(status=204), 0, "there is no more to come"),
        (Connection(headers={"Content-Type": "text/html"}), 1, "content type is text/html"),
    ],
)
def test_what_is_no_stream_is_said(answer: Connection, code: int, text: str) -> None:
    """Status and content type come first, and the rest is not tried."""
    with ScriptedServer([redirect("/there"), answer]) as server:
        result = run_cli("check", server.url)
        assert len(server.requests) == 2
    assert result.returncode == code
    assert text in result.stdout


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (
            Connection(event("x"), headers={"Content-Encoding": "br"}),
            1,
            "cannot read a body with content encoding 'br'",
        ),
        (
            Connection(raw("no gzip"), headers={"Content-Encoding": "gzip"}),
            0,
            "the stream broke off (DecodingError)",
        ),
        (
            Connection(raw(b"data: " + b"x" * 17_000_000), ending=Ending.SILENCE),
            1,
            "an event is larger than 16 MiB; clients give up",
        ),
        (
            Connection(event("x", id="1"), headers={"Content-Type": "a/b, text/event-stream"}),
            0,
            "content type is text/event-stream",
        ),
    ],
)
def test_what_clients_cannot_read_is_said(answer: Connection, code: int, text: str) -> None:
    """Here it says what a source would do."""
    with ScriptedServer(then=answer) as server:
        result = run_cli("check", server.url, "--seconds", "5")
    assert text in result.stdout
    assert (result.returncode, "no response" in result.stdout) == (code, False)


def test_a_key_goes_to_no_other_origin() -> None:
    """Credentials stay behind at a redirect, as a source's do; other headers go along."""
    stream = Connection(event("one", id="1"))
    with ScriptedServer(then=stream) as there, ScriptedServer(then=redirect(there.url)) as here:
        result = run_cli("check", here.url, "-H", "X-Api-Key: secret", "-H", "X-One: 1")
        assert "secret" not in {request.headers.get("x-api-key") for request in there.requests}
        assert {request.headers["x-one"] for request in there.requests} == {"1"}
        assert {request.headers["x-api-key"] for request in here.requests} == {"secret"}
    assert "content type is text/event-stream" in result.stdout


def test_tls_is_told_about(tls: ssl.SSLContext) -> None:
    """A redirect out of it is refused; for a strange certificate there is a hint."""
    with (
        ScriptedServer(then=Connection(event("one"))) as plain,
        ScriptedServer(then=redirect(plain.url), ssl_context=tls) as server,
    ):
        result = run_cli("check", server.url, "--insecure")
        assert plain.requests == []
        assert f"refused to follow the redirect from https to {plain.url}" in result.stdout
        assert result.returncode == 1
        assert "--ca FILE" in run_cli("check", server.url).stdout


@pytest.fixture
def tls() -> ssl.SSLContext:
    """The server's side of TLS, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "localhost.pem")
    return context


def test_nobody_there_is_a_problem() -> None:
    """The reason is said in one line."""
    result = run_cli("check", "http://127.0.0.1:9/")
    assert result.returncode == 1
    ((level, text),) = findings(result.stdout)
    assert level == "problem"
    assert text.startswith("no response: ")
    assert text.endswith("is the server running, and is the address right?")


def test_blocks_without_an_event_are_heartbeats_too() -> None:
    """As nchan sends them."""
    ping = (pause(0.1), raw("event: ping\n\n"))
    stream = Connection(event("one", id="1"), event("two", id="2"), retry(1), *ping * 3, pause(9))
    with ScriptedServer(then=stream) as server:
        result = run_cli("check", server.url, "--seconds", "1")
    assert "heartbeats every 0.1 s" in result.stdout


def test_a_post_is_not_repeated_unless_asked_for() -> None:
    """The server may act on it; that it cannot be resumed is said once."""
    answer = Connection(event("one"), event("two"), headers=NO_CACHE)
    with ScriptedServer(then=answer) as server:
        once = run_cli("check", server.url, "--json", "{}")
        assert len(server.requests) == 1
        run_cli("check", server.url, "--json", "{}", "--retry-unsafe")
        assert len(server.requests) == 3
    assert "resuming was not tried: it would repeat the POST; --retry-unsafe does" in once.stdout
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


def heard(*events: ServerSentEvent, **facts: Any) -> Heard:
    """Make an observation of a stream."""
    headers = httpx.Headers({"content-type": "text/event-stream", "cache-control": "no-cache"})
    given: dict[str, Any] = {
        "status": 200, "headers": headers, "headers_after": 0.1, "first_byte_after": 0.1,
        "listened": 20.0, "events": list(events),
    }  # fmt: skip
    return Heard(**given | facts)


@pytest.mark.parametrize(
    ("facts", "level", "text"),
    [
        ({"first_byte_after": None}, Level.NOTE, "not a byte in 20.0 s"),
        ({"first_byte_after": 9.0}, Level.NOTE, "does a proxy buffer?"),
        ({"heartbeats": []}, Level.NOTE, "quiet cannot be told from dead"),
        ({"heartbeats": [], "listened": 1.0}, Level.NOTE, "too short"),
        ({"heartbeats": [1.0]}, Level.OK, "one heartbeat"),
        ({"heartbeats": [1.0, 1.001, 1.002]}, Level.NOTE, "something collects them"),
        ({"heartbeats": [1.0, 16.0, 31.0]}, Level.OK, "every 15.0 s; an --idle-timeout of 45 s"),
        ({"events": [ServerSentEvent(data="x")]}, Level.PROBLEM, "none of 1 events has an id"),
        ({"events": []}, Level.NOTE, "no events came"),
        ({"retry": 500}, Level.OK, "500 ms"),
    ],
)
def test_what_came_is_judged(facts: dict[str, Any], level: Level, text: str) -> None:
    """First byte, heartbeats, ids and the retry field."""
    assert any(found == level and text in said for found, said in about_stream(heard(**facts)))


def test_headers_are_judged() -> None:
    """A length, a cache, a proxy."""
    headers = httpx.Headers(
        {"content-type": "text/event-stream", "content-length": "5", "via": "1.1 x\x1b"}
    )
    said = " ".join(text for _, text in about_response(heard(headers=headers)))
    assert "Content-Length" in said
    assert "Cache-Control" in said
    assert "Via: 1.1 x\\x1b" in said


def test_resuming_is_judged() -> None:
    """The next event, the same one again, another one, none, no stream."""
    one, two, three = (ServerSentEvent(data=name, id=name) for name in ("1", "2", "3"))
    assert resumption([one, one._replace(data="x"), two]) == ("1", two)
    assert resumption([one, one]) is None
    assert about_resuming("1", two, heard(two)).level is Level.OK
    assert about_resuming("1", two, heard(one)).level is Level.NOTE
    assert about_resuming("1", two, heard(three)).level is Level.PROBLEM
    assert about_resuming("1", two, heard()).level is Level.PROBLEM
    assert about_resuming("1", two, heard(status=500)).level is Level.PROBLEM


def test_coming_back_is_judged() -> None:
    """204, the stream again, or a refusal."""
    assert about_afterwards(heard(status=204)).level is Level.OK
    assert about_afterwards(heard()).level is Level.OK
    assert about_afterwards(heard(status=410)).level is Level.PROBLEM


def test_one_event_is_too_little_to_try_resuming() -> None:
    """It says so, and what to do about it."""
    script = [Connection(comment("x"), retry(9), event("one", id="1"), ending=Ending.SILENCE)]
    with ScriptedServer(script) as server:
        result = run_cli("check", server.url, "--seconds", "0.3")
    assert "resuming was not tried" in result.stdout
    assert result.returncode == 0
