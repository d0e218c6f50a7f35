"""What the command says beside an error, and in its help."""

from __future__ import annotations

import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from resilient_sse.cli import main
from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    ScriptedServer,
    event,
)
from tests.support.cli_process import run_cli, started_cli, terminal
from tests.support.files import PEM


@pytest.fixture
def tls() -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def said_of(url: str, capfd: pytest.CaptureFixture[str], *command: str) -> str:
    """Run a command on a URL, and return what it wrote."""
    main([*command, url])
    return " ".join("".join(capfd.readouterr()).split())


def test_https_to_a_port_that_speaks_http(capfd: pytest.CaptureFixture[str]) -> None:
    """It is told, by both commands."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, args=[0.02]).start()
        url = f"https://127.0.0.1:{server.server_port}/"
        assert "is it http://" in said_of(url, capfd, "tail", "--attempts", "1")
        assert "[no-http]" in said_of(url, capfd, "check", "--seconds", "1")
        server.shutdown()


def test_https_to_a_port_that_waits_for_more(capfd: pytest.CaptureFixture[str]) -> None:
    """One that takes the beginning of TLS for that of a request says nothing at all."""
    with ScriptedServer([], then=Connection(event("one"))) as server:
        url = server.url.replace("http:", "https:")
        assert "is it http://" in said_of(url, capfd, "tail", "--attempts", "1", "--timeout", "0.5")


def test_http_to_a_port_that_speaks_https(
    capfd: pytest.CaptureFixture[str], tls: ssl.SSLContext
) -> None:
    """A server that hangs up gets the question."""
    with ScriptedServer([], then=Connection(event("one")), ssl_context=tls) as server:
        url = server.url.replace("https:", "http:")
        assert "does the server want https://" in said_of(url, capfd, "tail", "--attempts", "1")


def test_a_server_that_says_so_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """As nginx does, with a page and status 400."""
    page = b"<h1>400</h1>The plain HTTP request was sent to HTTPS port"
    with ScriptedServer([], then=Connection(page, status=400)) as server:
        assert "does the server want https://" in said_of(server.url, capfd, "tail")


def test_a_stream_that_broke_later_gets_no_such_question(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It spoke HTTP all the time."""
    with ScriptedServer([], then=Connection(event("one"), ending=Ending.RESET)) as server:
        said = said_of(server.url, capfd, "tail", "--attempts", "1")
    assert "gave up" in said
    assert "https://" not in said


def test_a_timeout_cuts_an_attempt(capfd: pytest.CaptureFixture[str]) -> None:
    """Not only the wait that follows it."""
    with ScriptedServer([], then=Connection(before_headers=20.0)) as server:
        began = time.monotonic()
        said = said_of(server.url, capfd, "tail", "--timeout", "0.5")
        assert time.monotonic() - began < 5
    assert "no response headers within 0.5 s" in said


@pytest.mark.parametrize("command", ["tail", "watch", "check"])
def test_the_help_has_examples_and_exit_codes(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Within 80 columns."""
    assert main([command, "--help"]) == 0
    told = capfd.readouterr().out
    assert f"Examples:\n    resilient-sse {command} https://" in told
    assert "130, 143  Ctrl-C, SIGTERM" in told
    assert max(map(len, told.splitlines())) <= 80


def test_the_shell_completes_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page on the command line sets it up."""
    monkeypatch.setenv("_RESILIENT_SSE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "resilient-sse tail --cur")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run_cli(module="resilient_sse").stdout.split() == ["plain,--cursor"]


def test_nothing_is_cut_at_80_columns() -> None:
    """Of what the view says itself, also when it has counted far."""
    script = [Connection(*[event("x" * 400)] * 40_000, Gate())]
    with terminal(80, 24) as screen, ScriptedServer(script) as server:
        with started_cli("watch", server.url, **screen.options):
            shown = screen.wait_for(lambda text: "40000 events" in text, 30)
        screen.read_rest()
    (facts,) = (line for line in shown.splitlines() if "events/s" in line)
    assert "heartbeats" in facts
    assert "0 reconnects · 0 failures" in shown
    (legend,) = (line for line in shown.splitlines() if "the last" in line and "open" in line)
    assert "…" not in facts + legend
