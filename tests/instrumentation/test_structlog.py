"""`StructlogHook`: names, levels and keys that log searches rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import LogCapture

from resilient_sse import GiveUpError, SyncReconnectingEventSource
from resilient_sse.instrumentation import StructlogHook
from resilient_sse.lifecycle import LifecycleEvent
from resilient_sse.testing import (
    Connection,
    Ending,
    InstantRetries,
    ScriptedServer,
    comment,
    event,
)

if TYPE_CHECKING:
    from resilient_sse import Failure

RETRY = InstantRetries(lambda failure: 0.0 if failure.retryable else None)


def lines_of(*script: Connection) -> list[dict[str, Any]]:
    """Read a scripted stream to its end, and return what was logged."""
    capture = LogCapture()
    hook = StructlogHook(structlog.wrap_logger(None, processors=[capture]))
    with ScriptedServer(script) as server:
        url = f"{server.url.replace('//', '//user:password@')}?token=secret"
        with SyncReconnectingEventSource(url, policy=RETRY, hooks=[hook]) as source:
            try:
                list(source)
            except GiveUpError:
                assert script[-1].status == 404
    assert all(line["url"] == f"{server.url}?token=***" for line in capture.entries)
    assert len({line["source_id"] for line in capture.entries}) == 1
    return [dict(line) for line in capture.entries]


def test_every_lifecycle_event_is_a_line() -> None:
    """In their order, each with its level and its keys."""
    lines = lines_of(
        Connection(comment("hi"), event("one", id="7"), ending=Ending.RESET),
        Connection(status=503),
        Connection(event("two")),
    )
    names = [(line["event"].removeprefix("sse."), line["log_level"]) for line in lines]
    again = [("retry_scheduled", "warning"), ("connecting", "debug")]
    opened, lost = ("connected", "info"), ("disconnected", "debug")
    assert names == [
        ("connecting", "debug"),
        opened,
        ("comment", "debug"),
        lost,
        *again,
        *again,
        opened,
        lost,
        *again,
        ("closed", "info"),
    ]
    assert set(lines[1]) == {
        "url", "source_id", "event", "log_level", "attempt", "status_code", "seconds", "resumed"
    }  # fmt: skip
    assert set(lines[3]) == {
        "url", "source_id", "event", "log_level", "seconds", "events", "bytes",
        "kind", "error", "failed_attempt", "outage_seconds", "last_event_id",
    }  # fmt: skip
    assert lines[2]["text"] == "hi"
    assert lines[3]["kind"] == "transport"
    assert (lines[6]["status_code"], lines[6]["delay"]) == (503, 0.0)
    assert lines[5]["last_event_id"] == "7"


def told(*script: Connection) -> list[dict[str, Any]]:
    """Read a scripted stream, and return what operators see: lines that are no debugging."""
    return [line for line in lines_of(*script) if line["log_level"] != "debug"]


def test_one_failure_is_one_line() -> None:
    """A break, an answer with a page, the recovery: who reads them needs no other line."""
    broke, refused, recovered, *_ = told(
        Connection(event("one", id="7"), ending=Ending.RESET),
        Connection(b"<h1>Deploying</h1>", status=503, headers={"Retry-After": "30"}),
        Connection(event("two", id="8")),
    )[1:]
    assert [broke["event"], refused["event"]] == ["sse.retry_scheduled"] * 2
    assert (broke["connection_events"], broke["last_event_id"]) == (1, "7")
    assert broke["connection_seconds"] >= 0
    assert "connection_events" not in refused
    assert (refused["last_event_id"], refused["retry_after"]) == ("7", 30.0)
    assert "'<h1>Deploying</h1>'" in refused["error"]
    assert recovered["event"] == "sse.connected"
    assert recovered["failures"] == 2
    assert recovered["outage_seconds"] >= refused["outage_seconds"]


def test_the_first_connection_ends_no_outage() -> None:
    """Only if an attempt failed before it."""
    assert "failures" not in told(Connection(event("one")))[0]
    assert told(Connection(status=503), Connection(event("one")))[1]["failures"] == 1


def test_a_broken_connection_that_ends_the_stream_is_told_of_once() -> None:
    """The line that says that the source gave up has the facts of the connection."""
    capture = LogCapture()
    hook = StructlogHook(structlog.wrap_logger(None, processors=[capture]), stream="orders")
    broken = Connection(event("one", id="7"), ending=Ending.RESET)
    with (
        ScriptedServer([broken]) as server,
        SyncReconnectingEventSource(server.url, policy=lambda _: None, hooks=[hook]) as source,
        pytest.raises(GiveUpError),
    ):
        list(source)
    assert all(line["stream"] == "orders" for line in capture.entries)
    (gave_up,) = (line for line in capture.entries if line["log_level"] == "error")
    assert (gave_up["connection_events"], gave_up["last_event_id"]) == (1, "7")


def test_a_break_that_nothing_follows_is_forgotten() -> None:
    """The hook keeps nothing of a source that is closed."""
    hook = StructlogHook(structlog.wrap_logger(None, processors=[LogCapture()]))

    def broken_policy(_: Failure) -> float:
        raise ArithmeticError

    with (
        ScriptedServer([Connection(event("one"), ending=Ending.RESET)]) as server,
        SyncReconnectingEventSource(server.url, policy=broken_policy, hooks=[hook]) as source,
        pytest.raises(ArithmeticError),
    ):
        list(source)
    assert not hook._broken


def test_giving_up_is_an_error() -> None:
    """With the facts of the last failure, and the number of failures."""
    *_, gave_up, closed = lines_of(Connection(status=404))
    assert (gave_up["event"], gave_up["log_level"]) == ("sse.gave_up", "error")
    assert gave_up["failures"] == 1
    assert gave_up["status_code"] == 404
    assert gave_up["error"] == "StatusError: the server answered 404 Not Found"
    assert closed["reason"] == "gave up"


def test_leaving_is_no_failure() -> None:
    """A connection that this side ends is logged as information, without a kind of failure."""
    capture = LogCapture()
    hook = StructlogHook(structlog.wrap_logger(None, processors=[capture]))
    with (
        ScriptedServer([Connection(event("one", id="7"), ending=Ending.SILENCE)]) as server,
        SyncReconnectingEventSource(server.url, hooks=[hook]) as source,
    ):
        next(source)
    disconnected = capture.entries[-2]
    assert (disconnected["event"], disconnected["log_level"]) == ("sse.disconnected", "info")
    assert "kind" not in disconnected
    assert disconnected["last_event_id"] == "7"


def test_the_default_logger_is_structlogs(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a logger, lines go where structlog is configured to write; unknown ones nowhere."""
    hook = StructlogHook()
    with SyncReconnectingEventSource("http://127.0.0.1:9/", hooks=[hook]):
        pass
    hook(LifecycleEvent(url="http://h/", source_id=1))
    assert "".join(capsys.readouterr()).count("sse.closed") == 1
