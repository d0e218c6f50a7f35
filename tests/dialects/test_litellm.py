"""A real gateway, litellm's, and what a source makes of what it sends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import closing, suppress
from socket import create_server
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import (
    Closed,
    GiveUpError,
    StatusError,
    SyncReconnectingEventSource,
)
from resilient_sse.dialects import ChatCompletions
from resilient_sse.testing import Recorder
from tests.dialects.cuts import Case, survives
from tests.dialects.streams import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.runners import World

# It needs other versions than the tests do, so `make test-vendors` gives it a place of its own.
LITELLM = os.environ.get("RESILIENT_SSE_LITELLM", "litellm")
pytestmark = [
    pytest.mark.skipif(shutil.which(LITELLM) is None, reason="there is no litellm"),
    pytest.mark.timeout(600),
]

KEY = "sk-" + "0123456789abcdef" * 3
TEXT = "Hé, the quick brown fox"
CONFIG = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "mock_response": answer}}
        for name, answer in (("fox", TEXT), ("busy", "litellm.RateLimitError"))
    ],
    "litellm_settings": {"telemetry": False, "num_retries": 0},
}


def request(model: str) -> dict[str, Any]:
    """Ask for a completion."""
    said = [{"role": "user", "content": "Hi"}]
    return {
        "url": "/v1/chat/completions",
        "headers": {"Authorization": f"Bearer {KEY}"},
        "json": {"model": model, "stream": True, "messages": said},
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The gateway, and a client of it; its models answer without asking anybody."""
    folder = tmp_path_factory.mktemp("litellm")
    config = folder / "config.yaml"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    with closing(create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    own = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [LITELLM, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            _wait_for(client, process)
            yield client
        finally:
            process.terminate()


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """It imports for half a minute."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            client.get("/health/liveliness").raise_for_status()
            return
        time.sleep(0.2)
    pytest.fail("litellm did not start")


@pytest.fixture(scope="module")
def stream(gateway: httpx.Client) -> list[Block]:
    """What the gateway sends, event by event: nothing but data."""
    body = gateway.post(**request("fox")).content
    sent = [part + b"\n\n" for part in body.removesuffix(b"\n\n").split(b"\n\n")]
    assert all(part.startswith(b"data: ") for part in sent)
    return [Block(part, part[6:-2].decode()) for part in sent]


def contents(chunks: list[dict[str, Any]]) -> str:
    """The text of a completion."""
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def test_a_completion(gateway: httpx.Client) -> None:
    """All of it, and a normal end."""
    recorder = Recorder()
    with SyncReconnectingEventSource(
        **request("fox"), client=gateway, method="POST", dialect=ChatCompletions, hooks=[recorder]
    ) as source:
        *events, last = source
    assert last.data == "[DONE]"
    assert contents([made.json() for made in events]) == TEXT
    assert recorder.of(Closed)[-1].reason == "until"


def test_their_client_sees_the_same(gateway: httpx.Client) -> None:
    """OpenAI's client, pointed at the gateway."""
    openai = pytest.importorskip("openai", reason="openai is not installed")
    asked = request("fox")["json"]
    with openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key=KEY) as client:
        made = [chunk.to_dict(mode="json") for chunk in client.chat.completions.create(**asked)]
    assert contents(made) == TEXT


def test_cuts_of_what_it_sends(stream: list[Block], shared: World) -> None:
    """As those of the stream that we wrote."""
    assert survives(shared, Case(ChatCompletions, stream)) > 40


def test_a_model_that_is_busy(gateway: httpx.Client) -> None:
    """The gateway refuses in JSON, and a source says so; what was refused may be asked again."""
    with (
        SyncReconnectingEventSource(
            **request("busy"),
            client=gateway,
            method="POST",
            dialect=ChatCompletions,
            policy=lambda failure: 0.0 if failure.attempt < 3 else None,
        ) as source,
        pytest.raises(GiveUpError) as told,
    ):
        list(source)
    cause = told.value.__cause__
    assert isinstance(cause, StatusError)
    assert cause.status_code == 429
    assert "mock rate limit error" in str(cause)
