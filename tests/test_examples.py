"""The examples run as they stand, against a real server, and print what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.example_server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"
NUMBERS = [f"message {number}" for number in range(1, 6)]
ALL_AT_ONCE = [f"message {number} {number} 10" for number in range(1, 6)]

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
    """None of these kinds is left out."""
    names = {path.stem for kind in ("from_*", "bytes_*") for path in EXAMPLES.glob(f"{kind}.py")}

    assert names == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, base_url: str, tmp_path: Path) -> None:
    """It prints what it should, and warns of nothing."""
    given, expected = EXPECTED[name]
    file = tmp_path / "events.txt"
    file.write_bytes(b"data: one\n\nevent: tick\ndata: two\n\ndata: cut")
    arguments = {"": [], file.name: [str(file)]}.get(given, [base_url + given])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLES.parent,
    )

    assert (done.stderr, done.returncode) == ("", 0)
    # stamina reports each wait through structlog, which prints unless it is told otherwise.
    printed = [line for line in done.stdout.splitlines() if "stamina.retry_scheduled" not in line]
    assert printed == expected
