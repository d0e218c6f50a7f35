"""The page about one bad night shows what a program of today would have said."""

from __future__ import annotations

import re
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from resilient_sse import GiveUpError, SyncReconnectingEventSource
from resilient_sse.instrumentation import StructlogHook
from resilient_sse.testing import InstantRetries, ScriptedServer
from tests.support.files import ROOT

PAGE = ROOT / "docs" / "explanation" / "one-bad-night.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not in a checkout")


def block(name: str) -> list[str]:
    """Return the lines of a block that was recorded."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"<!-- recorded: {name} -->\n\n```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def keys_of(line: dict[str, Any]) -> list[str]:
    """Return the keys of a log line as the page has them."""
    return [key for key in line if key not in {"event", "log_level", "url", "source_id"}]


def test_its_log_lines_are_those_of_today() -> None:
    """Lived through without waits: the same levels, names and keys, in the same order."""
    from scripts.one_bad_night import STORY, policy  # noqa: PLC0415 - not beside a wheel

    capture = LogCapture()
    hook = StructlogHook(structlog.wrap_logger(None, processors=[capture]), stream="orders")
    with (
        ScriptedServer(STORY) as server,
        SyncReconnectingEventSource(
            server.url, policy=InstantRetries(policy), hooks=[hook]
        ) as source,
        pytest.raises(GiveUpError),
    ):
        list(source)
    now = [
        (line["log_level"], line["event"], keys_of(dict(line)))
        for line in capture.entries
        if line["log_level"] != "debug"
    ]
    recorded = [
        (level, name, re.findall(r"(?:^| )(\w+)=(?=[\d'\"TF])", told))
        for level, name, told in (line.split(maxsplit=2) for line in block("logs"))
    ]
    assert recorded == now


def test_alerts_and_spans_tell_of_the_outage_the_recovery_and_the_end() -> None:
    """Each from its own source alone."""
    firing = [line.split(": ")[1] for line in block("metrics") if "firing: " in line]
    assert firing == ["-", "-", "SSEStreamDown", "-", "SSEGaveUp", "SSENobodyReads"]
    spans = "\n".join(block("spans"))
    for told in (
        "error.type='503'",
        "sse.failures=6",
        "error.type='401'",
        "sse.last_event_id='43'",
    ):
        assert told in spans
