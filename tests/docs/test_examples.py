"""The examples run as they stand, against a real server, and print what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from examples import _llm_server as llm_server
from tests.support.example_server import serve
from tests.support.files import ROOT
from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

EXAMPLES = ROOT / "examples"
NUMBERS = [f"message {number}" for number in range(1, 6)]
ALL_AT_ONCE = [f"message {number} {number} 10" for number in range(1, 6)]
ACTIONS = [
    *["start 200", "event 1 1", "event 2 2", "event 3 3", "fault the server ended the stream"],
    *["start 200", "event 4 4", "event 5 5", "fault the server ended the stream"],
]

# What each is given, a path on the server or nothing, and what it prints.
EXPECTED: dict[str, tuple[str, list[str]]] = {
    "bytes_from_aiohttp": ("/sse?all", NUMBERS),
    "bytes_from_file": ("events.txt", ["message one", "tick two"]),
    "from_httpx_sse": ("/sse?all", ALL_AT_ONCE),
    "from_httpx_sse_asgi": ("", ["login 4135"]),
    "from_httpx_sse_async": ("/sse?all", ALL_AT_ONCE),
    "from_httpx_sse_reconnecting": ("/sse", NUMBERS),
    "from_httpx_sse_reconnecting_async": ("/sse", NUMBERS),
    "from_httpxr_chat": ("/chat", ["You said: Hello! "]),
    "from_httpxr_chat_async": ("/chat", ["You said: Tell me a joke ", "25 characters"]),
    "from_httpxr_match": ("/stream", ["Update: first", "Server error: enough"]),
    "from_launchdarkly": ("/sse", ACTIONS),
    "from_launchdarkly_async": ("/sse", ACTIONS),
    "from_sseclient_py": (
        "/sse?all",
        [f"with_{name} ['1', '2', '3', '4', '5']" for name in ("urllib3", "requests", "httpx")],
    ),
    "from_zerodep_client": ("/sse", NUMBERS),
    "from_zerodep_client_async": ("/sse", NUMBERS),
    "from_zerodep_parser": (
        "",
        [
            "lines greeting hello",
            "lines message world",
            "text message from a text",
            "bytes message in two pieces",
            "async greeting hello",
            "async message world",
        ],
    ),
}

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a checkout")


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """The URL of the server."""
    with serve() as url:
        yield url


def test_every_example_is_run() -> None:
    """None is left out."""
    others = {"herd", "llm_stream", "mcp_stream"}  # they have tests of their own
    others |= {"exactly_once_postgresql", "exactly_once_sqlite", "replicas"}  # and so have these
    others |= {"service", "trio_workers", "fastapi_app", "flask_app", "wikimedia"}  # and these

    assert {path.stem for path in EXAMPLES.glob("[!_]*.py")} == set(EXPECTED) | others


def test_every_example_is_listed() -> None:
    """Whoever opens the folder reads what each is for, once, and every link leads somewhere."""
    listed = re.findall(r"\]\((\S+?)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    here = [path for path in listed if "/" not in path]

    assert all((EXAMPLES / path).exists() for path in listed)
    assert len(set(here)) == len(here)
    assert set(here) >= {path.name for path in EXAMPLES.glob("[!_]*.py")}


def run(name: str, *arguments: str) -> list[str]:
    """Run an example that warns of nothing; gives the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLES.parent,
    )
    # stamina reports each wait through structlog, for which the library sets standard error.
    complaints = [line for line in done.stderr.splitlines() if "stamina.retry" not in line]
    assert (complaints, done.returncode) == ([], 0)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, base_url: str, tmp_path: Path) -> None:
    """It prints what it should, and warns of nothing."""
    if "httpxr" in name and "httpxr" not in LIBRARIES:
        pytest.skip("httpxr has no wheel for this Python")
    given, expected = EXPECTED[name]
    file = tmp_path / "events.txt"
    file.write_bytes(b"data: one\n\nevent: tick\ndata: two\n\ndata: cut")
    arguments = {"": [], file.name: [str(file)]}.get(given, [base_url + given])

    assert run(name, *arguments) == expected


class Requests:
    """Notes the requests on their way to an application: method and ``Last-Event-ID``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[tuple[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            cursor = dict(scope["headers"]).get(b"last-event-id", b"")
            self.seen.append((scope["method"], cursor.decode()))
        await self._app(scope, receive, send)


def test_language_model() -> None:
    """A broken answer is paid for once more only if the program says so, or resumed by its id."""
    application = llm_server.application()
    requests = Requests(application)
    story = "The sea was calm and the boat came home."
    with serve(requests) as url:
        printed = run("llm_stream", f"{url}/v1/chat/completions")

    assert printed[:2] == ["Without ids:", "The sea was calm "]
    assert printed[2].startswith("(not sending the POST again after transport (")
    assert printed[3:] == [story, "With ids:", story]
    assert requests.seen == [("POST", ""), ("POST", ""), ("POST", ""), ("POST", "3:3")]
    assert application.state.model.answers == 3


def test_mcp() -> None:
    """A tool is called once; the rest of its stream comes by GET, after the last event."""
    # It takes longer to import than most tests take to run.
    from examples import _mcp_server as mcp_server  # noqa: PLC0415

    requests = Requests(mcp_server.application())
    with serve(requests) as url:
        printed = run("mcp_stream", f"{url}/mcp")

    progress = [f"progress: harbour {number}" for number in range(1, 7)]
    *posts, (method, cursor) = requests.seen
    assert printed == [*progress, "result: 42 boats"]
    assert posts == [("POST", "")] * 3  # initialize, initialized, the call
    assert (method, cursor.isdigit()) == ("GET", True)
