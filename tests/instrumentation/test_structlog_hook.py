"""StructlogHook: stable names, stable keys, no secrets."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
import structlog.testing

from resilient_sse import (
    Closed,
    Comment,
    Connected,
    Connecting,
    CursorStoreFailed,
    Disconnected,
    Failure,
    FailureKind,
    GapDetected,
    GaveUp,
    GroupChanged,
    LeaseEnded,
    LeaseGranted,
    LifecycleEvent,
    RetryScheduled,
    ServerSentEvent,
)
from resilient_sse.instrumentation import StructlogHook

WHO: dict[str, Any] = {"url": "http://h/e", "source_id": 7}
BROKEN = Failure(
    error=httpx.ReadError("see http://u:p@h/e?token=secret"),
    kind=FailureKind.TRANSPORT,
    attempt=2,
    outage_seconds=1.23456,
)
BUSY = Failure(error=httpx.ReadError(""), kind=FailureKind.STATUS, status_code=503)
FACTS = {
    "kind": "transport",
    "error": "ReadError: see http://h/e?token=***",
    "failed_attempt": 2,
    "outage_seconds": 1.235,
    "last_event_id": "",
}
BUSY_FACTS = {
    "kind": "status",
    "error": "ReadError",
    "failed_attempt": 1,
    "outage_seconds": 0.0,
    "last_event_id": "",
    "status_code": 503,
}
TOTALS: dict[str, Any] = {"seconds": 2.5, "events": 3, "bytes": 40}
GAP: dict[str, Any] = {"reason": "refused", "last_event_id": "5"}
MISSED = ServerSentEvent(event="reset")
STORE: dict[str, Any] = {"operation": "save", "key": "k", "attempt": 3}


@pytest.mark.parametrize(
    ("event", "level", "line"),
    [
        (
            Connecting(**WHO, attempt=2, last_event_id="5"),
            "debug",
            {"event": "sse.connecting", "attempt": 2, "last_event_id": "5"},
        ),
        (
            Connected(**WHO, attempt=2, status_code=200, headers={}, seconds=0.1, resumed=True),
            "info",
            {
                "event": "sse.connected",
                "attempt": 2,
                "status_code": 200,
                "seconds": 0.1,
                "resumed": True,
            },
        ),
        (Comment(**WHO, text="ping"), "debug", {"event": "sse.comment", "text": "ping"}),
        (
            Disconnected(**WHO, failure=None, **TOTALS, last_event_id="5"),
            "info",
            {"event": "sse.disconnected", **TOTALS, "last_event_id": "5"},
        ),
        (
            Disconnected(**WHO, failure=BROKEN, **TOTALS),
            "debug",
            {"event": "sse.disconnected", **TOTALS, **FACTS},
        ),
        (
            RetryScheduled(**WHO, failure=BUSY, delay=1.23456),
            "warning",
            {"event": "sse.retry_scheduled", "delay": 1.235, **BUSY_FACTS},
        ),
        (
            GaveUp(**WHO, failure=BROKEN, failures=(BROKEN,)),
            "error",
            {"event": "sse.gave_up", "failures": 2, **FACTS},
        ),
        (
            GapDetected(**WHO, **GAP, status_code=412, event=None, continues=True),
            "warning",
            {"event": "sse.gap_detected", **GAP, "status_code": 412},
        ),
        (
            GapDetected(**WHO, **GAP, status_code=None, event=MISSED, continues=False),
            "error",
            {"event": "sse.gap_detected", **GAP},
        ),
        (
            CursorStoreFailed(**WHO, **STORE, error=OSError("disk full"), delay=1.23456),
            "warning",
            {
                "event": "sse.cursor_store_failed",
                **STORE,
                "error": "OSError: disk full",
                "delay": 1.235,
            },
        ),
        (
            CursorStoreFailed(**WHO, **STORE, error=BROKEN.error, delay=None),
            "error",
            {"event": "sse.cursor_store_failed", **STORE, "error": FACTS["error"]},
        ),
        (Closed(**WHO, reason="until"), "info", {"event": "sse.closed", "reason": "until"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LifecycleEvent) else "",
)
def test_one_line_for_each_lifecycle_event(
    event: LifecycleEvent, level: str, line: dict[str, Any]
) -> None:
    """Names, levels and keys are as documented."""
    with structlog.testing.capture_logs() as logs:
        StructlogHook()(event)

    assert logs == [{"log_level": level, **WHO, **line}]


@pytest.mark.parametrize(
    ("event", "level", "line"),
    [
        (
            LeaseGranted(group="g", name="http://h/e", token=7, waited=1.23456),
            "info",
            {"event": "sse.lease_granted", "lease": "http://h/e", "token": 7, "waited": 1.235},
        ),
        (
            LeaseEnded(group="g", name="http://h/e", token=7, reason="given back"),
            "info",
            {"event": "sse.lease_ended", "lease": "http://h/e", "token": 7, "reason": "given back"},
        ),
        (
            LeaseEnded(group="g", name="http://h/e", token=7, reason="lost"),
            "warning",
            {"event": "sse.lease_ended", "lease": "http://h/e", "token": 7, "reason": "lost"},
        ),
        (
            GroupChanged(group="g", streams=3, replicas=2),
            "info",
            {"event": "sse.group_changed", "streams": 3, "replicas": 2},
        ),
    ],
)
def test_leases_and_groups(event: LifecycleEvent, level: str, line: dict[str, object]) -> None:
    """They have a name, and no source."""
    with structlog.testing.capture_logs() as logs:
        StructlogHook()(event)

    assert logs == [{"log_level": level, "group": "g", **line}]


LONG = "i" * 1_000_000


@pytest.mark.parametrize(
    "event",
    [
        Connecting(**WHO, attempt=1, last_event_id=LONG),
        Comment(**WHO, text=LONG),
        Disconnected(**WHO, failure=None, **TOTALS, last_event_id=LONG),
        RetryScheduled(**WHO, failure=replace(BUSY, last_event_id=LONG), delay=1.0),
        GapDetected(
            **WHO,
            reason="event",
            last_event_id=LONG,
            status_code=None,
            event=ServerSentEvent(data=LONG),
            continues=True,
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_server_cannot_fill_a_log(event: LifecycleEvent) -> None:
    """What may be as long as an event is cut; an id that a request can carry is whole."""
    with structlog.testing.capture_logs() as logs:
        StructlogHook()(event)
        StructlogHook()(Connecting(**WHO, attempt=1, last_event_id="i" * 8000))

    assert len(str(logs[0])) < 9000
    assert logs[1]["last_event_id"] == "i" * 8000


def test_a_logger_of_ones_own() -> None:
    """The hook writes to the logger it is given."""
    with structlog.testing.capture_logs() as logs:
        StructlogHook(structlog.get_logger().bind(service="news"))(Closed(**WHO, reason="closed"))

    assert logs[0]["service"] == "news"


def test_a_lifecycle_event_of_a_later_version_is_ignored() -> None:
    """A hook must not break on what it does not know."""
    with structlog.testing.capture_logs() as logs:
        StructlogHook()(LifecycleEvent(**WHO))

    assert logs == []


@pytest.mark.parametrize("adapted", [False, True])
def test_a_logger_of_the_standard_library(caplog: pytest.LogCaptureFixture, adapted: bool) -> None:
    """People read the message, programs the dict; what is not enabled costs no line."""
    logger = logging.getLogger("app.streams")
    caplog.set_level(logging.INFO, "app.streams")
    hook = StructlogHook(logging.LoggerAdapter(logger) if adapted else logger)

    hook(Connecting(**WHO, attempt=1, last_event_id="100 %s"))
    hook(Closed(**WHO, reason="closed"))

    (record,) = caplog.records
    assert record.getMessage() == "sse.closed url='http://h/e' source_id=7 reason='closed'"
    assert (record.name, record.levelname) == ("app.streams", "INFO")
    if not adapted:  # before Python 3.13 an adapter's own extra takes its place
        assert vars(record)["sse"] == {"event": "sse.closed", **WHO, "reason": "closed"}
